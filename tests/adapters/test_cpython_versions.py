# SPDX-License-Identifier: Apache-2.0
#
# Other CPythons than the system's, where there are any: their objects are exact
# too, and what is not read of them is said.
import glob
import os
import re

from listing import listed, stranded_addresses
from support import Skip, case, equal, limit_codes, main, record, report, run

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = {"parsers": 4000, "xmltrees": 3000, "failures": 1000, "tasks": 40, "classes": 4000, "data": 300,
            "threads": 50, "network": 300}
KNOWN = range(9, 14)
PLACES = ("/usr/bin/python3.*", "/usr/local/bin/python3.*", os.path.expanduser("~/.pyenv/versions/*/bin/python3.*"),
          "/root/.pyenv/versions/*/bin/python3.*")


def version_of(path):
    result = run([path, "-c", "import sys; print(*sys.version_info[:3], hasattr(sys, 'gettotalrefcount'))"],
                 env=environment(path))
    return result.out.decode().split() if result.status == 0 else None


def environment(path):
    """A version manager's builds do not find their library by themselves everywhere."""
    library = os.path.join(os.path.dirname(os.path.dirname(path)), "lib")
    return {"LD_LIBRARY_PATH": library} if "/versions/" in path else {}


def interpreters():
    """One of each version and kind of build, but for the system's own."""
    found = {}
    for path in sorted(path for place in PLACES for path in glob.glob(place)):
        if re.fullmatch(r"python3\.\d+d?", os.path.basename(path)):
            version = version_of(path)
            if version and int(version[1]) >= 9:
                found.setdefault(tuple(version), path)
    found.pop(tuple(version_of("/usr/bin/python3") or ()), None)
    return found


def runs(python, program):
    """Some are written in newer words."""
    return run([python, "-s", os.path.join(HERE, "programs", program + ".py")], env=environment(python)).status == 0


def compare(directory, python, program):
    listing = os.path.join(directory, "listing")
    command = [python, "-s", os.path.join(HERE, "oracle.py"), "now", listing,
               os.path.join(HERE, "programs", program + ".py")]
    result = record(directory, command, ["--follow=no"], env=environment(python))
    equal(result.status, 0, "status\n%s" % result)
    equal(len(result.traces), 1, "traces")
    judged = report(result.traces[0], "--members=all", "--no-symbols")
    expected, actual = listed(listing), stranded_addresses(judged)
    assert len(expected) >= PROGRAMS[program], "only %d unreachable objects" % len(expected)
    assert actual == expected, "%d false, %d missed of %d" % (
        len(actual - expected), len(expected - actual), len(expected))
    print("# %s: %d objects, %d unreachable" % (program, judged["summary"]["objects"], len(expected)))
    os.unlink(result.traces[0])
    return judged


def version_case(version, python):
    name = ".".join(version[:3]) + (" (debug)" if version[3] == "True" else "")

    def test(directory):
        minor = int(version[1])
        if minor not in KNOWN:
            trace = record(directory, [python, "-c", "pass"], env=environment(python)).traces[0]
            assert "adapter-off" in limit_codes(report(trace)), "an unknown version is not said to be one"
            return
        programs = [program for program in PROGRAMS if minor >= 11 or runs(python, program)]
        assert len(programs) >= 3, programs
        for program in programs:
            judged = compare(directory, python, program)
            equal([(r["version"], r["status"]) for r in judged["runtimes"]], [(".".join(version[:3]), "exact")])
            equal("no-stacks" in limit_codes(judged), minor < 11, "places of birth")

    test.__name__ = "version_" + re.sub(r"\W", "_", name)
    test.__doc__ = name + ": the collector's own answer"
    case(test)


FOUND = interpreters()
for version, path in sorted(FOUND.items()):
    version_case(version, path)
if not FOUND:
    @case
    def none_found(directory):
        """there are no other versions"""
        raise Skip("no other CPython is installed")


main()
