# SPDX-License-Identifier: Apache-2.0
#
# What the end-to-end tests share: running things under castaway from the build
# tree, reading reports, and printing TAP.  Every run is bounded by a timeout;
# a run that hits it fails its case and leaves no process behind.
import contextlib
import fcntl
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get("CASTAWAY_BUILD", "build")
EXE = os.environ.get("CASTAWAY_EXE", os.path.join(BUILD, "tools", "castaway"))
LIBRARY = os.environ.get("CASTAWAY_LIBRARY", os.path.join(BUILD, "preload", "libcastaway.so"))
TRACEES = os.environ.get("CASTAWAY_TRACEES", os.path.join(BUILD, "tests", "e2e"))
SOURCE = os.environ.get("CASTAWAY_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
TIMEOUT = 60

FOUND = 23  # exit status of check and run when there is a finding
UNSURE = 3  # ... when the trace is too incomplete to say
USAGE = 2


class Skip(Exception):
    """The machine lacks what the case needs."""


class Result:
    """How a command ended; `status` is as in a shell (128+N on signal N)."""

    def __init__(self, status, out, err, raw):
        self.status, self.out, self.err, self.raw = status, out, err, raw
        self.traces = []

    def __str__(self):
        return "status %d (raw %d)\nstdout: %r\nstderr: %r" % (
            self.status, self.raw, self.out[-2000:], self.err[-2000:])


def clean_environment(extra=None):
    env = {k: v for k, v in os.environ.items()
           if k != "LD_PRELOAD" and not k.startswith("CASTAWAY_")}
    env["CASTAWAY_LIBRARY"] = LIBRARY
    env["LC_ALL"] = "C"
    env.update(extra or {})
    return env


def run(argv, env=None, cwd=None, stdin=b"", timeout=TIMEOUT, **popen):
    """Runs argv in a session of its own, so that a timeout can end all of it."""
    process = subprocess.Popen(argv, env=clean_environment(env), cwd=cwd, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True, **popen)
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AssertionError("no end after %d s: %s" % (timeout, " ".join(map(str, argv))))
    raw = process.returncode
    return Result(raw if raw >= 0 else 128 - raw, out, err, raw)


def tracee(name):
    path = os.path.join(TRACEES, name)
    assert os.path.exists(path), "tracee was not built: " + path
    return path


def castaway(*arguments, **options):
    return run([EXE] + [str(a) for a in arguments], **options)


def traces_in(directory):
    return sorted(glob.glob(os.path.join(glob.escape(directory), "*.castaway*")))


def wait_for_writers(traces):
    """Whoever writes a trace holds its lock; children's traces may end after their parent."""
    for trace in traces:
        with open(trace, "rb") as file:
            deadline = time.monotonic() + TIMEOUT
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    assert time.monotonic() < deadline, "still being written: " + trace
                    time.sleep(0.002)


def record(directory, command, options=(), verb="record", **kw):
    """`castaway record`; the result's `traces` are the files that it left."""
    before = set(traces_in(directory))
    output = os.path.join(directory, "%e.%p.castaway")
    result = castaway(verb, "--quiet", "-o", output, *options, "--", *command, **kw)
    result.traces = [t for t in traces_in(directory) if t not in before]
    wait_for_writers(result.traces)
    return result


def record_one(directory, command, options=(), status=0, **kw):
    """Records a program that has no children and returns its trace."""
    result = record(directory, command, options, **kw)
    equal(result.status, status, "exit status of %s\n%s" % (command, result))
    equal(len(result.traces), 1, "traces of %s\n%s" % (command, result))
    return result.traces[0]


class Running:
    """A program under `castaway record` that has told its process id and waits for its standard input."""

    def __init__(self, directory, command, settings=(), env=None):
        self.directory = directory
        output = os.path.join(directory, "%e.%p.castaway")
        # Without a buffer: what is read ahead for a line would be lost to communicate().
        self.process = subprocess.Popen([EXE, "record", "--quiet", "-o", output, *settings, "--", *command],
                                        env=clean_environment(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        start_new_session=True, bufsize=0)
        self.pid = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()

    def snapshot(self, *options):
        return castaway("snapshot", *options, self.pid)

    def finish(self, data=b"\n", status=0):
        """Tells it to end; its only trace, and what it printed."""
        out, _ = self.process.communicate(data, timeout=TIMEOUT)
        equal(self.process.returncode, status, "exit status")
        traces = traces_in(self.directory)
        wait_for_writers(traces)
        equal(len(traces), 1, "traces")
        return traces[0], out


def report(trace, *options):
    """The JSON report of a trace."""
    result = castaway("analyze", trace, "--format=json", "--quiet", *options)
    equal(result.status, 0, "castaway analyze %s\n%s" % (trace, result))
    return json.loads(result.out)


def check(*arguments):
    return castaway("check", "--quiet", *arguments).status


def stranded(json_report):
    return [s for s in json_report["structures"] if s["verdict"] in ("stranded", "likely-stranded")]


def only_structure(json_report):
    found = stranded(json_report)
    equal(len(found), 1, "stranded structures in %s" % json.dumps(json_report, indent=1)[:4000])
    return found[0]


def functions(stack):
    return [frame["function"] for frame in stack]


def member_types(structure):
    return sorted(m["type"] for m in structure["members"])


def limit_codes(json_report):
    return {limit["code"] for limit in json_report["limits"]}


def equal(actual, expected, what=""):
    assert actual == expected, "%s: got %r, want %r" % (what, actual, expected)


def member(item, container, what=""):
    assert item in container, "%s: %r is not in %r" % (what, item, container)


@contextlib.contextmanager
def scratch():
    with tempfile.TemporaryDirectory(prefix="castaway-e2e.") as directory:
        yield directory


CASES = []


def case(function):
    """Registers a test; its docstring's first line is its name."""
    CASES.append(function)
    return function


def run_case(number, function):
    name = (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")
    try:
        with scratch() as directory:
            function(directory)
        print("ok %d - %s" % (number, name), flush=True)
        return True
    except Skip as reason:
        print("ok %d - %s # SKIP %s" % (number, name, reason), flush=True)
        return True
    except Exception as error:  # a broken report is a failure, not an end of the test
        print("not ok %d - %s" % (number, name))
        text = str(error) if isinstance(error, AssertionError) and str(error) else traceback.format_exc()
        place = traceback.extract_tb(error.__traceback__)
        lines = ["%s:%d" % (os.path.basename(f.filename), f.lineno) for f in place]
        for line in text.splitlines() + ["at " + " < ".join(reversed(lines))]:
            print("# " + line)
        sys.stdout.flush()
        return False


def main():
    """Runs the registered cases, or those whose function names are given."""
    chosen = [c for c in CASES if not sys.argv[1:] or c.__name__ in sys.argv[1:]]
    print("TAP version 13\n1..%d" % len(chosen), flush=True)
    failures = 0
    for number, function in enumerate(chosen, 1):
        start = time.monotonic()
        failures += not run_case(number, function)
        print("# %.2f s" % (time.monotonic() - start), flush=True)
    sys.exit(1 if failures else 0)
