# SPDX-License-Identifier: Apache-2.0
#
# PyGObject, unmodified: a cycle that goes through GObject's references and
# Python's is one structure with members of both.
import os

from support import Skip, case, equal, main, only_structure, record, report, run, stranded

PYTHON = "/usr/bin/python3"
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "crossing.py")
RUNS = int(os.environ.get("CASTAWAY_RUNS", 2))


def act(directory, kind, what):
    if run([PYTHON, "-c", "from gi.repository import Gio"]).status != 0:
        raise Skip("no PyGObject")
    result = record(directory, [PYTHON, PROGRAM, kind, what])
    equal((result.status, result.err, len(result.traces)), (0, b"", 1), str(result))
    return report(result.traces[0], "--leaks")


def crossing(kind, title, *types):
    """A kind of the program; `types` are those of the members that are counted."""
    def test(directory):
        for _ in range(RUNS):
            found = only_structure(act(directory, kind, "strand"))
            counted = [m for m in found["members"] if m["runtime"] != "none"]
            equal(sorted((m["runtime"], m["type"]) for m in counted), sorted(types), "members")
            equal(found["evidence"]["unexplained"], 0, "unexplained")
        for what in ("break", "keep"):
            equal(stranded(act(directory, kind, what)), [], what)

    test.__name__ = kind
    test.__doc__ = title
    case(test)


crossing("closure", "store, item, handler, closure, Python function, the store's wrapper",
         ("gobject", "GListStore"), ("gobject", "__main__+Item"), ("gobject", "signal handler"),
         ("gobject", "GClosure"), ("cpython", "function"), ("cpython", "tuple"), ("cpython", "cell"),
         ("cpython", "gi.overrides.Gio.ListStore"))
crossing("toggle", "store, item, the item's wrapper by its toggle reference, its dict, the store's wrapper",
         ("gobject", "GListStore"), ("gobject", "__main__+Item"), ("cpython", "__main__.Item"), ("cpython", "dict"),
         ("cpython", "gi.overrides.Gio.ListStore"))


if __name__ == "__main__":
    main()
