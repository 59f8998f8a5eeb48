# SPDX-License-Identifier: Apache-2.0
#
# --max-size: a trace that is begun anew explains what lives as one that was not.
import os

from churning import churn, compare_live
from support import case, equal, main, record_one, report, tracee
from traceformat import Trace

SMALL = ["--max-size=1"]
MIB = 1 << 20


def found(trace):
    json = report(trace)
    structures = {(s["fingerprint"], s["verdict"], s["count"], s["objects"], s["bytes"]) for s in json["structures"]}
    return structures, json["summary"]["objects"], json["summary"]["edges"], json["summary"]["blocks"]


def limits(trace):
    return {limit["code"]: limit["count"] for limit in report(trace)["limits"]}


@case
def same(directory):
    """counts, links and structures go on from the snapshot that a new file begins with"""
    command = [tracee("live"), "moments", "150"]
    whole = record_one(directory, command, ["--compress=no"])
    equal(os.path.getsize(whole) > 3 * MIB, True, "%d bytes are no test" % os.path.getsize(whole))
    rotated = record_one(directory, command, ["--compress=no"] + SMALL)
    equal(limits(rotated).get("rotated", 0) > 0, True, str(limits(rotated)))
    equal("not-rotated" in limits(rotated), False, str(limits(rotated)))
    equal(os.path.getsize(rotated) < 2 * MIB, True, "%d bytes" % os.path.getsize(rotated))
    equal(found(rotated), found(whole), "what is found")
    equal([name for name in os.listdir(directory) if name.endswith(".next")], [], "files left behind")


@case
def born_before(directory):
    """where a thing was born is known though its birth was in a file that is gone"""
    trace = record_one(directory, [tracee("live"), "moments", "150"], ["--compress=no"] + SMALL)
    for structure in report(trace)["structures"]:
        for member in structure["members"]:
            equal(member["allocated_at"][0]["function"], "make", "allocated_at")
        for edge in structure["edges"]:
            if edge["in_cycle"]:
                equal(edge["acquired_at"][0]["function"], "take", "acquired_at")


@case
def threads(directory):
    """while threads allocate, no block is lost or left over"""
    trace, said, json = churn(directory, 4, 60000, "--compress=no", *SMALL)
    told = limits(trace)
    equal(told.get("rotated", 0) > 0, True, str(told))
    equal((json["trace"]["complete"], told.get("damaged-chunk", 0)), (True, 0), str(told))
    compare_live(trace, said)
    equal(json["summary"]["blocks"], len(Trace(trace).live()), "blocks for the analyzer")


@case
def no_bound(directory):
    """without the setting the file is what it was"""
    trace = record_one(directory, [tracee("live"), "moments", "5"], ["--compress=no"])
    equal({"rotated", "not-rotated"} & set(limits(trace)), set(), "limits")


if __name__ == "__main__":
    main()
