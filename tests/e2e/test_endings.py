# SPDX-License-Identifier: Apache-2.0
#
# How a target ends: exit statuses of record, run and check, and what is in the
# trace after each kind of end (tracees/endings.c plants a pair before any).
import os
import signal
import time

from support import (FOUND, UNSURE, USAGE, EXE, TIMEOUT, Running, case, castaway, check, equal, functions, limit_codes,
                     main, member, member_types, record, record_one, report, run, stranded, traces_in, tracee)
from traceformat import Trace

PAIR = ["Left", "Right"]


def kinds(trace, *options):
    return sorted(member_types(s) for s in stranded(report(trace, *options)))


@case
def own_status(directory):
    """record returns the target's own status"""
    for how in ("status", "exit", "_exit", "quick_exit", "exit_group"):
        for status in (0, 7, 255):
            trace = record_one(directory, [tracee("endings"), how, str(status)], status=status)
            equal(kinds(trace), [PAIR], "%s %d" % (how, status))


@case
def orderly_ends_are_complete(directory):
    """orderly ends leave complete traces, with an END"""
    for how in ("status", "exit", "_exit", "quick_exit"):
        trace = record_one(directory, [tracee("endings"), how, "0"])
        equal(report(trace)["trace"]["complete"], True, how)
        member(Trace(trace).end()[0], (1, 2), "END reason after " + how)


@case
def signals(directory):
    """record returns 128+N on signal N, and the trace holds what came before"""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGHUP, signal.SIGALRM):
        trace = record_one(directory, [tracee("endings"), "signal", str(int(number))], status=128 + number)
        equal(kinds(trace), [PAIR], str(number))
    trace = record_one(directory, [tracee("endings"), "fault"], status=128 + signal.SIGSEGV)
    equal(kinds(trace), [PAIR], "fault")
    trace = record_one(directory, [tracee("endings"), "abort"], status=128 + signal.SIGABRT)
    equal(kinds(trace), [PAIR], "abort")


@case
def raw_kill(directory):
    """SIGKILL in the middle of work: analyzable, marked incomplete, the pair found"""
    for _ in range(5):
        trace = record_one(directory, [tracee("endings"), "raw_kill"], status=128 + signal.SIGKILL)
        json = report(trace)
        equal(json["trace"]["complete"], False, "complete")
        assert limit_codes(json) & {"incomplete", "truncated"}, json["limits"]
        equal(kinds(trace), [PAIR], "structures")
        text = castaway("analyze", trace).out.decode()
        assert "incomplete" in text or "without finishing" in text, text
        member(check(trace), (FOUND,), "check: the finding stands, whatever is missing")


def killed_sizes(trace):
    """Sizes of the blocks, in order, that endings.c allocates and frees just before it is killed."""
    sizes, live = [], set()
    for event in Trace(trace).events():
        if event["event"] == "ALLOC" and 6000 <= event["size"] < 6128:
            sizes.append(event["size"])
            live.add(event["block"])
        elif event["event"] == "FREE":
            live.discard(event["block"])
    equal(live, set(), "blocks whose end is missing")
    return sizes


@case
def nothing_lost_at_kill(directory):
    """what was recorded before a SIGKILL is written after it, in a fork child too"""
    all_of_them = [6000 + (i & 127) for i in range(100000)]
    result = record(directory, [tracee("endings"), "raw_kill"])
    equal(killed_sizes(result.traces[0]) == all_of_them, True, "blocks before the kill")
    result = record(directory, [tracee("endings"), "fork_kill"])
    equal((result.status, len(result.traces)), (0, 2), str(result))
    child, = [t for t in result.traces if not report(t)["trace"]["complete"]]
    equal(kinds(child), [["ChildLeft", "ChildRight"], PAIR], "the child's structures")
    # A child's trace begins with what is alive when its first buffer is full.
    sizes = killed_sizes(child)
    assert len(sizes) > 40000, "%d of 100000 blocks" % len(sizes)
    equal(sizes == all_of_them[-len(sizes):], True, "the child's last blocks")


def written_so_far(trace):
    """Allocations of more than 5000 bytes; none while the last chunk is being written."""
    try:
        return sum(event["event"] == "ALLOC" and event["size"] > 5000 for event in Trace(trace).events())
    except ValueError:
        return 0


# So few events that nobody wakes the helper for them: it looks by itself.
@case
def soon_written(directory):
    """what a program has recorded is in the file soon, while it waits for something else"""
    program = "$| = 1; @kept = map { 'x' x 5000 } 1 .. 20000; print \"$$\\n\"; <STDIN>"
    with Running(directory, ["perl", "-e", program]) as running:
        trace, = traces_in(directory)
        deadline = time.monotonic() + TIMEOUT
        while (count := written_so_far(trace)) < 20000:
            assert time.monotonic() < deadline, "%d of 20000 allocations" % count
        running.finish()


