# SPDX-License-Identifier: Apache-2.0
"""Extension modules of others: PyYAML's C parser, pyrsistent's vectors, attrs
and jsonschema on top of them."""
import attr
import jsonschema
import pyrsistent
import yaml

DOCUMENT = """
base: &base
  name: one
  list: [1, 2.5, null, yes]
child:
  <<: *base
  again: *base
loop: &loop
  - *loop
  - text
"""
SCHEMA = {
    "type": "object",
    "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "name": {"type": "string"}},
    "required": ["name"],
}


@attr.s(auto_attribs=True, eq=False)
class Node:
    name: str
    parent: "Node" = None
    children: list = attr.Factory(list)


def documents(count):
    total = 0
    for _ in range(count):
        loaded = yaml.load(DOCUMENT, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        total += len(loaded) + (loaded["loop"][0] is loaded["loop"])
    return total


def vectors(count):
    size = 0
    for number in range(count):
        held = []
        vector = pyrsistent.pvector(range(100)).append(held).set(3, number)
        held.append(pyrsistent.m(vector=vector, set=pyrsistent.s(1, 2)))
        size += len(vector)
    return size


def validators(count):
    errors = 0
    for number in range(count):
        validator = jsonschema.Draft7Validator(SCHEMA)
        validator.found = list(validator.iter_errors({"children": [{"name": number}, {}]}))
        validator.found.append(validator)
        errors += len(validator.found)
    return errors


def families(count):
    for _ in range(count):
        node = Node("root")
        node.children.append(Node("child", parent=node))
    return count


print(documents(20), vectors(20), validators(10), families(20))
