# SPDX-License-Identifier: Apache-2.0
#
# A second reader of the trace, written from FORMAT.md alone: the oracle for
# what `dump` and `info` say, and the tool that damages traces on purpose.
# Slow and strict; it raises on anything that the format does not allow.
import ctypes
import ctypes.util
import struct

MAGIC = b"\x89CSTWY\r\n"
HEADER_SIZE = 128
CHUNK_MAGIC = 0x4B4E4843
CHUNK_HEADER = struct.Struct("<IHHIIIIII")
ZSTD = 1
(PROCESS, CLOCK, MODULES, STRINGS, STACKS, THREADS, EVENTS, SNAPSHOT, BLOCKS, OBJECTS, RUNTIME,
 SNAPSHOT_END, LIMITS, END, SCAN_EDGES, ROOTS, EDGE_RULES, TYPES, SCAN_EDGES_FINE) = range(1, 20)
ROTATED = 8  # feature
ROTATE = 9  # reason of a snapshot
M32 = 0xFFFFFFFF
M64 = 0xFFFFFFFFFFFFFFFF

# Columns of an EVENTS chunk: opcodes, times, then one for each letter of the signatures.
COLUMNS = "edbonsti"
TIMED = 0x80

# opcode: (name, signature, field names), as the table in FORMAT.md's format.h
OPCODES = {
    1: ("ALLOC", "bns", "block,size,stack"),
    2: ("FREE", "bs", "block,stack"),
    3: ("REALLOC_FAILED", "b", "block"),
    4: ("ALLOC_MANAGED", "bnsn", "block,size,stack,runtime"),
    5: ("OBJECT", "onts", "object,size,type,stack"),
    6: ("OBJECT_END", "os", "object,stack"),
    7: ("REF", "os", "object,stack"),
    8: ("UNREF", "os", "object,stack"),
    9: ("LINK", "oots", "owner,target,field,stack"),
    10: ("UNLINK", "oots", "owner,target,field,stack"),
    11: ("WEAK", "oots", "owner,target,field,stack"),
    12: ("LAYOUT", "tnni", "type,count_offset,count_width,count_bias"),
    13: ("PASS", "nnnnn", "domain,number,generation,examined,promoted"),
    14: ("GC_CONTROL", "nnnn", "control,a,b,c"),
    15: ("MARK", "ts", "name,stack"),
    16: ("RUNTIME_REF", "os", "object,stack"),
    17: ("RUNTIME_UNREF", "os", "object,stack"),
    18: ("RUNTIME_CALL", "onns", "object,operation,data,stack"),
}


def xxh32(data, seed=0):
    p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393

    def rotate(x, n):
        return ((x << n) | (x >> (32 - n))) & M32

    at, size = 0, len(data)
    if size >= 16:
        lanes = [(seed + p1 + p2) & M32, (seed + p2) & M32, seed, (seed - p1) & M32]
        while at + 16 <= size:
            for i, word in enumerate(struct.unpack_from("<4I", data, at)):
                lanes[i] = (rotate((lanes[i] + word * p2) & M32, 13) * p1) & M32
            at += 16
        h = sum(rotate(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18))) & M32
    else:
        h = (seed + p5) & M32
    h = (h + size) & M32
    while at + 4 <= size:
        h = (rotate((h + struct.unpack_from("<I", data, at)[0] * p3) & M32, 17) * p4) & M32
        at += 4
    for byte in data[at:]:
        h = (rotate((h + byte * p5) & M32, 11) * p1) & M32
    h = ((h ^ (h >> 15)) * p2) & M32
    h = ((h ^ (h >> 13)) * p3) & M32
    return h ^ (h >> 16)


