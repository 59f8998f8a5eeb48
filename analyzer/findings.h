/* SPDX-License-Identifier: Apache-2.0
 *
 * Structures to findings: filter, fingerprint, group, sort.
 */
#ifndef FINDINGS_H
#define FINDINGS_H

#include "verdict.h"

/* Takes the structures of `result` that pass the options over into the
 * analysis, with the arrays in `pool`. */
enum error_code findings_take(struct analysis *analysis, const struct analysis_options *options,
			      struct verdict_result *result, enum analysis_pool pool, struct error *error);

/* Sets all fingerprints, sorts the structures by them and fills
 * analysis->findings, worst first. */
enum error_code findings_group(struct analysis *analysis, struct error *error);

/* Objects without a cycle, one row per type and allocation stack; each stands
 * for itself. */
enum error_code findings_add_leaks(struct analysis *analysis, const struct analysis_options *options,
				   const uint32_t *node, uint32_t count, struct error *error);

/* The same of what lost_find() found, which stands for all that it leads to. */
enum error_code findings_add_lost(struct analysis *analysis, const struct analysis_options *options,
				  const struct structure *lost, size_t count, struct error *error);

#endif
