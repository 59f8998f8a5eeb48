# SPDX-License-Identifier: Apache-2.0
#
# The manual says what the program does: every option has an entry, and no
# entry describes an option that is not there.
import os
import re

from support import SOURCE, case, castaway, equal, main

MAN = os.path.join(SOURCE, "tools", "man")
SHARED = {"quiet", "color", "help"}  # in castaway(1)
# Options that a command takes and another page describes.
BORROWED = {"run": ("record", "check", "analyze"), "check": ("analyze",), "baseline": ("analyze",)}


def page(name):
    with open(os.path.join(MAN, name)) as file:
        return file.read()


def described(name):
    return set(re.findall(r"^\.It (?:Fl \w , -|Fl -)([a-z0-9-]+)", page(name), re.M))


def offered(command):
    text = castaway(command, "--help").out.decode()
    return set(re.findall(r"^ {2}(?:-\w, | {4})--([a-z0-9-]+)", text, re.M))


def settings():
    return set(re.findall(r"^\.It Cm ([a-z0-9-]+) Ns = Ns", page("libcastaway.7"), re.M))


def commands():
    return re.findall(r"^  ([a-z]+) ", castaway("--help").out.decode(), re.M)


@case
def pages(directory):
    """every command has a page of its own and a line in castaway(1)"""
    listed = re.findall(r"^\.It Cm ([a-z]+)$", page("castaway.1"), re.M)
    equal(sorted(set(listed) & set(commands())), sorted(commands()))
    expected = {"castaway.1", "libcastaway.7"} | {"castaway-%s.1" % c for c in commands()}
    equal(set(os.listdir(MAN)), expected)


@case
def options(directory):
    """every option of every command is described, and no other"""
    equal(len(commands()), 12)
    for command in commands():
        known = set(SHARED)
        if command in ("record", "run"):
            known |= settings()
        for other in BORROWED.get(command, ()):
            known |= described("castaway-%s.1" % other)
        own = described("castaway-%s.1" % command)
        missing = offered(command) - own - known
        equal(missing, set(), "%s: options that the manual does not describe" % command)
        equal(own - offered(command), set(), "%s: described, but not offered" % command)


@case
def setting_keys(directory):
    """libcastaway(7) describes exactly the settings of the preload, with their defaults"""
    with open(os.path.join(SOURCE, "preload", "config.h")) as file:
        listed = re.findall(r'X\((BOOL|UINT|EVENTS), "([^"]+)", \w+, (\d+),', file.read())
    text = page("libcastaway.7")
    for kind, key, value in listed:
        entry = re.search(r"^\.It Cm %s Ns = Ns .*?^The default is (\w+)\.$" % re.escape(key), text, re.M | re.S)
        assert entry, "no entry: " + key
        words = {"BOOL": {"0": "no", "1": "yes"}, "EVENTS": {"0": "all", "1": "live"}}
        equal(entry.group(1), words.get(kind, {}).get(value, value), key)
    equal(settings(), {key for _, key, _ in listed})


main()
