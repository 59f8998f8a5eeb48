/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the pass share.
 */
#ifndef ANALYSIS_INTERNAL_H
#define ANALYSIS_INTERNAL_H

#include "analysis.h"
#include "confirm.h"
#include "trial.h"
#include "verdict.h"

struct pass {
	struct analysis *analysis;
	const struct analysis_options *options;
	struct trial trial;
	struct confirm confirm; /* what the moment before says, if asked */
	struct error *error;
};

/* analysis_judge.c: from the graph to structures and leaks. */

/* Cycles that only keep each other alive, of the trial's dead; free with verdict_done(). */
enum error_code analysis_find_stranded(const struct pass *pass, struct verdict_result *ret);

/* The trial, then all verdicts that the options ask for. */
enum error_code analysis_judge(struct pass *pass);

#endif
