# SPDX-License-Identifier: Apache-2.0
#
# --events=live: without a history, the same is found as with one.
import os
import re

from support import SOURCE, case, castaway, equal, limit_codes, main, member, record, record_one, report, tracee

LIVE = ["--events=live"]


def shapes():
    with open(os.path.join(SOURCE, "tests", "e2e", "tracees", "shapes.c")) as file:
        return re.findall(r"^\tX\((\w+)\)", file.read(), re.M)


def found(trace, *options):
    """What is told of structures and leaks, without what only a history tells."""
    json = report(trace, *options)
    structures = {(s["fingerprint"], s["verdict"], s["count"], s["objects"], s["bytes"]) for s in json["structures"]}
    leaks = {(leak["fingerprint"], leak["verdict"], leak["count"], leak["blocks"], leak["bytes"])
             for leak in json["leaks"]}
    summary = json["summary"]
    return structures, leaks, summary["objects"], summary["edges"]


def event_counts(trace):
    text = castaway("info", trace).out.decode()
    return {name: int(count) for count, name in re.findall(r"^ +(\d+) ([A-Z_]+)$", text, re.M)}


def left_out(trace):
    return sum(limit["count"] for limit in report(trace)["limits"] if limit["code"] == "no-history")


@case
def same_shapes(directory):
    """every planted shape comes out as it does from its events"""
    compared = 0
    for shape in shapes():
        for scan in ("yes", "no") if shape in ("pair", "held", "weak_beside", "two_kinds") else ("yes",):
            with_history = record_one(directory, [tracee("shapes"), shape], ["--scan=" + scan])
            live = record_one(directory, [tracee("shapes"), shape], LIVE + ["--scan=" + scan])
            equal(found(live, "--leaks"), found(with_history, "--leaks"), "%s, scan=%s" % (shape, scan))
            compared += len(found(live)[0])
    equal(compared >= 15, True, "structures compared: %d" % compared)


@case
def no_history(directory):
    """the trace has none of the events, and says how many it left out"""
    with_history = record_one(directory, [tracee("shapes"), "pair"])
    live = record_one(directory, [tracee("shapes"), "pair"], LIVE)
    counts = event_counts(with_history)
    equal(counts["OBJECT"] > 0 and counts["LINK"] > 0, True, str(counts))
    equal(event_counts(live), {}, "events")
    equal(left_out(live), sum(counts.values()), "events left out")
    equal("no-history" in limit_codes(report(with_history)), False, "limits of a whole history")
    equal([s["stranded_at"] for s in report(live)["structures"]], [None], "stranded_at")


@case
def small(directory):
    """the trace of a program that allocates without end stays small"""
    rounds = 100000
    with_history = record_one(directory, [tracee("churn"), "1", str(rounds)])
    live = record_one(directory, [tracee("churn"), "1", str(rounds)], LIVE)
    equal(os.path.getsize(live) * 10 < os.path.getsize(with_history), True,
          "%d bytes, %d with a history" % (os.path.getsize(live), os.path.getsize(with_history)))
    equal(left_out(live) >= rounds, True, str(left_out(live)))


@case
def moments(directory):
    """each snapshot holds what lived at its moment"""
    with_history = record_one(directory, [tracee("live"), "moments"])
    live = record_one(directory, [tracee("live"), "moments"], LIVE)
    member("no-history", limit_codes(report(live)), "limits")
    taken = len(re.findall(r"^snapshot ", castaway("info", with_history).out.decode(), re.M))
    equal(taken > 1, True, "snapshots")
    for index in range(taken):
        option = "--snapshot=%d" % index
        equal(found(live, option), found(with_history, option), option)


@case
def children(directory):
    """a fork child's trace is of the same kind"""
    result = record(directory, [tracee("live"), "fork"], LIVE)
    equal(len(result.traces), 2, str(result.traces))
    for trace in result.traces:
        equal(set(event_counts(trace)) - {"MARK"}, set(), trace)
    found_by = sorted(report(trace)["summary"]["stranded_structures"] for trace in result.traces)
    equal(found_by, [1, 2], "stranded pairs of the parent, and of the child with its own")


@case
def references(directory):
    """refs says that it knows counts only"""
    trace = record_one(directory, [tracee("shapes"), "pair"], LIVE)
    text = castaway("refs", trace, "--type=*").out.decode()
    member("known by its count only", text, "refs")


if __name__ == "__main__":
    main()
