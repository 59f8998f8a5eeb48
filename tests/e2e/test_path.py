# SPDX-License-Identifier: Apache-2.0
#
# castaway path: who holds a block of tracees/leaks, whose sizes are their own.
import json
import os

from support import TRACEES, USAGE, case, castaway, equal, main, member, record_one, report, tracee
from traceformat import Trace

ENVIRONMENT = {"LEAKS_PLUGIN": os.path.join(TRACEES, "libleaks_plugin.so")}


def recorded(directory, name, *options):
    return record_one(directory, [tracee("leaks"), name], ["--scan=yes", *options], env=ENVIRONMENT)


def address_of(trace, size):
    (snapshot,) = Trace(trace).snapshots().values()
    (found,) = [address for address, length in snapshot["blocks"] if length == size]
    return found


def path(trace, address, *options):
    result = castaway("path", "--quiet", "--format=json", *options, trace, hex(address))
    equal(result.status, 0, "castaway path\n%s" % result)
    return json.loads(result.out)


def roots_of(found):
    return [chain["root"] for chain in found["chains"]]


@case
def variables(directory):
    """Variables are named, with their module"""
    trace = recorded(directory, "globals")
    for size, name, offset in ((3001, "g_kept", 0), (3002, "s_initialized", 0), (3005, "s_array", 16)):
        found = path(trace, address_of(trace, size))
        equal((found["status"], found["size"], found["retained"]), ("held", size, size), "block of %d" % size)
        (root,) = roots_of(found)
        equal((root["kind"], root["name"], root["offset"]), ("module", name, offset), "root of %d" % size)
        equal(os.path.basename(root["module"]), "leaks", "module")


@case
def chains(directory):
    """A chain goes from a root over every block to the object"""
    trace = recorded(directory, "globals")
    first, second = address_of(trace, 3003), address_of(trace, 3004)
    found = path(trace, second)
    (chain,) = found["chains"]
    equal([(step["address"], step["offset"]) for step in chain["steps"]], [(hex(first), None), (hex(second), 0)],
          "steps")
    equal(found["dominators"], [hex(first)], "dominators")
    equal(path(trace, first)["retained"], 3003 + 3004, "retained")
    equal(path(trace, second + 1000)["address"], hex(second), "an address inside of the block")


@case
def threads(directory):
    """Stacks, registers and thread-local storage are told apart"""
    trace = recorded(directory, "live_threads")
    kinds = {}
    for size in (3071, 3072, 3073):
        roots = roots_of(path(trace, address_of(trace, size), "--chains=10"))
        kinds[size] = {root["kind"] for root in roots}
        assert all(root["thread"] for root in roots), roots
    member("stack", kinds[3071], "a local variable")
    equal(kinds[3072], {"stack"}, "thread-local storage lies in the mapping of the stack")
    member("register", kinds[3073], "a register")
    names = {r["name"] for r in roots_of(path(trace, address_of(trace, 3073), "--chains=10"))
             if r["kind"] == "register"}
    member("r12", names, "registers")


@case
def stranded(directory):
    """What a cycle keeps has chains from the cycle"""
    trace = recorded(directory, "cycle")
    first, second = address_of(trace, 1021), address_of(trace, 1022)
    (structure,) = report(trace)["structures"]
    for target, other in ((first, second), (second, first)):
        found = path(trace, target)
        equal((found["status"], found["fingerprint"]), ("member", structure["fingerprint"]), "status")
        (chain,) = found["chains"]
        equal((chain["from"], [step["address"] for step in chain["steps"]]), ("structure", [hex(other), hex(target)]),
              "chain")
    trace = recorded(directory, "entrained")
    found = path(trace, address_of(trace, 1243))
    equal(found["status"], "entrained", "status")
    (chain,) = found["chains"]
    equal([step["size"] for step in chain["steps"]], [1241, 1242, 1243], "chain")
    equal(found["dominators"], [hex(address_of(trace, 1242)), hex(address_of(trace, 1241))], "dominators")


@case
def lost(directory):
    """What is lost has chains from lost memory"""
    trace = recorded(directory, "indirect")
    found = path(trace, address_of(trace, 1013))
    equal(found["status"], "lost", "status")
    (chain,) = found["chains"]
    equal((chain["from"], [step["size"] for step in chain["steps"]]), ("lost", [1011, 1012, 1013]), "chain")
    found = path(trace, address_of(trace, 1011))
    equal((found["status"], found["chains"], found["retained"]), ("lost", [], 1011 + 1012 + 1013), "direct")


@case
def many(directory):
    """Chains are counted and limited"""
    trace = recorded(directory, "direct", "--scan=yes")
    address = address_of(trace, 1001)
    equal(path(trace, address)["more"], 0, "more")
    text = castaway("path", trace, hex(address)).out.decode()
    member("block %s (1001 B), allocated in make" % hex(address), text, "text")
    member("Lost: nothing that the program holds leads to it.", text, "text")
    for wrong in ([trace], [trace, "here"], [trace, "0x10"], [trace, hex(address), "more"],
                  ["--chains=0", trace, hex(address)], [trace + ".not", hex(address)]):
        result = castaway("path", *wrong)
        equal((result.status, result.out), (USAGE, b""), " ".join(map(str, wrong)))
        member(b"castaway: ", result.err, "message")


@case
def counts(directory):
    """Without a scan chains begin at counts that no reference explains"""
    trace = record_one(directory, [tracee("leaks"), "entrained"], ["--scan=no"], env=ENVIRONMENT)
    (structure,) = report(trace)["structures"]
    found = path(trace, int(structure["members"][0]["address"], 16))
    equal(found["status"], "member", "status")
    trace = record_one(directory, [tracee("leaks"), "over_referenced"], ["--scan=no"], env=ENVIRONMENT)
    live = Trace(trace).live()
    (address,) = [a for a, size in live.items() if size == 1201]
    found = path(trace, address)
    equal((found["status"], [c["from"] for c in found["chains"]]), ("held", ["count"]), "an object with counts left")


if __name__ == "__main__":
    main()
