/* SPDX-License-Identifier: Apache-2.0
 *
 * CPython inside this process: when to hook its allocator, how to get in, and
 * when to read its objects.  The constructor part runs before main; the set-up
 * runs once as a pending call in the interpreter's main thread; the snapshot
 * runs in the ending thread, with the interpreter's lock held.  Never fails the
 * target: every call into the interpreter is checked, and its pending
 * exception is put aside and back.
 */
#include "cpython_stack.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../config.h"
#include "../emit.h"
#include "../inherit.h"
#include "../request.h"
#include "adapter.h"

/* Of one life of the interpreter: a program that embeds it may finalize it and
 * initialize it again. */
enum setup_state {
	SETUP_OFF,       /* there is none */
	SETUP_WAITING,   /* until it is initialized */
	SETUP_REQUESTED, /* until it runs the pending call */
	SETUP_DONE,
	SETUP_ENDING, /* its objects were read; until it is finalized */
};

static int s_setup;
static bool s_taken;      /* the exit snapshot of this process and life */
static bool s_ended;      /* a life has ended */
static unsigned s_opened; /* libraries that the program opened since the last look */

static int setup_state(void)
{
	return __atomic_load_n(&s_setup, __ATOMIC_RELAXED);
}

static void set_setup_state(enum setup_state state)
{
	__atomic_store_n(&s_setup, state, __ATOMIC_RELAXED);
}

static bool was_initialized(void)
{
	return setup_state() >= SETUP_REQUESTED;
}

bool cpython_has_lock(void)
{
	void *state = g_py.PyGILState_GetThisThreadState();

	/* Not PyGILState_Check(): that always says yes where sub-interpreters are. */
	return state != NULL && state == g_py.current_thread_state();
}

/* What names look like in this build, and frames where one runs; any call is
 * allowed. */
static void check_layouts(bool running)
{
	struct py_object *type, *value, *traceback;

	cpython_stack_find_interpreter();
	cpython_gc_learn();
	if (running)
		cpython_lock_validate();
	g_py.PyErr_Fetch(&type, &value, &traceback);
	if (!cpython_text_validate())
		limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1, "cpython: str objects have an unknown layout");
	else if (g_py_layout->frames_unknown && g_config.python_depth > 0)
		limits_count(
			CASTAWAY_LIMIT_NO_STACKS, 1,
			"cpython: the frames of this version are not read; where objects were born is not "
			"known");
	else if (running && g_config.python_depth > 0 && !cpython_stack_validate())
		limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1, "cpython: frames have an unknown layout");
	g_py.PyErr_Clear();
	g_py.PyErr_Restore(type, value, traceback);
}

/* Guard and lock held. */
static void take_once(void)
{
	if (s_taken || !g_config.snapshot_at_exit || !inherit_is_owner())
		return;
	s_taken = true;
	/* A fork child whose trace waited for a reason to begin. */
	if (writer_is_pending())
		inherit_begin();
	if (!cpython_alloc_installed())
		limits_count(CASTAWAY_LIMIT_NO_STACKS, 1,
			     "cpython: the object allocator was not hooked; where objects were born is not "
			     "known");
	/* The interpreter came to its end before the pending call. */
	if (setup_state() < SETUP_DONE)
		check_layouts(false);
	cpython_snapshot_take();
}

/* The interpreter is about to be finalized. */
static void take_and_end(void)
{
	take_once();
	cpython_alloc_set_short(false);
	set_setup_state(SETUP_ENDING);
}

/* Registered first, hence called last: the program's own callbacks are through,
 * and no module is torn down yet. */
static struct py_object *on_atexit(struct py_object *self, struct py_object *arguments)
{
	struct guard guard;

	REQUEST_ENTER();
	if (guard_enter(&guard))
		take_and_end();
	guard_leave(&guard);
	REQUEST_LEAVE();
	g_py.Py_IncRef(g_py.none);
	return g_py.none;
}

/* PyMethodDef */
static struct {
	const char *name;
	struct py_object *(*function)(struct py_object *, struct py_object *);
	int flags;
	const char *doc;
} s_on_atexit = {"castaway_at_exit", on_atexit, 0x0004 /* METH_NOARGS */, NULL};

static bool register_atexit(void)
{
	struct py_object *module = g_py.PyImport_ImportModule("atexit");
	struct py_object *callback = g_py.PyCFunction_NewEx(&s_on_atexit, NULL, NULL);
	struct py_object *result = NULL;

	if (module != NULL && callback != NULL)
		result = g_py.PyObject_CallMethod(module, "register", "O", callback);
	if (result != NULL)
		g_py.Py_DecRef(result);
	if (callback != NULL)
		g_py.Py_DecRef(callback);
	if (module != NULL)
		g_py.Py_DecRef(module);
	return result != NULL;
}

