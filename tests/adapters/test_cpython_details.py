# SPDX-License-Identifier: Apache-2.0
#
# What is said of each stranded Python structure: types, fields, counts,
# generations, the place of birth; and what must not be said: the target's data.
import json
import os

from support import (SOURCE, Skip, case, castaway, equal, limit_codes, main, member_types, record, record_one, report,
                     run, stranded)

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
SHAPES = os.path.join(HERE, "programs", "shapes.py")


def shapes(directory, options=()):
    # No site: what its modules strand at start-up is not of the program.
    trace = record_one(directory, [PYTHON, "-I", "-S", SHAPES], options)
    return trace, report(trace)


def with_type(judged, name):
    found = [s for s in stranded(judged) if name in member_types(s)]
    equal(len(found), 1, "structures with a %s among %s" % (name, [member_types(s) for s in stranded(judged)]))
    return found[0]


def own_names(structure):
    return {m["type"]: m["name"] for m in structure["members"]}


def cycle_fields(structure):
    return sorted(edge["field"] or "" for edge in structure["edges"] if edge["in_cycle"])


def line_of(text):
    with open(SHAPES, encoding="utf-8") as file:
        numbers = [number for number, line in enumerate(file, 1) if text in line]
    equal(len(numbers), 1, "lines with " + text)
    return numbers[0]


def born(structure, type_name):
    sites = [m["allocated_at"] for m in structure["members"] if m["type"] == type_name]
    return [(f["function"], f["file"], f["line"], f["language"]) for f in sites[0]]


@case
def attribute_cycle(directory):
    """Two instances that refer to each other: one structure, with attributes and counts"""
    judged = shapes(directory)[1]
    structure = with_type(judged, "__main__.Node")
    equal((structure["count"], structure["objects"], member_types(structure)), (1, 2, ["__main__.Node"] * 2))
    equal(cycle_fields(structure), ["partner", "partner"])
    evidence = structure["evidence"]
    equal((evidence["refcounts"], evidence["explained_inside"], evidence["explained_outside"],
           evidence["unexplained"], evidence["edges"]), (2, 2, 0, 0, "exact"))
    equal([m["refcount"] for m in structure["members"]], [1, 1])
    equal([m["generation"] for m in structure["members"]], [0, 0])


@case
def birth_place(directory):
    """A member is born at its function, file and line"""
    judged = shapes(directory)[1]
    for type_name, function in (("__main__.Slotted", "slots"), ("__main__.Node", "attributes")):
        equal(born(with_type(judged, type_name), type_name),
              [(function, SHAPES, line_of("# born in %s()" % function), "python")])


@case
def deep_stack(directory):
    """python-depth=8: the whole chain of Python callers, innermost first"""
    judged = shapes(directory, ["--python-depth=8"])[1]
    frames = born(with_type(judged, "__main__.Slotted"), "__main__.Slotted")
    equal([frame[0] for frame in frames], ["slots", "<module>"])
    equal(frames[1][2], line_of("    make()"))


@case
def native_stack(directory):
    """python-depth=0: native frames instead, of the interpreter"""
    judged = shapes(directory, ["--python-depth=0"])[1]
    site = [m["allocated_at"] for m in with_type(judged, "__main__.Slotted")["members"]][0]
    assert len(site) > 3 and all(f["language"] != "python" for f in site), site
    assert any("python3" in (f["module"] or "") for f in site), site


@case
def slot_field(directory):
    """__slots__ have their names"""
    structure = with_type(shapes(directory)[1], "__main__.Slotted")
    equal(cycle_fields(structure), ["other"])
    equal(structure["objects"], 1)


@case
def closure_fields(directory):
    """A function that refers to itself: function, tuple of cells, cell"""
    structure = with_type(shapes(directory)[1], "cell")
    equal(member_types(structure), ["cell", "function", "tuple"])
    equal(cycle_fields(structure), ["<closure 'recurse'>", "[0]", "__closure__"])
    equal(own_names(structure), {"function": "closure.<locals>.recurse", "cell": None, "tuple": None})


@case
def exception_fields(directory):
    """An exception kept by a local variable of its own traceback's frame"""
    structure = with_type(shapes(directory)[1], "ValueError")
    equal(member_types(structure), ["ValueError", "frame", "traceback"])
    equal(cycle_fields(structure), ["__traceback__", "kept", "tb_frame"])
    equal(own_names(structure)["frame"], "exception")


@case
def generator_fields(directory):
    """A suspended generator holds its local variables by name"""
    structure = with_type(shapes(directory)[1], "generator")
    equal(member_types(structure), ["generator", "list"])
    equal(cycle_fields(structure), ["[0]", "holder"])
    equal(own_names(structure), {"generator": "generator.<locals>.count", "list": None})


@case
def item_fields(directory):
    """A list item has its index; dict keys are shown when they are identifiers, and only then"""
    judged = shapes(directory)[1]
    alone = [s for s in stranded(judged) if len(s["members"]) == 1]
    fields = {s["members"][0]["type"]: cycle_fields(s) for s in alone}
    equal(fields["list"], ["[2]"])
    equal(fields["dict"], ["", "", "['visible']"])


@case
def unicode_names(directory):
    """Names outside of ASCII are written as UTF-8"""
    structure = with_type(shapes(directory)[1], "__main__.unicode.<locals>.Größe")
    equal(structure["objects"], 1)


