# SPDX-License-Identifier: Apache-2.0
#
# Hundreds of snapshots of programs that check themselves.
from support import case, equal, main, record, tracee
from traceformat import Trace

PTRACE, SIGNAL = 1, 2


def many(directory, mode, count, stop, method):
    result = record(directory, [tracee("snapshots"), mode, str(count)], ("--scan=yes", "--stop=%d" % stop),
                    timeout=600)
    equal((result.status, result.err), (0, b""), "%s, stop=%d\n%s" % (mode, stop, result))
    equal(int(result.out), count, "snapshots that the program took")
    snapshots = Trace(result.traces[0]).snapshots()
    equal(len(snapshots), count + 1, "snapshots in the trace")
    assert all(s["end"] for s in snapshots.values()), "some are not finished"
    missed = [i for i in range(count) if snapshots[i]["method"] != method]
    assert len(missed) <= count // 50, "not stopped in %d of %d" % (len(missed), count)


@case
def busy(directory):
    """500 snapshots of nine busy threads, by ptrace and by signal"""
    many(directory, "busy", 500, 1, PTRACE)
    many(directory, "busy", 500, 2, SIGNAL)


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
