# SPDX-License-Identifier: Apache-2.0
"""opaque.py MODULE-DIRECTORY WHAT: groups that are held by instances of types
which do not tell the collector, or groups that only look so."""
import gc
import sys
import weakref

sys.path.insert(0, sys.argv[1])
import opaque  # noqa: E402


class Node:
    pass


class Sub(opaque.Box):
    pass


def in_dict(kind):
    holder = kind()
    holder.hold({"back": holder})


def in_list(kind):
    holder = kind()
    holder.hold([holder])


def in_tuple(kind):
    holder = kind()
    holder.hold(((holder,), 1))


def in_instance(kind):
    node, holder = Node(), kind()
    node.holder = holder
    holder.hold(node)


def itself(kind):
    holder = kind()
    holder.hold(holder)


def two_kinds(kind):
    first, second = kind(), opaque.Crate()
    first.hold(second)
    second.hold(first)


def subclass(kind):
    sub = Sub()
    sub.hold({"back": sub})


def by_closure(kind):
    holder = kind()

    def callback():
        return holder

    holder.hold(callback)


def with_payload(kind):
    node, holder = Node(), kind()
    node.holder = holder
    node.payload = [Node() for _ in range(50)]
    holder.hold(node)


def masked(kind):
    """Weakly referred to, and one that C code has a pointer to."""
    node, holder = Node(), kind()
    node.holder = holder
    holder.hold(node)
    sys.weak = weakref.ref(node)
    opaque.know(holder)


def known(kind):
    """C code has a pointer to what one of two holds: that it owns it there says the other."""
    for _ in range(2):
        node, holder = Node(), kind()
        node.holder = holder
        holder.hold(node)
    opaque.know(node)


# ---- healthy ones

def chains(kind):
    """Held by the program."""
    sys.kept = [kind(kind([kind(Node())])) for _ in range(20)]


def live_cycle(kind):
    holder = kind()
    holder.hold({"back": holder})
    sys.kept = holder


def live_by_c(kind):
    """A cycle that C code holds."""
    holder = kind()
    holder.hold([holder])
    opaque.keep(holder)


def borrowed(kind):
    """Children know their owner without holding it; C code holds the owner."""
    owner = Node()
    owner.children = [kind() for _ in range(5)]
    for child in owner.children:
        child.set_owner(owner)
    opaque.keep(owner)


def with_owner(kind):
    owner = Node()
    owner.child = kind()
    owner.child.set_owner(owner)
    return owner


def borrowed_once(kind):
    """One child, and C code holds the owner: all counts could be those of a cycle."""
    opaque.keep(with_owner(kind))


def borrowed_from_block(kind):
    """The same, held by memory that only C code knows."""
    opaque.keep_in_block(with_owner(kind))


def borrowed_by_all(kind):
    sys.kept = []
    for _ in range(20):
        sys.kept.append(with_owner(kind))


gc.disable()
globals()[sys.argv[2]](getattr(opaque, sys.argv[3]))
