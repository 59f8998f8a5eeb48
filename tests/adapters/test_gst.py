# SPDX-License-Identifier: Apache-2.0
#
# GStreamer without a change to it or to the program: cycles through buffers'
# metas, bins and messages are found, and what pads, children and buses know of
# others is no reference.
import os

from support import Skip, case, equal, main, only_structure, record, report, stranded

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(os.environ.get("CASTAWAY_ADAPTERS", HERE), "gst")
RUNS = int(os.environ.get("CASTAWAY_RUNS", 2))


def act(directory, kind, what):
    if not os.path.exists(PROGRAM):
        raise Skip("built without GStreamer's headers")
    result = record(directory, [PROGRAM, kind, what], ("--scan=yes",))
    equal((result.status, result.err, len(result.traces)), (0, b"", 1), str(result))
    return report(result.traces[0], "--leaks")


def planted(kind, title, *types):
    """A kind of the program: `types` are those of the members that are counted, and all have one reference."""
    def test(directory):
        for what in RUNS * ("strand", "mask"):
            found = only_structure(act(directory, kind, what))
            counted = [m for m in found["members"] if m["runtime"] != "none"]
            equal(sorted((m["runtime"], m["type"], m["refcount"]) for m in counted), sorted(types), "members")
        for what in ("break", "keep"):
            equal(stranded(act(directory, kind, what)), [], what)

    test.__name__ = kind
    test.__doc__ = title
    case(test)


planted("meta", "Two buffers, each of which is the other's parent by its meta",
        ("gst", "GstBuffer", 1), ("gst", "GstBuffer", 1))
planted("bin", "An element's data holds the bin that it is in; the bin's bus for it knows the bin",
        ("gobject", "GstBin", 1), ("gobject", "GstBin", 1))
planted("bus", "A message in a bus holds the bus; its structure knows the message",
        ("gobject", "GstBus", 1), ("gst", "GstMessage", 1))


@case
def forgotten(directory):
    """a bin with a reference that nobody has is no cycle, whatever its pads and its bus point to"""
    judged = act(directory, "forgotten", "strand")
    equal(stranded(judged), [], "stranded")
    equal([(s["verdict"], s["type"], s["refcount"], s["count"]) for s in judged["leaks"]],
          [("over-referenced", "GstBin", 1, 1)], "leaks")
    for what in ("break", "keep"):
        equal([s["verdict"] for s in act(directory, "forgotten", what)["leaks"]], [], what)


@case
def described(directory):
    """the report has the versions of both, and names what is in a buffer"""
    rows = {r["name"]: r for r in act(directory, "meta", "keep")["runtimes"]}
    equal(sorted(rows), ["gobject", "gst"])
    equal([part.isdigit() for part in rows["gst"]["version"].split(".")], [True] * 3, rows["gst"]["version"])
    # Two buffers with a memory each, besides those that GStreamer itself has.
    equal(rows["gst"]["objects"] >= 4, True, "objects")


if __name__ == "__main__":
    main()
