# SPDX-License-Identifier: Apache-2.0
#
# Threads, their ends, forks among them, and signal handlers.
from churning import churn, compare_live
from support import case, equal, limit_codes, main, record, record_one, report, tracee
from traceformat import Trace


@case
def cross_thread_frees(directory):
    """8 threads that free each other's blocks: the live set is what the program says"""
    trace, said, json = churn(directory, 8, 1500)
    compare_live(trace, said)
    equal(len({e["thread"] for e in Trace(trace).events()}) >= 9, True, "threads in the trace")
    assert json["summary"]["blocks"] >= len(said), json["summary"]


@case
def small_buffers(directory):
    """the same with one MiB of buffers and no helper process"""
    trace, said, _ = churn(directory, 8, 1000, "--helper=no", "--buffers=1")
    compare_live(trace, said)


@case
def event_counts(directory):
    """the END record counts the events that are there"""
    trace = Trace(churn(directory, 4, 1000)[0])
    reason, events, dropped = trace.end()
    equal((reason, dropped), (1, 0), "END")
    equal(events, len(trace.events()), "events")


@case
def late_frees(directory):
    """frees in key destructors, of every round, and of a cancelled thread are seen"""
    trace = Trace(record_one(directory, [tracee("thread_exit")]))
    sizes = [s for s in trace.live().values() if 3000 <= s < 4000]
    equal(sizes, [], "blocks of the threads still alive")
    born = [e["size"] for e in trace.events() if e["event"] == "ALLOC" and 3000 <= e["size"] < 4000]
    equal({s: born.count(s) for s in set(born)},
          {3000: 40, 3001: 40, 3100: 40, 3101: 40, 3102: 40, 3900: 40}, "births")


@case
def fork_storm(directory):
    """forks among busy threads do not hang, and each child has a readable trace"""
    result = record(directory, [tracee("fork_storm"), "20"], timeout=120)
    equal((result.status, result.err), (0, b""), str(result))
    equal(len(result.traces), 21, "traces")
    for trace in result.traces[:6]:
        json = report(trace)
        equal(json["trace"]["complete"], True, trace)
        equal(limit_codes(json) & {"dropped-events", "unknown-free"}, set(), trace)


@case
def signal_handlers(directory):
    """annotations in a signal handler are recorded in balance; what is left out is counted"""
    trace = record_one(directory, [tracee("signals")])
    events = [e["event"] for e in Trace(trace).events()]
    refs, unrefs = events.count("REF"), events.count("UNREF")
    equal(refs, unrefs, "refs and unrefs")
    left_out = {l["code"]: l["count"] for l in report(trace)["limits"]}.get("dropped-events", 0)
    assert refs + unrefs + left_out >= 400, "200 signals: %d refs, %d left out" % (refs, left_out)


main()
