# SPDX-License-Identifier: Apache-2.0
"""Unmodified programs of GLib, GTK, GStreamer and GJS, and GLib's own installed
tests, under castaway: each must end as it does without, and nothing in them may
be called stranded that is not.  Prints a table, and what was found.

    desktop.py [--keep=DIRECTORY] [GROUP|PROGRAM]...

A program that is not installed is left out.  Programs with windows run on an
Xvfb of their own until they have nothing to do; then a snapshot is asked for.
"""
import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from support import LIBRARY, castaway, clean_environment, record, report, run, wait_for_writers

TESTS = "/usr/libexec/installed-tests/glib"
TIMEOUT = 120
MOMENTS = 4  # snapshots on the way that are looked at
IDLE = 60  # seconds that a window has to come to rest in
RATE = os.sysconf("SC_CLK_TCK")

QUIET = {"GSETTINGS_BACKEND": "memory", "NO_AT_BRIDGE": "1", "GTK_A11Y": "none", "GIO_USE_VFS": "local"}

PIPELINES = {
    "fakesrc": "fakesrc num-buffers=50 datarate=100000 sizetype=fixed sizemax=1000 ! identity ! fakesink",
    "tee": "videotestsrc num-buffers=20 is-live=true ! tee name=t t. ! queue ! fakesink t. ! queue ! fakesink",
    "convert": "videotestsrc num-buffers=20 is-live=true ! videoconvert ! videoscale ! video/x-raw,width=64,height=48 ! fakesink",
    "audio": "audiotestsrc num-buffers=50 is-live=true ! audioconvert ! audioresample ! wavenc ! fakesink",
    "mux": "videotestsrc num-buffers=20 is-live=true ! jpegenc ! avimux ! fakesink",
}

SCRIPTS = {
    "objects": "const {GObject, Gio} = imports.gi; let l = new Gio.ListStore({item_type: GObject.Object});"
               "for (let i = 0; i < 500; i++) l.append(new GObject.Object()); print(l.get_n_items());",
    "signals": "const {GObject, Gio} = imports.gi; const A = GObject.registerClass({Signals: {ping: {}}},"
               "class A extends GObject.Object {}); let n = 0; for (let i = 0; i < 200; i++) { let a = new A();"
               "a.connect('ping', () => { n += a ? 1 : 0; }); a.emit('ping'); } print(n);",
    "loop": "const {GLib} = imports.gi; let loop = new GLib.MainLoop(null, false); let n = 0;"
            "GLib.timeout_add(GLib.PRIORITY_DEFAULT, 1, () => { if (++n < 20) return true; loop.quit();"
            "return false; }); loop.run(); print(n);",
    "files": "const {Gio} = imports.gi; let e = Gio.File.new_for_path('/usr/share').enumerate_children("
             "'standard::*', 0, null), n = 0; while (e.next_file(null)) n++; e.close(null); print(n > 0);",
}

# Started by other tests, without an end of their own, or for a terminal.
NOT_ALONE = """
    apps appinfo-test appmonitor async-close-output-stream custom-dispatch gdbus-connection-flush-helper gdbus-testserver
    gdbus-connection-slow echo-script fake-document-portal fake-service-name filter-streams gapplication gobject-query
    gsocketclient-slow gsubprocess-testprog mem-overflow module-test-library module-test-plugin proxy-test
    simple-proxy spawn-path-search-helper spawn-test-helper srvtarget test-spawn-echo testing-helper
    timeloop performance performance-threaded getpwuid-preload.so slow-connect-preload.so
    socket-client socket-server send-data httpd connectable resolver
""".split()

# What is truly stranded, read in the source.  GLib 2.74: a DesktopFileDir owns its monitor, whose handler owns the
# DesktopFileDir (desktop_file_dir_init()); when the directories change, which they do in this test, all else lets go.
TRULY_STRANDED = {"mimeapps": ["GClosure", "GInotifyFileMonitor", "block", "signal handler"]}


