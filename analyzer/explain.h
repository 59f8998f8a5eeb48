/* SPDX-License-Identifier: Apache-2.0
 *
 * What a finding says beyond its members: the evidence, which reference to
 * give up (advice.h), and when it was stranded (stranding.h).  All of it is
 * about the finding's representative.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "analysis.h"
#include "trial.h"

/* Counts of the representatives' members against the references to them, in
 * one walk over all edges. */
enum error_code explain_evidence(struct analysis *analysis, const struct trial *trial, struct error *error);

enum error_code explain_advice(struct analysis *analysis, struct error *error);

/* Needs the replay at the moment of the analysis. */
enum error_code explain_stranding(struct analysis *analysis, struct error *error);

#endif
