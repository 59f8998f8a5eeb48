/* SPDX-License-Identifier: Apache-2.0
 *
 * How `castaway snapshot PID` reaches a traced process: a socket of the helper
 * in the abstract namespace, which the target neither sees nor can lose.  Who
 * connects sends the snapshot's name as one packet, and gets one packet when it
 * is written: "ok", or what went wrong.  Both sides check who the other is.
 */
#ifndef CONTROL_H
#define CONTROL_H

/* After the leading zero byte; the process id follows. */
#define CONTROL_NAME       "castaway-control."
#define CONTROL_NAME_MAX   64
#define CONTROL_PACKET_MAX 1024

#ifdef CASTAWAY_PRELOAD
void control_open(void);
/* Takes in a request, if there is one. */
void control_step(void);
/* The snapshot is written; or why not. */
void control_answer(const char *failure);
void control_close(void);
#endif

#endif
