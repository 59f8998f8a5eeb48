# SPDX-License-Identifier: Apache-2.0
#
# Call stacks that castaway takes in its own way, each compared with libunwind's
# at the moment when it is taken (verify-stacks): none differs, whatever was done
# to the stack before.
from support import case, equal, main, record_one, report, tracee

LIBRARIES = ["unwinds_small.so", "unwinds_large.so"]


def limits_of(directory, program, *arguments):
    trace = record_one(directory, [tracee(program), *arguments], ["--verify-stacks=yes"])
    return {limit["code"]: limit["count"] for limit in report(trace)["limits"]}


def verified(directory, program, *arguments, least):
    limits = limits_of(directory, program, *arguments)
    equal(limits.get("stacks-differ", 0), 0, "stacks that differ, of %r" % limits)
    equal(limits.get("stacks-verified", 0) >= least, True, "at least %d stacks compared: %r" % (least, limits))
    return limits


# frames() is called twice: 20 depths, 2 functions, an allocation and a free at
# each level: 2 * 2 * 2 * (1 + 2 + ... + 20).
PLAIN = 2 * 2 * 2 * 210


def kind(name, what, more):
    def run(directory):
        for program in ("unwinds", "unwinds_pointer", "unwinds_plain"):
            verified(directory, program, name, least=PLAIN + more)
    run.__name__ = name
    run.__doc__ = what
    case(run)


kind("frames", "frames with and without frame pointers, and with ones of variable size", PLAIN // 2)
kind("signals", "handlers on the stack that was interrupted", 50)
kind("alternate", "handlers on a stack of their own", 50)
kind("coroutines", "two contexts that take turns", 50)
kind("jumps", "longjmp out of frames that were remembered", 50)
kind("generated", "code without any information", 50)
kind("steps", "a signal at every instruction of the kernel's page", 0)


@case
def libraries(directory):
    """a library at the addresses of one that was closed, with other frames"""
    paths = [tracee(name) for name in LIBRARIES]
    limits = verified(directory, "unwinds", "libraries", *paths, least=PLAIN + 50 * 3 * 2)
    equal(limits.get("no-stacks", 0), 0, "stacks not taken")


@case
def exceptions(directory):
    """C++ exceptions through frames and threads"""
    verified(directory, "throws", least=100)


@case
def threads(directory):
    """threads that come and go take over each other's memory"""
    verified(directory, "churn", "8", "500", least=4000)


main()
