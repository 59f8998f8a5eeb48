/* SPDX-License-Identifier: Apache-2.0
 *
 * Begin and end of tracing.  Set up in the first thread, by the first hooked
 * call of a constructor or by the library's own; the destructor runs after
 * those of the program, in whatever thread calls exit().
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "adapters/adapter.h"
#include "arch.h"
#include "clock.h"
#include "collect.h"
#include "config.h"
#include "emit.h"
#include "fatal.h"
#include "generation.h"
#include "guard.h"
#include "hot.h"
#include "inherit.h"
#include "process.h"
#include "resolve.h"
#include "stack.h"
#include "thread.h"
#include "writer.h"

HOT bool g_tracing;

static void use_own_name(char **environment)
{
	Dl_info own;

	if (dladdr(&g_tracing, &own) == 0)
		return;
	if (!g_config.follow)
		config_stop_following(environment, own.dli_fname);
	collect_init(environment, own.dli_fname);
}

static void quick_exit_handler(void)
{
	process_end(CASTAWAY_END_UNDER_EXIT);
}

static void set_up(char **environment)
{
	arch_init();
	config_read(environment);
	use_own_name(environment);
	if (arch_is_valgrind()) /* which takes reads of the stack for errors */
		g_config.depth = 0;
	clock_init();
	emit_init();
	thread_init();
	if (!writer_start())
		return;
	stack_init();
	modules_refresh();
	generation_init((const uint64_t[]){g_config.threshold0, g_config.threshold1, g_config.threshold2});
	inherit_init();
	(void)at_quick_exit(quick_exit_handler);
	if (g_config_text.error[0] != '\0')
		limits_count(CASTAWAY_LIMIT_UNKNOWN_OPTION, 1, NULL);
	if (resolve_malloc_is_foreign())
		limits_count(CASTAWAY_LIMIT_OWN_MALLOC, 1, NULL);
	adapter_start();
	fatal_init();
	__atomic_store_n(&g_tracing, true, __ATOMIC_RELEASE);
}

void main_set_up(char **environment)
{
	const int saved_errno = errno;

	t_guard.depth++;
	set_up(environment);
	t_guard.depth--;
	errno = saved_errno;
}

__attribute__((constructor(101))) static void begin(void)
{
	if (resolve_ready())
		resolve_finish();
}

/* The last resort too: for programs that end where no hook is, as when the
 * last thread returns. */
__attribute__((destructor)) static void finish(void)
{
	process_exit_moment(CASTAWAY_END_EXIT);
	process_late_moment();
	process_end(CASTAWAY_END_EXIT);
}
