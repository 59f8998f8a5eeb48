# SPDX-License-Identifier: Apache-2.0
#
# GObject without a change to it or to the program: cycles through private data,
# closures, data lists, lists, stores, and toggle references are found, and
# nothing else is.
import json
import os
import shutil

from support import (Running, Skip, case, castaway, equal, functions,
                     limit_codes, main, member_types,
                     only_structure, record, report, run, stranded)

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(os.environ.get("CASTAWAY_ADAPTERS", HERE), "gobject")
RUNS = int(os.environ.get("CASTAWAY_RUNS", 2))
HANDLER = ["GClosure", "signal handler"]


def judge(directory, command, status=0, env=None):
    result = record(directory, command, ("--scan=yes",), env=env)
    equal(result.status, status, "status of %s\n%s" % (command, result))
    equal(len(result.traces), 1, "traces")
    return report(result.traces[0], "--leaks")


def act(directory, kind, what, env=None):
    if not os.path.exists(PROGRAM):
        raise Skip("built without GLib's headers")
    return judge(directory, [PROGRAM, kind, what], env=env)


def runtime(judged):
    return [r for r in judged["runtimes"] if r["name"] == "gobject"]


def planted(kind, title, *types):
    """A kind of the program: `types` are those of the members that GObject counts, and all have one reference."""
    def test(directory):
        for what in RUNS * (("strand", "mask") if kind != "masked" else ("strand",)):
            found = only_structure(act(directory, kind, what))
            counted = [m for m in found["members"] if m["runtime"] == "gobject"]
            equal(sorted(m["type"] for m in counted), sorted(types), "members")
            equal([m for m in found["members"] if m["runtime"] not in ("gobject", "none")], [], "other members")
        for what in ("break", "keep"):
            equal(stranded(act(directory, kind, what)), [], what)

    test.__name__ = kind
    test.__doc__ = title
    case(test)


planted("pair", "Two objects refer to each other from their private data", "Node", "Node")
planted("closure", "A handler's data is the object that it is connected to", "Node", *HANDLER)
planted("context", "A handler's data is a structure that holds the object", "Node", *HANDLER)
planted("qdata", "A hash table among the object's data holds the object", "Node")
planted("children", "A parent's list of children, which hold the parent", "Node", "Node", "Node", "Node")
planted("store", "A GListStore's item holds the store", "GListStore", "Node")
planted("binding", "A pair with a GBinding, which is no part of the cycle", "Node", "Node")
planted("toggle", "A toggle reference from the object's own wrapper", "Node", "Node")
planted("masked", "Handlers without a notifier, weak pointers and a GWeakRef that lead to a cycle hold nothing",
        "Node", *HANDLER)


@case
def without_events(directory):
    """with events=live the same is found, but not where its references were taken"""
    for kind in ("pair", "store", "closure"):
        told = only_structure(act(directory, kind, "strand"))
        found = only_structure(act(directory, kind, "strand", env={"CASTAWAY_OPTIONS": "events=live"}))
        for key in ("fingerprint", "verdict", "count", "objects", "bytes"):
            equal(found[key], told[key], "%s of %s" % (key, kind))
        equal(any(e["acquired_at"] for e in told["edges"]), True, "places in " + kind)
        equal(any(e["acquired_at"] for e in found["edges"]), False, "places in %s with events=live" % kind)


@case
def counts(directory):
    """counts are those of the memory, and all of them are explained"""
    found = only_structure(act(directory, "context", "strand"))
    equal([m["refcount"] for m in found["members"] if m["runtime"] == "gobject"], [1, 1, 1], "counts")
    evidence = found["evidence"]
    equal((evidence["refcounts"], evidence["explained_inside"], evidence["unexplained"], evidence["edges"]),
          (3, 3, 0, "scanned"), "evidence")


def taken(structure, of_type):
    """The functions in which the references to members of a type were taken that the cycle's edges hold."""
    types = {m["address"]: m["type"] for m in structure["members"]}
    return sorted(next((f for f in functions(e["acquired_at"]) if f in PROGRAM_FUNCTIONS), None)
                  for e in structure["edges"] if e["in_cycle"] and types[e["to"]] == of_type)


PROGRAM_FUNCTIONS = {"point", "closure", "context", "qdata", "children", "store", "toggle", "new_node", "forgotten"}


@case
def provenance(directory):
    """each edge of the cycle says where its reference was taken, and the structure what stranded it"""
    # By the source: what holds a node took it by point(), in the kind's own function, or was given its birth.
    for kind, of_type, where in (("pair", "Node", ["point", "point"]), ("closure", "Node", ["closure"]),
                                 ("context", "Node", ["context"]), ("qdata", "Node", ["qdata"]),
                                 ("store", "GListStore", ["point"]), ("store", "Node", ["store"]),
                                 ("children", "Node", ["new_node"] * 3 + ["point"] * 3),
                                 ("toggle", "Node", ["point", "toggle"])):
        found = only_structure(act(directory, kind, "strand"))
        equal(taken(found, of_type), where, kind)
        references = found["evidence"]["references"]
        equal((references["explained"], references["calls_not_seen"]), (references["counted"], 0), kind)
        at = found["stranded_at"]
        equal((at["operation"], "act" in functions(at["stack"]) or "main" in functions(at["stack"])),
              ("unref", True), kind)


@case
def tree_of_references(directory):
    """castaway refs: what was taken and given back, against the count in memory"""
    result = record(directory, [PROGRAM, "children", "strand"], ("--scan=yes",))
    found = only_structure(report(result.traces[0]))
    [parent] = [m for m in found["members"] if m["refcount"] == 3]
    answer = castaway("refs", result.traces[0], parent["address"], "--format=json")
    equal((answer.status, answer.err), (0, b""), str(answer))
    answer = json.loads(answer.out)
    # Born, taken by three children, given back by act().
    equal((answer["refs"], answer["unrefs"], answer["counts"], answer["unseen"]), (4, 1, 3, 0))
    points = [n for n in answer["tree"] if "point" in [f["function"] for f in n["frames"]]]
    equal((sum(n["refs"] for n in points), sum(n["unrefs"] for n in points)), (3, 0))


