# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of a module and writes their outcomes down: a JSON object of
test names and how they ended.

    unittests.py MODULE OUTCOMES
"""
import json
import sys
import unittest

try:
    # No network, no large files, nothing that takes minutes.
    from test import support
    support.use_resources = []
except ImportError:
    pass


class Outcomes(unittest.TestResult):
    """Names and ends only: the tests themselves may go."""

    def __init__(self):
        super().__init__()
        self.ends = {}

    def put(self, test, end):
        name = test.id() if hasattr(test, "id") else str(test)
        # The worst of a test's subtests.
        if end != "passed" or name not in self.ends:
            self.ends[name] = end

    def addSuccess(self, test):
        self.put(test, "passed")

    def addFailure(self, test, err):
        self.put(test, "failed")

    def addError(self, test, err):
        self.put(test, "error")

    def addSkip(self, test, reason):
        self.put(test, "skipped")

    def addExpectedFailure(self, test, err):
        self.put(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.put(test, "unexpected success")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.put(test, "failed")


def main():
    module, path = sys.argv[1:3]
    sys.argv = sys.argv[:1]
    outcomes = Outcomes()
    unittest.defaultTestLoader.loadTestsFromName(module).run(outcomes)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(outcomes.ends, file)


if __name__ == "__main__":
    main()
