# SPDX-License-Identifier: Apache-2.0
#
# Annotated shapes whose verdicts are known by construction (tracees/shapes.c).
# sizeof(struct shape) is 48: two pointers and four longs.
import os
import sys

from support import (FOUND, SOURCE, Skip, case, castaway, check, equal, functions, limit_codes, main, member,
                     member_types, only_structure, record_one, report, run, stranded, tracee)

SIZE = 48

# shape: members' types, members' counts in total, entrained objects, structures alike
STRANDED = {
    "self_loop": (["Loop"], 1, 0, 1),
    "pair": (["Left", "Right"], 2, 0, 1),
    "double_edge": (["Left", "Right"], 3, 0, 1),
    "ring": (["Ring"] * 5, 5, 0, 1),
    "figure_eight": (["Middle", "Wing", "Wing"], 4, 0, 1),
    "entrained": (["Left", "Right"], 2, 3, 1),
    "two_alike": (["Left", "Right"], 2, 0, 2),
    "held_by_cycle": (["Left", "Right"], 2, 2, 1),
    "weak_beside": (["Left", "Right"], 2, 0, 1),
    "mid_block": (["Left", "Right"], 2, 0, 1),
    "not_heap": (["Left", "Right"], 2, 0, 1),
}
HEALTHY = ["nothing", "held", "released", "weak", "unlinked", "freed_block", "reused_block",
           "moved_block", "ended_owner", "declared_twice", "over_unref", "unlink_missing", "ref_ended"]


def shape_report(directory, shape, *options, program="shapes"):
    return report(record_one(directory, [tracee(program), shape]), *options)


def stranded_shape(shape):
    types, counts, entrained, count = STRANDED[shape]

    def test(directory):
        trace = record_one(directory, [tracee("shapes"), shape])
        json = report(trace)
        found = only_structure(json)
        equal(found["verdict"], "stranded", "verdict")
        equal(member_types(found), types, "members")
        equal(found["count"], count, "structures alike")
        equal(found["entrained"], {"objects": entrained * count, "bytes": entrained * count * SIZE, "blocks": 0},
              "entrained")
        equal(found["objects"], (len(types) + entrained) * count, "objects")
        equal(found["bytes"], found["objects"] * SIZE, "bytes")
        evidence = found["evidence"]
        equal((evidence["refcounts"], evidence["explained_inside"]), (counts, counts), "counts")
        equal((evidence["explained_outside"], evidence["unexplained"]), (0, 0), "counts left")
        equal(evidence["edges"], "exact", "edges")
        equal(evidence["reachable_via"], "none", "reachable_via")
        equal({m["runtime"] for m in found["members"]}, {"native"}, "runtime")
        equal({m["size"] for m in found["members"]}, {SIZE}, "sizes")
        equal(sum(m["refcount"] for m in found["members"]), counts, "members' counts")
        equal(json["summary"]["stranded_structures"], count, "summary")
        equal(json["summary"]["stranded_objects"], found["objects"], "summary")
        equal(json["trace"]["complete"], True, "complete")
        equal(check(trace), FOUND, "check")

    test.__doc__ = "stranded: " + shape
    return test


def healthy_shape(shape):
    def test(directory):
        trace = record_one(directory, [tracee("shapes"), shape])
        equal(stranded(report(trace)), [], "structures")
        equal(check(trace), 0, "check")

    test.__doc__ = "no finding: " + shape
    return test


for name in STRANDED:
    case(stranded_shape(name))
for name in HEALTHY:
    case(healthy_shape(name))


@case
def latent_on_request(directory):
    """a cycle held from outside is latent, and shown only on request"""
    json = shape_report(directory, "held", "--latent")
    equal(stranded(json), [], "stranded")
    latent = [s for s in json["structures"] if s["verdict"] == "latent"]
    equal(len(latent), 1, "latent structures")
    equal(member_types(latent[0]), ["Left", "Right"], "members")
    equal(latent[0]["evidence"]["refcounts"], 3, "counts")
    equal(latent[0]["evidence"]["explained_inside"], 2, "counts from inside")


