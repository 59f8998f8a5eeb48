# SPDX-License-Identifier: Apache-2.0
#
# What the command line does around the analysis: files, outputs, baselines,
# suppressions, signals.
import json
import os
import re
import signal
import subprocess

from support import EXE, FOUND, LIBRARY, USAGE, case, castaway, clean_environment, equal, main, member, record_one
from support import UNSURE, report, run, tracee


def pair(directory):
    return record_one(directory, [tracee("shapes"), "pair"])


def content(path):
    with open(path, "rb") as file:
        return file.read()


def put(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def one_error_line(result):
    equal(result.status, USAGE, str(result))
    assert re.fullmatch(rb"castaway: [^\n]+\n", result.err), str(result)
    equal(result.out, b"", "stdout")


@case
def default_name(directory):
    """without -o the trace is PROGRAM.PID.castaway in the current directory, and record says where"""
    result = castaway("record", "--", tracee("shapes"), "pair", cwd=directory)
    equal(result.status, 0, str(result))
    names = os.listdir(directory)
    equal(len(names), 1, str(names))
    assert re.fullmatch(r"shapes\.[0-9]+\.castaway", names[0]), names[0]
    member(os.path.join(directory, names[0]).encode(), result.err, "stderr")


@case
def told_traces(directory):
    """record waits for and names the traces of its program, whatever they are called, and no others"""
    shapes = tracee("shapes")
    script = '"$0" pair; exec "$0" pair'
    for output in ("%e.castaway", "%e.%p.castaway", "x.castaway"):
        work = os.path.join(directory, output.replace("%", ""))
        os.mkdir(work)
        put(work, "shapes.castaway", "somebody else's")
        result = castaway("record", "-o", os.path.join(work, output), "--", "sh", "-c", script, shapes)
        equal(result.status, 0, str(result))
        told = re.findall(rb"the trace is in (.*)", result.err)
        # Of the shell, and of what it executed itself into, but not of its child.
        equal(len(told), 2, output + "\n" + str(result))
        equal([report(path.decode())["trace"]["pid"] for path in told],
              [report(told[0].decode())["trace"]["pid"]] * 2, output)
        equal([castaway("check", "-q", path.decode()).status for path in told], [0, FOUND], output)


@case
def existing_trace(directory):
    """a trace that exists is an error, and --force replaces it; neither touches anything else"""
    path = put(directory, "t.castaway", "precious")
    for verb in ("record", "run"):
        one_error_line(castaway(verb, "-o", path, "--", tracee("shapes"), "nothing"))
        equal(content(path), b"precious", verb)
    equal(castaway("record", "-q", "--force", "-o", path, "--", tracee("shapes"), "pair").status, 0)
    equal(castaway("check", "-q", path).status, FOUND)
    equal(os.listdir(directory), ["t.castaway"])
    one_error_line(castaway("record", "--force", "-o", directory, "--", tracee("shapes"), "nothing"))


@case
def preload_is_kept(directory):
    """an LD_PRELOAD that is there comes after castaway's"""
    result = castaway("record", "-q", "-o", os.path.join(directory, "%p.castaway"), "--", "/usr/bin/printenv",
                      "LD_PRELOAD", env={"LD_PRELOAD": "libm.so.6"})
    member((os.path.realpath(LIBRARY) + ":libm.so.6\n").encode(), (result.out,), str(result))


@case
def missing_library(directory):
    """a library that is not there is an error, and the program does not run"""
    result = castaway("record", "--", "/bin/echo", "ran", env={"CASTAWAY_LIBRARY": "/nonexistent.so"}, cwd=directory)
    one_error_line(result)
    equal(os.listdir(directory), [])


@case
def report_file(directory):
    """analyze -o writes what goes to stdout otherwise, and replaces a report"""
    trace, out = pair(directory), put(directory, "r.json", "old")
    shown = castaway("analyze", trace, "--format=json")
    result = castaway("analyze", trace, "--format=json", "-o", out)
    equal((result.status, result.out), (0, b""), str(result))
    equal(content(out), shown.out)
    equal(sorted(os.listdir(directory)), sorted(["r.json", os.path.basename(trace)]))


@case
def output_keeps_what_is_there(directory):
    """a failing analyze or baseline leaves the old output, and no other file"""
    out, bad = put(directory, "out", "old"), put(directory, "bad.castaway", "this is no trace")
    for arguments in (["analyze", bad, "-o", out], ["baseline", bad, "-o", out]):
        one_error_line(castaway(*arguments))
        equal(content(out), b"old")
    equal(sorted(os.listdir(directory)), ["bad.castaway", "out"])


@case
def trace_is_not_overwritten(directory):
    """the trace is refused as output, by its name and by other names of the same file"""
    trace = pair(directory)
    before = content(trace)
    soft, hard = os.path.join(directory, "soft"), os.path.join(directory, "hard")
    os.symlink(trace, soft)
    os.link(trace, hard)
    for out in (trace, soft, hard):
        one_error_line(castaway("analyze", trace, "-o", out))
        one_error_line(castaway("baseline", trace, "-o", out))
    equal(content(trace), before)


@case
def symbolic_link_output(directory):
    """an output that is a symbolic link stays one; its target is replaced"""
    trace, real = pair(directory), put(directory, "real", "old")
    link = os.path.join(directory, "link")
    os.symlink("real", link)
    equal(castaway("analyze", trace, "-o", link).status, 0)
    assert os.path.islink(link)
    assert content(real).startswith(b"1 stranded structure"), content(real)


@case
def baselines(directory):
    """a baseline makes known findings pass, is the same each time, and says what it knows"""
    trace = pair(directory)
    fingerprint = report(trace)["structures"][0]["fingerprint"]
    known = [os.path.join(directory, name) for name in ("1.json", "2.json")]
    for path in known:
        equal(castaway("baseline", "-q", trace, "-o", path).status, 0)
    equal(content(known[0]), content(known[1]))
    document = json.loads(content(known[0]))
    equal(document["schema"], "castaway-baseline/1")
    equal([(f["fingerprint"], f["verdict"], f["count"]) for f in document["findings"]], [(fingerprint, "stranded", 1)])
    equal(castaway("check", trace).status, FOUND)
    result = castaway("check", trace, "--baseline", known[0], "--verbose")
    equal(result.status, 0, str(result))
    member(b"(known)", result.out)
    member(fingerprint.encode(), result.out)
    one_error_line(castaway("check", trace, "--baseline", put(directory, "3.json", "{}")))


@case
def suppressions(directory):
    """a suppression by fingerprint, type, function or module passes; what matched nothing is told"""
    trace = pair(directory)
    structure = report(trace)["structures"][0]
    frames = structure["members"][0]["allocated_at"]
    for line in ("fingerprint:" + structure["fingerprint"], "type:" + structure["members"][0]["type"],
                 "type:native:*", "function:" + frames[0]["function"], "module:shapes"):
        path = put(directory, "supp", "# reviewed\n%s  # fine\n" % line)
        result = castaway("check", trace, "--suppressions", path)
        equal(result.status, 0, "%s: %s" % (line, result))
        member(b"1 suppressed", result.out)
    path = put(directory, "supp", "type:Nothing*\n")
    result = castaway("check", trace, "-v", "-s", path)
    equal(result.status, FOUND)
    member(b"line 1: nothing matched type:Nothing*", result.err)
    one_error_line(castaway("check", trace, "-s", put(directory, "supp", "typo:x\n")))


@case
def fail_on(directory):
    """--fail-on chooses what fails"""
    trace = pair(directory)
    misused = record_one(directory, [tracee("shapes"), "unlink_missing"])
    unscanned = record_one(directory, [tracee("shapes"), "pair"], ["--scan=no"])
    for path, chosen, status in ((trace, "stranded", FOUND), (trace, "leaked,stranded", FOUND),
                                 # Without a scan nobody can say what is leaked.
                                 (unscanned, "over-referenced,leaked", UNSURE),
                                 (trace, "over-referenced,leaked", 0), (trace, "misuse", 0),
                                 (misused, "stranded,likely-stranded", 0), (misused, "misuse", FOUND)):
        equal(castaway("check", path, "--fail-on=" + chosen).status, status, chosen)
    for wrong in ("", ",", "stranded;leaked", "everything"):
        one_error_line(castaway("check", trace, "--fail-on=" + wrong))


@case
def info_and_dump_agree(directory):
    """info counts the events that dump prints, and --from and --to cut exactly"""
    trace = pair(directory)
    info = json.loads(castaway("info", trace, "--format=json").out)
    lines = castaway("dump", trace, "--format=jsonl").out.splitlines()
    equal(len(lines), info["events"])
    counts = {}
    for number, line in enumerate(lines):
        event = json.loads(line)
        equal(event["index"], number)
        counts[event["event"]] = counts.get(event["event"], 0) + 1
    equal(counts, info["events_by_type"])
    equal((info["complete"], info["end"], info["dropped_events"]), (True, "exit", 0))
    equal(castaway("dump", trace, "--format=jsonl", "--from=2", "--to=4").out.splitlines(), lines[2:5])
    equal(len(castaway("dump", trace).out.splitlines()), len(lines))


@case
def dump_stacks(directory):
    """dump --stacks names the functions; --no-symbols opens nothing and gives offsets"""
    trace = pair(directory)
    events = [json.loads(line) for line in castaway("dump", trace, "--stacks", "--format=jsonl").out.splitlines()]
    born = [event for event in events if event["event"] == "OBJECT"]
    equal(len(born), 2)
    for event in born:
        member("main", [frame["function"] for frame in event["frames"]])
    plain = castaway("dump", trace, "--stacks", "--no-symbols").out
    frames = re.findall(rb"^    (?:at|by) (.*)$", plain, re.MULTILINE)
    # A module's path and an offset, and nothing else: the path may hold any word.
    odd = [frame for frame in frames if not re.fullmatch(rb"/\S+\+0x[0-9a-f]+", frame)]
    equal(odd, [])
    assert any(re.search(rb"/shapes\+0x", frame) for frame in frames), plain[-500:]


@case
def run_leaves_nothing(directory):
    """run removes its trace, says so, and prints the report after the program's output"""
    result = castaway("run", "--", "/bin/sh", "-c", "echo first; exec '%s' pair" % tracee("shapes"),
                      env={"TMPDIR": directory})
    equal(result.status, FOUND, str(result))
    equal(os.listdir(directory), [])
    assert result.out.startswith(b"first\n"), str(result)
    member(b"1 stranded structure", result.out)
    member(b"1 new finding\n", result.out)
    member(b"was not kept", result.err)


@case
def run_keeps(directory):
    """run -o keeps the trace, and those of children beside it"""
    path = os.path.join(directory, "kept.castaway")
    script = "'%s' pair; exit 0" % tracee("shapes")
    result = castaway("run", "-o", path, "--", "/bin/sh", "-c", script)
    equal(result.status, FOUND, str(result))
    names = sorted(os.listdir(directory))
    equal(len(names), 2, str(names))
    equal(names[0], "kept.castaway")
    assert re.fullmatch(r"kept\.castaway\.[0-9]+", names[1]), names[1]
    equal(castaway("check", "-q", os.path.join(directory, names[1])).status, FOUND)


@case
def run_baseline(directory):
    """run takes a baseline: what is known does not fail, and the program's status shows"""
    trace = pair(directory)
    known = os.path.join(directory, "known.json")
    equal(castaway("baseline", "-q", trace, "-o", known).status, 0)
    equal(castaway("run", "--baseline", known, "--", tracee("shapes"), "pair").status, 0)


@case
def untraceable(directory):
    """a program that wrote no trace keeps its status under run, which says what is missing"""
    source = put(directory, "static.c", "int main(int n, char **v) { return n - 1; }\n")
    program = os.path.join(directory, "static")
    subprocess.run(["gcc", "-static", "-o", program, source], check=True, timeout=60)
    result = castaway("run", "--", program)
    equal(result.status, 0, str(result))
    member(b"statically linked", result.err)
    member(b"too incomplete to say", result.out)
    equal(castaway("run", "-q", "--", program, "x").status, 1)
    result = castaway("record", "--", program, cwd=directory)
    equal(result.status, 0)
    member(b"statically linked", result.err)


@case
def signals_are_passed_on(directory):
    """a signal sent to castaway ends the program, which then is waited for"""
    process = subprocess.Popen(
        [EXE, "record", "-q", "-o", os.path.join(directory, "t.castaway"), "--", "/bin/sh", "-c",
         "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.02; done"],
        stdout=subprocess.PIPE, env=clean_environment())
    try:
        equal(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    equal((out, process.returncode), (b"caught\n", 9))


@case
def reader_goes_away(directory):
    """a reader of stdout that goes away is no error message"""
    trace = pair(directory)
    for command in ("dump", "info", "analyze"):
        result = run(["/bin/bash", "-c", '"$0" "$1" "$2" | true', EXE, command, trace])
        equal((result.status, result.err), (0, b""), command)


@case
def colors(directory):
    """color only when asked for, or on a terminal without NO_COLOR"""
    trace = pair(directory)
    escape = b"\x1b["
    assert escape not in castaway("analyze", trace).out
    assert escape in castaway("analyze", trace, "--color=always").out
    assert escape not in castaway("analyze", trace, "--color=never").out
    for extra, expected in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
        terminal = run(["script", "-qec", "'%s' analyze '%s'" % (EXE, trace), "/dev/null"], env=extra)
        equal(escape + b"3" in terminal.out or escape + b"1" in terminal.out, expected, str(extra))


@case
def all_snapshots(directory):
    """--snapshot=all gives one report after the other; a number that is not there is an error"""
    trace = pair(directory)
    decoder, text, count = json.JSONDecoder(), castaway("analyze", trace, "--snapshot=all", "--format=json").out, 0
    text = text.decode().strip()
    while text:
        document, end = decoder.raw_decode(text)
        equal(document["schema"], "castaway-report/1")
        text, count = text[end:].strip(), count + 1
    equal(count, max(1, len(json.loads(castaway("info", trace, "--format=json").out)["snapshots"])))
    one_error_line(castaway("analyze", trace, "--snapshot=99"))


main()
