# SPDX-License-Identifier: Apache-2.0
#
# castaway gc on annotated objects: the trace gives the answers that the program
# got from castaway.h while it ran.
import json

from support import USAGE, case, castaway, equal, main, member, record_one, tracee


class Asked:
    """A trace, and what the program printed: a dictionary of words by the line's beginning."""

    def __init__(self, directory):
        self.trace = directory + "/trace.castaway"
        result = castaway("record", "--quiet", "-o", self.trace, "--", tracee("gc_command"))
        equal((result.status, result.err), (0, b""), str(result))
        self.lines = [line.split() for line in result.out.decode().splitlines()]

    def said(self, *words):
        found = [line[len(words):] for line in self.lines if line[:len(words)] == list(words)]
        equal(len(found), 1, "lines with %s" % (words,))
        return found[0]

    def gc(self, *arguments):
        result = castaway("gc", self.trace, *arguments)
        equal((result.status, result.err), (0, b""), str(result))
        return [line.split() for line in result.out.decode().splitlines()]

    def addresses(self, *arguments):
        lines = self.gc(*arguments)
        equal(int(lines[-1][0]), len(lines) - 1)
        return [line[0] for line in lines[:-1]]


@case
def collect(directory):
    """collect: both pairs, or of generation 0 the young one; frozen ones never"""
    asked = Asked(directory)
    # `first` has one counted reference, `second` two.
    equal([line[1:] for line in asked.gc("collect", "--generation=0")],
          [["0", "1", "Young"], ["0", "2", "Young"], ["objects"]])
    equal(sorted(line[1:] for line in asked.gc("collect")[:-1]),
          [["0", "1", "Young"], ["0", "2", "Young"], ["1", "1", "Old"], ["1", "2", "Old"]])
    equal(asked.addresses("collect", "--runtime=cpython"), [])


@case
def objects(directory):
    """objects: as castaway_gc_get_objects() of each generation"""
    asked = Asked(directory)
    equal(sorted(asked.addresses("objects")), sorted(asked.said("objects", "-1")))
    for generation in "012":
        equal(sorted(asked.addresses("objects", "--generation=" + generation)),
              sorted(asked.said("objects", generation)), "generation " + generation)


@case
def references(directory):
    """refcount, referrers and referents: as the program was told"""
    asked = Asked(directory)
    for name in ("old", "young", "owner"):
        address, = asked.said("address", name)
        equal(asked.gc("refcount", address), [asked.said("refcount", name)])
        equal(sorted(asked.addresses("referrers", address)), sorted(asked.said("referrers", name)))
        equal(sorted(asked.addresses("referents", address)), sorted(asked.said("referents", name)))
    address, = asked.said("address", "young")
    equal(sorted(line[-1] for line in asked.gc("referents", address)[:-1]), ["next", "other"])
    equal([line[1:] for line in asked.gc("referrers", address)], [["0", "2", "Young", "next"], ["object"]])


@case
def numbers(directory):
    """count and stats: counters, thresholds, passes and what they promoted"""
    asked = Asked(directory)
    equal(asked.gc("count"), [["native"] + asked.said("count")])
    # Of births 12 to 16 the first started a pass and the last has ended.
    equal(asked.said("count"), ["3", "2", "0"])
    result = castaway("gc", asked.trace, "stats", "--format=json")
    runtime, = json.loads(result.out)["runtimes"]
    equal((runtime["name"], runtime["enabled"], runtime["frozen"]), ("native", True, 2))
    equal(asked.said("frozen"), ["2"])
    equal([g["threshold"] for g in runtime["generations"]], [5, 1, 1])
    for number, generation in enumerate(runtime["generations"]):
        equal([str(generation[key]) for key in ("objects", "collections", "examined", "promoted")],
              asked.said("stats", str(number)))
    equal(len(asked.gc("stats")), 3)


@case
def no_object(directory):
    """An address inside of an object is none: exit 2 and one line"""
    asked = Asked(directory)
    inside = hex(int(asked.said("address", "owner")[0], 16) + 8)
    for question in ("referrers", "referents", "refcount"):
        result = castaway("gc", asked.trace, question, inside)
        equal((result.status, result.out), (USAGE, b""), str(result))
        member(b"no object at " + inside.encode(), result.err)
        equal(result.err.count(b"\n"), 1)


@case
def no_objects(directory):
    """A trace without any object answers with nothing"""
    trace = record_one(directory, ["/bin/true"])
    for question, answer in (("collect", b"0 objects\n"), ("objects", b"0 objects\n"), ("count", b""), ("stats", b"")):
        result = castaway("gc", trace, question)
        equal((result.status, result.out, result.err), (0, answer, b""), question)


main()