class Row:
    """One program: how it ended, what was seen in it, what was found."""

    def __init__(self, name):
        self.name, self.bare, self.traced = name, "", ""
        self.moments = self.instances = self.minis = self.stranded = self.likely = self.over = self.misuse = 0
        self.problems = []

    def add_structures(self, judged):
        counts = {row["name"]: row["objects"] for row in judged["runtimes"]}
        self.instances = max(self.instances, counts.get("gobject", 0))
        self.minis = max(self.minis, counts.get("gst", 0))
        for structure in judged["structures"]:
            types = sorted({m["type"] or "block" for m in structure["members"]})
            if structure["verdict"] == "stranded" and types == TRULY_STRANDED.get(self.name):
                self.problems.append("truly stranded %d x: %s" % (structure["count"], ", ".join(types)))
                continue
            self.stranded += structure["verdict"] == "stranded"
            self.likely += structure["verdict"] == "likely-stranded"
            if any(m["runtime"] in ("gobject", "gst") for m in structure["members"]):
                self.problems.append("%s %d x: %s" % (structure["verdict"], structure["count"], ", ".join(types[:6])))

    def add(self, judged):
        self.moments += 1
        self.add_structures(judged)
        for leak in judged["leaks"]:
            if leak["verdict"] != "over-referenced":
                continue
            self.over += leak["count"]
            self.problems.append("over-referenced %d x: %s, refs %d, %s" % (
                leak["count"], leak["type"], leak["refcount"],
                " < ".join(f["function"] or "?" for f in leak["unmatched_at"][:4])))
        for misuse in judged["misuse"]:
            self.misuse += misuse["count"]
            self.problems.append("misuse %s %d x: %s" % (
                misuse["kind"], misuse["count"], " < ".join(f["function"] or "?" for f in misuse["stack"][:5])))

    def __str__(self):
        text = "%-40s %7s %7d %9d %7d %8d %6d %8d %6d" % (
            self.name[:40], self.bare + "/" + self.traced, self.moments, self.instances, self.minis, self.stranded, self.likely,
            self.over, self.misuse)
        return "\n".join([text] + ["    " + problem for problem in self.problems])

    def is_bad(self):
        return self.stranded + self.likely > 0 or self.bare != self.traced


HEAD = "%-40s %7s %7s %9s %7s %8s %6s %8s %6s" % (
    "program", "status", "moments", "instances", "minis", "stranded", "likely", "over-ref", "misuse")


def moments(trace):
    """The snapshots of a trace that can be looked at: not those cut off, nor what fork left."""
    snapshots = json.loads(castaway("info", "--format=json", trace).out)["snapshots"]
    return [s["index"] for s in snapshots if s["complete"] and s["reason"] != "inherit"]


def judge(row, traces):
    for trace in traces:
        last = report(trace, "--leaks")
        if not any(r["name"] == "gobject" for r in last["runtimes"]):
            continue
        row.add(last)
        # On the way, references may be in any hand; a cycle that nobody holds is one at any time.
        before_last = [index for index in moments(trace) if index != last["snapshot"]["index"]]
        for index in before_last[:MOMENTS]:
            before = report(trace, "--snapshot=%d" % index)
            row.moments += 1
            row.add_structures(before)


def run_command(directory, name, command, env=None):
    """A program that ends by itself."""
    row = Row(name)
    row.bare = str(run(command, env=env, cwd=directory, timeout=TIMEOUT).status)
    result = record(directory, command, ("--scan=yes", "--snapshot-every=100"), env=env, cwd=directory, timeout=2 * TIMEOUT)
    row.traced = str(result.status)
    judge(row, result.traces)
    return row


# ---- windows ---------------------------------------------------------------------------

@contextlib.contextmanager
def display():
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
                              pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as file:
            yield ":" + file.readline().strip()
    finally:
        server.terminate()
        server.wait()


def used(pid):
    """The processor time of a process, in seconds."""
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / RATE


def wait_until_idle(process):
    """Until a second goes by in which it does next to nothing: a spinner may turn."""
    end, before = time.monotonic() + IDLE, -1.0
    while time.monotonic() < end and process.poll() is None:
        now = used(process.pid)
        if now > 0.1 and now - before < 0.1:
            return True
        before = now
        time.sleep(1)
    return process.poll() is None


