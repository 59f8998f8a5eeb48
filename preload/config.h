/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings, read once from CASTAWAY_OUTPUT and CASTAWAY_OPTIONS without
 * allocating.  An unknown key is reported once on stderr and in the trace, and
 * tracing goes on.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/* X(type, key, field, default, "help") - the same keys as the long options of
 * `castaway record`; the CLI includes this list to offer and check them. */
#define CONFIG_KEYS(X)                                                                                      \
	X(EVENTS, "events", events_live, 0,                                                                 \
	  "record all events, or for long runs only what lives at each snapshot (all|live)")                \
	X(BOOL, "follow", follow, 1, "trace child processes too (yes|no)")                                  \
	X(UINT, "depth", depth, 128, "frames per call stack at most; 0 takes none")                         \
	X(BOOL, "fast-stacks", fast_stacks, 1,                                                              \
	  "replay a thread's last stack instead of walking each anew (yes|no)")                             \
	X(BOOL, "verify-stacks", verify_stacks, 0, "compare every fast stack with libunwind's (yes|no)")    \
	X(BOOL, "free-stacks", free_stacks, 1,                                                              \
	  "take a call stack at frees and unrefs of blocks too (yes|no)")                                   \
	X(UINT, "flush", flush_ms, 200, "milliseconds that events may stay unwritten")                      \
	X(UINT, "buffers", buffer_mib, 32, "MiB of buffers that may wait for the disk")                     \
	X(UINT, "max-size", max_mib, 0,                                                                     \
	  "MiB at which the trace is begun anew, with what lives then; 0 lets it grow")                     \
	X(BOOL, "helper", helper, 1, "write from a helper process (yes|no)")                                \
	X(BOOL, "compress", compress, 1, "compress the trace (yes|no)")                                     \
	X(BOOL, "snapshot-at-exit", snapshot_at_exit, 1, "read the runtimes' objects at the end (yes|no)")  \
	X(BOOL, "snapshot-at-crash", snapshot_at_crash, 0,                                                  \
	  "take one when a fault ends the program (yes|no)")                                                \
	X(BOOL, "snapshot-at-term", snapshot_at_term, 0, "take one when SIGTERM ends the program (yes|no)") \
	X(BOOL, "snapshot-late", snapshot_late, 0,                                                          \
	  "take another after the destructors, which may let go of what only a static held (yes|no)")       \
	X(UINT, "snapshot-twice", snapshot_twice, 0,                                                        \
	  "milliseconds after which each snapshot is repeated, for --confirm; 0 repeats none")              \
	X(BOOL, "scan", scan, 1, "look for pointers in all of the memory at snapshots (yes|no)")            \
	X(BOOL, "scan-python", scan_python, 0,                                                              \
	  "scan at the end of a CPython program too, whose objects are read without (yes|no)")              \
	X(BOOL, "scrub", scrub, 1,                                                                          \
	  "with scan, zero new blocks, so that old pointers in them hold nothing (yes|no)")                 \
	X(UINT, "scan-alignment", scan_alignment, 8,                                                        \
	  "bytes, of which a pointer's own address is a multiple: 8, 4, 2 or 1")                            \
	X(UINT, "scan-tag-bits", scan_tag_bits, 0,                                                          \
	  "lowest bits of a pointer that are not part of the address, 0 to 6")                              \
	X(UINT, "snapshot-every", snapshot_every, 0, "milliseconds between snapshots; 0 takes none")        \
	X(UINT, "stop", stop, 0,                                                                            \
	  "how snapshots stop threads: 1 ptrace, 2 a signal, 3 not at all; 0 the best that works")          \
	X(BOOL, "python", python, 1, "trace CPython objects (yes|no)")                                      \
	X(UINT, "python-depth", python_depth, 1,                                                            \
	  "Python frames per allocation at most; 0 takes native stacks instead")                            \
	X(BOOL, "python-events", python_events, 0,                                                          \
	  "record every birth and death of a Python object, not only what lives at the end (yes|no)")       \
	X(BOOL, "python-exact-sites", python_exact_sites, 0,                                                \
	  "keep Python objects out of free lists, so that each has a birthplace of its own (yes|no)")       \
	X(BOOL, "gobject-refs", gobject_refs, 1,                                                            \
	  "record where GObject's and GStreamer's references are taken and given back (yes|no)")            \
	X(UINT, "threshold0", threshold0, 700, "births minus deaths that start a pass of generation 0")     \
	X(UINT, "threshold1", threshold1, 10, "passes of generation 0 that start one of generation 1")      \
	X(UINT, "threshold2", threshold2, 10, "passes of generation 1 that start a full one")

struct config {
#define BOOL                             bool
#define EVENTS                           bool
#define UINT                             uint64_t
#define X(type, key, field, value, help) type field;
	CONFIG_KEYS(X)
#undef X
#undef BOOL
#undef EVENTS
#undef UINT
};

struct config_text {
	char output[4096];  /* with %p and %e expanded */
	char options[1024]; /* as given */
	char error[256];    /* first unknown or malformed setting; "" = none */
};

#ifdef CASTAWAY_PRELOAD
extern struct config g_config;
extern struct config_text g_config_text;
void config_read(char **environment);
/* The value of an environment variable, or NULL. */
const char *config_find(char **environment, const char *name);
/* Expands the output name again for a new pid. */
void config_expand_output(void);
/* Takes our library out of LD_PRELOAD, in place, for programs run from here. */
void config_stop_following(char **environment, const char *library);
#endif

#endif
