# SPDX-License-Identifier: Apache-2.0
"""Data: JSON, pickles, copies, regular expressions, syntax trees, a frozen generation."""
import ast
import copy
import gc
import json
import pickle
import re


def tree(depth):
    return {f"k{i}": tree(depth - 1) if depth else [i, str(i), 1.5 * i, None] for i in range(4)}


source = tree(4)
total = 0
for _ in range(3):
    text = json.dumps(source)
    total += len(text) + (json.loads(text) == source) + (copy.deepcopy(source) == source)
    total += pickle.loads(pickle.dumps(source)) == source
gc.freeze()
for i in range(60):
    pattern = re.compile(f"(a{i}|b)+(?P<x>c?)")
    total += len(pattern.sub(lambda match: match[0].upper(), f"ab{i}ccc" * 5))
for i in range(20):
    module = ast.parse("def f(x):\n    return [x, x + 1]\n")
    module.parent = module
    ring = [source]
    ring.append(ring)
    names = {"ring": ring, "caf\u00e9": i, "\u20ac": ring, "two words": ring}
    names["names"] = names
print(total)
