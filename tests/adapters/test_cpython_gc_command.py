# SPDX-License-Identifier: Apache-2.0
#
# castaway gc against Python's own gc module: the program asks itself and ends
# (programs/gc_answers.py); the trace must give the same answers.
import json
import os
import re

from support import USAGE, case, castaway, equal, main, member, record_one

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
PROGRAM = os.path.join(HERE, "programs", "gc_answers.py")
LISTED = re.compile(r"gc: (?:un)?collectable <.* (0x[0-9a-f]+)>")
NAMES = ["node", "list", "class", "function", "dict", "tuple", "module"]


def same(actual, expected, what):
    """The same addresses; else only what differs is worth reading."""
    only, missing = sorted(set(actual) - set(expected)), sorted(set(expected) - set(actual))
    assert not only and not missing, "%s: %d only here %s, %d missing %s" % (
        what, len(only), only[:8], len(missing), missing[:8])
    equal(len(actual), len(expected), what)


class Asked:
    """A trace, and what the program said of itself."""

    def __init__(self, directory, *arguments):
        path = os.path.join(directory, "answers")
        self.trace = record_one(directory, [PYTHON, "-I", "-S", PROGRAM, path, *arguments],
                                ["--follow=no"])
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.count = [int(word) for word in lines[-1].split()]
        self.answers = dict(json.loads(line) for line in lines[:-2])

    def gc(self, *arguments):
        """The JSON answer, after a comparison with the text."""
        result = castaway("gc", self.trace, *arguments, "--format=json")
        equal(result.status, 0, str(result))
        answer = json.loads(result.out)
        equal((answer["schema"], answer["question"]), ("castaway-gc/1", arguments[0]))
        if "count" in answer:
            equal(answer["count"], len(answer["objects"]), "count")
            lines = self.text(*arguments)
            equal([line.split()[0] for line in lines[:-1]], [o["address"] for o in answer["objects"]])
            equal(int(lines[-1].split()[0]), answer["count"], lines[-1])
        return answer

    def text(self, *arguments):
        result = castaway("gc", self.trace, *arguments)
        equal((result.status, result.err), (0, b""), str(result))
        return result.out.decode().splitlines()

    def addresses(self, *arguments):
        return [o["address"] for o in self.gc(*arguments)["objects"]]

    def listed(self, generation):
        found = LISTED.findall(self.answers["collect %d" % generation])
        equal(len(found), self.answers["collect %d" % generation].count("\n"), "lines of the listing")
        return found


@case
def collect(directory):
    """collect: what a collection of each generation finds, object for object"""
    asked = Asked(directory)
    # Of the middle generation's families nothing is held: 5 pairs of node, slotted and list, and
    # function, tuple and cell; the list that held them is the program's own.
    for generation, least in ((0, 0), (1, 5 * 3 + 3), (2, 5 * 3 + 3)):
        expected = asked.listed(generation)
        assert len(expected) >= least, "only %d in generation %d" % (len(expected), generation)
        same(asked.addresses("collect", "--generation=%d" % generation), expected, "generation %d" % generation)
    same(asked.addresses("collect"), expected, "no generation")


@case
def frozen(directory):
    """collect: frozen objects are external, and no objects of any generation"""
    asked = Asked(directory, "freeze")
    assert asked.answers["frozen"] > 3 * 3, asked.answers["frozen"]
    same(asked.addresses("collect"), asked.listed(2), "unreachable")
    same(asked.addresses("objects"), asked.answers["objects"], "objects")
    equal(asked.gc("stats")["runtimes"][0]["frozen"], asked.answers["frozen"])


@case
def objects(directory):
    """objects: gc.get_objects(), of all generations and of each"""
    asked = Asked(directory)
    same(asked.addresses("objects"), asked.answers["objects"], "all")
    for generation in (0, 1, 2):
        same(asked.addresses("objects", "--generation=%d" % generation),
             asked.answers["objects %d" % generation], "generation %d" % generation)


