# SPDX-License-Identifier: Apache-2.0
"""Runs a program without collections, and at the moment at which castaway reads
the objects asks CPython's own collector what is unreachable.

    oracle.py MOMENT LISTING PROGRAM

The listing is what the collector prints under gc.DEBUG_COLLECTABLE and
gc.DEBUG_UNCOLLECTABLE: the unreachable set before weak reference callbacks and
finalizers run.  MOMENT is one of
  now   all exit callbacks are called by hand (castaway's is the last of them)
        and the collector right after, no other thread running in between;
  end   an ordinary end: the first thing that the interpreter does after the
        exit callbacks is a collection; the second is to set builtins._ to None,
        and the finalizer of what was there writes the listing;
  fork  a child ends at once, by os._exit(), and the parent asks the collector:
        both have the same objects at the same addresses.
"""
import atexit
import builtins
import gc
import io
import os
import runpy
import sys

DEBUG = gc.DEBUG_COLLECTABLE | gc.DEBUG_UNCOLLECTABLE


class Listing:
    """Keeps what the collector prints, and writes it when it goes."""

    def __init__(self, path):
        self.text = io.StringIO()
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def __del__(self):
        gc.set_debug(0)
        data = self.text.getvalue().encode("utf-8", "backslashreplace") + b"done\n"
        while data:
            data = data[os.write(self.file, data):]


def keep_callbacks():
    """Exit callbacks and what they hold go once all were called; the objects
    have been read by then.  So they stay."""
    kept = sys.callbacks = []
    register = atexit.register

    def keep(func, *args, **kwargs):
        kept.append((func, args, kwargs))
        return register(func, *args, **kwargs)

    atexit.register = keep


def fork_child(path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    with open(path + ".child", "w", encoding="ascii") as file:
        file.write(str(child))
    os.waitpid(child, 0)


def main():
    moment, path, program = sys.argv[1:4]
    # Enabled, but nothing starts one: the collection at the end still runs.
    gc.set_threshold(0)
    sys.argv = sys.argv[3:]
    if moment == "now":
        keep_callbacks()
    sys.kept = runpy.run_path(program, run_name="__main__")
    sys.stdout.flush()
    builtins._ = Listing(path)
    if moment == "fork":
        fork_child(path)
    elif moment == "now":
        sys.setswitchinterval(1000)
        atexit._run_exitfuncs()
    sys.stderr = builtins._.text
    gc.set_debug(DEBUG)
    if moment != "end":
        gc.collect()
        del builtins._
        os._exit(0)


main()
