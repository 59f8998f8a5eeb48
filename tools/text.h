/* SPDX-License-Identifier: Apache-2.0
 *
 * Small formats that several commands print.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdint.h>

#include "jsontext.h"
#include "symbols.h"
#include "textout.h"

/* "function (file:line)", or "module+0xoffset". */
void text_frame(struct textout *out, const struct symbols_frame *frame);

/* The same as a JSON object, an element of an array. */
void text_frame_json(struct jsontext *json, const struct symbols_frame *frame);

/* "2026-11-23T08:30:00.000Z" from nanoseconds since the epoch. */
#define TEXT_TIME 64
const char *text_time(uint64_t realtime_ns, char buffer[static TEXT_TIME]);

#endif
