# SPDX-License-Identifier: Apache-2.0
#
# Programs that embed CPython, or open its library for themselves alone: their
# objects are read at every end at which that is safe, and where it is not the
# report says so.
import ctypes.util
import os

from support import Skip, case, equal, limit_codes, main, record, report, run, stranded

BUILD = os.path.join(os.environ["CASTAWAY_BUILD"], "tests", "adapters")


def program(name):
    path = os.path.join(BUILD, name)
    if not os.path.exists(path):
        raise Skip("libpython3.11-dev is not installed")
    return path


def knots(judged):
    return sum(s["count"] for s in stranded(judged) if s["members"][0]["type"] == "__main__.Knot")


def birth_lines(judged):
    return {tuple((f["function"], f["line"]) for f in s["members"][0]["allocated_at"] or [])
            for s in stranded(judged) if s["members"][0]["type"] == "__main__.Knot"}


def ending(directory, command, env=None):
    """The last snapshot's report, after a comparison with a bare run."""
    bare = run(command, env=env)
    result = record(directory, command, env=env)
    # Killed by signal N is 128 + N, as a shell says it.
    equal(result.status, bare.status if bare.status >= 0 else 128 - bare.status, "status\n%s" % result)
    equal((result.out, result.err), (bare.out, bare.err), "output")
    # What an exec starts has a trace of its own.
    own = [t for t in result.traces if os.path.basename(t).startswith("embed")]
    equal(len(own), 1, "traces")
    return report(own[0])


def embedded(title, arguments, count, snapshots=1, env=None):
    def test(directory):
        judged = ending(directory, [program("embed"), *arguments], env)
        equal((knots(judged), judged["trace"]["snapshots"]), (count, snapshots), "Knots and snapshots")
        equal(birth_lines(judged), {(("<module>", 4),)}, "places of birth")
        assert "no-snapshot" not in limit_codes(judged), judged["limits"]

    test.__name__ = "_".join(arguments)
    test.__doc__ = title
    case(test)


embedded("Py_FinalizeEx()", ["finalize"], 3)
embedded("An allocator of the program's own, between two of ours", ["own-allocator"], 3)
embedded("Never finalized: read when main returns", ["never-finalize"], 3)
embedded("Never finalized, and the lock is free: it is taken", ["without-lock"], 3)
embedded("Initialized again: each life has a snapshot", ["initialize-again"], 2, 2)
embedded("Initialized again without signals", ["no-signals-again"], 2, 2)
embedded("Py_InitializeEx(0): no signals", ["finalize", "no-signals"], 3)
embedded("PYTHONMALLOC=malloc", ["finalize"], 3, env={"PYTHONMALLOC": "malloc"})
embedded("PYTHONMALLOC=debug", ["never-finalize"], 3, env={"PYTHONMALLOC": "debug"})


@case
def subinterpreter(directory):
    """A sub-interpreter is counted as not read; the main one is read"""
    judged = ending(directory, [program("embed"), "subinterpreter"])
    equal(knots(judged), 3)
    equal([limit["count"] for limit in judged["limits"] if limit["code"] == "subinterpreter"], [1])


@case
def sudden_ends(directory):
    """abort() and exec: no snapshot, and the report says so"""
    for name in ("abort", "exec"):
        judged = ending(directory, [program("embed"), name])
        equal((knots(judged), "no-snapshot" in limit_codes(judged)), (0, True), name)


def library():
    name = ctypes.util.find_library("python3.11")
    if name is None:
        raise Skip("libpython3.11 is not installed")
    return name


@case
def opened(directory):
    """dlopen() with RTLD_LOCAL: found when the interpreter takes its signals"""
    for name in ("finalize", "never"):
        judged = ending(directory, [os.path.join(BUILD, "embed_dl"), library(), name])
        equal((knots(judged), judged["runtimes"][0]["status"]), (3, "exact"), name)
        equal(birth_lines(judged), {(("<module>", 4),)}, "places of birth")


@case
def opened_and_closed(directory):
    """dlclose() of the interpreter's library: nothing of it is called again"""
    judged = ending(directory, [os.path.join(BUILD, "embed_dl"), library(), "close"])
    equal((knots(judged), judged["trace"]["snapshots"]), (3, 1))


@case
def opened_late(directory):
    """Found only at the end: objects and counts are exact, the places of birth are not known"""
    judged = ending(directory, [os.path.join(BUILD, "embed_dl"), library(), "no-signals"])
    equal((knots(judged), birth_lines(judged)), (3, {()}))
    assert "no-stacks" in limit_codes(judged), judged["limits"]


main()
