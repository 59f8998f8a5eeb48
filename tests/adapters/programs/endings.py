# SPDX-License-Identifier: Apache-2.0
"""Strands three Knots and ends in the way that its argument says."""
import gc
import os
import sys

gc.disable()


class Knot:
    pass


def strand(count):
    for _ in range(count):
        knot = Knot()
        knot.itself = knot


def thread_exit():
    import threading
    threading.Thread(target=os._exit, args=(4,)).start()
    threading.Event().wait()


def uncaught():
    raise KeyError("gone")


def cleared_callbacks():
    import atexit
    atexit._clear()


def user_callback():
    import atexit
    atexit.register(strand, 2)


def fork_and_exit():
    child = os.fork()
    if child == 0:
        strand(1)
        sys.exit(0)
    os.waitpid(child, 0)


def failing_child():
    import subprocess
    try:
        subprocess.run(["/nonexistent/program"])
    except FileNotFoundError:
        print("not found", flush=True)


def workers():
    import multiprocessing
    context = multiprocessing.get_context("fork")
    process = context.Process(target=strand, args=(1,))
    process.start()
    process.join()


def during_collection():
    gc.callbacks.append(lambda phase, info: os._exit(5))
    gc.collect()


def no_way_in():
    import atexit
    import signal
    atexit._clear()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def subinterpreter():
    global other
    import _xxsubinterpreters
    other = _xxsubinterpreters.create()
    _xxsubinterpreters.run_string(other, "knot = []; knot.append(knot); del knot")


def fork_in_thread():
    import threading

    def fork():
        child = os.fork()
        if child != 0:
            print("child", os.waitpid(child, 0)[1], flush=True)

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()


def traced_memory():
    import tracemalloc
    tracemalloc.start()


strand(3)
print("stranded", flush=True)
ENDINGS = {
    "return": lambda: None,
    "sys-exit": lambda: sys.exit(3),
    "uncaught": uncaught,
    "os-exit": lambda: os._exit(6),
    "thread-exit": thread_exit,
    "cleared-callbacks": cleared_callbacks,
    "user-callback": user_callback,
    "fork": fork_and_exit,
    "failing-child": failing_child,
    "fork-in-thread": fork_in_thread,
    "traced-memory": traced_memory,
    "workers": workers,
    "during-collection": during_collection,
    "no-way-in": no_way_in,
    "subinterpreter": subinterpreter,
}
ENDINGS[sys.argv[1]]()
