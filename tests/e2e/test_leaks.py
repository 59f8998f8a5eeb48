# SPDX-License-Identifier: Apache-2.0
#
# What no root reaches: programs that lose blocks in every way, judged by
# castaway and by LeakSanitizer.  Every block of tracees/leaks has a size of its
# own, so that two judgements can be compared whatever the addresses are.
import os
import re

from support import (FOUND, TRACEES, UNSURE, Skip, case, castaway, equal, limit_codes, main, member, record_one,
                     report, run, tracee)

# glibc must not overwrite what is freed, as Meson has it do.
ENVIRONMENT = {"LEAKS_PLUGIN": os.path.join(TRACEES, "libleaks_plugin.so"), "MALLOC_PERTURB_": "0"}

# name: (blocks and bytes lost directly, blocks and bytes that only those or a cycle lead to)
NOTHING = ((0, 0), (0, 0))
CASES = {
    "direct": ((1, 1001), (0, 0)),
    "twice": ((2, 2004), (0, 0)),
    "indirect": ((1, 1011), (2, 1012 + 1013)),
    "cycle": ((0, 0), (2, 1021 + 1022)),
    "self": ((1, 1031), (0, 0)),
    "interior_lost": ((1, 1041), (1, 1042)),
    "past_the_end": ((1, 1056), (0, 0)),
    "masked": ((1, 1061), (0, 0)),
    "packed": ((1, 1065), (0, 0)),
    "tagged": ((1, 40), (0, 0)),
    "grown": ((1, 70000), (1, 1072)),
    "aligned": ((2, 1081 + 1280), (0, 0)),
    "bins": ((16, sum(2008 + 32 * i + 4000 + i for i in range(8))), (0, 0)),
    "recycled": ((1, 1091), (0, 0)),
    "dead_thread": ((1, 1101), (0, 0)),
    "dead_thread_tls": ((1, 1111), (0, 0)),
    "red_zone": ((1, 1121), (0, 0)),
    "dead_argument": ((1, 1141), (0, 0)),
    "own_frames": ((1, 1151), (0, 0)),
    "own_data": ((2, 1161 + 1162), (0, 0)),
    "globals": NOTHING,
    "tls": NOTHING,
    "thread_keys": NOTHING,
    "live_threads": NOTHING,
    "large": NOTHING,
    "opened": NOTHING,
}


def judged(directory, name, *options):
    trace = record_one(directory, [tracee("leaks"), name], ["--scan=yes"], env=ENVIRONMENT)
    found = report(trace, "--leaks", "--members=all", *options)
    equal(limit_codes(found) & {"not-scanned", "incomplete-snapshot"}, set(), name)
    return trace, found


def castaway_says(directory, name):
    """As in CASES."""
    trace, found = judged(directory, name)
    direct = (sum(l["count"] for l in found["leaks"]), sum(l["direct_bytes"] for l in found["leaks"]))
    summary = found["summary"]
    blocks = sum(l["blocks"] for l in found["leaks"])
    equal((summary["leaked_blocks"], summary["leaked_bytes"]), (blocks, sum(l["bytes"] for l in found["leaks"])),
          "summary of %s" % name)
    members = [m for s in found["structures"] for m in s["members"]]
    return direct, (blocks - direct[0] + len(members),
                    summary["leaked_bytes"] - direct[1] + sum(m["size"] for m in members))


def sanitizer_says(name):
    """As in CASES."""
    if not os.path.exists(os.path.join(TRACEES, "leaks_lsan")):
        raise Skip("this compiler has no LeakSanitizer")
    result = run([tracee("leaks_lsan"), name], env=dict(ENVIRONMENT, LSAN_OPTIONS="exitcode=23"))
    text = result.err.decode(errors="replace")
    if "fatal error" in text:
        raise Skip("LeakSanitizer does not work here")
    member(result.status, (0, 23), "LeakSanitizer on %s: %s" % (name, text[-500:]))
    lost = {"Direct": [0, 0], "Indirect": [0, 0]}
    for kind, size, count in re.findall(r"(Direct|Indirect) leak of (\d+) byte\(s\) in (\d+) object", text):
        lost[kind][0] += int(count)
        lost[kind][1] += int(size)
    equal(bool(lost["Direct"][0] + lost["Indirect"][0]), result.status == 23, text[-500:])
    return tuple(lost["Direct"]), tuple(lost["Indirect"])


