/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands say on stderr: always one line that starts with
 * "castaway: ", with control characters of foreign text made harmless.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stdio.h>

#include "error.h"

/* Errors and warnings. */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What is merely good to know: not printed under --quiet. */
void message_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void message_set_quiet(bool quiet);
bool message_quiet(void);

/* These three print and return EXIT_STATUS_ERROR, for `return message_...`. */
int message_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
int message_error(const char *file, const struct error *error);
int message_errno(const char *file, int error_number);

/* Flushes and checks a stream that a command has written; a reader that went
 * away (EPIPE) is no error.  Returns the exit status. */
int message_finish_output(FILE *stream, const char *name);

#endif
