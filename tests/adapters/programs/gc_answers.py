# SPDX-License-Identifier: Apache-2.0
"""Asks Python's gc module about itself, writes the answers down, one JSON
document per line, and ends at once.

    gc_answers.py ANSWERS [freeze]

The answers leave no object behind, so that what is read at the end is what was
asked.  What collections would find, fork children find out.
"""
import gc
import io
import json
import os
import sys

DEBUG = gc.DEBUG_COLLECTABLE | gc.DEBUG_UNCOLLECTABLE


class Node:
    pass


class Slotted:
    __slots__ = ("other", "text")


def pair(text):
    first, second = Node(), Slotted()
    first.other, first.items = second, [second, second, text]
    second.other, second.text = first, text
    return first


def closure():
    def inner():
        return inner
    return inner


def family(count):
    """Cycles, and a closure, of one generation."""
    return [pair("%d apart" % i) for i in range(count)] + [closure()]


def answer(file, question, value):
    os.write(file, json.dumps([question, value]).encode() + b"\n")


def collect(file, generation, text):
    child = os.fork()
    if child == 0:
        sys.stderr = text
        gc.set_debug(DEBUG)
        gc.collect(generation)
        gc.set_debug(0)
        answer(file, "collect %d" % generation, text.getvalue())
        os._exit(0)
    os.waitpid(child, 0)


gc.disable()
answers = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
listing = io.StringIO()
if sys.argv[2:] == ["freeze"]:
    frozen = family(3)
    gc.freeze()
    del frozen
oldest = family(4)
gc.collect(1)
middle = family(5)
gc.collect(0)
youngest = family(6)
asked = {
    "node": pair("asked".join(["for", "here"])),
    "list": [oldest, middle, oldest, 7],
    "class": Node,
    "function": closure(),
    "dict": {"one": youngest, "two": youngest},
    "tuple": (oldest, [], youngest),
    "module": sys.modules["__main__"],
}
text = asked["node"].other.text
del oldest, middle, youngest
# What the middle ones hold lives, what nothing holds is for the collector.
asked["list"][1] = None
for generation in (0, 1, 2):
    collect(answers, generation, listing)

answer(answers, "stats", gc.get_stats())
answer(answers, "frozen", gc.get_freeze_count())
answer(answers, "leaf", [hex(id(text)), [hex(id(o)) for o in gc.get_referrers(text)]])
for name in asked:
    answer(answers, "object " + name, [
        hex(id(asked[name])),
        sys.getrefcount(asked[name]) - 1,
        [hex(id(o)) for o in gc.get_referrers(asked[name])],
        [hex(id(o)) for o in gc.get_referents(asked[name])],
    ])
# No loop and no comprehension: their iterator would be one of the objects.
answer(answers, "objects 0", list(map(hex, map(id, gc.get_objects(0)))))
answer(answers, "objects 1", list(map(hex, map(id, gc.get_objects(1)))))
answer(answers, "objects 2", list(map(hex, map(id, gc.get_objects(2)))))
answer(answers, "objects", list(map(hex, map(id, gc.get_objects()))))
# Twice, so that the second one has its memory from what the first one left.
os.write(answers, b"%d %d %d\n" % gc.get_count())
os.write(answers, b"%d %d %d\n" % gc.get_count())
os._exit(0)
