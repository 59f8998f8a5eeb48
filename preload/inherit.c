/* SPDX-License-Identifier: Apache-2.0
 *
 * Around fork().  The prepare and parent handlers run in the forking thread,
 * the child's handler in the child, which has one thread; no lock is held over
 * the fork.
 */
#include "inherit.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "adapters/adapter.h"
#include "arena.h"
#include "config.h"
#include "emit.h"
#include "limits.h"
#include "object.h"
#include "process.h"
#include "rawio.h"
#include "snapshot.h"
#include "stack.h"
#include "thread.h"
#include "writer_internal.h"

/* The kernel clears this page in every copy of the process, but not in a vfork
 * child, which shares it. */
struct witness {
	pid_t owner;
};
static struct witness *s_witness;

static void claim(void)
{
	if (s_witness != NULL)
		s_witness->owner = rawio_pid();
}

bool inherit_is_owner(void)
{
	return s_witness == NULL || s_witness->owner == rawio_pid();
}

static void before(void)
{
	t_guard.depth++;
	if (g_tracing)
		thread_fork_prepare();
}

static void after_in_parent(void)
{
	thread_fork_release();
	if (g_tracing && !g_config.follow)
		limits_count(CASTAWAY_LIMIT_NOT_FOLLOWED, 1, NULL);
	t_guard.depth--;
}

/* Without following, the child keeps quiet; the parent's helper and file are
 * not its own in any case. */
static void become_child(void)
{
	claim();
	writer_after_fork();
	if (!g_config.follow)
		__atomic_store_n(&g_tracing, false, __ATOMIC_RELEASE);
	if (!g_tracing)
		return;
	limits_after_fork();
	thread_after_fork();
	object_after_fork();
	snapshot_after_fork();
	process_after_fork();
	adapter_after_fork();
}

static void after_in_child(void)
{
	become_child();
	t_guard.depth--;
}

void inherit_init(void)
{
	s_witness = arena_map(sizeof(*s_witness));
	/* Kernels before 4.14 cannot: then only fork() itself is noticed. */
	if (s_witness != NULL && RAW_CALL(SYS_madvise, s_witness, 4096, MADV_WIPEONFORK) != 0)
		s_witness = NULL;
	claim();
	(void)pthread_atfork(before, after_in_parent, after_in_child);
}

void inherit_check_copy(void)
{
	if (s_witness == NULL || s_witness->owner != 0)
		return;
	become_child();
}

/* What the events so far did is in the tables that the snapshot is made from;
 * a reader knows them by their earlier time. */
void inherit_begin(void)
{
	struct snapshot snapshot;

	config_expand_output();
	if (!writer_start()) {
		__atomic_store_n(&g_tracing, false, __ATOMIC_RELEASE);
		return;
	}
	snapshot_begin(&snapshot, CASTAWAY_REASON_INHERIT, CASTAWAY_METHOD_INPLACE, "fork");
	snapshot_blocks(&snapshot);
	object_write_snapshot(&snapshot);
	snapshot_end(&snapshot);
}
