# SPDX-License-Identifier: Apache-2.0
#
# The preload without the command line tool: settings from the environment,
# the trace file, and what it does when it cannot write one.
import os
import re
import stat

from support import (LIBRARY, Skip, case, castaway, equal, limit_codes, main, report, run, stranded, tracee,
                     traces_in)
from traceformat import Trace


def preloaded(directory, command, output="%e.%p.castaway", options=None, **kw):
    env = {"LD_PRELOAD": LIBRARY, "CASTAWAY_OUTPUT": os.path.join(directory, output)}
    if options is not None:
        env["CASTAWAY_OPTIONS"] = options
    result = run(command, env=env, **kw)
    result.traces = traces_in(directory)
    return result


@case
def names(directory):
    """%e and %p become program name and pid, %% a percent sign"""
    result = preloaded(directory, [tracee("shapes"), "pair"], "a%%b.%e.%p.castaway")
    equal((result.status, result.out, result.err), (0, b"", b""), str(result))
    trace, = result.traces
    equal(os.path.basename(trace), "a%%b.shapes.%d.castaway" % Trace(trace).pid, "name")
    equal(len(stranded(report(trace))), 1, "structures")


@case
def relative_name(directory):
    """a relative name is relative to where the program started, also after chdir"""
    env = {"LD_PRELOAD": LIBRARY, "CASTAWAY_OUTPUT": "here.%e.%p.castaway"}
    result = run(["sh", "-c", "cd /proc; true"], cwd=directory, env=env)
    equal((result.status, result.err), (0, b""), str(result))
    trace, = traces_in(directory)
    assert os.path.basename(trace).startswith("here."), trace


@case
def default_name(directory):
    """without CASTAWAY_OUTPUT the trace is %e.%p.castaway in the current directory"""
    result = run([tracee("shapes"), "pair"], cwd=directory, env={"LD_PRELOAD": LIBRARY})
    equal((result.status, result.err), (0, b""), str(result))
    equal([re.sub(r"\d+", "N", os.path.basename(t)) for t in traces_in(directory)], ["shapes.N.castaway"], "traces")


@case
def mode(directory):
    """the trace is readable by its owner alone, whatever the umask"""
    for mask in ("000", "077", "777"):
        command = ["sh", "-c", 'umask %s; exec "$0" pair' % mask, tracee("shapes")]
        result = preloaded(directory, command, "mask%s.%%e.castaway" % mask)
        equal((result.status, result.err), (0, b""), str(result))
    modes = {os.path.basename(t): stat.S_IMODE(os.stat(t).st_mode) for t in traces_in(directory)}
    equal({m & 0o177 for m in modes.values()}, {0}, "permissions beyond 0600: %r" % modes)
    equal({m for n, m in modes.items() if n.startswith("mask000")}, {0o600}, "permissions: %r" % modes)


@case
def unknown_setting(directory):
    """an unknown key is reported once on stderr and in the trace, and tracing goes on"""
    result = preloaded(directory, [tracee("shapes"), "pair"], options="flush=100:no-such-key=7:depth=64")
    equal(result.status, 0, str(result))
    equal(result.err.count(b"\n"), 1, "lines on stderr: %r" % result.err)
    assert b"castaway" in result.err and b"no-such-key" in result.err, result.err
    trace, = result.traces
    json = report(trace)
    assert "unknown-option" in limit_codes(json), json["limits"]
    equal([v for k, v in Trace(trace).process() if k == 4 and "no-such-key" in v] != [], True, "OPTION_ERROR")
    equal(len(stranded(json)), 1, "structures")


@case
def malformed_settings(directory):
    """malformed values are reported in one line; the target runs"""
    for options in ("depth=", "depth=-1", "depth=99999999999999999999", "flush=1s", "follow=perhaps", "=", "===",
                    ":::a", "x" * 5000, "depth=1:" * 500, "\xff\xfe=1", "helper"):
        result = preloaded(directory, [tracee("shapes"), "no shape"], options=options)
        equal(result.status, 99, "%r\n%s" % (options, result))
        lines = result.err.decode("utf-8", "replace").splitlines()
        equal(len([l for l in lines if not l.startswith("shapes: ")]) <= 1, True, "%r: %r" % (options, lines))


