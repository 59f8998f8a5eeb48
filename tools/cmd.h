/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of commands.  A command is one file, cmd_NAME.c with `cmd_NAME`,
 * and one line here; its man page is man/castaway-NAME.1.  argv[0] is the
 * command's name; the result is the exit status.
 */
#ifndef CMD_H
#define CMD_H

/* X(name, "summary") */
#define COMMANDS(X)                                                                 \
	X(record, "run a program and record its trace")                             \
	X(run, "record a program, then check the trace: both in one step")          \
	X(analyze, "report what a trace shows")                                     \
	X(check, "for CI: fail when a trace shows something that is not known yet") \
	X(baseline, "write down the findings that are known, for check --baseline") \
	X(diff, "compare two traces: what came, went, grew and shrank")             \
	X(gc, "ask a trace what Python's gc module is asked")                       \
	X(path, "print who holds an object: chains from roots, retained size")      \
	X(refs, "print where an object's references were taken, as a call tree")    \
	X(info, "print a trace's header, totals and limits")                        \
	X(dump, "print a trace's events as text or JSON lines")                     \
	X(snapshot, "take a snapshot of a process that is being recorded")

#define X(name, summary) int cmd_##name(int argc, char **argv);
COMMANDS(X)
#undef X

enum exit_status {
	EXIT_STATUS_OK = 0,
	EXIT_STATUS_ERROR = 2,     /* usage error, unreadable input, unwritable output */
	EXIT_STATUS_UNSURE = 3,    /* nothing found, in a trace too incomplete to say */
	EXIT_STATUS_FINDING = 23,  /* something new was found */
	EXIT_STATUS_CANNOT = 126,  /* the program exists but cannot be executed */
	EXIT_STATUS_MISSING = 127, /* there is no such program */
	EXIT_STATUS_SIGNAL = 128,  /* plus the number of the signal */
};

#endif