/* A pending call: the interpreter is between two instructions of its main
 * thread, the lock is held, any call is allowed. */
static int setup(void *unused)
{
	struct py_object *type, *value, *traceback;

	check_layouts(true);
	cpython_alloc_set_short(true);
	if (g_config.python_exact_sites && !cpython_exact_begin())
		limits_count(CASTAWAY_LIMIT_ADAPTER_OFF, 1,
			     "cpython: the free lists of this build cannot be avoided");
	g_py.PyErr_Fetch(&type, &value, &traceback);
	/* Failure leaves the fallbacks: sigaction() and the process's end. */
	if (g_config.snapshot_at_exit)
		register_atexit();
	g_py.PyErr_Clear();
	g_py.PyErr_Restore(type, value, traceback);
	set_setup_state(SETUP_DONE);
	return 0;
}

static void begin_next_life(void)
{
	s_ended = true;
	s_taken = false;
	set_setup_state(SETUP_WAITING);
}

void cpython_look_after_setup(void)
{
	int state = setup_state();

	if (state == SETUP_DONE)
		cpython_lock_attend();
	if (state == SETUP_ENDING && !g_py.Py_IsInitialized()) {
		begin_next_life();
	} else if (state == SETUP_WAITING && g_py.Py_IsInitialized()) {
		set_setup_state(SETUP_REQUESTED);
		if (g_py.Py_AddPendingCall(setup, NULL) != 0)
			set_setup_state(SETUP_WAITING);
	}
}

static void cpython_start(void)
{
	if (!g_config.python || !cpython_layout_load(NULL))
		return;
	cpython_alloc_install();
	set_setup_state(SETUP_WAITING);
}

/* An interpreter in a library that the program opened: nothing says when that
 * happens, so look when a signal is taken or the process ends.  Guard held.
 * Not in a child that has only just been forked: the loader's lock may have
 * been held by a thread that is no more. */
static void look_for_library(void)
{
	if (setup_state() != SETUP_OFF || !g_config.python || writer_is_pending() ||
	    !__atomic_exchange_n(&s_opened, 0, __ATOMIC_RELAXED))
		return;
	if (!cpython_library_find())
		return;
	if (!g_py.Py_IsInitialized())
		cpython_alloc_install();
	set_setup_state(SETUP_WAITING);
}

/* "python", "python3", "python3.11", "python3.11d", "python3-dbg": the program
 * is the plain interpreter, whose main does nothing before Py_BytesMain().  A
 * program that embeds Python configures it in its own way, which a
 * pre-initialization of ours would change. */
static bool is_plain_interpreter(void)
{
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	const char *name;

	if (length <= 0 || g_py.Py_BytesMain == NULL)
		return false;
	path[length] = '\0';
	name = strrchr(path, '/');
	name = name != NULL ? name + 1 : path;
	if (strncmp(name, "python", 6) != 0)
		return false;
	name += 6;
	name += strspn(name, "0123456789.");
	return *name == '\0' || strcmp(name, "d") == 0 || strcmp(name, "-dbg") == 0;
}

/* The settings that make the interpreter choose its allocators anew. */
static bool replaces_allocators(int argc, char **argv)
{
	if (getenv("PYTHONMALLOC") != NULL || getenv("PYTHONDEVMODE") != NULL)
		return true;
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-' && strchr(argv[i], 'X') != NULL)
			return true;
	}
	return false;
}

/* The interpreter chooses its allocators while it pre-initializes, which would
 * throw ours away.  So do that part of its main now, with the same arguments
 * (a second pre-initialization does nothing), and then put the hook on top. */
static void cpython_before_main(int argc, char **argv)
{
	/* PyPreConfig: 40 bytes in 3.11 to 3.13. */
	long config[64] = {0};
	unsigned depth = t_guard.depth;

	if (setup_state() != SETUP_WAITING || !replaces_allocators(argc, argv) || !is_plain_interpreter())
		return;
	if (g_py.PyPreConfig_InitPythonConfig == NULL || g_py.Py_PreInitializeFromBytesArgs == NULL)
		return;
	/* What the interpreter allocates here is the target's, and is recorded. */
	t_guard.depth = 0;
	g_py.PyPreConfig_InitPythonConfig(config);
	g_py.Py_PreInitializeFromBytesArgs(config, argc, argv);
	t_guard.depth = depth;
	cpython_alloc_install();
}

/* Nobody holds the lock, and nobody is about to take it for long: in 3.11 one
 * thread state is the current one of the whole process.  This thread must have
 * one already: making one is not possible in every fork child. */