@case
def symlink(directory):
    """a symbolic link at the output path is not followed, a file not overwritten: the trace goes beside it"""
    victim, link = os.path.join(directory, "victim"), os.path.join(directory, "link.castaway")
    with open(victim, "w") as file:
        file.write("precious")
    os.symlink(victim, link)
    dangling = os.path.join(directory, "dangling.castaway")
    os.symlink(os.path.join(directory, "made"), dangling)
    plain = os.path.join(directory, "plain.castaway")
    with open(plain, "w") as file:
        file.write("precious")
    for name in ("link.castaway", "dangling.castaway", "plain.castaway"):
        result = preloaded(directory, [tracee("shapes"), "pair"], name)
        equal(result.status, 0, "%s\n%s" % (name, result))
        equal(result.err, b"", name)
        equal(len([t for t in result.traces if re.search(r"/%s\.\d+$" % re.escape(name), t)]), 1, str(result.traces))
    for path in (victim, plain):
        with open(path) as file:
            equal(file.read(), "precious", path)
    assert os.path.islink(link) and os.path.islink(dangling), "links are still links"
    assert not os.path.exists(os.path.join(directory, "made")), "written through a dangling link"


@case
def unwritable(directory):
    """where no trace can be written the target runs, with one line on stderr"""
    for output in ("/proc/no/such/%p", "/dev/null/%p", os.path.join(directory, "missing", "%p")):
        env = {"LD_PRELOAD": LIBRARY, "CASTAWAY_OUTPUT": output}
        result = run([tracee("endings"), "status", "5"], env=env)
        equal((result.status, result.out), (5, b""), "%s\n%s" % (output, result))
        equal(result.err.count(b"\n"), 1, "%s: lines on stderr: %r" % (output, result.err))
        assert b"castaway" in result.err, result.err


@case
def file_size_limit(directory):
    """a file size limit ends the trace, not the target"""
    script = 'ulimit -f 8; exec "$0" 4 20000 > /dev/null'
    result = preloaded(directory, ["bash", "-c", script, tracee("churn")], "limited.%e.%p.castaway")
    equal((result.status, result.out), (0, b""), str(result))
    for trace in result.traces:
        equal(castaway("info", trace).status in (0, 2), True, trace)


@case
def memory_limit(directory):
    """an address space limit does not change what the target does"""
    script = 'ulimit -v %d; exec "$0" status 7'
    for kilobytes in (30000, 100000, 400000, 2000000):
        bare = run(["bash", "-c", script % kilobytes, tracee("endings")])
        if bare.status != 7:
            raise Skip("the program does not run with %d KiB by itself" % kilobytes)
        result = preloaded(directory, ["bash", "-c", script % kilobytes, tracee("endings")], "as%d.%%e.%%p.castaway" % kilobytes)
        equal((result.status, result.out), (7, b""), "%d KiB: %s" % (kilobytes, result))


@case
def descriptor_limit(directory):
    """a target that may open few files still gets all of them"""
    script = 'ulimit -n 5; exec "$0"'
    bare = run(["bash", "-c", script, tracee("closed")])
    equal(preloaded(directory, ["bash", "-c", script, tracee("closed")]).status, bare.status, "status")


@case
def preloaded_twice(directory):
    """the library named twice is loaded once"""
    env = {"LD_PRELOAD": LIBRARY + ":" + LIBRARY, "CASTAWAY_OUTPUT": os.path.join(directory, "%e.%p.castaway")}
    result = run([tracee("shapes"), "pair"], env=env)
    equal((result.status, result.out, result.err), (0, b"", b""), str(result))
    equal([len(stranded(report(t))) for t in traces_in(directory)], [1], "structures")


main()
