# SPDX-License-Identifier: Apache-2.0
"""Python's own test modules under castaway, each in a process of its own and
without collections: at the end the stranded set must be the one that the
collector finds, address for address, and every test must end as without
castaway.  Prints a table.

    stdlib.py [--RECORD-OPTION]... [MODULE]...
"""
import json
import os
import sys
import tempfile

from listing import listed, stranded_addresses
from support import castaway, record, report, run

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
ORACLE = os.path.join(HERE, "oracle.py")
PROGRAM = os.path.join(HERE, "programs", "unittests.py")
TIMEOUT = 600
OPTIONS = [argument for argument in sys.argv[1:] if argument.startswith("--")]

# What castaway is known to change.
KNOWN = {
    # Prints nothing of the small object allocator when a hook sits before it.
    "test.test_sys.SysModuleTest.test_debugmallocstats",
}

MODULES = """
    test_abc test_argparse test_array test_ast test_asyncgen test_asyncio.test_tasks test_asyncio.test_futures
    test_bisect test_builtin test_bytes test_class test_codecs test_collections test_configparser
    test_context test_contextlib test_copy test_coroutines test_csv test_dataclasses test_datetime
    test_defaultdict test_deque test_descr test_dict test_difflib test_email test_enum test_exceptions
    test_fractions test_functools test_gc test_generators test_heapq test_html test_htmlparser
    test_http_cookies test_importlib test_inspect test_itertools test_json test_list test_logging
    test_minidom test_optparse test_ordered_dict test_patma test_pickle test_plistlib test_pprint test_queue
    test_re test_sax test_set test_sqlite3 test_string test_struct test_super test_sys test_tempfile
    test_textwrap test_tokenize test_traceback test_tuple test_types test_typing test_unicode
    test_urlparse test_userdict test_weakref test_weakset test_xmlrpc test_zipfile
""".split()


class Row:
    """One module: what was compared, and what differs."""

    def __init__(self, module):
        self.module = module
        self.objects = self.edges = self.unreachable = self.false = self.missed = 0
        self.bare = self.traced = {}
        self.problems = []

    def outcome(self, ends):
        return "%d/%d" % (sum(end == "passed" for end in ends.values()), len(ends))

    def __str__(self):
        text = "%-26s %8d %9d %8d %6d %6d %11s %11s" % (
            self.module, self.objects, self.edges, self.unreachable, self.false, self.missed,
            self.outcome(self.bare), self.outcome(self.traced))
        return "\n".join([text] + ["    " + problem for problem in self.problems])


HEADING = "%-26s %8s %9s %8s %6s %6s %11s %11s" % (
    "module", "objects", "edges", "dead", "false", "missed", "bare", "traced")


def installed():
    return run([PYTHON, "-c", "import test.test_gc"]).status == 0


def ends_of(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def command(module, outcomes, listing):
    return [PYTHON, "-s", ORACLE, "now", listing, PROGRAM, "test." + module, outcomes]


def run_bare(directory, module):
    path, listing = os.path.join(directory, "bare.json"), os.path.join(directory, "listing")
    result = run(command(module, path, listing), cwd=directory, timeout=TIMEOUT)
    assert result.status == 0, "without castaway:\n%s" % result
    return ends_of(path)


def run_traced(directory, module):
    """The tests' ends, the trace, and the collector's listing."""
    path, listing = os.path.join(directory, "traced.json"), os.path.join(directory, "listing")
    result = record(directory, command(module, path, listing), ["--follow=no", *OPTIONS], cwd=directory,
                    timeout=TIMEOUT)
    assert result.status == 0, "under castaway:\n%s" % result
    assert len(result.traces) == 1, "traces: %s" % result.traces
    return ends_of(path), result.traces[0], listed(listing)


def collected(trace):
    result = castaway("gc", trace, "collect", "--runtime=cpython", timeout=TIMEOUT)
    assert result.status == 0, str(result)
    return {line.split()[0] for line in result.out.decode().splitlines()[:-1]}


def compare_sets(row, trace, expected):
    judged = report(trace, "--members=all", "--no-symbols")
    actual = stranded_addresses(judged)
    row.objects, row.edges = judged["summary"]["objects"], judged["summary"]["edges"]
    row.unreachable = len(expected)
    row.false, row.missed = len(actual - expected), len(expected - actual)
    if actual != expected:
        types = [line for line in castaway("gc", trace, "objects").out.decode().splitlines()
                 if line.split()[0] in actual ^ expected]
        row.problems.append("%d objects differ: %s" % (len(actual ^ expected), types[:8]))
    if collected(trace) != actual:
        row.problems.append("gc collect and the report differ")


def differing(bare, traced):
    return {name for name in bare.keys() | traced.keys()
            if bare.get(name) != traced.get(name) and name not in KNOWN}


def compare_module(module):
    row = Row(module)
    with tempfile.TemporaryDirectory(prefix="castaway-stdlib.") as directory:
        try:
            row.bare = run_bare(directory, module)
            row.traced, trace, expected = run_traced(directory, module)
            compare_sets(row, trace, expected)
            os.unlink(trace)
            different = differing(row.bare, row.traced)
            if different:
                # Some tests depend on the clock: what differs must differ again.
                different &= differing(run_bare(directory, module), run_traced(directory, module)[0])
            row.problems += ["%s: %s without, %s with" % (name, row.bare.get(name), row.traced.get(name))
                             for name in sorted(different)]
        except AssertionError as error:
            row.problems.append(str(error))
    return row


def main():
    modules = [argument for argument in sys.argv[1:] if argument not in OPTIONS] or MODULES
    if not installed():
        print("Python's test modules are not installed (libpython3.11-testsuite)")
        sys.exit(77)  # skipped
    total = Row("%d modules" % len(modules))
    wrong = 0
    print(HEADING, flush=True)
    for module in modules:
        row = compare_module(module)
        print(row, flush=True)
        wrong += bool(row.problems)
        for name in ("objects", "edges", "unreachable", "false", "missed"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
        total.bare = {**total.bare, **row.bare}
        total.traced = {**total.traced, **row.traced}
    print(total)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
