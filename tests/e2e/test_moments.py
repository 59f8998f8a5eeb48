# SPDX-License-Identifier: Apache-2.0
#
# When one looks: at every kind of end, twice, after the destructors, and not
# while a program is being torn down.
import os
import signal

from support import FOUND, Running, case, castaway, equal, limit_codes, main, member, record_one, report, tracee
from traceformat import Trace

EXIT, REQUEST, INTERVAL, API, LATE, CONFIRM, SIGNAL = 1, 2, 3, 4, 6, 7, 8  # reasons
ENVIRONMENT = {"MALLOC_PERTURB_": "0"}  # glibc must not overwrite what is freed, as Meson has it do


def moments(trace):
    return [(s["reason"], s["name"]) for s in sorted(Trace(trace).snapshots().values(), key=lambda s: s["ticks"])]


def leaked(trace, *options):
    """Sizes of the blocks that nothing reaches, with those of cycles."""
    found = report(trace, "--leaks", "--members=all", *options)
    equal(limit_codes(found) & {"not-scanned", "no-snapshot", "incomplete-snapshot"}, set(), "limits")
    members = [m["size"] for s in found["structures"] for m in s["members"]]
    sizes = [l["bytes"] for l in found["leaks"] for _ in range(l["count"])]
    return sorted(members + sizes), found


@case
def confirmed(directory):
    """what is dead in one look only, because its reference is in flight, is not reported with --confirm"""
    trace = record_one(directory, [tracee("moments"), "two"], env=ENVIRONMENT)
    equal(moments(trace), [(API, "first"), (EXIT, "")])
    equal(leaked(trace, "--snapshot=0")[0], [4001, 4003, 4004], "the first look alone")
    equal(leaked(trace)[0], [4001, 4002, 4004, 4005], "the second look alone")
    sizes, found = leaked(trace, "--confirm")
    equal((sizes, found["snapshot"]["confirmed_by"]), ([4001], 0), "both")
    equal(report(trace)["snapshot"]["confirmed_by"], None, "not asked for")
    text = castaway("analyze", trace, "--confirm", "--leaks").out.decode()
    member("Compared with snapshot 0", text, "text")
    equal(castaway("check", "--quiet", "--fail-on=leaked", "--confirm", trace).status, FOUND, "check")


@case
def nothing_to_confirm(directory):
    """--confirm of a single look is an error, of all looks it leaves out the first"""
    trace = record_one(directory, [tracee("moments"), "_exit"], env=ENVIRONMENT, status=5)
    result = castaway("analyze", trace, "--confirm", "--leaks")
    equal((result.status, result.out), (2, b""), str(result))
    member(b"no snapshot before 0", result.err, "message")
    trace = record_one(directory, [tracee("moments"), "two"], env=ENVIRONMENT)
    result = castaway("analyze", trace, "--confirm", "--snapshot=all")
    equal((result.status, result.out.count(b"Compared with")), (0, 1), str(result))


@case
def looked_twice(directory):
    """--snapshot-twice takes two at each moment, and run --confirm asks for it"""
    trace = record_one(directory, [tracee("moments"), "two"], ["--snapshot-twice=30"], env=ENVIRONMENT)
    equal(moments(trace), [(CONFIRM, "first"), (API, "first"), (CONFIRM, ""), (EXIT, "")])
    snapshots = sorted(Trace(trace).snapshots().values(), key=lambda s: s["ticks"])
    assert all(s["end"] and s["end"]["roots"] for s in snapshots), snapshots
    # Nothing moves between the two at the end, so what is lost at both is lost.
    equal(leaked(trace, "--confirm")[0], [4001, 4002, 4004, 4005], "at the end")
    result = castaway("run", "--quiet", "--confirm", "--fail-on=leaked", "--", tracee("moments"), "_exit", env=ENVIRONMENT)
    equal(result.status, FOUND, str(result))
    member(b"Compared with snapshot", result.out, "run")


@case
def every_end(directory):
    """_exit, quick_exit, abort and return are looked at before anything is torn down"""
    for name, status in (("_exit", 5), ("quick_exit", 6), ("abort", 128 + signal.SIGABRT), ("return", 0)):
        trace = record_one(directory, [tracee("moments"), name], env=ENVIRONMENT, status=status)
        equal((moments(trace), leaked(trace)[0]), ([(EXIT, "")], [4011]), name)


@case
def after_destructors(directory):
    """a cycle that only a static held is found by the late look, which is not the usual one"""
    trace = record_one(directory, [tracee("moments"), "late"], ["--snapshot-late=yes"], env=ENVIRONMENT)
    equal(moments(trace), [(EXIT, ""), (LATE, "")])
    equal(leaked(trace)[0], [], "before")
    sizes, found = leaked(trace, "--snapshot=late")
    equal((sizes, found["snapshot"]["reason"]), ([4021, 4022], "late"), "after")
    trace = record_one(directory, [tracee("moments"), "late"], env=ENVIRONMENT)
    equal(moments(trace), [(EXIT, "")], "not asked for")
    equal(castaway("analyze", trace, "--snapshot=late").status, 2, "none there")


@case
def faults(directory):
    """a fault is looked at on request, and ends the program as it would have"""
    trace = record_one(directory, [tracee("moments"), "fault"], ["--snapshot-at-crash=yes"], env=ENVIRONMENT,
                       status=128 + signal.SIGSEGV)
    equal((moments(trace), leaked(trace)[0]), ([(SIGNAL, "SIGSEGV")], [4011]))
    trace = record_one(directory, [tracee("moments"), "fault"], env=ENVIRONMENT, status=128 + signal.SIGSEGV)
    equal(moments(trace), [], "not asked for")


def running(directory, name, *settings):
    return Running(directory, [tracee("moments"), name], settings, ENVIRONMENT)


@case
def terminated(directory):
    """SIGTERM is looked at on request, and ends the program all the same"""
    with running(directory, "wait", "--snapshot-at-term=yes") as program:
        os.kill(program.pid, signal.SIGTERM)
        trace, _ = program.finish(b"", 128 + signal.SIGTERM)
    equal((moments(trace), leaked(trace)[0]), ([(SIGNAL, "SIGTERM")], [4011]))


@case
def handlers_of_its_own(directory):
    """a program that handles a signal itself finds it untouched and keeps its handler"""
    trace = record_one(directory, [tracee("moments"), "own"], ["--snapshot-at-term=yes", "--snapshot-at-crash=yes"],
                       env=ENVIRONMENT)
    equal(moments(trace), [(EXIT, "")])


@case
def torn_down(directory):
    """a program that is being torn down is not looked at from outside or at intervals"""
    with running(directory, "teardown", "--snapshot-every=1") as program:
        result = program.snapshot()
        equal(result.status, 1, str(result))
        member(b"the program was ending", result.err, "message")
        trace, _ = program.finish()
    equal(moments(trace)[-1], (EXIT, ""), "the last one")


@case
def torn_down_by_another(directory):
    """nor by another thread; the one that ends it may look"""
    trace = record_one(directory, [tracee("moments"), "thread"], env=ENVIRONMENT)
    equal(moments(trace), [(EXIT, ""), (API, "from the thread that ends")])
    equal(Trace(trace).limits(), {(11, "heap: the program was ending"): 1}, "limits")


main()
