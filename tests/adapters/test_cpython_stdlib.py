# SPDX-License-Identifier: Apache-2.0
#
# A few of the modules of stdlib.py, which are quick and strand much.
import re

from stdlib import HEADING, compare_module, installed
from support import Skip, case, main

MODULES = ["test_abc", "test_enum", "test_gc", "test_json", "test_typing"]


def module_case(module):
    def test(directory):
        if not installed():
            raise Skip("Python's test modules are not installed (libpython3.11-testsuite)")
        row = compare_module(module)
        print("# %s\n# %s" % (HEADING, str(row).replace("\n", "\n# ")))
        assert row.unreachable > 0, "nothing was stranded"
        assert not row.problems, row.problems

    test.__name__ = re.sub(r"\W", "_", module)
    test.__doc__ = module + ": the collector's own set, and tests that end as without castaway"
    case(test)


for name in MODULES:
    module_case(name)
main()
