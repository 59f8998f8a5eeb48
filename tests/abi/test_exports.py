# SPDX-License-Identifier: Apache-2.0
"""What libcastaway.so gives to and takes from the target's symbol scope.

Usage: test_exports.py LIBRARY HOOKS_H
"""

import re
import subprocess
import sys
import unittest

LIBRARY, HOOKS = sys.argv[1], sys.argv[2]

# What would reach the target's heap, its streams, its end, or its unwinder.
FORBIDDEN = re.compile(
    r"(malloc|calloc|realloc|reallocarray|free|cfree|posix_memalign|aligned_alloc|memalign|valloc|pvalloc|strn?dup"
    r"|asprintf|v?[fs]n?printf|printf|puts|fputs|fopen\w*|fwrite|perror|exit|_exit|_Exit|quick_exit|abort"
    r"|__assert_fail|__tls_get_addr|backtrace|_Unwind_\w+|pthread_mutex_lock|dlopen|dlclose)$"
)
# What sanitizers' runtimes ask the program for.
ANSWERS = {"__asan_default_options", "__lsan_default_options"}
NEEDED = {"libc.so.6", "ld-linux-x86-64.so.2"}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(kind):
    lines = run("nm", "-D", kind, LIBRARY).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines}


def hooks():
    with open(HOOKS, encoding="utf-8") as file:
        text = file.read()
    bodies = re.findall(r"#define (?:GOBJECT_)?HOOKS\(X\)(.*?[^\\])\n", text, re.DOTALL)
    return set(re.findall(r"\bX\((\w+),", "".join(bodies)))


class Exports(unittest.TestCase):
    def test_every_hook_is_exported(self):
        self.assertGreater(len(hooks()), 50)
        self.assertEqual(hooks() - symbols("--defined-only"), set())

    def test_nothing_else_is_exported(self):
        others = symbols("--defined-only") - hooks() - ANSWERS
        self.assertEqual({name for name in others if not name.startswith("castaway_")}, set())

    def test_no_symbol_has_a_version(self):
        # A version of our own would keep versioned references of the target
        # from binding to the hooks.
        self.assertNotIn("VERDEF", run("readelf", "-dW", LIBRARY))


class Imports(unittest.TestCase):
    def test_nothing_forbidden_is_imported(self):
        self.assertEqual({name for name in symbols("--undefined-only") if FORBIDDEN.match(name)}, set())

    def test_only_libc_is_needed(self):
        needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-dW", LIBRARY)))
        self.assertEqual(needed - NEEDED, set())


class Loading(unittest.TestCase):
    def test_bound_at_start_and_never_unloaded(self):
        dynamic = run("readelf", "-dW", LIBRARY)
        self.assertRegex(dynamic, r"FLAGS_1.*NOW.*NODELETE")
        self.assertNotIn("TEXTREL", dynamic)

    def test_thread_local_storage_is_static(self):
        self.assertRegex(run("readelf", "-dW", LIBRARY), r"\(FLAGS\).*STATIC_TLS")

    def test_stack_is_not_executable(self):
        self.assertRegex(run("readelf", "-lW", LIBRARY), r"GNU_STACK.* RW ")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
