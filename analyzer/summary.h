/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables around the findings: totals, one row per runtime, and the
 * generations, of each runtime and of all together.
 */
#ifndef SUMMARY_H
#define SUMMARY_H

#include "analysis.h"

/* Runtimes that the snapshot describes, and those that have objects. */
enum error_code summary_runtimes(struct analysis *analysis, struct error *error);

/* Needs the structures and the runtime rows. */
void summary_generations(struct analysis *analysis);
void summary_totals(struct analysis *analysis);

#endif
