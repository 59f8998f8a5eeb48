# SPDX-License-Identifier: Apache-2.0
"""moments.py HOW: strands 100 pairs and says so, then goes on in its way until a
line comes.  At the end it asks the collector what is unreachable: all of the
garbage is from before the first line.  Prints the listing's length and objects.

Nothing here is collected before that."""
import ctypes
import gc
import io
import os
import select
import sys
import threading
import time


class Node:
    pass


def strand(count):
    for _ in range(count):
        first, second = Node(), Node()
        first.other, second.other = second, first


def asked():
    return bool(select.select([0], [], [], 0)[0])


def idle():
    """All threads wait, none has the lock."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    os.read(0, 1)


def busy():
    """The only thread runs Python code."""
    while not asked():
        [str(i) for i in range(10000)]


def worker():
    """The main thread waits for one that runs Python code."""
    thread = threading.Thread(target=busy)
    thread.start()
    thread.join()


def crowd():
    """Several threads take the lock from each other."""
    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def nothing():
    """Busy, and allocates nothing."""
    end = time.monotonic() + 4
    while time.monotonic() < end:
        pass
    os.read(0, 1)


def take(prototype):
    """castaway_snapshot() of castaway.h: the tenth word of its table."""
    table = (ctypes.c_void_p * 10).in_dll(ctypes.CDLL(None), "castaway_hooks_v1")
    prototype(ctypes.c_int, ctypes.c_char_p)(table[9])(b"asked for")


def with_lock():
    """Asks for one itself, from a function that was called with the lock held."""
    take(ctypes.PYFUNCTYPE)
    os.read(0, 1)


def without_lock():
    """From one that was called without, while others are busy."""
    done = threading.Event()

    def run():
        while not done.is_set():
            [str(i) for i in range(10000)]

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    take(ctypes.CFUNCTYPE)
    done.set()
    for thread in threads:
        thread.join()
    os.read(0, 1)


def main():
    gc.disable()
    strand(100)
    print(os.getpid(), flush=True)
    globals()[sys.argv[1]]()
    out, sys.stderr = sys.stderr, io.StringIO()
    gc.set_debug(gc.DEBUG_COLLECTABLE)
    gc.collect()
    gc.set_debug(0)
    listing, sys.stderr = sys.stderr.getvalue(), out
    print(listing, end="")
    print("done")


main()
