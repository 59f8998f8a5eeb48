# SPDX-License-Identifier: Apache-2.0
#
# Random histories of objects against an oracle that is written here from the
# definition: an object is alive when its count exceeds the links to it, or when
# an alive object links to it; the rest is dead; the findings are the source
# components of what is dead.
import random
import re

from support import equal, record, report, stranded, tracee


class History:
    """Plays operations on a model while it writes them down."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines, self.count, self.links = [], {}, {}

    def new(self, type_name):
        number = len(self.count)
        self.lines.append("n %d %s" % (number, type_name))
        self.count[number], self.links[number] = 1, []
        return number

    def hold(self, owner, target, field):
        self.lines += ["+ %d" % target, "l %d %d %s" % (owner, target, field)]
        self.count[target] += 1
        self.links[owner].append((target, field))

    def let_go(self, owner):
        target, field = self.random.choice(self.links[owner])
        if self.count[target] == 1:
            return  # the last reference: a correct program would end it
        self.links[owner].remove((target, field))
        self.lines += ["u %d %d %s" % (owner, target, field), "- %d" % target]
        self.count[target] -= 1

    def drop(self, number):
        self.lines.append("- %d" % number)
        self.count[number] -= 1

    def target_near(self, owner, objects, span):
        return min(max(owner + self.random.randint(-span, span), 0), objects - 1)

    def play(self, objects, edges, kept, span):
        for i in range(objects):
            self.new("T%d" % self.random.randrange(4))
        for _ in range(edges):
            owner = self.random.randrange(objects)
            target = self.target_near(owner, objects, span or objects)
            self.hold(owner, target, self.random.choice("abc"))
            if self.random.random() < 0.1:
                self.lines.append("w %d %d weak" % (target, owner))
            if self.random.random() < 0.2 and self.links[owner]:
                self.let_go(owner)
        linked = {t for links in self.links.values() for t, _ in links}
        for i in range(objects):
            if i in linked and self.random.random() >= kept:
                self.drop(i)


def dead_objects(history):
    incoming = {i: 0 for i in history.count}
    for links in history.links.values():
        for target, _ in links:
            incoming[target] += 1
    pending = [i for i, n in history.count.items() if n > incoming[i]]
    alive = set(pending)
    while pending:
        for target, _ in history.links[pending.pop()]:
            if target not in alive:
                alive.add(target)
                pending.append(target)
    return set(history.count) - alive


def reachable(history, start, inside):
    seen, pending = set(), [start]
    while pending:
        for target, _ in history.links[pending.pop()]:
            if target in inside and target not in seen:
                seen.add(target)
                pending.append(target)
    return seen


def source_components(history, dead):
    """Quadratic on purpose: mutual reachability, word for word."""
    reach = {i: reachable(history, i, dead) for i in dead}
    components = {frozenset(j for j in reach[i] if i in reach[j]) for i in dead if i in reach[i]}
    return {c for c in components
            if not any(i in reach[j] for j in dead - c for i in c)}


def compare(directory, seed, objects, edges, kept, span=0):
    history = History(seed)
    history.play(objects, edges, kept, span)
    result = record(directory, [tracee("script")], stdin=("\n".join(history.lines) + "\n").encode())
    equal(result.status, 0, "script\n%s" % result)
    address = {int(i): int(a, 16) for i, a in re.findall(rb"(\d+) (0x[0-9a-f]+)", result.out)}
    equal(len(address), objects, "objects created")
    json = report(result.traces[0], "--members=all")
    found = {frozenset(int(a, 16) for a in instance["members"])
             for s in stranded(json) for instance in s["instances"]}
    expected = {frozenset(address[i] for i in c)
                for c in source_components(history, dead_objects(history))}
    equal(found, expected, "components, seed %d" % seed)
    equal(json["summary"]["stranded_objects"], len(dead_objects(history)), "dead objects, seed %d" % seed)
    return len(expected)


def random_graphs(directory, objects, edges, kept, seeds, span=0):
    """span: how far apart the ends of a reference may be numbered; 0 = any two."""
    findings = sum(compare(directory, seed, objects, edges, kept, span) for seed in seeds)
    assert findings > 0, "these graphs have no finding: they test nothing"
