# SPDX-License-Identifier: Apache-2.0
"""One stranded structure of each kind of owner, of known shape and place."""
import gc

gc.disable()


class Node:
    def __init__(self):
        self.partner = None


class Slotted:
    __slots__ = ("other", "café")


def attributes():
    left = Node()  # born in attributes()
    right = Node()
    left.partner, right.partner = right, left


def slots():
    slotted = Slotted()  # born in slots()
    slotted.other = slotted


def closure():
    def recurse():
        return recurse


def exception():
    try:
        raise ValueError("private text")
    except ValueError as error:
        kept = error


def keys():
    table = {}  # born in keys()
    table["visible"] = table
    table["two words"] = table
    table[7] = table


def items():
    ring = [None, None, None]
    ring[2] = ring


def generator():
    def count(holder):
        yield holder

    holder = []
    suspended = count(holder)
    next(suspended)
    holder.append(suspended)


def unicode():
    class Größe:
        pass

    size = Größe()
    size.itself = size
    kept.append(Größe)


kept = []
alive = Node()
alive.partner = alive
for make in (attributes, slots, closure, exception, keys, items, generator, unicode):
    make()
