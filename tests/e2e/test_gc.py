# SPDX-License-Identifier: Apache-2.0
#
# The gc module's questions, asked from inside the target through castaway.h.
from support import case, castaway, equal, main, member, record, report, run, tracee
from traceformat import Trace

# Under castaway.  As in CPython, a freeze sets the counters to 0, and unfrozen
# objects are in generation 2.  With thresholds 5, 1, 1 the counter passes 5 with
# birth 6: a pass of generation 0 over births 1 to 5; and with birth 12: again
# of generation 0, because generation 1 has counted one pass, not more than 1;
# it examines births 6 to 11.
ANSWERS = """active 1 enabled 1 thresholds 700 10 10
disabled 0
enabled again 1
after 3 births 3 0 0
all 3 3
in generation 0 3 3
in generation 1 0 0
tracked 1 0
referents of a 2, of b 0, visited 2
referrers of b 2, of a 0, visited 2
stopped after 1 1
referent of c is b 1
counts 1 4 1
after 1 end 2 0 0
unknown -1 EINVAL tracked 0
null -1 0
count in memory 5 0
frozen 2
not frozen 0 0
unfrozen 0
in generation 2 2 2
after 12 births 0 2 0
generation 0: 2 passes, 11 examined, 11 promoted, 1 live
generation 1: 0 passes, 0 examined, 0 promoted, 11 live
generation 2: 0 passes, 0 examined, 0 promoted, 2 live
passes with threshold 0: 2
snapshot 0
"""

BARE = """active 0 enabled 0 thresholds 0 0 0
disabled 0
enabled again 0
after 3 births 0 0 0
all 0 0
in generation 0 0 0
in generation 1 0 0
tracked 0 0
referents of a 0, of b 0, visited 0
referrers of b 0, of a 0, visited 0
stopped after 0 0
referent of c is b 0
counts -1 -1 -1
after 1 end 0 0 0
unknown -1 - tracked 0
null -1 0
count in memory -1 -1
frozen 0
not frozen 0 0
unfrozen 0
in generation 2 0 0
after 12 births 0 0 0
generation 0: 0 passes, 0 examined, 0 promoted, 0 live
generation 1: 0 passes, 0 examined, 0 promoted, 0 live
generation 2: 0 passes, 0 examined, 0 promoted, 0 live
passes with threshold 0: 0
snapshot -1
"""


@case
def answers(directory):
    """every question has its answer, in PIE and in position-dependent programs"""
    for program in ("gc_module", "gc_module_no_pie"):
        result = record(directory, [tracee(program)])
        equal((result.status, result.err), (0, b""), str(result))
        equal(result.out.decode().splitlines(), ANSWERS.splitlines(), program)


@case
def bare(directory):
    """without castaway every call says that there is nothing to say"""
    for program in ("gc_module", "gc_module_no_pie"):
        result = run([tracee(program)])
        equal((result.status, result.err), (0, b""), str(result))
        equal(result.out.decode().splitlines(), BARE.splitlines(), program)


@case
def snapshot_is_marked(directory):
    """castaway_snapshot() leaves a MARK with its name"""
    trace, = record(directory, [tracee("gc_module")]).traces
    ours = Trace(trace)
    marks = [ours.strings()[e["name"]] for e in ours.events() if e["event"] == "MARK"]
    equal(marks, ["named"], "marks")
    member(b"named", castaway("dump", trace).out, "dump")


@case
def controls_are_recorded(directory):
    """enable, disable, thresholds and freezes are in the trace, and the report agrees"""
    trace, = record(directory, [tracee("gc_module")]).traces
    controls = [(e["control"], e["a"]) for e in Trace(trace).events() if e["event"] == "GC_CONTROL"]
    equal([c for c, _ in controls], [2, 1, 4, 5, 3, 3], "controls")
    equal([a for c, a in controls if c == 3], [5, 0], "thresholds")
    rows = report(trace)["generations"]
    equal([r["collections"] for r in rows], [2, 0, 0], "collections")
    equal([r["objects"] for r in rows], [2001, 11, 2], "objects")


main()
