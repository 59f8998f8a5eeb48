# SPDX-License-Identifier: Apache-2.0
#
# The malloc family: every entry point, with sizes and order, compared with what
# the program itself says (tracees/family.c), by castaway's reader and by ours.
import json
import re

from support import case, castaway, equal, main, record, record_one, report, tracee
from traceformat import Trace

BEGIN_SIZE, END_SIZE = 98765, 98767


def expected_events(output):
    for line in output.decode().splitlines():
        name, *values = line.split()
        address = int(values[0], 16)
        if name == "ALLOC":
            yield ("ALLOC", address, int(values[1]))
        elif name == "FAILED":
            yield ("FREE", address)
            yield ("REALLOC_FAILED", address)
        else:
            yield ("FREE", address)


def between_marks(events):
    """The events after the block of BEGIN_SIZE and before that of END_SIZE."""
    found, inside = [], False
    for event in events:
        if event["event"] == "ALLOC" and event["size"] in (BEGIN_SIZE, END_SIZE):
            inside = event["size"] == BEGIN_SIZE
        elif inside and event["event"] == "ALLOC":
            found.append(("ALLOC", event["block"], event["size"]))
        elif inside and event["event"] in ("FREE", "REALLOC_FAILED"):
            found.append((event["event"], event["block"]))
    return found


def dumped(trace):
    """Events as `dump` tells them, with addresses as numbers."""
    result = castaway("dump", trace, "--format=jsonl")
    equal(result.status, 0, str(result))
    for line in result.out.decode().splitlines():
        event = json.loads(line)
        if "event" in event:
            yield {k: int(v, 16) if isinstance(v, str) and re.fullmatch("0x[0-9a-f]+", v) else v
                   for k, v in event.items()}


def recorded(directory, *options):
    result = record(directory, [tracee("family")], options)
    equal((result.status, result.err), (0, b""), str(result))
    equal(len(result.traces), 1, "traces")
    return result.traces[0], list(expected_events(result.out))


@case
def exact_events(directory):
    """each entry point is recorded once, with its size, in order"""
    trace, expected = recorded(directory)
    assert len(expected) > 50, expected
    equal(between_marks(Trace(trace).events()), expected, "events")


@case
def exact_events_uncompressed(directory):
    """the same without compression, and without the helper process"""
    for options in (["--compress=no"], ["--helper=no"]):
        trace, expected = recorded(directory, *options)
        equal(between_marks(Trace(trace).events()), expected, str(options))
    assert all(not c.flags for c in Trace(recorded(directory, "--compress=no")[0]).chunks), "compressed"


@case
def dump_agrees(directory):
    """`castaway dump` tells the same events as a reader written from FORMAT.md"""
    trace, expected = recorded(directory)
    equal(between_marks(dumped(trace)), expected, "events")
    equal(len(list(dumped(trace))), len(Trace(trace).events()), "number of events")


@case
def live_blocks(directory):
    """what is left alive is what info and the report count"""
    trace, _ = recorded(directory)
    live = Trace(trace).live()
    equal(sorted(s for s in live.values() if 50000 < s <= 50010), list(range(50001, 50011)), "left alive")
    summary = report(trace)["summary"]
    equal((summary["blocks"], summary["bytes"]), (len(live), sum(live.values())), "summary")


@case
def info_counts(directory):
    """`castaway info` counts the events of each kind"""
    trace, _ = recorded(directory)
    result = castaway("info", trace, "--format=json")
    equal(result.status, 0, str(result))
    info, events = json.loads(result.out), [e["event"] for e in Trace(trace).events()]
    equal(info["events"], len(events), "events")
    equal(info["events_by_type"], {name: events.count(name) for name in set(events)}, "events by type")
    equal((info["complete"], info["end"], info["pid"]), (True, "exit", Trace(trace).pid), "end")


@case
def new_and_delete(directory):
    """C++ new and delete in all their forms balance"""
    result = record(directory, [tracee("operators")])
    equal((result.status, result.err), (0, b""), str(result))
    left = [int(a, 16) for a in result.out.split()]
    equal(len(left), 2, "left alive on purpose")
    trace = Trace(result.traces[0])
    live = trace.live()
    equal([a for a in left if a in live], left, "left alive")
    sizes = [s for s in live.values() if 7000 <= s < 8000]
    equal(sorted(sizes), [7001, 7002], "live blocks of the operators")


@case
def every_event_has_a_stack(directory):
    """every ALLOC has a stack; --depth=0 takes none"""
    trace = Trace(recorded(directory)[0])
    allocs = [e for e in trace.events() if e["event"] == "ALLOC"]
    equal([e for e in allocs if not e["stack"]], [], "without a stack")
    bare = Trace(record_one(directory, [tracee("family")], ["--depth=0"]))
    equal({e["stack"] for e in bare.events() if "stack" in e}, {0}, "stacks with --depth=0")


main()
