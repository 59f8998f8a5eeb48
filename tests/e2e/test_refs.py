# SPDX-License-Identifier: Apache-2.0
#
# castaway refs: the call tree of references of tracees/refs.c, by the counts
# that its source shows.
import json

from support import USAGE, case, castaway, equal, main, member, record, report, tracee


def recorded(directory):
    """The trace, and the address of the counted object."""
    result = record(directory, [tracee("refs")])
    equal((result.status, len(result.traces)), (0, 1), str(result))
    return result.traces[0], result.out.decode().strip()


def refs(*arguments):
    result = castaway("refs", *arguments, "--format=json")
    equal((result.status, result.err), (0, b""), str(result))
    return json.loads(result.out)


def tree(answer):
    """(function, references taken, given back) of every node below main, callers first."""
    inside, found = set(), []
    for index, node in enumerate(answer["tree"]):
        names = [frame["function"] for frame in node["frames"]]
        assert node["parent"] is None or node["parent"] < index, "a caller comes after what it calls"
        if "main" in names or node["parent"] in inside:
            inside.add(index)
            if names:
                found.append((names[-1], node["refs"], node["unrefs"]))
    return found


@case
def outstanding(directory):
    """What is balanced is left out: the birth, keep_more and the last give remain"""
    trace, address = recorded(directory)
    answer = refs(trace, address)
    # The birth, 3 times (keep, borrow, give), and keep_more with 2 and 1; then one given back.
    equal((answer["refs"], answer["unrefs"], answer["counts"], answer["before"]),
          (1 + 3 * 2 + 2, 3 * 2 + 1 + 1, 1, 0))
    equal([o["type"] for o in answer["objects"]], ["Counted"])
    found = tree(answer)
    equal(sorted(item for item in found if item[0] != "main"),
          sorted([("again", 1, 0), ("keep_more", 1, 0), ("keep", 1, 0), ("keep_more", 1, 0), ("keep", 1, 0),
                  ("keep_more", 0, 1), ("give", 0, 1), ("give", 0, 1)]))
    assert not {"balanced", "borrow"} & {item[0] for item in found}, found


@case
def everything(directory):
    """--all: the balanced subtrees too, and every event is in exactly one node"""
    trace, address = recorded(directory)
    answer = refs(trace, address, "--all")
    found = tree(answer)
    member("borrow", [item[0] for item in found])
    equal(sum(node["own_refs"] for node in answer["tree"]), answer["refs"])
    equal(sum(node["own_unrefs"] for node in answer["tree"]), answer["unrefs"])
    tops = [node for node in answer["tree"] if node["parent"] is None]
    equal((sum(n["refs"] for n in tops), sum(n["unrefs"] for n in tops)), (answer["refs"], answer["unrefs"]))


@case
def text(directory):
    """The text says the same, without castaway's own frames"""
    trace, address = recorded(directory)
    result = castaway("refs", trace, address)
    equal((result.status, result.err), (0, b""), str(result))
    lines = result.out.decode().splitlines()
    equal(lines[0], address + " Counted: count 1; 9 taken, 8 given back")
    member("      +1        2        1", "\n".join(lines))
    assert any(line.split()[:3] == ["-1", "0", "1"] and "give (" in line for line in lines), lines
    assert not any("castaway_ref" in line or "libcastaway" in line for line in lines), lines


@case
def by_type(directory):
    """--type=GLOB: all objects of a type together"""
    trace, _ = recorded(directory)
    for glob in ("Pair", "P*"):
        answer = refs(trace, "--type=" + glob)
        equal(len(answer["objects"]), 2)
        # Two births, and one more reference.
        equal((answer["refs"], answer["unrefs"], answer["counts"]), (3, 0, 3))
    equal(len(refs(trace, "--type=*")["objects"]), 3)


@case
def fork_child(directory):
    """A fork child's objects: right whatever event its trace begins with; the parent's share is told"""
    # First event: count of `both`, its references to `other`.  The parent took two, the child one at the end.
    for first, count, fields in (("ref", 4, ["field"]), ("unref", 2, ["field"]), ("link", 3, ["field", "more"]),
                                 ("unlink", 3, []), ("end", 3, None)):
        result = record(directory, [tracee("refs"), first])
        equal((result.status, len(result.traces)), (0, 2), str(result))
        pid, both, other, said = result.out.decode().split()
        trace, = [t for t in result.traces if ".%s." % pid in t]
        equal(said, str(count), first)
        equal(castaway("gc", trace, "refcount", both).out, b"%d\n" % count, first)
        lines = [line.split() for line in castaway("gc", trace, "referents", both).out.decode().splitlines()]
        if fields is not None:
            equal(sorted(field for line in lines[:-1] for field in line[4:]), fields, first)
        answer = refs(trace, both)
        equal((answer["counts"], answer["before"]), (count, 2), first)
        equal(answer["refs"] - answer["unrefs"], count - 2, first)
        equal(report(trace)["misuse"], [], first)
        equal(castaway("gc", trace, "refcount", other).status, USAGE if first == "end" else 0, first)


@case
def wrong(directory):
    """No such object, no such type, no events for a runtime: exit 2 and one line"""
    trace, address = recorded(directory)
    for arguments, message in (
            (("0x10",), b"no object at 0x10 at this moment"),
            (("--type=Former",), b"no object of type Former at this moment"),
            (("x",), b"'x' is no address"),
            ((), b"expected a trace, and an address or --type"),
            ((address, "--type=Pair"), b"expected a trace, and an address or --type")):
        result = castaway("refs", trace, *arguments)
        equal((result.status, result.out), (USAGE, b""), str(result))
        member(message, result.err)
        equal(result.err.count(b"\n"), 1)
    python = record(directory, ["/usr/bin/python3", "-I", "-S", "-c", ""]).traces[0]
    result = castaway("refs", python, "--type=dict")
    equal(result.status, USAGE)
    member(b"there are no reference events for this runtime (cpython)", result.err)


main()
