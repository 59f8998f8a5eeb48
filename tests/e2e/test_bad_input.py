# SPDX-License-Identifier: Apache-2.0
#
# Whatever the file, castaway ends in order: exit 2 with one line, or a report
# that says that it is partial.  Never a signal, never a sanitizer's report.
import concurrent.futures
import json
import os
import random
import re
import struct

from support import FOUND, UNSURE, USAGE, case, castaway, equal, main, record_one, tracee
from traceformat import HEADER_SIZE, Trace, xxh32

TRACE = "TRACE"
COMMANDS = {
    "analyze": ["analyze", "--format=json", TRACE],
    "check": ["check", TRACE],
    "info": ["info", TRACE],
    "dump": ["dump", "--format=jsonl", TRACE],
    "gc": ["gc", TRACE, "collect", "--format=json"],
    "refs": ["refs", "--type=*", TRACE],
    "diff": ["diff", "--leaks", TRACE, TRACE],
}
ANSWERS = {"analyze": (0,), "check": (FOUND, UNSURE), "info": (0,), "dump": (0,), "gc": (0,), "refs": (0,), "diff": (0,)}
PARTIAL = re.compile(rb"damaged|truncated|incomplete|missing|partial|without finishing|in the middle", re.I)


def base_trace(directory):
    """Small, but with every kind of chunk that a native program gives."""
    return record_one(directory, [tracee("threads_plant")])


def command_line(command, path):
    return [path if word == TRACE else word for word in COMMANDS[command]]


def examine(command, path, damaged):
    """None when the command behaved, else what it did wrong."""
    result = castaway(*command_line(command, path), timeout=30)
    said = "castaway %s: %s" % (command, result)
    if result.raw < 0 or b"Sanitizer" in result.err or b"runtime error" in result.err:
        return "crash: " + said
    if result.status == USAGE:
        whole_line = result.err.startswith(b"castaway: %s: " % os.fsencode(path)) and result.err.count(b"\n") == 1
        return None if whole_line and result.err.endswith(b"\n") and not result.out else "not one line: " + said
    if result.status not in ANSWERS[command] + ((0,) if not damaged else ()):
        return "status: " + said
    if damaged and command != "check" and not PARTIAL.search(result.out + result.err):
        return "does not say that it is partial: " + said
    if command == "analyze":
        json.loads(result.out)
    return None


def examine_all(directory, variants, commands=None, damaged=True):
    """variants: (name, bytes).  Each goes to one command by turns, or to all."""
    jobs, names = [], list(COMMANDS)
    for number, (name, data) in enumerate(variants):
        path = os.path.join(directory, "v%d.castaway" % number)
        with open(path, "wb") as file:
            file.write(data)
        for command in commands or [names[number % len(names)]]:
            jobs.append((name, command, path))
    assert jobs, "nothing to examine"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = list(pool.map(lambda job: examine(job[1], job[2], damaged), jobs))
    failures = ["%s: %s" % (job[0], w) for job, w in zip(jobs, wrong) if w]
    assert not failures, "%d of %d\n%s" % (len(failures), len(jobs), "\n".join(failures[:4]))


def refused(path):
    for command in COMMANDS:
        result = castaway(*command_line(command, path))
        equal(result.status, USAGE, "%s %s\n%s" % (command, path, result))
        wrong = examine(command, path, True)
        assert not wrong, wrong


@case
def no_trace_at_all(directory):
    """missing, directory, empty, /dev/null, text, binary, a socket's like: exit 2 and one line"""
    text, empty, noise = (os.path.join(directory, n) for n in ("text", "empty", "noise"))
    with open(text, "w") as file:
        file.write("hello, this is no trace\n" * 100)
    with open(noise, "wb") as file:
        file.write(random.Random(1).randbytes(100000))
    open(empty, "w").close()
    for path in (os.path.join(directory, "missing"), directory, empty, "/dev/null", text, noise,
                 tracee("shapes"), os.path.join(text, "below")):
        refused(path)


@case
def unreadable(directory):
    """a file without permission: exit 2 and one line"""
    path = os.path.join(directory, "locked")
    with open(path, "w") as file:
        file.write("x")
    os.chmod(path, 0)
    if os.access(path, os.R_OK):
        path = "/proc/self/mem"  # root may read all; this file still refuses
    refused(path)


@case
def header_bytes(directory):
    """every single wrong byte of the file header is refused"""
    data = Trace(base_trace(directory)).data
    variants = [("byte %d" % i, data[:i] + bytes([data[i] ^ 0x55]) + data[i + 1:]) for i in range(HEADER_SIZE)]
    examine_all(directory, variants)
    refused(os.path.join(directory, "v0.castaway"))


def with_header(data, offset, layout, value):
    header = bytearray(data[:HEADER_SIZE])
    struct.pack_into(layout, header, offset, value)
    struct.pack_into("<I", header, 124, xxh32(bytes(header[:124])))
    return bytes(header) + data[HEADER_SIZE:]


