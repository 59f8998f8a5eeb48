/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a command writes its result: standard output, or a file that appears
 * whole or not at all (a temporary file beside it, renamed when complete).
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

struct output {
	FILE *stream;
	const char *name; /* for messages */
	char *target;     /* final path; NULL = written in place */
	char *temporary;  /* NULL = written in place */
};

/* `path` NULL or "-" means standard output.  Refuses to replace any of the
 * `inputs` (NULL-terminated).  Prints what is wrong; false = failed. */
bool output_open(struct output *output, const char *path, char *const *inputs);

/* Ends the output; with `keep` it appears, else nothing is left of it.
 * Returns the exit status: 0, or an error that has been printed. */
int output_close(struct output *output, bool keep);

#endif
