# SPDX-License-Identifier: Apache-2.0
#
# Snapshots of the heap: what they hold, and that the program does not notice.
import json
import os
import resource
import shutil
import signal
import time

from support import LIBRARY, Running, Skip, case, castaway, equal, main, member, record, record_one, run, tracee
from traceformat import Trace

EXIT, REQUEST, INTERVAL, API = 1, 2, 3, 4  # reasons
EVENTS, PTRACE, SIGNAL, INPLACE, ALONE = range(5)  # methods
NO_SNAPSHOT = 11  # limit
COUNT = 20
KEPT, KEPT_SIZE = 100, 5008  # of the tracee's list


def take(directory, mode, *settings, count=COUNT):
    """Runs the tracee, which checks itself, and returns its snapshots."""
    result = record(directory, [tracee("snapshots"), mode, str(count)], ("--scan=yes",) + settings, timeout=120)
    equal((result.status, result.err), (0, b""), "%s\n%s" % (mode, result))
    equal(int(result.out), count, "snapshots that the program took")
    trace = Trace(result.traces[-1])
    equal(trace.end()[0], 1, "END")
    return check_snapshots(trace, count)


def check_snapshots(trace, count):
    """Every snapshot is whole: as many records as its end says."""
    snapshots = trace.snapshots()
    equal(sorted(snapshots), list(range(count + 1)), "indices")
    equal([s["reason"] for _, s in sorted(snapshots.items())], [API] * count + [EXIT], "reasons")
    for index, snapshot in snapshots.items():
        if snapshot["method"] == EVENTS:
            continue
        for what, total in (("blocks", "blocks"), ("edges", "scan_edges"), ("roots", "roots")):
            equal(len(snapshot[what]), snapshot["end"][total], "%s of snapshot %d" % (what, index))
        blocks = snapshot["blocks"]
        equal(blocks, sorted(blocks), "order of the blocks")
        for start, offset, to, interior in snapshot["edges"]:
            assert offset + 8 <= blocks[start][1] and interior < blocks[to][1], "an edge out of its block"
    return snapshots


def list_length(snapshot):
    """Blocks of the tracee's list that are found from its end by following edges at offset 0."""
    follow = {e[0]: e[2] for e in snapshot["edges"] if e[1] == 0 and e[3] == 0}
    in_list = {n for n, block in enumerate(snapshot["blocks"]) if block[1] == KEPT_SIZE}
    heads = in_list - {follow[n] for n in in_list if n in follow}
    roots = {r[3] for r in snapshot["roots"] if r[4] == 0}
    equal(len(heads), 1, "heads of the list")
    assert heads <= roots, "the list's head is in no root"
    at, length = heads.pop(), 1
    while at in follow and follow[at] in in_list:
        at, length = follow[at], length + 1
    return length


def busy(directory, method, *settings):
    for index, snapshot in take(directory, "busy", *settings).items():
        equal(snapshot["method"], method if index < COUNT else ALONE, "method of snapshot %d" % index)
        equal(list_length(snapshot), KEPT, "list in snapshot %d" % index)


@case
def busy_best(directory):
    """nine busy threads and queued signals: nothing is lost, the program's list is in every snapshot"""
    busy(directory, PTRACE)


@case
def busy_signal(directory):
    """the same, stopped by a signal"""
    busy(directory, SIGNAL, "--stop=2")


@case
def busy_not_stopped(directory):
    """the same, without stopping"""
    busy(directory, INPLACE, "--stop=3")


@case
def reserved_signals(directory):
    """pthread_cancel and setgid, which use the C library's own signals, work among snapshots"""
    for stop, method in (("1", PTRACE), ("2", SIGNAL)):
        snapshots = take(directory, "storm", "--stop=" + stop)
        methods = [snapshots[i]["method"] for i in range(COUNT)]
        assert methods.count(method) >= COUNT - 2, "methods with stop=%s: %r" % (stop, methods)


@case
def threads_that_come_and_go(directory):
    """threads that live for a moment are stopped, or gone"""
    for stop, method in (("1", PTRACE), ("2", SIGNAL)):
        snapshots = take(directory, "shortlived", "--stop=" + stop)
        methods = [snapshots[i]["method"] for i in range(COUNT)]
        assert methods.count(method) >= COUNT - 2, "methods with stop=%s: %r" % (stop, methods)


@case
def blocked_signals(directory):
    """threads that block every signal are stopped all the same"""
    for stop, method in (("1", PTRACE), ("2", SIGNAL)):
        snapshots = take(directory, "masked", "--stop=" + stop)
        equal({snapshots[i]["method"] for i in range(COUNT)}, {method}, "methods with stop=" + stop)


@case
def sleeping_threads(directory):
    """a thread that sleeps in a vfork counts as stopped, and goes on"""
    snapshots = take(directory, "vfork")
    methods = [snapshots[i]["method"] for i in range(COUNT)]
    assert methods.count(PTRACE) >= COUNT - 2, methods