@case
def numbers(directory):
    """count and stats: gc.get_count() and gc.get_stats()"""
    asked = Asked(directory)
    equal(asked.gc("count")["runtimes"], [{"name": "cpython", "count": asked.count}])
    equal(asked.text("count"), ["cpython %d %d %d" % tuple(asked.count)])
    runtime, = asked.gc("stats")["runtimes"]
    keys = ("collections", "collected", "uncollectable")
    equal([{key: g[key] for key in keys} for g in runtime["generations"]], asked.answers["stats"])
    equal([g["objects"] for g in runtime["generations"]],
          [len(asked.answers["objects %d" % g]) for g in (0, 1, 2)])
    equal((runtime["enabled"], runtime["frozen"]), (False, 0))
    equal([g["threshold"] for g in runtime["generations"]], [700, 10, 10])


@case
def references(directory):
    """refcount, referrers and referents: as sys.getrefcount() and the gc module say"""
    asked = Asked(directory)
    for name in NAMES:
        address, count, referrers, referents = asked.answers["object " + name]
        equal(asked.gc("refcount", address)["refcount"], count, "count of the " + name)
        equal(asked.text("refcount", str(int(address, 16))), [str(count)])
        same(asked.addresses("referrers", address), referrers, "referrers of the " + name)
        # In the order of the traversal, each as often as there are references.
        equal(asked.addresses("referents", address), referents, "referents of the " + name)


@case
def fields(directory):
    """referrers and referents name the fields"""
    asked = Asked(directory)
    node = asked.gc("referents", asked.answers["object node"][0])["objects"]
    equal(sorted(o["fields"][0] for o in node), ["__class__", "items", "other"])
    items, = [o["address"] for o in node if o["fields"] == ["items"]]
    slotted, = [o["address"] for o in node if o["fields"] == ["other"]]
    by = {o["address"]: sorted(o["fields"]) for o in asked.gc("referrers", slotted)["objects"]}
    equal(by, {items: ["[0]", "[1]"], asked.answers["object node"][0]: ["other"]})


@case
def leaf(directory):
    """An object that no collector tracks has referrers, and nothing else is known of it"""
    asked = Asked(directory)
    address, referrers = asked.answers["leaf"]
    same(asked.addresses("referrers", address), referrers, "referrers")
    assert len(referrers) >= 3, referrers  # the slot, the list, the program's globals
    for question in ("referents", "refcount"):
        result = castaway("gc", asked.trace, question, address)
        equal((result.status, result.out), (USAGE, b""), str(result))
        member(b"%s is no tracked object" % address.encode(), result.err)
        equal(result.err.count(b"\n"), 1)


@case
def unknown(directory):
    """An unknown object, a wrong address, question or snapshot: exit 2 and one line"""
    asked = Asked(directory)
    for arguments, message in (
            (("referrers", "0x10"), b"no object at 0x10 at this moment"),
            (("referents", "16"), b"no object at 0x10 at this moment"),
            (("refcount", "0x10"), b"no object at 0x10 at this moment"),
            (("refcount", "main"), b"'main' is no address"),
            (("refcount",), b"refcount takes the address of one object"),
            (("collect", "0x10"), b"collect takes nothing more"),
            (("freeze",), b"unknown question freeze"),
            (("collect", "--at=9"), b"the trace has no snapshot 9"),
            (("collect", "--generation=3"), b"--generation does not take '3'")):
        result = castaway("gc", asked.trace, *arguments)
        equal((result.status, result.out), (USAGE, b""), str(result))
        member(message, result.err)
        equal(result.err.count(b"\n"), 1, str(result))


@case
def other_runtime(directory):
    """--runtime: of another runtime there is nothing"""
    asked = Asked(directory)
    equal(asked.text("collect", "--runtime=native"), ["0 objects"])
    equal(asked.text("count", "--runtime=native"), [])
    equal(asked.addresses("collect", "--runtime=cpython"), asked.addresses("collect"))


main()
