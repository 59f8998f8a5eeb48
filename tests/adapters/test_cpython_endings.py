# SPDX-License-Identifier: Apache-2.0
#
# However a Python program ends, its objects are read once, before anything is
# torn down; where that is not possible the report says so.  The program's
# output and status are those of a run without castaway.
import os

from support import case, equal, limit_codes, main, record, report, run, stranded

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
ENDINGS = os.path.join(HERE, "programs", "endings.py")


def knots(judged):
    return sum(len([m for m in s["members"] if m["type"] == "__main__.Knot"]) * s["count"]
               for s in stranded(judged))


def ending(directory, name, status=0, options=()):
    """Reports of all processes' traces, after a comparison with a bare run."""
    command = [PYTHON, ENDINGS, name]
    bare = run(command)
    result = record(directory, command, options)
    equal((bare.status, result.status), (status, status), "status\n%s\n%s" % (bare, result))
    equal((result.out, result.err), (bare.out, bare.err), "output")
    return [report(trace) for trace in result.traces]


def planted(title, name, status=0, count=3):
    def test(directory):
        judged = ending(directory, name, status)
        equal(len(judged), 1, "traces")
        equal(knots(judged[0]), count, "stranded objects")
        equal((judged[0]["snapshot"]["reason"], judged[0]["trace"]["snapshots"]), ("exit", 1))
        assert "no-snapshot" not in limit_codes(judged[0]), judged[0]["limits"]

    test.__name__ = name.replace("-", "_")
    test.__doc__ = title
    case(test)


planted("Return from the main module", "return")
planted("sys.exit()", "sys-exit", 3)
planted("An uncaught exception", "uncaught", 1)
planted("os._exit()", "os-exit", 6)
planted("os._exit() in a thread", "thread-exit", 4)
planted("The program clears the exit callbacks: read when signals are given back", "cleared-callbacks")
planted("Exit callbacks of the program run before the objects are read", "user-callback", 0, 5)
planted("A child that fails to exec leaves its parent's snapshot alone", "failing-child")


planted("tracemalloc on top of the allocator hook, to the end", "traced-memory")


def family(title, name):
    def test(directory):
        judged = ending(directory, name)
        equal(sorted(knots(j) for j in judged), [3, 4], "stranded objects of parent and child")

    test.__name__ = name
    test.__doc__ = title
    case(test)


family("A fork child that exits has a snapshot of its own", "fork")
family("A multiprocessing worker has a snapshot of its own", "workers")


@case
def fork_in_thread(directory):
    """A fork child whose only thread ends without the lock: no snapshot of it, and no harm"""
    judged = ending(directory, "fork-in-thread")
    equal(max(knots(j) for j in judged), 3, "stranded objects of the parent")


@case
def during_collection(directory):
    """An end inside a collection: no snapshot, and the report says so"""
    judged = ending(directory, "during-collection", 5)
    equal((len(judged), knots(judged[0])), (1, 0))
    assert "no-snapshot" in limit_codes(judged[0]), judged[0]["limits"]


@case
def no_way_in(directory):
    """No callback and no signal handler: no snapshot, and the report says so"""
    judged = ending(directory, "no-way-in")
    equal((len(judged), knots(judged[0])), (1, 0))
    assert "no-snapshot" in limit_codes(judged[0]), judged[0]["limits"]


@case
def subinterpreter(directory):
    """Sub-interpreters are counted as not read; the main one is read"""
    judged = ending(directory, "subinterpreter")
    equal((len(judged), knots(judged[0])), (1, 3))
    equal([limit["count"] for limit in judged[0]["limits"] if limit["code"] == "subinterpreter"], [1])


@case
def switched_off(directory):
    """python=no and snapshot-at-exit=no do what they say"""
    for option in ("--python=no", "--snapshot-at-exit=no"):
        judged = ending(directory, "return", options=[option])
        equal((knots(judged[-1]), judged[-1]["runtimes"]), (0, []), option)


main()