def check_calls(output):
    """Of a tracee that waits in calls: none was interrupted, each ended when it ought to."""
    lines = [line.split() for line in output.decode().splitlines()]
    equal(len(lines), 65, "waiting threads")
    equal([line for line in lines if line[1:3] != ["0", "1"]], [], "calls that were interrupted, or ended wrongly")


@case
def waiting_calls(directory):
    """calls that wait go on, and those with a time limit end in time"""
    for stop, method in (("1", PTRACE), ("2", SIGNAL)):
        result = record(directory, [tracee("snapshots"), "calls", str(COUNT)], ("--scan=yes", "--stop=" + stop))
        equal((result.status, result.err), (0, b""), str(result))
        check_calls(result.out)
        for path in result.traces:
            snapshots = Trace(path).snapshots()
            assert len(snapshots) > COUNT, "only %d snapshots" % len(snapshots)
            equal({s["method"] for i, s in snapshots.items() if i < COUNT}, {method}, "methods with stop=" + stop)
            os.unlink(path)


@case
def waiting_calls_from_outside(directory):
    """the same when another process asks for the snapshots"""
    with Running(directory, [tracee("snapshots"), "calls", "0"], ["--scan=yes"]) as running:
        for _ in range(COUNT):
            result = running.snapshot()
            equal(result.status, 0, str(result))
        check_calls(running.finish()[1])


@case
def no_ptrace(directory):
    """where ptrace is forbidden, a signal serves"""
    program = tracee("snapshots")
    result = record(directory, [program, "filter", "ptrace", program, "busy", "3"], ("--scan=yes",))
    equal((result.status, result.out), (0, b"3\n"), str(result))
    snapshots = check_snapshots(Trace(largest(result.traces)), 3)
    equal([snapshots[i]["method"] for i in range(4)], [SIGNAL] * 3 + [ALONE], "methods")


@case
def no_fork(directory):
    """where no child can be made, the program waits for the scan"""
    program = tracee("snapshots")
    result = record(directory, [program, "filter", "clone", program, "busy", "3"], ("--scan=yes",))
    equal((result.status, result.out), (0, b"3\n"), str(result))
    snapshots = check_snapshots(Trace(largest(result.traces)), 3)
    equal([snapshots[i]["method"] for i in range(4)], [INPLACE] * 4, "methods")
    equal([list_length(snapshots[i]) for i in range(4)], [KEPT] * 4, "lists")


def largest(paths):
    return max(paths, key=os.path.getsize)


@case
def under_strace(directory):
    """a program that is traced already is stopped by a signal"""
    strace = shutil.which("strace")
    if not strace:
        raise Skip("no strace")
    env = {"LD_PRELOAD": LIBRARY, "CASTAWAY_OPTIONS": "scan=yes",
           "CASTAWAY_OUTPUT": os.path.join(directory, "%e.%p.castaway")}
    # A tracer that does not stop each call of nine busy threads: it need only be there.
    command = [strace, "-f", "--seccomp-bpf", "-qq", "-e", "trace=chroot", "-o", os.path.join(directory, "log")]
    for key, value in env.items():
        command += ["-E", "%s=%s" % (key, value)]
    result = run(command + [tracee("snapshots"), "busy", "3"], timeout=120)
    if b"Operation not permitted" in result.err:
        raise Skip("strace may not trace here")
    equal((result.status, result.out), (0, b"3\n"), str(result))
    path, = [os.path.join(directory, n) for n in os.listdir(directory) if n.startswith("snapshots.")]
    snapshots = check_snapshots(Trace(path), 3)
    equal([snapshots[i]["method"] for i in range(3)], [SIGNAL] * 3, "methods")


