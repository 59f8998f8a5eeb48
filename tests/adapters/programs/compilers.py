# SPDX-License-Identifier: Apache-2.0
"""Syntax trees with parent links, modules that are compiled and thrown away,
signatures, regular expressions, copies and pickles of cyclic data."""
import ast
import copy
import inspect
import json
import pickle
import re
import types

SOURCE = """
import functools
registry = {}
def register(function):
    registry[function.__name__] = function
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper
@register
def double(x, *, by: int = 2) -> int:
    return x * by
class Table:
    rows = property(lambda self: self._rows)
    def __init__(self):
        self._rows = [self]
table = Table()
"""


def trees(count):
    nodes = 0
    for _ in range(count):
        tree = ast.parse(SOURCE)
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                child.parent = node
                nodes += 1
    return nodes


def modules(count):
    total = 0
    for number in range(count):
        module = types.ModuleType("made%d" % number)
        exec(compile(SOURCE, module.__name__, "exec"), module.__dict__)
        module.signature = inspect.signature(module.registry["double"])
        total += module.double(number) + len(module.signature.parameters)
    return total


class Scanner:
    def __init__(self):
        self.scanner = re.Scanner([(r"\d+", self.number), (r"\w+", self.word), (r"\s+", None)])

    def number(self, scanner, text):
        return int(text)

    def word(self, scanner, text):
        return text


def copies(count):
    total = 0
    for number in range(count):
        data = {"number": number, "list": [1, 2, 3]}
        data["self"] = data
        data["list"].append(data)
        again = pickle.loads(pickle.dumps(copy.deepcopy(data)))
        total += again["self"]["list"][3]["number"]
    return total


def decoders(count):
    total = 0
    for number in range(count):
        seen = []
        decoder = json.JSONDecoder(object_hook=lambda item, seen=seen: seen.append((item, seen)) or item)
        seen.append(decoder)
        total += len(decoder.decode(json.dumps({"a": {"b": [number]}})))
    return total


print(trees(10), modules(10), sum(len(Scanner().scanner.scan("a 1 b 2")[0]) for _ in range(10)),
      copies(20), decoders(20))
