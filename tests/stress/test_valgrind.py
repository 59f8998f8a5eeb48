# SPDX-License-Identifier: Apache-2.0
#
# What castaway calls leaked in programs that nobody wrote for it, against what
# Valgrind says of the same run: a desktop program with all its libraries, a
# database that is at work, a compiler.
#
# Both look at the same moment, the end of a compiler and the SIGTERM of what
# runs on; they are compared by where the blocks were allocated.  Valgrind takes a
# block that only its inside is pointed to for "possibly lost", castaway for held;
# so castaway's leaks must be among those that Valgrind calls lost for certain
# (definitely, or indirectly by way of such a block).  The reverse need not hold: a
# stale pointer in a register or on a stack holds a block in one of the two runs.
import collections
import os
import re
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree

from support import LIBRARY, Skip, case, clean_environment, equal, main, report, run, wait_for_writers

FRAMES = 4  # of the caller of the allocator and outward; the innermost ones have names in most libraries
PATIENCE = 600
LOST = ("Leak_DefinitelyLost", "Leak_IndirectlyLost")
C_SOURCE = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct list { int value; struct list *next; };
static int sum(const struct list *list) { int all = 0; for (; list; list = list->next) all += list->value; return all; }
int main(int argc, char **argv)
{
	struct list one = {argc, NULL}, two = {(int)strlen(argv[0]), &one};
	printf("%d\\n", sum(&two));
	return 0;
}
"""
SQL = """create table t(a integer primary key, b text);
with recursive c(x) as (select 1 union all select x + 1 from c where x < 500) insert into t select x, hex(x * x) from c;
create index i on t(b);
begin;
update t set b = b || 'x' where a % 3 = 0;
select count(distinct b) from t;
select 'ready';
"""


def needs(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip("no " + program)


def site(frames):
    """(module, function) from the caller of the allocator outward, as both tools can tell it."""
    named = [function or os.path.basename(module or "?") for module, function in frames]
    while named and named[0].startswith("operator new"):
        named.pop(0)
    return tuple(named[:FRAMES])


def castaway_sites(found):
    return collections.Counter({site((f["module"], f["function"]) for f in leak["allocated_at"]): leak["direct_bytes"]
                                for leak in found["leaks"]})


def valgrind_sites(path):
    """Sites of what is lost for certain, by kind."""
    sites = {kind: set() for kind in LOST}
    for error in xml.etree.ElementTree.parse(path).getroot().iter("error"):
        if error.findtext("kind") in sites:
            frames = [(f.findtext("obj"), (f.findtext("fn") or "").split("@")[0] or None)
                      for f in error.find("stack").iter("frame")]
            sites[error.findtext("kind")].add(site(frames[1:]))  # the first is Valgrind's malloc
    return sites


def is_hidden(place):
    """fontconfig knows the elements of a pattern by their distance from it: whether a pointer that was left
    behind somewhere leads to them is chance, for both (6 sites or 5 here, from run to run)."""
    return place[0].startswith("libfontconfig.so")


class Twice:
    """Runs a program under each of the two, in the same way."""

    def __init__(self, directory, command, env=None, ready=None, stdin=b""):
        self.directory, self.command, self.env = directory, command, env or {}
        self.ready, self.stdin = ready, stdin

    def run(self, prefix, env):
        process = subprocess.Popen(prefix + self.command, env=clean_environment({**self.env, **env}),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        try:
            if self.ready:
                process.stdin.write(self.stdin)
                process.stdin.flush()
                self.ready(process)
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        equal(process.returncode, -signal.SIGTERM if self.ready else 0, "end of %s" % (prefix + self.command))

    def castaway(self):
        trace = os.path.join(self.directory, "trace.castaway")
        self.run([], {"LD_PRELOAD": LIBRARY, "CASTAWAY_OUTPUT": trace,
                      "CASTAWAY_OPTIONS": "snapshot-at-term=yes:follow=no"})
        wait_for_writers([trace])
        found = report(trace, "--leaks")
        equal(found["snapshot"]["reason"], "signal" if self.ready else "exit", "moment")
        assert found["summary"]["leaked_blocks"] is not None and found["summary"]["blocks"] > 10, found["summary"]
        return found

    def valgrind(self):
        path = os.path.join(self.directory, "valgrind.xml")
        self.run(["valgrind", "--quiet", "--xml=yes", "--xml-file=" + path, "--leak-check=full", "--num-callers=24",
                  "--show-leak-kinds=definite,indirect", "--run-libc-freeres=no", "--run-cxx-freeres=no"], {})
        return valgrind_sites(path)

    def compare(self):
        found, lost = self.castaway(), self.valgrind()
        ours, certain = castaway_sites(found), lost[LOST[0]] | lost[LOST[1]]
        print("# %d blocks; castaway: %d sites leaked, Valgrind: %d definitely and %d indirectly; %d in common" % (
            found["summary"]["blocks"], len(ours), len(lost[LOST[0]]), len(lost[LOST[1]]), len(set(ours) & certain)))
        equal([s for s in ours if s not in certain and not is_hidden(s)], [], "leaked for castaway only")
        missed = [s for s in lost[LOST[0]] if s not in ours]
        for one in missed:
            print("# only Valgrind: %s" % " < ".join(one))
        assert 2 * len(missed) <= len(lost[LOST[0]]), "castaway misses more than half: %r" % missed


@case
def compiler(directory):
    """clang compiles a program"""
    needs("valgrind", "clang")
    source = os.path.join(directory, "program.c")
    with open(source, "w") as file:
        file.write(C_SOURCE)
    Twice(directory, ["clang", "-O1", "-c", source, "-o", os.path.join(directory, "program.o")]).compare()


@case
def database(directory):
    """sqlite3 in the midst of a transaction"""
    needs("valgrind", "sqlite3")

    def ready(process):
        for line in process.stdout:
            if line == b"ready\n":
                return
        raise AssertionError("sqlite3 has ended")

    Twice(directory, ["sqlite3", "-batch", ":memory:"], ready=ready, stdin=SQL.encode()).compare()


class Display:
    """An X server for programs with windows."""

    def __init__(self, directory):
        self.directory = directory

    def __enter__(self):
        end, number = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(number), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
                                       pass_fds=[number], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(number)
        with os.fdopen(end) as file:
            self.name = ":" + file.readline().strip()
        return self

    def __exit__(self, *error):
        self.server.terminate()
        self.server.wait()

    def large_windows(self):
        """Those that a user would look at: without a window manager they may have no name."""
        tree = run(["xwininfo", "-display", self.name, "-root", "-tree"]).out.decode(errors="replace")
        return [m.group(1) for m in re.finditer(r"^     (0x[0-9a-f]+) .* (\d+)x\d+\+", tree, re.M) if int(m.group(2)) > 300]

    def wait_for_window(self, process):
        """Until it is on the screen."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for window in self.large_windows():
                if b"Map State: IsViewable" in run(["xwininfo", "-display", self.name, "-id", window]).out:
                    return
            assert process.poll() is None, "ended with %r" % process.returncode
            assert time.monotonic() < deadline, "no window"
            time.sleep(0.1)


@case
def desktop(directory):
    """gtk3-widget-factory with its window on the screen"""
    needs("valgrind", "gtk3-widget-factory", "Xvfb", "xwininfo")
    env = {"G_SLICE": "always-malloc", "GTK_A11Y": "none", "NO_AT_BRIDGE": "1", "GDK_BACKEND": "x11",
           "GSETTINGS_BACKEND": "memory", "HOME": directory, "XDG_RUNTIME_DIR": directory}
    with Display(directory) as display:
        env["DISPLAY"] = display.name
        Twice(directory, ["gtk3-widget-factory"], env, display.wait_for_window).compare()


main()