@case
def lost_as_planted(directory):
    """Blocks are lost exactly as the programs plant them"""
    for name, expected in CASES.items():
        equal(castaway_says(directory, name), expected, name)


@case
def as_the_sanitizer(directory):
    """LeakSanitizer says the same"""
    for name, expected in CASES.items():
        equal(sanitizer_says(name), expected, name)


@case
def better_than_the_sanitizer(directory):
    """Where LeakSanitizer says something else, castaway is right"""
    # A mapping of the program's own is a root; LeakSanitizer must be told so.
    equal(castaway_says(directory, "mapped"), NOTHING, "mapped")
    equal(sanitizer_says("mapped"), ((1, 3081), (0, 0)), "mapped")
    # Old pointers in the tail of a block that realloc enlarged hide a leak from it.
    equal(castaway_says(directory, "grown_tail"), ((1, 1131), (0, 0)), "grown_tail")
    equal(sanitizer_says("grown_tail"), NOTHING, "grown_tail")
    # It counts malloc(0) as one byte.
    equal(castaway_says(directory, "zero"), ((1, 0), (0, 0)), "zero")
    equal(sanitizer_says("zero"), ((1, 1), (0, 0)), "zero")


@case
def without_scrubbing(directory):
    """Old pointers in recycled memory hide a leak unless it is scrubbed"""
    trace = record_one(directory, [tracee("leaks"), "recycled"], ["--scan=yes", "--scrub=no"], env=ENVIRONMENT)
    equal(report(trace, "--leaks")["summary"]["leaked_blocks"], 0, "leaked blocks")


@case
def unusual_pointers(directory):
    """Packed and tagged pointers hold what they lead to when the scan is told of them"""
    for name, setting in (("packed", "--scan-alignment=4"), ("tagged", "--scan-tag-bits=6")):
        trace = record_one(directory, [tracee("leaks"), name], [setting], env=ENVIRONMENT)
        equal(report(trace, "--leaks")["summary"]["leaked_blocks"], 0, name)
    # The finer scan misses nothing that the usual one sees, and invents nothing.
    for name in ("indirect", "cycle", "thread_keys"):
        trace = record_one(directory, [tracee("leaks"), name], ["--scan-alignment=1", "--scan-tag-bits=3"],
                           env=ENVIRONMENT)
        found = report(trace, "--leaks", "--members=all")
        equal(found["summary"]["leaked_bytes"] + sum(m["size"] for s in found["structures"] for m in s["members"]),
              CASES[name][0][1] + CASES[name][1][1], name)


@case
def cycles_of_blocks(directory):
    """A cycle of plain blocks is a structure, with its offsets"""
    trace, found = judged(directory, "cycle")
    (structure,) = found["structures"]
    equal(structure["verdict"], "stranded", "verdict")
    equal(structure["label"], "block", "label")
    equal(structure["evidence"]["edges"], "scanned", "edges")
    equal(sorted(m["size"] for m in structure["members"]), [1021, 1022], "sizes")
    equal(sorted((e["offset"], e["origin"], e["in_cycle"]) for e in structure["edges"]),
          [(0, "scanned", True), (8, "scanned", True)], "edges")
    equal([m["allocated_at"][1]["function"] for m in structure["members"]], ["cycle"] * 2, "allocated in")
    # No object is stranded: blocks are none.
    equal((found["summary"]["stranded_structures"], found["summary"]["stranded_objects"]), (1, 0), "summary")


@case
def too_many_counts(directory):
    """An object that nothing points to, with counts left, is over-referenced"""
    trace, found = judged(directory, "over_referenced")
    (leak,) = found["leaks"]
    equal((leak["verdict"], leak["type"], leak["refcount"]), ("over-referenced", "Hoarded", 2), "verdict")
    equal((leak["count"], leak["direct_bytes"], leak["blocks"], leak["bytes"]), (1, 1201, 2, 1201 + 1202), "sizes")
    equal(found["summary"]["over_referenced"], 1, "summary")
    equal(castaway("check", "--quiet", "--fail-on=over-referenced", trace).status, FOUND, "check")
    trace, found = judged(directory, "hoarded_cycle")
    equal([(l["verdict"], l["type"], l["refcount"], l["blocks"]) for l in found["leaks"]],
          [("over-referenced", "Hoarded", 2, 2)], "a cycle that does not explain all counts")
    equal(found["structures"], [], "structures")


