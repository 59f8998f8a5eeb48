# SPDX-License-Identifier: Apache-2.0
#
# Hundreds of snapshots of programs that check themselves.
import contextlib
import os
import subprocess

from support import case, equal, main, record, tracee
from traceformat import Trace

PTRACE, SIGNAL = 1, 2


def many(directory, mode, count, stop, method, *runner):
    result = record(directory, [*runner, tracee("snapshots"), mode, str(count)],
                    ("--scan=yes", "--stop=%d" % stop), timeout=600)
    equal((result.status, result.err), (0, b""), "%s, stop=%d\n%s" % (mode, stop, result))
    equal(int(result.out), count, "snapshots that the program took")
    snapshots = Trace(max(result.traces, key=os.path.getsize)).snapshots()
    equal(len(snapshots), count + 1, "snapshots in the trace")
    assert all(s["end"] for s in snapshots.values()), "some are not finished"
    missed = [i for i in range(count) if snapshots[i]["method"] != method]
    assert len(missed) <= count // 50, "not stopped in %d of %d" % (len(missed), count)


@case
def busy(directory):
    """500 snapshots of nine busy threads, by ptrace and by signal"""
    many(directory, "busy", 500, 1, PTRACE)
    many(directory, "busy", 500, 2, SIGNAL)


@contextlib.contextmanager
def one_busy_processor():
    """Whatever is started meanwhile shares a processor with programs that never wait."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(processors)})
    others = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(6)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
        os.sched_setaffinity(0, processors)


@case
def starved(directory):
    """20 snapshots of nine threads that hardly ever get a processor, by signal"""
    with one_busy_processor():
        many(directory, "busy", 20, 2, SIGNAL, "nice", "-n", "10")


@case
def reserved_signals(directory):
    """200 snapshots among pthread_cancel and setgid"""
    many(directory, "storm", 200, 1, PTRACE)
    many(directory, "storm", 200, 2, SIGNAL)


@case
def threads_that_come_and_go(directory):
    """100 snapshots among threads that live for a moment"""
    many(directory, "shortlived", 100, 1, PTRACE)
    many(directory, "shortlived", 100, 2, SIGNAL)


main()