@case
def raw_exit_group(directory):
    """a raw exit_group is an end without a word, but loses nothing"""
    trace = record_one(directory, [tracee("endings"), "exit_group", "3"], status=3)
    equal(report(trace)["trace"]["complete"], False, "complete")
    equal(kinds(trace), [PAIR], "structures")


@case
def unknown_command(directory):
    """an unknown command is 127, a file that is no program 126, both with one line"""
    for command, status in (("/no/such/program", 127), ("no-such-program-at-all", 127), ("/dev/null", 126)):
        for verb in ("record", "run"):
            result = record(directory, [command], verb=verb)
            equal(result.status, status, "%s %s\n%s" % (verb, command, result))
            equal(result.err.count(b"\n"), 1, "lines on stderr: %r" % result.err)
            assert result.err.startswith(b"castaway: "), result.err
            equal(result.traces, [], "traces")


@case
def run_statuses(directory):
    """run: 23 on a finding whatever the target's status, else the target's status"""
    endings, shapes = tracee("endings"), tracee("shapes")
    for command, status in (([endings, "status", "0"], FOUND), ([endings, "status", "5"], FOUND),
                            ([shapes, "nothing"], 0), ([shapes, "no such shape"], 99),
                            (["false"], 1), (["true"], 0), (["sh", "-c", "exit 7"], 7),
                            (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM)):
        result = record(directory, command, verb="run")
        equal(result.status, status, "run %s\n%s" % (command, result))


@case
def usage_errors(directory):
    """usage errors are 2, with one line on stderr and nothing on stdout"""
    trace = record_one(directory, [tracee("shapes"), "nothing"])
    for arguments in ([], ["no-such-command"], ["analyze"], ["check"], ["record"], ["record", "--"], ["run"],
                      ["info"], ["dump"], ["baseline"], ["analyze", "--no-such-option", trace],
                      ["analyze", trace, "--format=no-such-format"], ["analyze", trace, "--generation=x"],
                      ["analyze", trace, "--snapshot=99"], ["record", "--no-such-option", "--", "true"],
                      ["check", trace, "--fail-on=no-such-verdict"], ["check", trace, "--baseline=/no/such"],
                      ["info", trace, "--color=perhaps"]):
        result = castaway(*arguments)
        equal(result.status, USAGE, "castaway %s\n%s" % (arguments, result))
        assert result.err.startswith(b"castaway: ") or not arguments, "%s: %r" % (arguments, result.err)
        equal(result.out, b"", "stdout of castaway %s" % arguments)


@case
def help_for_all(directory):
    """--help and --version print to stdout and exit 0"""
    for arguments in (["--help"], ["--version"]) + tuple(
            [command, "--help"] for command in ("record", "run", "analyze", "check", "baseline", "info", "dump")):
        result = castaway(*arguments)
        equal((result.status, result.err), (0, b""), "castaway %s" % arguments)
        assert result.out, arguments
    member(b"0.1.0", castaway("--version").out, "version")


@case
def nothing_overwritten(directory):
    """an output file that exists is not overwritten by a failing command"""
    report_file, not_a_trace = os.path.join(directory, "report.json"), os.path.join(directory, "text")
    for path in (report_file, not_a_trace):
        with open(path, "w") as file:
            file.write("precious")
    result = castaway("analyze", not_a_trace, "--format=json", "-o", report_file)
    equal(result.status, USAGE, str(result))
    with open(report_file) as file:
        equal(file.read(), "precious", "the former report")


@case
def exec_gives_two_traces(directory):
    """exec: one trace for each program image"""
    result = record(directory, [tracee("endings"), "exec", tracee("shapes")])
    equal(result.status, 0, str(result))
    equal(len(result.traces), 2, str(result.traces))
    headers = [Trace(t) for t in result.traces]
    equal(len({h.pid for h in headers}), 1, "one process")
    by_exe = {os.path.basename(dict(h.process())[1]): t for h, t in zip(headers, result.traces)}
    equal(set(by_exe), {"endings", "shapes"}, "programs")
    equal([kinds(by_exe[p]) for p in ("endings", "shapes")], [[PAIR], [PAIR]], "structures")
    equal(Trace(by_exe["endings"]).end()[0], 4, "END reason of the image before exec")
    equal("not-followed" in limit_codes(report(by_exe["endings"])), False, "the program after it was followed")


@case
def exec_without_preload(directory):
    """a program that executes another one without LD_PRELOAD: its report says so"""
    trace = record_one(directory, ["env", "-u", "LD_PRELOAD", tracee("endings"), "status", "3"], status=3)
    member("not-followed", limit_codes(report(trace)), "limits")


@case
def fork_child(directory):
    """a fork child has its own trace, which holds the parent's pair and its own"""
    result = record(directory, [tracee("endings"), "fork"])
    equal(result.status, 0, str(result))
    equal(len(result.traces), 2, str(result.traces))
    headers = {Trace(t).pid: (Trace(t), t) for t in result.traces}
    child, = [p for p, (h, _) in headers.items() if h.ppid in headers]
    parent, = set(headers) - {child}
    equal(kinds(headers[parent][1]), [PAIR], "parent")
    equal(kinds(headers[child][1]), [["ChildLeft", "ChildRight"], PAIR], "child")
    for pid in headers:
        equal(report(headers[pid][1])["trace"]["complete"], True, "complete")