@case
def released_but_kept(directory):
    """An object without counts that was never freed is leaked"""
    trace, found = judged(directory, "released")
    equal([(l["verdict"], l["type"], l["bytes"]) for l in found["leaks"]], [("leaked", "Released", 1211)], "leaks")


@case
def cycles_through_blocks(directory):
    """A cycle of an object and a plain block is stranded when it explains the counts"""
    trace, found = judged(directory, "mixed_cycle")
    (structure,) = found["structures"]
    equal(structure["verdict"], "stranded", "verdict")
    evidence = structure["evidence"]
    equal((evidence["refcounts"], evidence["explained_inside"], evidence["unexplained"]), (1, 1, 0), "counts")
    equal(sorted(m["size"] for m in structure["members"]), [1221, 1222], "sizes")
    equal(found["leaks"], [], "leaks")
    equal(found["summary"]["stranded_objects"], 1, "stranded objects")


@case
def entrained_blocks(directory):
    """What a proven cycle keeps is told apart from its objects"""
    trace, found = judged(directory, "entrained")
    (structure,) = found["structures"]
    equal((structure["verdict"], structure["evidence"]["edges"]), ("stranded", "exact"), "verdict")
    equal((structure["objects"], structure["bytes"]), (1, 1241 + 1242 + 1243), "objects")
    equal(structure["entrained"], {"objects": 0, "bytes": 1242 + 1243, "blocks": 2}, "entrained")
    equal([(len(i["members"]), len(i["entrained"])) for i in structure["instances"]], [(1, 0)], "instances")
    equal(found["leaks"], [], "leaks")


@case
def on_request(directory):
    """Leaks are listed on request, counted always, and fail a check when asked"""
    trace, found = judged(directory, "indirect")
    listed = castaway("analyze", trace, "--leaks").out.decode()
    member("Leaks\n  leaked  1 x  block, 1011 B", listed, "listed")
    member("keeps 2 blocks more", listed, "listed")
    plain = castaway("analyze", trace).out.decode()
    assert "Leaks\n" not in plain, plain
    member("3 blocks", plain, "counted")
    equal(report(trace)["leaks"], [], "leaks without being asked")
    equal(report(trace)["summary"]["leaked_blocks"], 3, "summary")
    equal(castaway("check", "--quiet", trace).status, 0, "check")
    equal(castaway("check", "--quiet", "--fail-on=leaked", trace).status, FOUND, "check for leaks")


@case
def not_scanned(directory):
    """Without a scan leaks are not known, and the report says so"""
    trace = record_one(directory, [tracee("leaks"), "direct"], ["--scan=no"], env=ENVIRONMENT)
    found = report(trace, "--leaks")
    equal([found["summary"][key] for key in ("roots", "over_referenced", "leaked_blocks", "leaked_bytes")],
          [None] * 4, "summary")
    equal(found["leaks"], [], "leaks")
    member("not-scanned", limit_codes(found), "limits")
    assert "not-scanned" not in limit_codes(report(trace)), "nobody asked"
    equal(castaway("check", "--quiet", "--fail-on=leaked", trace).status, UNSURE, "check for leaks")


@case
def every_method(directory):
    """However the threads are stopped, what they hold is held"""
    for stop in (1, 2):
        for name in ("live_threads", "thread_keys", "dead_thread", "red_zone"):
            trace = record_one(directory, [tracee("leaks"), name], ["--scan=yes", "--stop=%d" % stop],
                               env=ENVIRONMENT)
            found = report(trace, "--leaks")
            equal(found["summary"]["leaked_bytes"], CASES[name][0][1], "%s, stopped by %d" % (name, stop))


if __name__ == "__main__":
    main()