@case
def no_latent_weak(directory):
    """a weak back link makes no cycle, not even a latent one"""
    for shape in ("weak", "unlinked", "released"):
        equal(shape_report(directory, shape, "--latent")["structures"], [], shape)


@case
def weak_edge_is_shown(directory):
    """a weak link beside a cycle is shown, with its strength"""
    found = only_structure(shape_report(directory, "weak_beside"))
    strength = {e["field"]: e["strength"] for e in found["edges"]}
    equal(strength.get("right"), "strong", "right")
    equal(strength.get("left"), "strong", "left")
    equal(strength.get("observer", "weak"), "weak", "observer")
    equal({e["field"] for e in found["edges"] if e["in_cycle"]}, {"left", "right"}, "cycle")


@case
def edges_and_break(directory):
    """edges name their fields and ends; the advice names one of them"""
    found = only_structure(shape_report(directory, "pair"))
    by_address = {m["address"]: m["type"] for m in found["members"]}
    edges = {(by_address[e["from"]], e["field"], by_address[e["to"]]) for e in found["edges"]}
    equal(edges, {("Left", "right", "Right"), ("Right", "left", "Left")}, "edges")
    equal({(e["strength"], e["origin"], e["in_cycle"]) for e in found["edges"]}, {("strong", "exact", True)}, "edges")
    advice = found["break"]
    member((advice["from_type"], advice["field"], advice["to_type"]), edges, "break")
    assert advice["reason"], "break without a reason"


@case
def stacks(directory):
    """births, acquisitions and the stranding have the stacks of their functions"""
    found = only_structure(shape_report(directory, "pair"))
    for one in found["members"]:
        names = functions(one["allocated_at"])
        member("shape_new", names)
        equal(names[names.index("shape_new") + 1:][:2], ["plant_pair", "main"], "callers of shape_new")
    for edge in found["edges"]:
        names = functions(edge["acquired_at"])
        equal(names[names.index("shape_hold"):][:3], ["shape_hold", "plant_pair", "main"], "acquired at")
    names = functions(found["stranded_at"]["stack"])
    equal(names[names.index("shape_drop"):][:3], ["shape_drop", "plant_pair", "main"], "stranded at")
    frame = found["stranded_at"]["stack"][names.index("plant_pair")]
    equal(os.path.basename(frame["file"]), "shapes.c", "file")
    assert frame["line"] > 0 and frame["module"].endswith("shapes"), frame
    equal(frame["language"], "c", "language")
    for stack in ([one["allocated_at"] for one in found["members"]] + [edge["acquired_at"] for edge in found["edges"]]
                  + [found["stranded_at"]["stack"]]):
        own = [f for f in stack if "libcastaway" in (f["module"] or "") or (f["function"] or "").startswith("castaway_")]
        equal(own, [], "frames of castaway itself")
    assert found["stranded_at"]["thread"] == found["members"][0]["thread"], "one thread did it all"


@case
def two_kinds(directory):
    """two kinds of structures: two fingerprints, the larger first"""
    found = stranded(shape_report(directory, "two_kinds"))
    equal([len(s["members"]) for s in found], [5, 2], "members")
    assert found[0]["fingerprint"] != found[1]["fingerprint"], "one fingerprint for two shapes"


@case
def misuse(directory):
    """misuse is recorded with its stack and reported, never fatal"""
    for shape, kind, count in (("over_unref", "below-zero", 2), ("unlink_missing", "unlink-missing", 1),
                               ("ref_ended", "ref-unknown", 1), ("declared_twice", "declared-twice", 1)):
        found = shape_report(directory, shape)["misuse"]
        equal({m["kind"] for m in found}, {kind}, shape)
        equal(sum(m["count"] for m in found), count, shape)
        for one in found:
            member("plant_" + shape, functions(one["stack"]), shape)
    for shape in ("pair", "released", "weak", "nothing", "reused_block"):
        equal(shape_report(directory, shape)["misuse"], [], "misuse in a healthy use: " + shape)