def of_child(result):
    """The one trace whose parent left the other one."""
    headers = {Trace(t).pid: (Trace(t).ppid, t) for t in result.traces}
    (_, path), = [h for h in headers.values() if h[0] in headers]
    return path


@case
def stranded_in_a_child(directory):
    """a fork child's trace knows the stranding of its own structures and of inherited ones"""
    result = record(directory, [tracee("endings"), "fork"])
    found = {tuple(member_types(s)): s for s in stranded(report(of_child(result)))}
    names = functions(found["ChildLeft", "ChildRight"]["stranded_at"]["stack"])
    equal(names[:2], ["shape_drop", "plant"], "the child's own")
    equal(found["Left", "Right"]["stranded_at"], None, "stranded before the fork")
    result = record(directory, [tracee("endings"), "fork_strand"])
    equal((result.status, len(result.traces)), (0, 2), str(result))
    found = {tuple(member_types(s)): s for s in stranded(report(of_child(result)))}
    equal(set(found), {("Half", "Mine"), ("Other", "Whole"), ("Left", "Right")}, "structures")
    for types, last in ((("Half", "Mine"), "Half"), (("Other", "Whole"), "Other")):
        at = found[types]["stranded_at"]
        equal((at["operation"], functions(at["stack"])[:2]), ("unref", ["shape_drop", "strand_inherited"]), str(types))
        dropped, = [m["type"] for m in found[types]["members"] if m["address"] == at["object"]]
        equal(dropped, last, "what the last outside reference was to")


@case
def idle_child_killed(directory):
    """a fork child that does little has a trace soon, and not only when a buffer is full"""
    result = record(directory, [tracee("endings"), "fork_idle"])
    equal((result.status, len(result.traces)), (0, 2), str(result))
    equal(kinds(of_child(result)), [["ChildLeft", "ChildRight"], PAIR], "the child's structures")


@case
def vfork_exec(directory):
    """vfork and exec: the parent's trace goes on, the child has its own"""
    result = record(directory, [tracee("endings"), "vfork"])
    equal(result.status, 0, str(result))
    equal(len(result.traces), 2, str(result.traces))
    equal([kinds(t) for t in result.traces], [[PAIR], [PAIR]], "structures")
    for trace in result.traces:
        equal(report(trace)["trace"]["complete"], True, "complete")


@case
def daemon(directory):
    """a daemon that closes every descriptor is still traced"""
    result = record(directory, [tracee("endings"), "daemon"])
    equal(result.status, 0, str(result))
    found = sorted(kinds(t) for t in result.traces)
    member([["DaemonLeft", "DaemonRight"], PAIR], found, "the daemon's own")
    equal(len(found), 3, "parent, child, grandchild")


@case
def not_followed(directory):
    """--follow=no leaves children alone"""
    for how in ("fork", "vfork"):
        result = record(directory, [tracee("endings"), how], ["--follow=no"])
        equal((result.status, len(result.traces)), (0, 1), how)
        equal(kinds(result.traces[0]), [PAIR], how)


@case
def check_many(directory):
    """check takes several traces; a baseline makes known findings pass"""
    clean = record_one(directory, [tracee("shapes"), "nothing"])
    pair = record_one(directory, [tracee("shapes"), "pair"])
    ring = record_one(directory, [tracee("shapes"), "ring"])
    baseline = os.path.join(directory, "known")
    equal(check(clean, clean), 0, "clean")
    equal(check(clean, pair), FOUND, "clean and pair")
    equal(castaway("baseline", pair, "-o", baseline).status, 0, "baseline")
    equal(check(pair, "--baseline=" + baseline), 0, "known")
    equal(check(ring, "--baseline=" + baseline), FOUND, "new")
    again = record_one(directory, [tracee("shapes"), "pair"])
    equal(check(again, clean, "--baseline=" + baseline), 0, "known, from another run")


@case
def check_truncated(directory):
    """check says 3 when there is no finding and the trace is not whole"""
    clean = record_one(directory, [tracee("shapes"), "nothing"])
    last = Trace(clean).chunks[-1]
    cut = os.path.join(directory, "cut")
    with open(clean, "rb") as whole, open(cut, "wb") as part:
        part.write(whole.read()[:last.offset + 5])
    equal(check(cut), UNSURE, "check")


@case
def stdout_closed(directory):
    """a full or closed stdout is an error of castaway's, not a silent success"""
    trace = record_one(directory, [tracee("shapes"), "pair"])
    result = run(["sh", "-c", '"$0" analyze "$1" --format=json > /dev/full', EXE, trace], timeout=TIMEOUT)
    assert result.status not in (0, FOUND), str(result)
    assert result.err.startswith(b"castaway: "), result.err


main()
