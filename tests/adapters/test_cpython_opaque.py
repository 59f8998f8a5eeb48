# SPDX-License-Identifier: Apache-2.0
#
# Groups that Python's collector never sees, because a type of an extension
# module does not tell it what its instances hold (programs/opaque.c).
import os

from support import Skip, case, castaway, equal, main, record, report

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.environ["CASTAWAY_ADAPTERS"]
PROGRAM = os.path.join(HERE, "programs", "opaque.py")
PYTHON = "/usr/bin/python3"
# What each lacks, as the report must say it.
KINDS = {
    "Box": "lacks tp_traverse and tp_clear",
    "HeapBox": "lacks tp_traverse and tp_clear",
    "Forgetful": "its tp_traverse leaves that out",
}
# Types of the cycle beside the holder, and how many objects only it keeps.
HIDDEN = {
    "in_dict": (["dict"], 0),
    "in_list": (["list"], 0),
    "in_tuple": (["tuple", "tuple"], 0),
    "in_instance": (["__main__.Node"], 0),
    "itself": ([], 0),
    "two_kinds": (["opaque.Crate"], 0),
    "by_closure": (["cell", "function", "tuple"], 0),
    "with_payload": (["__main__.Node"], 51),
    "masked": (["__main__.Node"], 0),
    "known": (["__main__.Node"], 0),
}
HEALTHY = ["chains", "live_cycle", "live_by_c", "borrowed", "borrowed_by_all", "borrowed_once",
           "borrowed_from_block"]


def judge(directory, what, kind, env=None):
    if not os.path.exists(os.path.join(BUILT, "opaque.so")):
        raise Skip("libpython3.11-dev is not installed")
    result = record(directory, [PYTHON, "-s", PROGRAM, BUILT, what, kind], env=env)
    equal(result.status, 0, "status\n%s" % result)
    return report(result.traces[0], "--members=all"), result.traces[0]


def hidden(directory, what, kind, env=None):
    judged, trace = judge(directory, what, kind, env)
    others, kept = HIDDEN[what]
    equal(len(judged["structures"]), 1, "structures\n%s" % judged["structures"])
    found = judged["structures"][0]
    equal(found["verdict"], "likely-stranded", "verdict")
    equal(sorted(m["type"] for m in found["members"]), sorted(others + ["opaque." + kind]), "members")
    equal(found["entrained"]["objects"], kept, "entrained")
    evidence = found["evidence"]
    equal((evidence["unexplained"], evidence["explained_outside"], evidence["edges"]), (0, 0, "mixed"), "evidence")
    assert any(e["origin"] == "scanned" and e["in_cycle"] for e in found["edges"]), found["edges"]
    return found, trace


def healthy_case(what, kind):
    def test(directory):
        judged, _ = judge(directory, what, kind)
        equal(judged["structures"], [], "structures")

    test.__name__ = "healthy_%s_%s" % (what, kind)
    test.__doc__ = "%s of %s: nothing is reported" % (what, kind)
    case(test)


def hidden_case(what, kind):
    def test(directory):
        found, _ = hidden(directory, what, kind)
        named = found["break"]["from_type"]
        assert named in ("opaque." + kind, "opaque.Crate"), found["break"]
        if named == "opaque." + kind:
            assert KINDS[kind] in found["break"]["reason"], found["break"]

    test.__name__ = "hidden_%s_%s" % (what, kind)
    test.__doc__ = "%s of %s: the type is named" % (what, kind)
    case(test)


for kind in KINDS:
    for what in HIDDEN:
        hidden_case(what, kind)
    for what in HEALTHY:
        healthy_case(what, kind)


@case
def honest_type(directory):
    """a type with a tp_traverse is found by counts alone"""
    for what in ("in_dict", "itself"):
        own = os.path.join(directory, what)
        os.mkdir(own)
        judged, _ = judge(own, what, "Honest")
        equal([s["verdict"] for s in judged["structures"]], ["stranded"], "verdict")
        equal(judged["structures"][0]["evidence"]["edges"], "exact", "edges")


@case
def python_subclass(directory):
    """of a class that inherits from such a type, the type is named"""
    judged, _ = judge(directory, "subclass", "Box")
    equal([s["verdict"] for s in judged["structures"]], ["likely-stranded"], "verdict")
    found = judged["structures"][0]
    equal(sorted(m["type"] for m in found["members"]), ["__main__.Sub", "dict"], "members")
    equal((found["break"]["from_type"], found["break"]["field"]), ("opaque.Box", "held"), "break")


@case
def field_names(directory):
    """a declared member has its name, another field its offset"""
    found, _ = hidden(directory, "two_kinds", "Box")
    scanned = {e["field"] or e["offset"] for e in found["edges"] if e["origin"] == "scanned"}
    equal(scanned, {"held", 16}, "fields")


@case
def collector_is_not_contradicted(directory):
    """the gc commands know nothing of it, as Python's collector"""
    _, trace = hidden(directory, "in_dict", "Box")
    answer = castaway("gc", trace, "collect")
    equal(answer.out.decode().split("\n")[-2], "0 objects", "collect")
    listed = castaway("gc", trace, "objects").out.decode()
    assert "opaque.Box" not in listed, listed[-500:]


@case
def with_scan(directory):
    """a scan of all memory beside it takes nothing away, and says nothing twice"""
    env = {"CASTAWAY_OPTIONS": "scan-python=yes"}
    hidden(directory, "in_list", "Box", env)
    for what in ("borrowed_once", "borrowed_from_block"):
        os.mkdir(os.path.join(directory, what))
        equal(judge(os.path.join(directory, what), what, "Box", env)[0]["structures"], [], what)


@case
def without_helper(directory):
    """read in place, where there is no helper process"""
    env = {"CASTAWAY_OPTIONS": "helper=no"}
    hidden(directory, "in_tuple", "Box", env)
    os.mkdir(os.path.join(directory, "kept"))
    equal(judge(os.path.join(directory, "kept"), "borrowed_once", "Box", env)[0]["structures"], [], "structures")


@case
def check_fails(directory):
    """castaway run fails on it by default, and the text names the type"""
    if not os.path.exists(os.path.join(BUILT, "opaque.so")):
        raise Skip("libpython3.11-dev is not installed")
    result = castaway("run", "--", PYTHON, "-s", PROGRAM, BUILT, "in_dict", "HeapBox", cwd=directory)
    equal(result.status, 23, "status\n%s" % result)
    assert b"give the extension type `opaque.HeapBox` a tp_traverse and a" in result.out, result.out


main()
