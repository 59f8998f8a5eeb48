# SPDX-License-Identifier: Apache-2.0
"""Structures that are nested too deep for any recursion, let go of at once."""


class List(list):
    pass


class Node:
    pass


def nested(depth, wrap):
    value = None
    for _ in range(depth):
        value = wrap(value)
    return value


def node(value):
    made = Node()
    made.below = [value]
    return made


nested(1000000, lambda value: [value])
nested(1000000, lambda value: (value,))
nested(300000, lambda value: {"below": value})
nested(300000, lambda value: List([value]))
nested(300000, node)
print("all gone")
