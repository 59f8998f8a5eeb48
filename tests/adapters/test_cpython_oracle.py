# SPDX-License-Identifier: Apache-2.0
#
# The stranded set is the collector's own: for every program and moment the
# addresses of all stranded structures, with what only they keep alive, are
# exactly those that CPython's collector lists as unreachable (oracle.py).
import os
import re

from listing import listed, stranded_addresses
from support import Skip, case, equal, limit_codes, main, record, report, run

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"

# Unreachable objects that each program makes at least: a program that strands
# nothing would prove nothing.
PROGRAMS = {
    "parsers": 5000,
    "xmltrees": 4000,
    "tasks": 100,
    "classes": 5000,
    "failures": 1000,
    "threads": 200,
    "data": 500,
    "network": 500,
    "workers": 100,
    "foreign": 300,
    "compilers": 2000,
    "extensions": 300,
    "arrays": 50,
}
# What Debian's Python may lack.
NEEDS = {"extensions": "import attr, jsonschema, pyrsistent, yaml", "arrays": "import numpy"}
# What the collector never finds, because a type does not tell it what it holds: a
# view holds the array that it is of (20 pairs of arrays, each with its dict).
LIKELY = {"arrays": (20, 80)}
# Their children's traces are not what is compared.
ALONE = {"workers": {"CASTAWAY_OPTIONS": "follow=no"}}


def runtime(json_report):
    found = [r for r in json_report["runtimes"] if r["name"] == "cpython"]
    equal(len(found), 1, "runtimes")
    return found[0]


def trace_of(directory, moment, traces, listing):
    """The fork moment leaves two traces: the child's is the one that is compared."""
    if moment != "fork":
        equal(len(traces), 1, "traces")
        return traces[0]
    equal(len(traces), 2, "traces")
    with open(listing + ".child", encoding="ascii") as file:
        child = file.read()
    chosen = [trace for trace in traces if ".%s." % child in os.path.basename(trace)]
    equal(len(chosen), 1, "traces of the child %s in %s" % (child, traces))
    return chosen[0]


def of_verdict(judged, verdict):
    return {"structures": [s for s in judged["structures"] if s["verdict"] == verdict]}


def compare(directory, name, moment, arguments=(), env=None):
    if name in NEEDS and run([PYTHON, "-s", "-c", NEEDS[name]]).status != 0:
        raise Skip("there is no " + NEEDS[name].replace("import ", ""))
    program = os.path.join(HERE, "programs", name + ".py")
    env = {**ALONE.get(name, {}), **(env or {})}
    listing = os.path.join(directory, "listing")
    bare = run([PYTHON, "-s", *arguments, program], env=env)
    equal(bare.status, 0, "status without castaway\n%s" % bare)
    command = [PYTHON, "-s", *arguments, os.path.join(HERE, "oracle.py"), moment, listing, program]
    result = record(directory, command, env=env)
    equal((result.status, result.out), (0, bare.out), "status and output\n%s" % result)
    judged = report(trace_of(directory, moment, result.traces, listing), "--members=all")
    equal((runtime(judged)["status"], runtime(judged)["version"]), ("exact", version()), "runtime")
    likely = of_verdict(judged, "likely-stranded")
    equal((sum(s["count"] for s in likely["structures"]), len(stranded_addresses(likely))), LIKELY.get(name, (0, 0)),
          "likely-stranded structures, and their objects")
    expected, actual = listed(listing), stranded_addresses(of_verdict(judged, "stranded"))
    assert len(expected) >= PROGRAMS[name], "only %d unreachable objects" % len(expected)
    assert actual == expected, "%d false, %d missed of %d: %s" % (
        len(actual - expected), len(expected - actual), len(expected), sorted(actual ^ expected)[:10])
    print("# %s %s: %d objects, %d unreachable, pause %.1f ms" % (
        name, moment, runtime(judged)["objects"], len(expected), judged["snapshot"]["pause_ns"] / 1e6))
    return judged


def version():
    return run([PYTHON, "-c", "import platform; print(platform.python_version())"]).out.decode().strip()


def oracle_case(title, *arguments, **options):
    def test(directory):
        compare(directory, *arguments, **options)

    test.__name__ = re.sub(r"\W+", "_", title)
    test.__doc__ = title
    case(test)


for name in PROGRAMS:
    oracle_case(name + ": at an ordinary end", name, "end")
    oracle_case(name + ": with all threads alive", name, "now")
for name in ("failures", "tasks", "threads"):
    oracle_case(name + ": in a fork child that ends at once", name, "fork")
for allocator in ("malloc", "debug", "pymalloc_debug"):
    oracle_case("failures: PYTHONMALLOC=" + allocator, "failures", "end", env={"PYTHONMALLOC": allocator})
oracle_case("parsers: -X dev", "parsers", "end", ("-X", "dev"))
oracle_case("classes: -I -S", "classes", "end", ("-I", "-S"))
oracle_case("data: no helper process", "data", "end", env={"CASTAWAY_OPTIONS": "helper=no"})
oracle_case("xmltrees: native stacks", "xmltrees", "end", env={"CASTAWAY_OPTIONS": "python-depth=0"})
for moment in ("end", "fork"):
    oracle_case("failures: with a full history, " + moment, "failures", moment,
                env={"CASTAWAY_OPTIONS": "python-events=yes"})
for name in ("classes", "failures", "parsers"):
    oracle_case(name + ": without free lists", name, "end",
                env={"CASTAWAY_OPTIONS": "python-exact-sites=yes"})
oracle_case("tasks: deep Python stacks", "tasks", "end", env={"CASTAWAY_OPTIONS": "python-depth=64"})


@case
def frozen_objects(directory):
    """data: frozen objects are never candidates"""
    judged = compare(directory, "data", "end")
    frozen = [g for g in judged["generations"] if g["generation"] == 3]
    assert "snapshot" in judged and not limit_codes(judged) & {"adapter-off", "no-snapshot"}, judged["limits"]
    assert not frozen or frozen[0]["stranded_objects"] == 0, frozen


main()