@case
def all_structures(directory):
    """The program strands its eight structures and nothing else; what is alive is not among them"""
    judged = shapes(directory)[1]
    empty = os.path.join(directory, "empty")
    os.mkdir(empty)
    # What the interpreter itself strands while it starts.
    start = report(record_one(empty, [PYTHON, "-I", "-S", "-c", "import gc; gc.disable()"]))
    known = {s["fingerprint"] for s in stranded(start)}
    own = [s for s in stranded(judged) if s["fingerprint"] not in known]
    equal(sorted((s["count"], len(s["members"])) for s in own),
          [(1, 1), (1, 1), (1, 1), (1, 1), (1, 2), (1, 2), (1, 3), (1, 3)],
          "structures: %s" % [member_types(s) for s in own])


@case
def example(directory):
    """The example of the manual: two kinds of structures, the same ones in every run, and what to do"""
    program = os.path.join(SOURCE, "tests", "examples", "stranded.py")
    runs = []
    for _ in range(3):
        place = os.path.join(directory, str(len(runs)))
        os.mkdir(place)
        judged = report(record_one(place, [PYTHON, program]))
        runs.append({s["fingerprint"]: (s["count"], s["objects"], s["break"]["from_type"], s["break"]["field"])
                     for s in stranded(judged) if any("__main__" in t for t in member_types(s))})
    equal(sorted(runs[0].values()), [(10, 40, "list", "[0]"), (10, 200, "__main__.Node", "parent")])
    equal((runs[1], runs[2]), (runs[0], runs[0]), "fingerprints")


@case
def exact_sites(directory):
    """python-exact-sites: every list is born where the program says, none is marked as older"""
    program = os.path.join(SOURCE, "tests", "examples", "stranded.py")
    judged = report(record_one(directory, [PYTHON, program], ["--python-exact-sites=yes"]), "--members=all")
    assert "recycled-sites" not in limit_codes(judged), judged["limits"]
    own = [s for s in stranded(judged) if any("__main__" in t for t in member_types(s))]
    equal(sorted((s["count"], s["objects"]) for s in own), [(10, 40), (10, 200)])
    places = {(f["function"], f["line"]) for s in own for m in s["members"] if m["type"] == "list"
              for f in m["allocated_at"]}
    equal(places, {("Node.__init__", 20), ("Bus.__init__", 30)})


@case
def exact_sites_deep(directory):
    """python-exact-sites: structures nested a million deep end as they do without"""
    command = [PYTHON, os.path.join(HERE, "programs", "deep.py")]
    bare = run(command)
    result = record(directory, command, ["--python-exact-sites=yes"])
    equal((result.status, result.out), (0, bare.out), str(result))


def events(trace, opcode):
    dumped = castaway("dump", trace)
    equal(dumped.status, 0, str(dumped))
    return sum(line.split()[:1] != [] and opcode in line.split() for line in dumped.out.decode().splitlines())


@case
def history(directory):
    """python-events: every birth and death, on request only; what is found is the same"""
    found = []
    for options in ([], ["--python-events=yes"]):
        place = os.path.join(directory, str(len(found)))
        os.mkdir(place)
        trace, judged = shapes(place, options)
        equal(events(trace, "ALLOC_MANAGED") > 1000, bool(options), "events of Python objects")
        found.append(sorted((s["fingerprint"], s["count"], s["objects"]) for s in stranded(judged)))
    equal(found[1], found[0])


@case
def privacy(directory):
    """No text of the target's data reaches the trace: neither strings nor keys"""
    # Not compressed: else the text would hide.
    trace = shapes(directory, ["--compress=no"])[0]
    dumped = castaway("dump", trace)
    equal(dumped.status, 0, str(dumped))
    with open(trace, "rb") as file:
        contents = file.read()
    for secret in (b"private text", b"two words"):
        assert secret not in dumped.out and secret not in contents, secret


MIXED = """
import sqlite3
def make():
    return sqlite3.connect(":memory:")
def work(n):
    return make() if n == 0 else work(n - 1)
kept = work(3)
"""


@case
def mixed_stacks(directory):
    """A library's native frames stand on the Python frames that called it, to the depth asked for"""
    if run([PYTHON, "-c", "import sqlite3"]).status != 0:
        raise Skip("no sqlite3 module")
    for depth, expected in ((1, ["make"]), (10, ["make"] + ["work"] * 4 + ["<module>"])):
        trace = record_one(directory, [PYTHON, "-I", "-c", MIXED], ["--python-depth=%d" % depth])
        events = castaway("dump", "--stacks", "--format=jsonl", trace).out.decode().splitlines()
        stacks = [json.loads(line)["frames"] for line in events if '"function": "make"' in line and "libsqlite3" in line]
        assert len(stacks) > 20, "%d stacks of the library" % len(stacks)
        for stack in stacks:
            native = [f for f in stack if f["language"] != "python"]
            equal([f["function"] for f in stack[len(native):]], expected, "Python frames")
            assert native and "libsqlite3" in native[0]["module"], native
            assert all(os.path.basename(f["module"] or "") != "python3.11" for f in native), native
        os.unlink(trace)


@case
def left_on_frames(directory):
    """what returned frames left on the stacks of all threads holds nothing"""
    program = os.path.join(HERE, "programs", "frames.py")
    judged = report(record_one(directory, [PYTHON, "-I", "-S", program, "8", "5003"], ["--scan-python=yes"]), "--leaks")
    sizes = [(leak["blocks"], leak["bytes"]) for leak in judged["leaks"] if leak["allocated_at"][0]["function"] == "leave"]
    equal(sizes, [(8, 8 * 5003)], "what one thread each lost")


main()
