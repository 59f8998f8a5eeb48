/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes the process's moments on to every adapter of ADAPTERS.  Runs in the
 * thread that caused the moment; adapters get the guard as adapter.h says.
 */
#include "adapter.h"

#include <dlfcn.h>

#define X(name) &adapter_##name,
static const struct adapter *const s_adapters[] = {ADAPTERS(X)};
#undef X

#define FOR_EACH_ADAPTER(index) \
	for (size_t index = 0; index < sizeof(s_adapters) / sizeof(*s_adapters); index++)

/* What was looked for in vain is not the target's failure.  dlerror() must not
 * be called: it translates, under a lock that the allocation at hand may be made
 * under (newlocale() allocates); a look-up that succeeds clears it as well. */
void adapter_forget_error(void)
{
	(void)dlsym(RTLD_DEFAULT, "malloc");
}

void adapter_start(void)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->start != NULL)
			s_adapters[i]->start();
	}
	adapter_forget_error();
}

void adapter_before_main(int argc, char **argv)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->before_main != NULL)
			s_adapters[i]->before_main(argc, argv);
	}
}

void adapter_at_exit(enum castaway_end_reason moment)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->at_exit != NULL)
			s_adapters[i]->at_exit(moment);
	}
}

void adapter_after_fork(void)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->after_fork != NULL)
			s_adapters[i]->after_fork();
	}
}

void adapter_on_sigaction(int signum)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->on_sigaction != NULL)
			s_adapters[i]->on_sigaction(signum);
	}
}

void adapter_on_dlopen(void)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->on_dlopen != NULL)
			s_adapters[i]->on_dlopen();
	}
}

void adapter_on_dlclose(void)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->on_dlclose != NULL)
			s_adapters[i]->on_dlclose();
	}
}

void adapter_on_poll(uintptr_t caller, int timeout)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->on_poll != NULL)
			s_adapters[i]->on_poll(caller, timeout);
	}
}

void adapter_before_stop(void)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->before_stop != NULL)
			s_adapters[i]->before_stop();
	}
}

bool adapter_needs_scan(void)
{
	bool needed = false;

	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->needs_scan != NULL)
			needed |= s_adapters[i]->needs_scan();
	}
	return needed;
}

bool adapter_describe(struct snapshot_view *view)
{
	bool whole = true;

	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->describe != NULL)
			whole = s_adapters[i]->describe(view) && whole;
	}
	return whole;
}

void adapter_hold(void)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->hold != NULL)
			s_adapters[i]->hold();
	}
}

void adapter_release(void)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->release != NULL)
			s_adapters[i]->release();
	}
}

bool adapter_may_describe(void)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->may_describe != NULL && !s_adapters[i]->may_describe())
			return false;
	}
	return true;
}

bool adapter_delegate(const struct request *request)
{
	bool any = false;

	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->delegate != NULL)
			any = s_adapters[i]->delegate(request) || any;
	}
	return any;
}

bool adapter_take(const struct request *request)
{
	FOR_EACH_ADAPTER(i)
	{
		if (s_adapters[i]->take != NULL && s_adapters[i]->take(request))
			return true;
	}
	return false;
}