class Waiting(Running):
    def __init__(self, directory, *settings):
        super().__init__(directory, [tracee("snapshots"), "wait"], settings)

    def state(self):
        with open("/proc/%d/stat" % self.pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def helper(self):
        """The process that writes the trace; it takes a moment to get its name."""
        found = []
        eventually(lambda: found.extend(self.helpers()) or found, "a helper of %d" % self.pid)
        return found[0]

    def helpers(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid) as file:
                    name, fields = file.read().rsplit(")", 1)
            except OSError:
                continue
            if name.endswith("(castaway") and int(fields.split()[1]) == self.pid:
                yield int(pid)

    def finish(self):
        return Trace(super().finish()[0])


def eventually(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@case
def from_outside(directory):
    """castaway snapshot takes one of a running process, and of one that is stopped and stays so"""
    with Waiting(directory, "--scan=yes") as running:
        result = running.snapshot("--name=first")
        equal((result.status, result.out), (0, b""), str(result))
        assert b"'first' is in its trace" in result.err, str(result)
        os.kill(running.pid, signal.SIGSTOP)
        eventually(lambda: running.state() == "T", "stopped")
        equal(running.snapshot().status, 0, "of a stopped process")
        equal(running.state(), "T", "it stays stopped")
        os.kill(running.pid, signal.SIGCONT)
        snapshots = running.finish().snapshots()
    equal([(s["reason"], s["method"], s["name"]) for _, s in sorted(snapshots.items())],
          [(REQUEST, PTRACE, "first"), (REQUEST, PTRACE, "request"), (EXIT, ALONE, "")])
    assert all(s["blocks"] and s["end"] for s in snapshots.values()), snapshots


@case
def not_recorded(directory):
    """castaway snapshot of a process that is not recorded, or of none, says so"""
    for operand in (os.getpid(), "x", "0", 2 ** 31 - 1):
        equal(castaway("snapshot", operand).status, 2, "status for %s" % operand)
    with Waiting(directory, "--scan=no") as running:
        result = running.snapshot()
        equal(result.status, 2, str(result))
        assert b"--scan=no" in result.err, str(result)
        equal([s["method"] for s in running.finish().snapshots().values()], [EVENTS], "without a scan")


@case
def intervals(directory):
    """--snapshot-every takes them while the program runs"""
    with Waiting(directory, "--scan=yes", "--snapshot-every=50") as running:
        eventually(lambda: finished(directory) >= 3, "three snapshots")
        snapshots = running.finish().snapshots()
    reasons = [s["reason"] for _, s in sorted(snapshots.items())]
    equal(reasons, [INTERVAL] * (len(reasons) - 1) + [EXIT], "reasons")
    assert all(s["end"] and s["method"] in (PTRACE, ALONE) for s in snapshots.values()), snapshots


def finished(directory):
    """Snapshots in the trace, which is still being written."""
    name, = os.listdir(directory)
    result = castaway("info", "--format=json", os.path.join(directory, name))
    return sum(s["complete"] for s in json.loads(result.out)["snapshots"]) if result.status == 0 else 0


@case
def failed_scan(directory):
    """when the scan fails, castaway snapshot says so, and the program and its trace are not harmed"""
    with Waiting(directory, "--scan=yes") as running:
        equal(running.snapshot().status, 0, "first")
        helper = running.helper()
        former = resource.prlimit(helper, resource.RLIMIT_AS)
        resource.prlimit(helper, resource.RLIMIT_AS, (1 << 20, former[1]))
        result = running.snapshot()
        equal(result.status, 1, str(result))
        assert b"the scan failed" in result.err, str(result)
        resource.prlimit(helper, resource.RLIMIT_AS, former)
        equal(running.snapshot().status, 0, "third")
        trace = running.finish()
    equal([s["method"] for _, s in sorted(trace.snapshots().items())], [PTRACE, EVENTS, PTRACE, ALONE], "methods")
    equal(trace.limits(), {(NO_SNAPSHOT, "heap: the scan failed"): 1}, "limits")


@case
def no_helper(directory):
    """without a helper there is no scan, and the trace says so"""
    result = record(directory, [tracee("snapshots"), "busy", "2"], ("--scan=yes", "--helper=no"))
    equal((result.status, result.out), (0, b"2\n"), str(result))
    trace = Trace(result.traces[0])
    equal({s["method"] for s in trace.snapshots().values()}, {EVENTS}, "methods")
    equal(trace.limits()[(NO_SNAPSHOT, "heap: nobody could take it")], 3, "limits")


@case
def fork_child(directory):
    """a fork child's snapshot at its end is its own"""
    code = "import os; a = [[] for _ in range(50)]; a.append(a); os.waitpid(os.fork() or os._exit(0), 0)"
    result = record(directory, ["/usr/bin/python3", "-c", code], ("--scan=yes", "--python=no"))
    equal((result.status, len(result.traces)), (0, 2), str(result))
    for path in result.traces:
        last = max(Trace(path).snapshots().items())[1]
        equal((last["reason"], last["method"]), (EXIT, ALONE), path)
        assert last["end"]["blocks"] > 0 and last["end"]["roots"] > 0, last["end"]


@case
def killed_helper(directory):
    """when the helper is killed, so that nobody answers, the program runs on"""
    with Waiting(directory, "--scan=yes") as running:
        os.kill(running.helper(), signal.SIGKILL)
        member(running.snapshot().status, (1, 2), "without a helper")
        running.finish()


@case
def python_and_heap(directory):
    """at Python's exit, its objects and the heap are one snapshot"""
    code = "import gc\nclass A: pass\na = [A() for _ in range(10)]\na.append(a)\n"
    trace = Trace(record_one(directory, ["/usr/bin/python3", "-c", code], ("--scan-python=yes",)))
    snapshot, = trace.snapshots().values()
    equal(snapshot["reason"], EXIT)
    equal((len(snapshot["blocks"]), len(snapshot["edges"])), (snapshot["end"]["blocks"], snapshot["end"]["scan_edges"]))
    assert snapshot["end"]["objects"] > 1000 and snapshot["end"]["blocks"] > 1000, snapshot["end"]


main()