static bool lock_is_free(void)
{
	return g_py_layout->thread_status == 0 && g_py.current_thread_state() == NULL &&
	       g_py.PyGILState_GetThisThreadState() != NULL;
}

/* _exit() inside the interpreter, or the end of a program that embeds it and
 * never finalizes it.  Waiting for a lock that never comes would be worse than
 * no snapshot. */
static void take_at_end(void)
{
	if (cpython_has_lock()) {
		take_once();
	} else if (lock_is_free()) {
		int state = g_py.PyGILState_Ensure();

		take_once();
		g_py.PyGILState_Release(state);
	} else {
		limits_count(CASTAWAY_LIMIT_NO_SNAPSHOT, 1,
			     "cpython: the ending thread did not hold the interpreter's lock");
	}
}

/* Ends at which the objects may be in any state, or the program may go on. */
static const char *unreadable_end(enum castaway_end_reason moment)
{
	if (moment == CASTAWAY_END_EXIT || moment == CASTAWAY_END_UNDER_EXIT)
		return NULL;
	return moment == CASTAWAY_END_EXEC ? "cpython: the program was replaced by another (exec)"
					   : "cpython: the program aborted";
}

static void cpython_at_exit(enum castaway_end_reason moment)
{
	const char *why = unreadable_end(moment);

	look_for_library();
	if (setup_state() == SETUP_OFF || s_taken || !g_config.snapshot_at_exit)
		return;
	if (why != NULL && (was_initialized() || g_py.Py_IsInitialized()))
		limits_count(CASTAWAY_LIMIT_NO_SNAPSHOT, 1, why);
	else if (why == NULL && g_py.Py_IsInitialized())
		take_at_end();
	else if (why == NULL && (was_initialized() || (!s_ended && !cpython_alloc_installed())))
		limits_count(CASTAWAY_LIMIT_NO_SNAPSHOT, 1,
			     "cpython: it was finalized before its objects could be read");
}

static void cpython_after_fork(void)
{
	s_taken = false;
	cpython_lock_after_fork();
	if (setup_state() == SETUP_ENDING && g_py.Py_IsInitialized())
		set_setup_state(SETUP_DONE);
}

/* The interpreter gives SIGINT back while it finalizes: all atexit callbacks
 * are through, modules are whole, the lock is held.  Needed where the program
 * dropped our callback (atexit._clear). */
static void on_finalization(void)
{
	struct guard guard;

	if (guard_enter(&guard) && !g_py.Py_IsInitialized() && g_py.current_thread_state() != NULL)
		take_and_end();
	guard_leave(&guard);
}

/* It takes its signals while it initializes, too, after it chose its allocators:
 * a second chance in programs that embed it.  No other thread of its can run. */
static void cpython_on_sigaction(int signum)
{
	struct guard guard;

	if (guard_enter(&guard))
		look_for_library();
	guard_leave(&guard);
	if (setup_state() == SETUP_OFF)
		return;
	if (was_initialized() && !s_taken)
		on_finalization();
	else if (!g_py.Py_IsInitialized())
		cpython_look_after_setup();
	if (setup_state() == SETUP_WAITING && !g_py.Py_IsInitialized())
		cpython_alloc_install();
}

static void cpython_on_dlopen(void)
{
	__atomic_store_n(&s_opened, 1, __ATOMIC_RELAXED);
}

/* Its functions are gone: nothing of it may be called again. */
static void cpython_on_dlclose(void)
{
	if (setup_state() == SETUP_OFF || cpython_library_is_there())
		return;
	set_setup_state(SETUP_OFF);
	cpython_alloc_set_short(false);
	stack_claim_set(0);
}

bool cpython_is_set_up(void)
{
	return setup_state() == SETUP_DONE;
}

static bool cpython_describe(struct snapshot_view *view)
{
	if (view->index != NULL && cpython_is_set_up() && !cpython_pool_rules(view))
		return false;
	return cpython_lock_describe(view);
}

const struct adapter adapter_cpython = {
	.name = "cpython",
	.start = cpython_start,
	.before_main = cpython_before_main,
	.at_exit = cpython_at_exit,
	.after_fork = cpython_after_fork,
	.on_sigaction = cpython_on_sigaction,
	.on_dlopen = cpython_on_dlopen,
	.on_dlclose = cpython_on_dlclose,
	.hold = cpython_lock_hold,
	.release = cpython_lock_release,
	.may_describe = cpython_lock_may_describe,
	.delegate = cpython_lock_delegate,
	.take = cpython_lock_take,
	.describe = cpython_describe,
};