def run_window(directory, name, command, env):
    row = Row(name)
    output = os.path.join(directory, name + ".%p.castaway")
    env = clean_environment({**QUIET, **env, "G_SLICE": "always-malloc", "LD_PRELOAD": LIBRARY,
                             "CASTAWAY_OUTPUT": output, "CASTAWAY_OPTIONS": "scan=yes"})
    process = subprocess.Popen(command, env=env, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        alive = wait_until_idle(process)
        status = castaway("snapshot", process.pid).status if alive else -1
        row.bare, row.traced = "0", str(status)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    traces = glob.glob(os.path.join(glob.escape(directory), name + ".%d.castaway" % process.pid))
    wait_for_writers(traces)
    judge(row, traces)
    return row


# ---- groups ----------------------------------------------------------------------------

def tools(directory):
    text = os.path.join(directory, "text")
    with open(text, "w") as file:
        file.write("some text\n")
    commands = (("gio", "info", text), ("gio", "copy", text, text + ".copy"), ("gio", "cat", text),
                ("gio", "tree", "/etc/apt"), ("gio", "mime", "text/plain"), ("gio", "list", "/usr"),
                ("gsettings", "list-recursively"), ("gsettings", "list-schemas"), ("gapplication", "list-apps"),
                ("gdbus", "introspect", "--session", "--dest", "org.freedesktop.DBus", "--object-path", "/"),
                ("gdbus", "call", "--session", "--dest", "org.freedesktop.DBus", "--object-path", "/",
                 "--method", "org.freedesktop.DBus.ListNames"))
    for command in commands:
        if not shutil.which(command[0]):
            continue
        session = command[0] == "gdbus" and shutil.which("dbus-run-session")
        if command[0] == "gdbus" and not session:
            continue
        with bus() if session else contextlib.nullcontext({}) as env:
            yield run_command(directory, " ".join(command[:2]), list(command), env)


@contextlib.contextmanager
def bus():
    """A message bus of our own."""
    daemon = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address=1"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    try:
        yield {"DBUS_SESSION_BUS_ADDRESS": daemon.stdout.readline().decode().strip()}
    finally:
        daemon.terminate()
        daemon.wait()


def gstreamer(directory):
    if shutil.which("gst-launch-1.0"):
        for name, pipeline in PIPELINES.items():
            yield run_command(directory, "gst-launch " + name, ["gst-launch-1.0", "-q"] + pipeline.split())


def gjs(directory):
    if shutil.which("gjs"):
        for name, script in SCRIPTS.items():
            yield run_command(directory, "gjs " + name, ["gjs", "-c", script])


def windows(directory):
    names = (("gtk3-demo", {}), ("gtk3-widget-factory", {}), ("gtk3-icon-browser", {}),
             ("gtk4-demo", {"GSK_RENDERER": "cairo"}), ("gtk4-widget-factory", {"GSK_RENDERER": "cairo"}))
    names = [(name, env) for name, env in names if shutil.which(name)]
    if not names or not shutil.which("Xvfb"):
        return
    for name, env in names:
        with display() as number:
            yield run_window(directory, name, [name], {**env, "DISPLAY": number, "GDK_BACKEND": "x11"})


def glib_tests(directory):
    env = {"G_TEST_SRCDIR": TESTS, "G_TEST_BUILDDIR": TESTS, "HOME": directory, "XDG_RUNTIME_DIR": directory}
    for path in sorted(glob.glob(os.path.join(TESTS, "*"))):
        name = os.path.basename(path)
        if "." in name or name in NOT_ALONE or not os.access(path, os.X_OK) or os.path.isdir(path):
            continue
        yield run_command(directory, name, [path], env)


GROUPS = {"tools": tools, "gstreamer": gstreamer, "gjs": gjs, "windows": windows, "glib": glib_tests}


def main(arguments):
    keep = [a.split("=", 1)[1] for a in arguments if a.startswith("--keep=")]
    chosen = [a for a in arguments if not a.startswith("--")]
    bad = rows = 0
    print(HEAD)
    for group, function in GROUPS.items():
        if chosen and group not in chosen:
            continue
        with contextlib.ExitStack() as stack:
            directory = keep[0] if keep else stack.enter_context(tempfile.TemporaryDirectory())
            for row in function(directory):
                print(row, flush=True)
                rows += 1
                bad += row.is_bad()
    print("%d programs, %d with a finding or another end than without" % (rows, bad))
    # Meson's word for a test that cannot run here.
    return 77 if rows == 0 else bad > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
