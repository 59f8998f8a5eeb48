# SPDX-License-Identifier: Apache-2.0
#
# The example that the documentation shows: a reference-counted tree whose
# children hold their parents; with -DWEAK_PARENT they do not.
import os
import subprocess

from support import (FOUND, SOURCE, case, castaway, check, clean_environment, equal, functions, main, member,
                     member_types, only_structure, record, record_one, report)

TREE = os.path.join(SOURCE, "tests", "examples", "tree.c")
VARIANTS = (["cc", "-O0"], ["cc", "-O2"], ["c++", "-x", "c++", "-fpermissive", "-w", "-O0"],
            ["c++", "-x", "c++", "-fpermissive", "-w", "-O2"])


def built(directory, how, *flags):
    program = os.path.join(directory, "tree")
    command = [*how, "-g", "-Wall", "-Wextra", *flags, "-I", os.path.join(SOURCE, "include"), TREE, "-o", program]
    result = subprocess.run(command, capture_output=True, timeout=60, env=clean_environment())
    equal((result.returncode, result.stderr), (0, b""), " ".join(command))
    return program


def plain(stack):
    """Function names without the parameters that C++ has."""
    return [name.split("(")[0] for name in functions(stack) if name]


@case
def found(directory):
    """run exits 23 on the tree, in C and C++, with and without optimization"""
    for how in VARIANTS:
        result = record(directory, [built(directory, how)], verb="run")
        equal(result.status, FOUND, "%s\n%s" % (how, result))


@case
def healthy(directory):
    """with a weak parent there is no structure, and run exits with the program's 0"""
    for how in VARIANTS:
        result = record(directory, [built(directory, how, "-DWEAK_PARENT")], verb="run")
        equal(result.status, 0, "%s\n%s" % (how, result))
        equal(report(result.traces[-1])["structures"], [], "structures")
        os.unlink(result.traces[-1])


@case
def explained(directory):
    """the report names the members, the field to break, and the last release from outside"""
    for how in VARIANTS:
        trace = record_one(directory, [built(directory, how)])
        json = report(trace)
        structure = only_structure(json)
        equal(structure["verdict"], "stranded", "verdict")
        equal(structure["break"]["field"], "parent", "break")
        evidence = structure["evidence"]
        equal(evidence["refcounts"], evidence["explained_inside"], "counts")
        equal({e["field"] for e in structure["edges"] if e["in_cycle"]} >= {"parent"}, True, "edges")
        names = plain(structure["stranded_at"]["stack"])
        equal(names[-1] in ("main", "_start", "__libc_start_main", "__libc_start_call_main"), True, str(names))
        member("main", names)
        member("node_unref", names)
        for one in structure["members"]:
            member("node_new", plain(one["allocated_at"]))
        equal(set(member_types(structure)), {"node"}, "types")
        os.unlink(trace)


@case
def known(directory):
    """a baseline written from one build covers the other builds"""
    traces = []
    for number, how in enumerate(VARIANTS[:2]):
        place = os.path.join(directory, str(number))
        os.mkdir(place)
        traces.append(record_one(place, [built(place, how)]))
    baseline = os.path.join(directory, "known")
    equal(castaway("baseline", traces[0], "-o", baseline).status, 0, "baseline")
    equal([check(t, "--baseline=" + baseline) for t in traces], [0, 0], "check")


main()
