# SPDX-License-Identifier: Apache-2.0
#
# castaway diff: two runs of tracees/diff.c with known numbers of everything.
import json
import os

from support import USAGE, case, castaway, equal, main, member, record, record_one, tracee

SHAPE = 48  # bytes: two pointers and four longs


def recorded(directory, name, *numbers):
    """The trace of a run with so many pairs, rings, buffers and late buffers."""
    place = os.path.join(directory, name)
    os.mkdir(place)
    return record_one(place, [tracee("diff"), *map(str, numbers)])


def diff(*arguments):
    result = castaway("diff", *arguments, "--format=json")
    equal((result.status, result.err), (0, b""), str(result))
    return json.loads(result.out)


def numbers(row):
    return row and (row["count"], row["bytes"])


def changes(rows, key="label"):
    """{what: (change, old, new)}"""
    found = {row[key]: (row["change"], numbers(row["old"]), numbers(row["new"])) for row in rows}
    equal(len(found), len(rows), "rows of the same name")
    return found


@case
def all_kinds(directory):
    """what came, went and grew: findings, types and sites"""
    answer = diff(recorded(directory, "old", 3, 2, 4, 0), recorded(directory, "new", 5, 0, 4, 6))
    equal(changes(answer["findings"]), {
        "cycle of Pair": ("grew", (3, 6 * SHAPE), (5, 10 * SHAPE)),
        "cycle of Ring": ("went", (2, 2 * SHAPE), None),
    })
    equal({row["verdict"] for row in answer["findings"]}, {"stranded"})
    equal(changes(answer["types"]), {
        "native:Pair": ("grew", (6, 6 * SHAPE), (10, 10 * SHAPE)),
        "native:Ring": ("went", (2, 2 * SHAPE), None),
    })
    sites = {label.split(" ")[0] + (" plant_pair" if "plant_pair" in label else ""): change
             for label, change in changes(answer["sites"]).items()}
    # The two births of a pair are two places in plant_pair, but of the same functions.
    equal(sites, {
        "keep_late": ("came", None, (6, 6 * 200)),
        "shape_new plant_pair": ("grew", (6, 6 * SHAPE), (10, 10 * SHAPE)),
        "shape_new": ("went", (2, 2 * SHAPE), None),
    })


@case
def the_other_way(directory):
    """the other way round: what grew shrank, what came went"""
    old, new = recorded(directory, "old", 3, 2, 4, 0), recorded(directory, "new", 5, 0, 4, 6)
    there, back = diff(old, new), diff(new, old)
    opposite = {"came": "went", "went": "came", "grew": "shrank", "shrank": "grew"}
    for table in ("findings", "types", "sites"):
        equal({what: (opposite[change], after, before)
               for what, (change, before, after) in changes(there[table]).items()}, changes(back[table]), table)
        weights = [abs((row["new"] or {"bytes": 0})["bytes"] - (row["old"] or {"bytes": 0})["bytes"])
                   for row in there[table]]
        equal(weights, sorted(weights, reverse=True), "order")


@case
def alike(directory):
    """two runs of the same: nothing to say, although every address differs"""
    old, new = recorded(directory, "old", 3, 2, 4, 1), recorded(directory, "new", 3, 2, 4, 1)
    answer = diff(old, new)
    equal([answer[table] for table in ("findings", "types", "sites")], [[], [], []])
    lines = castaway("diff", old, new).out.decode().splitlines()
    equal(lines[:2], ["Findings: 0 came, 0 went, 0 grew, 0 shrank, 2 alike",
                      "Types: 0 came, 0 went, 0 grew, 0 shrank, 2 alike"])
    equal(len(lines), 3)


@case
def text(directory):
    """a line per change, --top at most, with the rest counted"""
    old, new = recorded(directory, "old", 3, 2, 0, 0), recorded(directory, "new", 5, 0, 0, 6)
    result = castaway("diff", old, new)
    equal((result.status, result.err), (0, b""), str(result))
    member("Findings: 0 came, 1 went, 1 grew, 0 shrank, 0 alike\n", result.out.decode())
    lines = [line.split() for line in result.out.decode().splitlines()]
    # 4 more objects of 48 bytes.
    member(["grew", "+192", "B", "6", "->", "10", "objects", "native:Pair"], lines)
    member(["went", "-96", "B", "2", "->", "0", "objects", "native:Ring"], lines)
    short = castaway("diff", old, new, "--top=1").out.decode()
    equal(short.count("  ... and 1 more\n"), 2, short)
    equal(short.count("  ... and 2 more\n"), 1, short)


@case
def wrong(directory):
    """not two traces, or one that cannot be read: exit 2 and one line"""
    trace = record(directory, [tracee("diff"), "1", "0", "0", "0"]).traces[0]
    for arguments, message in (((trace,), b"expected two traces"),
                               ((trace, "/nonexistent"), b"/nonexistent: "),
                               ((trace, "/dev/null"), b"/dev/null: "),
                               ((trace, trace, "--at=7"), b"the trace has no snapshot 7")):
        result = castaway("diff", *arguments)
        equal((result.status, result.out), (USAGE, b""), str(result))
        member(message, result.err)
        equal(result.err.count(b"\n"), 1)


main()
