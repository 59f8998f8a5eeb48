# SPDX-License-Identifier: Apache-2.0
#
# castaway_gc_collect(): a program asks while it runs what is stranded.
import json
import os

from support import BUILD, EXE, case, castaway, equal, main, record, record_one, run, tracee

# As Python's gc.collect(N) counts: 3 objects, of which 2 are the cycle.  A
# collection moves what it looked at one generation on, so after generation 0 was
# asked it does not see them any more.  Two of four steps later the cycle is
# broken by hand: what is left has a count that no object explains.
STEPS = """only a root: 0
3 born since, generation 0: 3
they are in generation 1, generation 0: 0
generation 1: 3
they are in generation 2, generation 1: 0
generation 2: 3
nothing was freed, disabled: 3
the root holds one: 0
frozen: 0
not frozen: 3
passes 2 2 6
two ended, the third lost its count's only link: 0
"""


def lines(result):
    equal((result.status, result.err), (0, b""), str(result))
    return result.out.decode().splitlines()


@case
def steps(directory):
    """it counts what a collector would find, by generation, freezing and what was linked since"""
    for options in ((), ("--scan=no",)):
        equal(lines(record(directory, [tracee("collect"), "steps"], options)), STEPS.splitlines(), str(options))


@case
def offline_agrees(directory):
    """`castaway gc collect` at the same moments of the trace gives the same numbers, and the passes are there"""
    trace = record_one(directory, [tracee("collect"), "steps"])
    live = [int(line.rsplit(": ")[1]) for line in STEPS.splitlines() if ": " in line]
    generations = [2, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2]
    for index, (generation, number) in enumerate(zip(generations, live)):
        answer = castaway("gc", trace, "collect", "--at=%d" % index, "--generation=%d" % generation,
                          "--format=json")
        equal(len(json.loads(answer.out)["objects"]), number, "snapshot %d" % index)
    passes = [json.loads(line) for line in castaway("dump", trace, "--format=jsonl").out.splitlines()]
    equal([e["generation"] for e in passes if e["event"] == "PASS"], generations, "passes")


@case
def threads(directory):
    """four threads ask at once, and each gets the answer"""
    equal(lines(record(directory, [tracee("collect"), "threads"])), ["thread %d right 1" % i for i in range(4)])


@case
def fork_children(directory):
    """a fork child asks about what it has inherited and what is its own"""
    equal(lines(record(directory, [tracee("collect"), "forked"])),
          ["before the fork: 3", "child: 6", "parent: 3"])


@case
def unseen(directory):
    """the program sees neither a child nor a SIGCHLD"""
    equal(lines(record(directory, [tracee("collect"), "unseen"])), ["collect: 3", "wait -1 ECHILD, SIGCHLD 0"])


@case
def cannot_tell(directory):
    """what it cannot tell is -1, and errno says why"""
    program = [tracee("collect"), "errors"]
    bad = ["generation 3: -1 EINVAL", "generation -1: -1 EINVAL"]
    equal(lines(run(program)), ["%s: -1 ENOSYS" % g for g in ("generation 3", "generation -1", "generation 2")])
    equal(lines(record(directory, program)), bad + ["generation 2: 3"])
    # Another name of ENOTSUP.
    equal(lines(record(directory, program, ("--helper=no",))), bad + ["generation 2: -1 EOPNOTSUPP"])
    for value, name in (("/nonexistent/castaway", "ENOENT"), ("bin/true", "ENOENT"), ("/bin/" + 2048 * "./" + "true", "ENOENT"),
                        ("/bin/false", "EIO"), ("/bin/true", "EIO")):
        equal(lines(record(directory, program, env={"CASTAWAY_EXE": value})), bad + ["generation 2: -1 " + name], value)


@case
def elsewhere(directory):
    """it is found from where the library is, whatever directory the program runs in"""
    relative = os.path.relpath(os.path.join(BUILD, "preload", "libcastaway.so"), directory)
    result = run([tracee("collect"), "errors"], cwd=directory,
                 env={"LD_PRELOAD": "./" + relative, "CASTAWAY_OUTPUT": "%p.castaway"})
    equal(lines(result)[-1], "generation 2: 3")
    result = record(directory, [tracee("collect"), "errors"], env={"CASTAWAY_EXE": EXE})
    equal(lines(result)[-1], "generation 2: 3")


main()
