# SPDX-License-Identifier: Apache-2.0
#
# The churn comparison, shared by the short test and the stress test: the live
# set of the replayed trace is exactly what the program says.
from support import castaway, equal, record, report, tracee
from traceformat import Trace


def said_alive(output):
    return {int(a, 16): int(s) for a, s in (line.split() for line in output.decode().splitlines())}


def churn(directory, threads, rounds, *options):
    result = record(directory, [tracee("churn"), str(threads), str(rounds)], options, timeout=300)
    equal((result.status, result.err), (0, b""), str(result))
    said = said_alive(result.out)
    assert said, "nothing left alive: nothing compared"
    trace, = result.traces
    json = report(trace)
    equal({l["code"]: l["count"] for l in json["limits"] if l["code"] in ("dropped-events", "unknown-free")}, {}, "limits")
    return trace, said, json


def compare_live(trace, said):
    live = {a: s for a, s in Trace(trace).live().items() if 2000 <= s < 3000}
    equal(live, said, "live blocks")


def event_total(trace):
    """Number of events that the trace says, that are there, and that dump tells."""
    result = castaway("dump", trace, "--format=jsonl", timeout=300)
    equal(result.status, 0, result.err)
    return Trace(trace).end()[1], len(result.out.splitlines())
