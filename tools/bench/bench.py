#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What recording costs, against the bare program and against heaptrack:
#
#     tools/bench/bench.py [--build=DIR] [--runs=5] [--only=churn1,git] [--full] [--markdown=FILE]
#
# Runs of one round follow each other, so that what else the machine does hits
# all of them; ratios are taken per round, and their median is told.  Times are
# processor time, user and system, of the program with all that it waited for:
# the process that writes the trace is among them.
import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

from workloads import WORKLOADS, Unavailable

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEAPTRACK_PRELOAD = ["/usr/lib/heaptrack/libheaptrack_preload.so", "/usr/lib64/heaptrack/libheaptrack_preload.so",
                     "/usr/lib/x86_64-linux-gnu/heaptrack/libheaptrack_preload.so"]


class Run:
    def __init__(self, seconds, peak, size):
        self.seconds = seconds
        self.peak = peak  # MiB; cannot be less than this program had itself when it made the process
        self.size = size  # bytes of the output file


class Tools:
    def __init__(self, build, full):
        self.library = os.path.join(build, "preload", "libcastaway.so")
        self.program = os.path.join(build, "tools", "castaway")
        for path in (self.library, self.program):
            if not os.path.exists(path):
                sys.exit("bench: %s: not there; build first, or say where with --build" % path)
        self.heaptrack = next((path for path in HEAPTRACK_PRELOAD if os.path.exists(path)), None)
        self.full = shutil.which("heaptrack") if full else None

    def kinds(self):
        kinds = ["bare", "castaway"]
        if self.heaptrack:
            kinds.append("heaptrack")
        if self.full:
            kinds.append("heaptrack, interpreted")
        return kinds

    # Environment and command of one kind of run.
    def prepare(self, kind, command, output):
        # With its defaults: the scan of the heap at the end, which heaptrack does not have, is in it.
        if kind == "castaway":
            return {"LD_PRELOAD": self.library, "CASTAWAY_OUTPUT": output}, command
        if kind == "heaptrack":
            return {"LD_PRELOAD": self.heaptrack, "DUMP_HEAPTRACK_OUTPUT": output}, command
        if kind == "heaptrack, interpreted":
            return {}, [self.full, "-o", output, *command]
        return {}, command

    def events(self, trace):
        said = subprocess.run([self.program, "info", trace], capture_output=True, text=True).stdout
        for line in said.split("\n"):
            if line.startswith("events"):
                return int(line.split()[1].rstrip(","))
        return 0


def measure(environment, command, directory):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, env={**os.environ, **environment}, cwd=directory, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        raise Unavailable("%s ended with status %d" % (command[0], process.returncode))
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, usage.ru_maxrss / 1024


# Runs of a program that makes traces of children too: the first is the program's.
def outputs(scratch):
    names = (os.path.join(scratch, name) for name in os.listdir(scratch) if name.startswith("out."))
    return sorted(names, key=lambda name: (len(name), name))


def run_once(tools, kind, workload, scratch):
    for name in outputs(scratch):
        os.unlink(name)
    environment, command = tools.prepare(kind, workload.command, os.path.join(scratch, "out.trace"))
    seconds, peak = measure({**workload.environment, **environment}, command, workload.directory)
    return Run(seconds, peak, sum(os.path.getsize(name) for name in outputs(scratch)))


def measure_workload(tools, workload, rounds):
    with tempfile.TemporaryDirectory(prefix="castaway-bench.") as scratch:
        runs = {kind: [] for kind in tools.kinds()}
        run_once(tools, "bare", workload, scratch)  # fills the caches
        events = 0
        for _ in range(rounds):
            for kind in runs:
                runs[kind].append(run_once(tools, kind, workload, scratch))
                if kind == "castaway" and events == 0:
                    events = sum(tools.events(name) for name in outputs(scratch))
    return runs, events


def median_of(runs, field):
    return statistics.median(getattr(run, field) for run in runs)


def ratio(above, below):
    return statistics.median(a.seconds / b.seconds for a, b in zip(above, below) if b.seconds > 0)


HEADER = ["program", "events", "bare s", "castaway / bare", "heaptrack's preload / castaway", "heaptrack / castaway",
          "peak MiB bare, castaway, heaptrack's preload", "bytes per event"]


def row(name, runs, events):
    ours = runs["castaway"]
    raw, full = runs.get("heaptrack"), runs.get("heaptrack, interpreted")
    peaks = [median_of(runs[kind], "peak") for kind in ("bare", "castaway", "heaptrack") if kind in runs]
    return [name, "%.2f M" % (events / 1e6), "%.2f" % median_of(runs["bare"], "seconds"),
            "%.2f" % ratio(ours, runs["bare"]), "%.2f" % ratio(raw, ours) if raw else "-",
            "%.2f" % ratio(full, ours) if full else "-", ", ".join("%.0f" % peak for peak in peaks),
            "%.2f" % (median_of(ours, "size") / events) if events >= 100000 else "-"]


def markdown(rows):
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows]) + "\n"


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    return "%s, %d processors, load %.1f" % (model, os.cpu_count(), os.getloadavg()[0])


def parse():
    parser = argparse.ArgumentParser(description="what recording costs, as ratios of paired runs")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="build directory (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="rounds, of which the median is told (%(default)s)")
    parser.add_argument("--only", default=",".join(WORKLOADS), help="workloads, by commas (%(default)s)")
    parser.add_argument("--full", action="store_true", help="heaptrack with its interpreter, too")
    parser.add_argument("--markdown", help="write the table to this file as well")
    return parser.parse_args()


def main():
    arguments = parse()
    tools = Tools(os.path.abspath(arguments.build), arguments.full)
    rows = []

    if not tools.heaptrack:
        print("bench: no heaptrack: its columns stay empty", file=sys.stderr)
    for name in arguments.only.split(","):
        if name not in WORKLOADS:
            sys.exit("bench: no workload '%s'" % name)
        with tempfile.TemporaryDirectory(prefix="castaway-bench.") as directory:
            try:
                workload = WORKLOADS[name](directory)
                rows.append(row(workload.name, *measure_workload(tools, workload, arguments.runs)))
                print("  ".join(rows[-1]), file=sys.stderr, flush=True)
            except Unavailable as reason:
                print("bench: %s left out: %s" % (name, reason), file=sys.stderr)
    table = markdown(rows)
    print("%s\n\n%s" % (machine(), table), end="")
    if arguments.markdown:
        with open(arguments.markdown, "w") as file:
            file.write(table)


if __name__ == "__main__":
    main()
