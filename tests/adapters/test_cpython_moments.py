# SPDX-License-Identifier: Apache-2.0
#
# Snapshots of a running interpreter, asked for from outside, at intervals and by
# the program (programs/moments.py): its objects are exact whatever it does, or
# the trace says that they were not read.
import json
import os
import re
import time

from support import Running, case, castaway, equal, limit_codes, main, report, traces_in

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "programs", "moments.py")
PYTHON = os.environ.get("CASTAWAY_PYTHON", "/usr/bin/python3")
LISTED = re.compile(r"gc: collectable <Node (0x[0-9a-f]+)>")
PAIRS = 100


class Moments(Running):
    def __init__(self, directory, how, *settings):
        super().__init__(directory, [PYTHON, "-s", PROGRAM, how], settings)

    def snapshot(self):
        result = super().snapshot()
        equal(result.status, 0, str(result))

    def finish(self):
        """The trace, and the pairs' addresses as the program's own collector lists them."""
        trace, out = super().finish()
        lines = out.decode().splitlines()
        equal(lines[-1], "done", "end of the listing")
        expected = {m.group(1) for m in map(LISTED.fullmatch, lines) if m}
        equal(len(expected), 2 * PAIRS, "garbage")
        return trace, expected


def nodes(judged):
    """Of the pairs; older versions have a dict for each of them."""
    found = [s for s in judged["structures"] if {m["type"] for m in s["members"]} - {"dict"} == {"__main__.Node"}]
    types = {m["address"]: m["type"] for s in found for m in s["members"]}
    members = [i["members"] for s in found for i in s["instances"]]
    assert all(len(m) == len(members[0]) for m in members), "structures of different size"
    dicts = "dict" in types.values()
    return members, dicts


def expect_exact(trace, expected, index, reason):
    judged = report(trace, "--members=all", "--snapshot=%d" % index)
    equal((judged["snapshot"]["index"], judged["snapshot"]["reason"]), (index, reason), "snapshot")
    cpython = [r for r in judged["runtimes"] if r["name"] == "cpython"]
    equal([r["status"] for r in cpython], ["exact"], "runtimes")
    assert cpython[0]["objects"] > 1000, cpython
    members, dicts = nodes(judged)
    equal(len(members), PAIRS, "structures")
    found = {address for instance in members for address in instance}
    equal(found & expected, expected, "stranded pairs")
    equal(len(found - expected), 2 * PAIRS if dicts else 0, "others in them")
    print("# %s: pause %.1f ms" % (judged["snapshot"]["method"], judged["snapshot"]["pause_ns"] / 1e6))
    return judged


def outside_case(how, times, *settings):
    def test(directory):
        with Moments(directory, how, *settings) as running:
            for _ in range(times):
                running.snapshot()
            trace, expected = running.finish()
        for index in range(times):
            judged = expect_exact(trace, expected, index, "request")
            assert "no-snapshot" not in limit_codes(judged), judged["limits"]

    test.__name__ = "outside_" + how + "".join(settings).replace("-", "_").replace("=", "_")
    test.__doc__ = "%s %s: a snapshot from outside is exact" % (how, " ".join(settings))
    case(test)


outside_case("idle", 2)
outside_case("crowd", 1, "--stop=2")
outside_case("busy", 3)
outside_case("busy", 1, "--stop=3")
outside_case("worker", 2)
outside_case("crowd", 2)
outside_case("busy", 2, "--python-events=yes")


@case
def intervals(directory):
    """at intervals, of a busy program with several threads"""
    with Moments(directory, "crowd", "--snapshot-every=100") as running:
        # One may have been under way when the pairs were made.
        first = complete(directory) + 1
        deadline = time.monotonic() + 40
        while complete(directory) < first + 2:
            assert time.monotonic() < deadline, "no more snapshots"
            time.sleep(0.05)
        trace, expected = running.finish()
    expect_exact(trace, expected, first, "interval")
    expect_exact(trace, expected, first + 1, "interval")


def complete(directory):
    """Snapshots in the trace so far; the last one may lack its end."""
    result = castaway("info", "--format=json", *traces_in(directory))
    return sum(s["complete"] for s in json.loads(result.out)["snapshots"]) if result.status == 0 else 0


@case
def nothing_allocated(directory):
    """a thread that never lets go and allocates nothing: the trace says so, and the program goes on"""
    with Moments(directory, "nothing") as running:
        running.snapshot()
        trace, _ = running.finish()
    judged = report(trace, "--snapshot=0")
    equal(judged["snapshot"]["reason"], "request")
    found = [r for r in judged["runtimes"] if r["name"] == "cpython"]
    if not found:
        details = [l["detail"] for l in judged["limits"] if l["code"] == "no-snapshot"]
        equal(details, ["cpython: its objects were not at rest"], "limits")


@case
def with_lock(directory):
    """castaway_snapshot() called with the lock"""
    with Moments(directory, "with_lock") as running:
        trace, expected = running.finish()
    equal(expect_exact(trace, expected, 0, "api")["snapshot"]["label"], "asked for", "name")


@case
def without_lock(directory):
    """castaway_snapshot() called without the lock, while others run Python code"""
    with Moments(directory, "without_lock") as running:
        trace, expected = running.finish()
    expect_exact(trace, expected, 0, "api")


main()
