# SPDX-License-Identifier: Apache-2.0
"""frames.py THREADS SIZE: THREADS threads let go of an object of SIZE bytes that is
counted once too often, and wait.  Its address is left on their stacks of Python
frames, above the top; of every second thread in a piece that is not the last one."""
import ctypes
import sys
import _thread

count, size = int(sys.argv[1]), int(sys.argv[2])
go = _thread.allocate_lock()
go.acquire()


def leave(depth):
    """Deep enough that what follows does not reach it."""
    if depth:
        return leave(depth - 1)
    lost = bytes(size - sys.getsizeof(b""))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(lost))
    return None


def churn(depth):
    """So that nothing of it stays in registers and on the stack of C."""
    return sum(map(int, "123")) + (churn(depth - 1) if depth else 0)


def wait(ready):
    ready.release()
    go.acquire()


# More local variables than a piece has room for.
exec("def wait_in_next(ready):\n ready.release()\n go.acquire()\n " + " = ".join("v%d" % i for i in range(3000)) + " = 0")


def work(ready, function):
    leave(20)
    churn(4)
    function(ready)


for number in range(count):
    lock = _thread.allocate_lock()
    lock.acquire()
    _thread.start_new_thread(work, (lock, (wait, wait_in_next)[number % 2]))
    lock.acquire()
