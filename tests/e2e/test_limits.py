# SPDX-License-Identifier: Apache-2.0
#
# What castaway cannot see, its reports say.
from support import case, equal, main, record_one, report, tracee

LIBRARY = "libleaks_plugin.so"


def counts(directory, *command):
    """Of the limits that these programs may have."""
    limits = report(record_one(directory, [tracee(command[0]), *command[1:]]))["limits"]
    known = ("own-malloc", "deepbind", "namespace", "unread-memory", "no-snapshot", "unknown-free")
    return {limit["code"]: limit["count"] for limit in limits if limit["code"] in known}


@case
def nothing(directory):
    """an ordinary program has no limit"""
    equal(counts(directory, "unseen", "nothing"), {})
    equal(counts(directory, "unseen", "base", tracee(LIBRARY)), {}, "dlmopen into the program's own namespace")


@case
def own_malloc(directory):
    """a program that defines malloc"""
    equal(counts(directory, "unseen_own_malloc", "nothing"), {"own-malloc": 1})


@case
def libraries_apart(directory):
    """libraries that do not use the hooked malloc: RTLD_DEEPBIND, and a namespace of their own"""
    equal(counts(directory, "unseen", "deepbind", tracee(LIBRARY)), {"deepbind": 1})
    equal(counts(directory, "unseen", "namespace", tracee(LIBRARY)), {"namespace": 1})


@case
def unread_memory(directory):
    """a mapping that reaches beyond its file: three pages that cannot be read"""
    equal(counts(directory, "unseen", "unread"), {"unread-memory": 3 * 4096})


main()
