/* SPDX-License-Identifier: Apache-2.0
 *
 * The decision of `check` and `run`: what of all that was found is new, and
 * whether a trace without findings is complete enough to be called clean.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include "baseline.h"
#include "options.h"
#include "suppress.h"

struct judge {
	uint32_t verdicts; /* a bit per enum verdict that fails */
	bool misuse;       /* misuse of the annotations fails too */
	bool verbose;      /* also say what is known, suppressed, unused */
	bool silent;       /* count only */
	struct baseline known;
	struct suppressions suppressions;
	FILE *out;
	uint64_t fresh, old, suppressed;
	bool unsure;
	char why_unsure[256];
};

/* --baseline, --suppressions, --fail-on, --verbose. */
extern const struct option_row judge_rows[];

/* After options_parse: reads the files that the options name.  Returns the
 * exit status: 0, or an error that has been printed. */
int judge_begin(struct judge *judge, FILE *out);

/* A session_visit; `arg` is a struct judge. */
int judge_visit(struct analysis *analysis, void *arg);

/* Prints the conclusion and returns the exit status: 0, 3 or 23. */
int judge_conclude(struct judge *judge);

void judge_end(struct judge *judge);

#endif
