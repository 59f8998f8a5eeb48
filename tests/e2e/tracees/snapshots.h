/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the tracee `snapshots`.
 */
#ifndef SNAPSHOTS_H
#define SNAPSHOTS_H

/* snapshots_filter.c: runs a command without a system call ("ptrace" or
 * "clone": the clones that copy memory). */
int snapshots_filter(const char *kind, char **command);

/* snapshots_calls.c: threads in calls that wait, while snapshots are taken;
 * prints for each how often it came back with EINTR. */
int snapshots_calls(int snapshots);

#endif
