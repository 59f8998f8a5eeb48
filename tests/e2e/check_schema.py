#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Validates JSON reports against the schema, with python3-jsonschema.

check_schema.py SCHEMA REPORT...    exit 0: all valid; 1: not; 77: no validator
"""
import json
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)


def strict_pairs(pairs):
    """A key that is there twice is an error, which json.load alone does not see."""
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError("a key is repeated in %r" % keys)
    return dict(pairs)


def problems(schema, path):
    with open(path, "rb") as file:
        text = file.read().decode("utf-8", "strict")
    report = json.loads(text, object_pairs_hook=strict_pairs)
    validator = jsonschema.validators.validator_for(schema)(schema)
    for error in sorted(validator.iter_errors(report), key=lambda e: list(map(str, e.absolute_path))):
        yield "%s: /%s: %s" % (path, "/".join(map(str, error.absolute_path)), error.message[:400])


def main(arguments):
    if len(arguments) < 2:
        print(__doc__)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.validators.validator_for(schema).check_schema(schema)
    found = [p for path in arguments[1:] for p in problems(schema, path)]
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