@case
def uncounted_link(directory):
    """links that nobody counted do not pass as a proven cycle"""
    for one in stranded(shape_report(directory, "uncounted_link")):
        assert one["evidence"]["unexplained"] != 0, one["evidence"]
        assert one["verdict"] != "stranded", "more links than counts, and yet proven"


@case
def all_instances(directory):
    """--members=all lists every structure with every address"""
    json = shape_report(directory, "two_alike", "--members=all")
    instances = only_structure(json)["instances"]
    equal(sorted(len(i["members"]) for i in instances), [2, 2], "members")
    equal(len({a for i in instances for a in i["members"]}), 4, "addresses")
    entrained = only_structure(shape_report(directory, "entrained", "--members=all"))["instances"]
    equal([(len(i["members"]), len(i["entrained"])) for i in entrained], [(2, 3)], "entrained")


@case
def fingerprints(directory):
    """fingerprints are equal over runs and over -O0 and -O2"""
    for shape in ("pair", "ring", "figure_eight", "entrained", "self_loop"):
        runs = [only_structure(shape_report(directory, shape, program=p))["fingerprint"]
                for p in ("shapes", "shapes", "shapes_O0")]
        equal(len(set(runs)), 1, "fingerprints of " + shape)
    all_of_them = {only_structure(shape_report(directory, s))["fingerprint"]
                   for s in ("pair", "ring", "figure_eight", "self_loop", "double_edge")}
    equal(len(all_of_them), 5, "different shapes, different fingerprints")


@case
def dlopened(directory):
    """objects of a library that was opened and closed again keep their names"""
    trace = record_one(directory, [tracee("plugin_host"), tracee("libplugin.so")])
    found = only_structure(report(trace))
    equal(member_types(found), ["PluginLeft", "PluginRight"], "members")
    for one in found["members"]:
        member("plugin_plant", functions(one["allocated_at"]))
    member("plugin_plant", functions(found["stranded_at"]["stack"]))


@case
def four_threads(directory):
    """pairs from four threads are one finding; links across threads count"""
    json = report(record_one(directory, [tracee("threads_plant")]), "--members=all")
    found = {tuple(member_types(s)): s for s in stranded(json)}
    equal(set(found), {("Left", "Right"), ("GivenLeft", "GivenRight")}, "kinds")
    equal(found["Left", "Right"]["count"], 4, "structures alike")
    given = found["GivenLeft", "GivenRight"]
    equal(given["count"], 1, "given")
    maker, linker = given["members"][0]["thread"], given["stranded_at"]["thread"]
    assert maker != linker, "created and dropped by different threads, reported as thread %s" % maker
    names = functions(given["stranded_at"]["stack"])
    equal(names[names.index("shape_drop"):][:2], ["shape_drop", "linker_main"], "stranded at")


@case
def schema(directory):
    """reports of all kinds are valid against the schema"""
    paths = []
    for shape, *options in (["pair"], ["held", "--latent"], ["two_alike", "--members=all"], ["over_unref"], ["nothing"],
                            ["figure_eight", "--leaks"], ["declared_twice"]):
        paths.append(os.path.join(directory, "%d.json" % len(paths)))
        trace = record_one(directory, [tracee("shapes"), shape])
        equal(castaway("analyze", trace, "--format=json", "-o", paths[-1], *options).status, 0, shape)
    result = run([sys.executable, os.path.join(SOURCE, "tests", "e2e", "check_schema.py"),
                  os.path.join(SOURCE, "include", "castaway", "report.schema.json"), *paths])
    if result.status == 77:
        raise Skip("python3-jsonschema is not installed")
    equal((result.status, result.err), (0, b""), result.out.decode())


@case
def no_damage(directory):
    """a plain run has no limit that says something was missed"""
    json = shape_report(directory, "pair")
    bad = {"dropped-events", "write-error", "no-stacks", "stack-depth", "memory", "damaged-chunk", "truncated",
           "incomplete", "missing-chunks", "no-helper", "unknown-free", "unaligned"}
    equal(limit_codes(json) & bad, set(), "limits")


main()