@case
def other_versions(directory):
    """a newer minimum reader, pointer size or byte order is refused; a newer writer is not"""
    data = Trace(base_trace(directory)).data
    for name, change in (("min_reader", (10, "<H", 2)), ("min_reader max", (10, "<H", 65535)),
                         ("pointer size", (24, "<B", 4)), ("endian", (25, "<B", 2))):
        path = os.path.join(directory, "changed")
        with open(path, "wb") as file:
            file.write(with_header(data, *change))
        refused(path)
    newer = with_header(data, 8, "<H", 9)
    examine_all(directory, [("newer writer", newer)], COMMANDS, damaged=False)
    path = os.path.join(directory, "newer")
    with open(path, "wb") as file:
        file.write(newer)
    equal(castaway("check", path).status, FOUND, "check of a newer writer's trace")


@case
def cut_at_chunks(directory):
    """cut off at every chunk boundary, and just before and behind"""
    trace = Trace(base_trace(directory))
    ends = [HEADER_SIZE] + [c.end for c in trace.chunks[:-1]]
    cuts = sorted({c + d for c in ends for d in (-1, 0, 1, 31, 32, 33)} - {len(trace.data)})
    cuts = [c for c in cuts if c < len(trace.data)]
    examine_all(directory, [("first %d bytes" % c, trace.data[:c]) for c in cuts])
    examine_all(directory, [("first %d bytes" % c, trace.data[:c]) for c in ends], ["check", "analyze"])


@case
def cut_anywhere(directory):
    """cut off at 200 random offsets"""
    data, rng = Trace(base_trace(directory)).data, random.Random(20)
    examine_all(directory, [("first %d bytes" % c, data[:c]) for c in rng.sample(range(len(data)), 200)])


@case
def bit_flips(directory):
    """300 single bit flips: each is noticed"""
    data, rng = Trace(base_trace(directory)).data, random.Random(30)
    variants = []
    for _ in range(300):
        at, bit = rng.randrange(len(data)), rng.randrange(8)
        variants.append(("bit %d of byte %d" % (bit, at),
                         data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1:]))
    examine_all(directory, variants)


@case
def missing_chunks(directory):
    """each chunk taken out, and two neighbours swapped"""
    trace = Trace(base_trace(directory))
    data, chunks = trace.data, trace.chunks
    gone = [("without chunk %d" % i, data[:c.offset] + data[c.end:]) for i, c in enumerate(chunks)]
    examine_all(directory, gone)
    swapped = [("chunks %d and %d swapped" % (i, i + 1),
                data[:a.offset] + data[b.offset:b.end] + data[a.offset:a.end] + data[b.end:])
               for i, (a, b) in enumerate(zip(chunks, chunks[1:]))]
    examine_all(directory, swapped, damaged=False)


def rewritten(trace, number, payload):
    """The trace with another, uncompressed payload in one chunk, hashes right."""
    chunk = trace.chunks[number]
    header = struct.pack("<IHHIIIII", 0x4B4E4843, chunk.type, chunk.flags & ~1, len(payload), len(payload),
                         chunk.thread, chunk.sequence, xxh32(payload))
    whole = header + struct.pack("<I", xxh32(header)) + payload
    return trace.data[:chunk.offset] + whole + trace.data[chunk.end:]


@case
def lying_payloads(directory):
    """payloads that lie under correct hashes: 400 mutations, no crash"""
    trace, rng, variants = Trace(base_trace(directory)), random.Random(40), []
    for number in range(400):
        index = rng.randrange(len(trace.chunks))
        payload = bytearray(trace.chunks[index].payload())
        for _ in range(rng.choice((1, 1, 4, 16))):
            if payload:
                payload[rng.randrange(len(payload))] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        if number % 5 == 0:
            del payload[rng.randrange(len(payload) + 1):]
        variants.append(("mutation %d of chunk %d" % (number, index), rewritten(trace, index, bytes(payload))))
    examine_all(directory, variants, damaged=False)


@case
def lying_sizes(directory):
    """chunk headers with huge sizes and correct hashes"""
    trace, variants = Trace(base_trace(directory)), []
    for number, chunk in enumerate(trace.chunks[:8]):
        for stored, raw in ((0xFFFFFFFF, chunk.raw_size), (chunk.stored_size, 0xFFFFFFFF), (chunk.stored_size, 64 << 20),
                            (chunk.stored_size, 0), (0, chunk.raw_size), (0x7FFFFFFF, 0x7FFFFFFF)):
            header = struct.pack("<IHHIIIII", 0x4B4E4843, chunk.type, chunk.flags, stored, raw,
                                 chunk.thread, chunk.sequence, chunk.payload_hash)
            header += struct.pack("<I", xxh32(header))
            variants.append(("sizes %d and %d in chunk %d" % (stored, raw, number),
                             trace.data[:chunk.offset] + header + trace.data[chunk.offset + 32:]))
    examine_all(directory, variants)


@case
def appended(directory):
    """garbage behind the end is reported; a second trace behind the first is no crash"""
    data = Trace(base_trace(directory)).data
    examine_all(directory, [("garbage behind", data + b"garbage" * 100)], COMMANDS)
    examine_all(directory, [("twice", data + data)], COMMANDS, damaged=False)


main()