def unzstd(data, raw_size):
    library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    library.ZSTD_decompress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(max(raw_size, 1))
    size = library.ZSTD_decompress(out, ctypes.c_size_t(raw_size), data, ctypes.c_size_t(len(data)))
    if size != raw_size:
        raise ValueError("zstd frame does not hold %d bytes" % raw_size)
    return out.raw[:raw_size]


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def more(self):
        return self.at < len(self.data)

    def u8(self):
        self.at += 1
        return self.data[self.at - 1]

    def u64(self):
        self.at += 8
        return struct.unpack_from("<Q", self.data, self.at - 8)[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > M64:
                    raise ValueError("varint over 64 bits")
                return value
            shift += 7

    def svarint(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def string(self):
        size = self.varint()
        self.at += size
        if self.at > len(self.data):
            raise ValueError("string past the end of its chunk")
        return self.data[self.at - size:self.at].decode("utf-8", "replace")


class Chunk:
    def __init__(self, data, offset):
        self.offset = offset
        (magic, self.type, self.flags, self.stored_size, self.raw_size, self.thread, self.sequence,
         self.payload_hash, self.header_hash) = CHUNK_HEADER.unpack_from(data, offset)
        if magic != CHUNK_MAGIC:
            raise ValueError("no chunk at offset %d" % offset)
        if xxh32(data[offset:offset + 28]) != self.header_hash:
            raise ValueError("chunk header hash at offset %d" % offset)
        self.end = offset + CHUNK_HEADER.size + self.stored_size
        if self.end > len(data):
            raise ValueError("chunk at offset %d is cut off" % offset)
        self.stored = data[offset + CHUNK_HEADER.size:self.end]

    def payload(self):
        if self.flags & ZSTD:
            return unzstd(self.stored, self.raw_size)
        if self.raw_size != self.stored_size:
            raise ValueError("chunk at offset %d: two sizes" % self.offset)
        return self.stored


class Trace:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        header = self.data[:HEADER_SIZE]
        if header[:8] != MAGIC or xxh32(header[:124]) != struct.unpack_from("<I", header, 124)[0]:
            raise ValueError("no trace header")
        self.version, self.min_reader, self.header_size = struct.unpack_from("<HHI", header, 8)
        self.features, = struct.unpack_from("<Q", header, 16)
        self.pid, self.ppid = struct.unpack_from("<II", header, 32)
        self.clock_shift = header[65]
        self.chunks = []
        at = self.header_size
        while at < len(self.data):
            self.chunks.append(Chunk(self.data, at))
            at = self.chunks[-1].end

    def of_type(self, number):
        return [c for c in self.chunks if c.type == number]

    def strings(self):
        table = {0: ""}
        for chunk in self.of_type(STRINGS):
            cursor = Cursor(chunk.payload())
            number = cursor.varint()
            while cursor.more():
                table[number] = cursor.string()
                number += 1
        return table

    def limits(self):
        table = {}
        for chunk in self.of_type(LIMITS):
            cursor = Cursor(chunk.payload())
            while cursor.more():
                key = cursor.varint()
                count = cursor.varint()
                table[(key, cursor.string())] = count
        return table

    def process(self):
        entries = []
        for chunk in self.of_type(PROCESS):
            cursor = Cursor(chunk.payload())
            while cursor.more():
                key = cursor.varint()
                entries.append((key, cursor.string()))
        return entries

    def end(self):
        """(reason, events, dropped), or None."""
        for chunk in self.of_type(END):
            cursor = Cursor(chunk.payload())
            cursor.u64()
            return tuple(cursor.varint() for _ in range(3))
        return None

    def events(self):
        """All events, merged by time: dicts with event, thread, ticks and the fields."""
        parts = {}
        for chunk in self.of_type(EVENTS):
            cursor = Cursor(chunk.payload())
            serial, offset, base, count = cursor.u64(), cursor.varint(), cursor.u64(), cursor.varint()
            sizes = [cursor.varint() for _ in COLUMNS]
            columns = []
            for size in sizes:
                columns.append(cursor.data[cursor.at:cursor.at + size])
                cursor.at += size
            if cursor.more() or len(columns[0]) != count:
                raise ValueError("chunk at offset %d: its columns do not fill it" % chunk.offset)
            parts.setdefault((chunk.thread, serial), []).append((offset, base, columns))
        found = []
        for (thread, serial), pieces in parts.items():
            pieces.sort()
            columns = [b""] * len(COLUMNS)
            for offset, _, piece in pieces:
                if offset != len(columns[0]):
                    raise ValueError("buffer %d of thread %d has a hole" % (serial, thread))
                columns = [begin + end for begin, end in zip(columns, piece)]
            found += self._buffer(thread, pieces[0][1], columns, serial)
        found.sort(key=lambda e: (e["ticks"], e["thread"], e["order"]))
        return found

    def _buffer(self, thread, ticks, columns, serial):
        cursors = {letter: Cursor(data) for letter, data in zip(COLUMNS, columns)}
        block = obj = stack = order = 0
        while cursors["e"].more():
            opcode = cursors["e"].u8()
            name, signature, fields = OPCODES[opcode & ~TIMED]
            if opcode & TIMED:
                ticks += cursors["d"].varint() << self.clock_shift
            event = {"event": name, "thread": thread, "ticks": ticks, "order": (serial, order)}
            order += 1
            for letter, field in zip(signature, fields.split(",")):
                cursor = cursors[letter]
                if letter == "b":
                    block = (block + cursor.svarint() * 8) & M64
                    event[field] = block
                elif letter == "o":
                    obj = (obj + cursor.svarint()) & M64
                    event[field] = obj
                elif letter == "s":
                    stack += cursor.svarint()
                    event[field] = stack
                else:
                    event[field] = cursor.svarint() if letter == "i" else cursor.varint()
            yield event

    def snapshots(self):
        """Index to dict: reason, method, pause_ns, name, end (None = unfinished), and the heap's part:
        blocks (address, size), edges (from, offset, to, interior), roots (kind, where, address, to, interior)."""
        found = {}
        for chunk in self.of_type(SNAPSHOT):
            cursor = Cursor(chunk.payload())
            index, reason, method = (cursor.varint() for _ in range(3))
            ticks, pause, name = cursor.u64(), cursor.varint(), cursor.string()
            found[index] = {"reason": reason, "method": method, "ticks": ticks, "pause_ns": pause, "name": name,
                            "end": None, "blocks": [], "edges": [], "roots": []}
        for chunk in self.chunks:
            if chunk.type in (SNAPSHOT_END, BLOCKS, SCAN_EDGES, ROOTS, SCAN_EDGES_FINE):
                cursor = Cursor(chunk.payload())
                self._snapshot_part(found[cursor.varint()], chunk.type, cursor)
        return found

    def _snapshot_part(self, snapshot, kind, cursor):
        address = start = to = 0
        if kind == SNAPSHOT_END:
            blocks, objects, edges = (cursor.varint() for _ in range(3))
            cursor.u64()
            scanned, roots, unscanned = (cursor.varint() for _ in range(3))
            snapshot["end"] = {"blocks": blocks, "objects": objects, "edges": edges, "scan_edges": scanned,
                               "roots": roots, "unscanned_bytes": unscanned}
        while cursor.more():
            if kind == BLOCKS:
                address = (address + cursor.svarint()) & M64
                snapshot["blocks"].append((address, cursor.varint()))
                for _ in range(4):
                    cursor.varint()
                cursor.u64()
            elif kind in (SCAN_EDGES, SCAN_EDGES_FINE):
                start += cursor.svarint()
                offset = 0
                for _ in range(cursor.varint()):
                    offset += (8 if kind == SCAN_EDGES else 1) * cursor.varint()
                    snapshot["edges"].append((start, offset, start + cursor.svarint(), cursor.varint()))
            else:
                where = (cursor.u8(), cursor.varint())
                address = (address + cursor.svarint()) & M64
                to += cursor.svarint()
                snapshot["roots"].append(where + (address, to, cursor.varint()))

    def start(self):
        """The snapshot that the events of a rotated trace go on from, or None."""
        found = [s for s in self.snapshots().values() if s["reason"] == ROTATE and s["end"]]
        return min(found, key=lambda s: s["ticks"]) if self.features & ROTATED else None

    def live(self):
        """Address to size of the blocks that are alive after the last event."""
        start = self.start()
        blocks, last = dict(start["blocks"]) if start else {}, {}
        for event in self.events():
            if start and event["ticks"] < start["ticks"]:
                continue
            if event["event"] in ("ALLOC", "ALLOC_MANAGED"):
                blocks[event["block"]] = event["size"]
            elif event["event"] == "FREE":
                if event["block"] in blocks:
                    last[event["block"]] = blocks.pop(event["block"])
            elif event["event"] == "REALLOC_FAILED":
                if event["block"] in last:
                    blocks[event["block"]] = last[event["block"]]
        return blocks
