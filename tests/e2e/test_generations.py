# SPDX-License-Identifier: Apache-2.0
#
# Generations by CPython 3.11's rule, thresholds 700, 10, 10.  The numbers are
# worked out by hand:
#   The counter passes 700 with object 701, 1402, ...: trigger k comes with
#   object 701 k, which the pass does not examine yet.
#   Generation 1 has counted 11 passes of generation 0 at triggers 12, 24, ...
#   Generation 2 has counted 11 passes of generation 1 after trigger 132; the
#   full pass is trigger 133, with object 93233.
#   100000 objects: 142 triggers = 130 young + 11 of generation 1 + 1 full.
from support import case, equal, main, record_one, report, stranded, tracee
from traceformat import Trace

TOTAL = 100000
# type: object numbers, passes that examined the older one
PAIRS = {
    "Early": (1, 2, 3),               # triggers 1, 12, 133
    "Middle": (50000, 50001, 2),      # triggers 72 (a pass of generation 1) and 133
    "Younger": (95000, 95001, 1),     # trigger 136
    "Late": (99998, 99999, 0),
    "Cross": (10, 99990, 0),          # the least of its members
}


def types(json):
    return sorted(s["members"][0]["type"] for s in stranded(json))


def simulated(births):
    """The rule, as in gc_collect_generations(): collections, objects per generation."""
    count, lists, collections, pending, total = [0, 0, 0], [0, 0, 0], [0, 0, 0], 0, 0
    for _ in range(births):
        count[0] += 1
        if count[0] > 700:
            for g in (2, 1, 0):
                if count[g] <= (700, 10, 10)[g] or (g == 2 and pending < total // 4):
                    continue
                examined = sum(lists[:g + 1])
                if g < 2:
                    count[g + 1] += 1
                count[:g + 1] = [0] * (g + 1)
                lists[:g + 1] = [0] * (g + 1)
                lists[min(g + 1, 2)] += examined
                if g == 1:
                    pending += examined
                if g == 2:
                    pending, total = 0, examined
                collections[g] += 1
                break
        lists[0] += 1
    return collections, lists


def recorded(directory):
    pairs = ["%d:%d:%s" % (i, j, name) for name, (i, j, _) in PAIRS.items()]
    return record_one(directory, [tracee("generations"), str(TOTAL)] + pairs)


@case
def passes(directory):
    """passes per generation, and where the objects are, are as worked out"""
    rows = {g["generation"]: g for g in report(recorded(directory))["generations"]}
    equal([rows[g]["collections"] for g in range(3)], [130, 11, 1], "collections")
    equal([rows[g]["objects"] for g in range(3)], [459, 6309, 93232], "objects")
    equal([rows[g]["threshold"] for g in range(3)], [700, 10, 10], "thresholds")
    equal(simulated(TOTAL), ([130, 11, 1], [459, 6309, 93232]), "the rule, simulated")


@case
def every_pass_recorded(directory):
    """the trace records each pass with its generation and numbers"""
    trace = Trace(recorded(directory))
    found = [e for e in trace.events() if e["event"] == "PASS" and e["domain"] == 1]
    equal([e["number"] for e in found], list(range(142)), "numbers")
    equal([i + 1 for i, e in enumerate(found) if e["generation"] == 1], list(range(12, 133, 12)), "generation 1")
    equal([i + 1 for i, e in enumerate(found) if e["generation"] == 2], [133], "full")
    equal(found[0]["examined"], 700, "examined by the first")
    equal(found[132]["examined"], 93232, "examined by the full one")


@case
def members_survived(directory):
    """members say how many passes they survived, and where they are now"""
    json = report(recorded(directory))
    for structure in stranded(json):
        name = structure["members"][0]["type"]
        equal(min(m["survived"] for m in structure["members"]), PAIRS[name][2], "survived of " + name)
        generation = {0: 0, 1: 1, 2: 2, 3: 2}[PAIRS[name][2]]
        equal(min(m["generation"] for m in structure["members"]), generation, "generation of " + name)
    equal(types(json), sorted(PAIRS), "structures")


@case
def min_survived(directory):
    """--min-survived=N leaves out what has outlived fewer passes"""
    trace = recorded(directory)
    for least in range(5):
        expected = sorted(name for name, (_, _, survived) in PAIRS.items() if survived >= least)
        equal(types(report(trace, "--min-survived=%d" % least)), expected, "--min-survived=%d" % least)


@case
def generation_limit(directory):
    """--generation=N: references from older generations count as external"""
    trace = recorded(directory)
    equal(types(report(trace, "--generation=0")), ["Late"], "generation 0")
    equal(types(report(trace, "--generation=1")), ["Late", "Younger"], "generation 1")
    equal(types(report(trace, "--generation=2")), sorted(PAIRS), "generation 2")


@case
def brief_objects(directory):
    """objects that end at once cause no pass"""
    rows = report(record_one(directory, [tracee("generations"), "churn", "20000"]))["generations"]
    equal([g["collections"] for g in rows], [0, 0, 0], "collections")
    equal([g["objects"] for g in rows], [0, 0, 0], "objects")


@case
def other_thresholds(directory):
    """record --threshold0=… changes when passes come"""
    trace = record_one(directory, [tracee("generations"), "1000"], ["--threshold0=99", "--threshold1=1"])
    rows = report(trace)["generations"]
    # Every 100 objects; every third trigger is of generation 1: 3, 6, 9.
    equal([g["collections"] for g in rows], [7, 3, 0], "collections")
    equal([g["threshold"] for g in rows], [99, 1, 10], "thresholds")


main()