@case
def not_recorded(directory):
    """gobject-refs=no: no events, and what they would have explained is not said to be explained"""
    result = record(directory, [PROGRAM, "pair", "strand"], ("--scan=yes", "--gobject-refs=no"))
    dump = castaway("dump", result.traces[0])
    equal(b"RUNTIME_" in dump.out, False)
    found = only_structure(report(result.traces[0]))
    equal(found["stranded_at"], None)


@case
def functions_of_these_names(directory):
    """a program without GLib that has its own functions of these names works as before"""
    plugin = os.path.join(os.path.dirname(PROGRAM), "libown_counts.so")
    for command in (["own_counts_self"], ["own_counts_plugin", plugin]):
        command[0] = os.path.join(os.path.dirname(PROGRAM), command[0])
        equal(run(command).out, b"1\n", "bare")
        result = record(directory, command)
        equal((result.status, result.out, result.err), (0, b"1\n", b""), str(result))
        misuse = [(m["kind"], m["count"]) for m in report(result.traces[0])["misuse"]]
        # The program's own come first where it has them: castaway sees no call.
        equal(misuse, [("unref-unknown", 1)] if len(command) > 1 else [], command[0])


@case
def forgotten(directory):
    """an object with a reference that nobody has is no cycle: over-referenced"""
    judged = act(directory, "forgotten", "strand")
    equal(stranded(judged), [], "stranded")
    equal([(s["verdict"], s["type"], s["refcount"], s["count"]) for s in judged["leaks"]],
          [("over-referenced", "Node", 1, 1)], "leaks")
    equal([("forgotten" in functions(s["unmatched_at"]), "new_node" in functions(s["unmatched_at"]))
           for s in judged["leaks"]], [(True, False)], "the reference that nobody gave back")
    for what in ("break", "keep"):
        equal([s["verdict"] for s in act(directory, "forgotten", what)["leaks"]], [], what)


@case
def described(directory):
    """the report says which GLib it was, and that rules apply"""
    [row] = runtime(act(directory, "pair", "keep"))
    equal(row["status"], "rules")
    equal([part.isdigit() for part in row["version"].split(".")], [True] * 3, row["version"])
    # Two nodes, the living one, and its handler with the closure.
    equal(row["objects"], 5, "objects")


@case
def requested(directory):
    """a snapshot that somebody else asks for knows the types, too: the main loop went to sleep before"""
    if not os.path.exists(PROGRAM):
        raise Skip("built without GLib's headers")
    with Running(directory, [PROGRAM, "pair", "serve"], ["--scan=yes"]) as running:
        equal(running.snapshot().status, 0, "castaway snapshot")
        trace, _ = running.finish(b"")
    for index in ("0", "1"):
        found = only_structure(report(trace, "--snapshot=" + index))
        equal(member_types(found), ["Node", "Node"], "members in snapshot " + index)


@case
def looked_at_by_two(directory):
    """a thread that first goes to sleep while the program ends does not keep GObject from being seen"""
    if not os.path.exists(PROGRAM):
        raise Skip("built without GLib's headers")
    for _ in range(6):
        (row,) = runtime(judge(directory, [PROGRAM + "_worker"]))
        equal(row["objects"], 1, "objects")


@case
def bindings(directory):
    """a binding whose ends live is not leaked, though nothing refers to it"""
    for what in ("keep", "break"):
        equal([s["type"] for s in act(directory, "binding", what)["leaks"]], [], what)


@case
def slices(directory):
    """a program that asks for GLib's own slabs gets them, and the report says what that hides"""
    judged = act(directory, "pair", "keep", env={"G_SLICE": "debug-blocks"})
    [row] = runtime(judged)
    old = tuple(int(n) for n in row["version"].split(".")[:2]) < (2, 76)
    equal("adapter-off" in limit_codes(judged), old, "limit")


@case
def javascript(directory):
    """gjs: stores that its garbage collector has let go of, and that hold themselves; their order in memory is random"""
    if not shutil.which("gjs"):
        raise Skip("no gjs")
    script = os.path.join(HERE, "programs", "stores.js")
    seen = set()
    for _ in range(RUNS):
        judged = judge(directory, ["gjs", script])
        found = stranded(judged)
        equal(sorted([m["type"] for m in s["members"] if m["runtime"] == "gobject"] for s in found),
              [["GListStore"], ["GListStore", "GListStore"]], "members")
        seen.add(tuple(sorted(s["fingerprint"] for s in found)))
    equal(len(seen), 1, "fingerprints")


@case
def tools(directory):
    """unmodified programs of GLib: nothing is stranded"""
    text = os.path.join(directory, "text")
    with open(text, "w") as file:
        file.write("some text\n")
    commands = (("gio", "info", text), ("gio", "copy", text, text + ".copy"), ("gio", "tree", "/etc/apt"),
                ("gio", "mime", "text/plain"), ("gsettings", "list-recursively"), ("gapplication", "list-apps"))
    missing = [c[0] for c in commands if not shutil.which(c[0])]
    if missing:
        raise Skip("no " + missing[0])
    for command in commands:
        # Where no schemas are installed, gsettings fails: with castaway as without.
        bare = run(list(command)).status
        judged = judge(directory, list(command), status=bare)
        equal(stranded(judged), [], " ".join(command))
        assert runtime(judged), "%s: GObject was not seen" % (command,)


if __name__ == "__main__":
    main()
