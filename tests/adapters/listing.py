# SPDX-License-Identifier: Apache-2.0
#
# The two sides of the comparison with CPython's collector, as sets of
# addresses: what oracle.py wrote, and what a report says.
import re

from support import equal, stranded

LISTED = re.compile(r"gc: (?:un)?collectable <.* (0x[0-9a-f]+)>")


def listed(path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    equal(lines[-1], "done", "the end of the collector's listing")
    found = [LISTED.fullmatch(line) for line in lines[:-1]]
    assert all(found), "a line of the listing is no object: %r" % lines[found.index(None)]
    return {match.group(1) for match in found}


def stranded_addresses(json_report):
    addresses = []
    for structure in stranded(json_report):
        equal(len(structure["instances"]), structure["count"], "instances of " + structure["fingerprint"])
        for instance in structure["instances"]:
            addresses += instance["members"] + instance["entrained"]
    equal(len(set(addresses)), len(addresses), "objects in two structures")
    return set(addresses)
