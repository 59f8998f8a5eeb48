/* SPDX-License-Identifier: Apache-2.0
 *
 * The castaway trace, format version 1: the only thing that the preload and
 * the analyzer share.  FORMAT.md beside this file is the normative byte-level
 * specification; this header is its C form.  Everything is little-endian, no
 * bit-fields, no host types.
 *
 * When to raise CASTAWAY_FORMAT_VERSION: a changed meaning or layout of an
 * existing chunk, field or event.  When NOT to: a new chunk type (readers skip
 * those), a new process or limit key, a new feature bit.  A new event opcode
 * needs a new CASTAWAY_FORMAT_MIN_READER, because events have no length.
 */
#ifndef CASTAWAY_FORMAT_H
#define CASTAWAY_FORMAT_H

#include <stdint.h>

#define CASTAWAY_FORMAT_MAGIC \
	"\x89"                \
	"CSTWY\r\n" /* 8 bytes; the CR LF catches text-mode transfers */
#define CASTAWAY_FORMAT_VERSION    1
#define CASTAWAY_FORMAT_MIN_READER 1
#define CASTAWAY_CHUNK_MAGIC       0x4b4e4843u /* "CHNK" */

/* Hard bounds: a reader refuses larger values before it allocates anything. */
#define CASTAWAY_MAX_CHUNK_RAW   (64u << 20)
#define CASTAWAY_MAX_EVENTS_RAW  (1u << 20) /* of EVENTS chunks: one per thread is in memory */
#define CASTAWAY_MAX_STRING      65535u
#define CASTAWAY_MAX_STACK_DEPTH 4096u

/* ---- file header: 128 bytes at offset 0 ---------------------------------- */
struct castaway_file_header {
	uint8_t magic[8];
	uint16_t version;     /* CASTAWAY_FORMAT_VERSION of the writer */
	uint16_t min_reader;  /* a reader older than this must refuse the file */
	uint32_t header_size; /* 128; the first chunk starts here */
	uint64_t features;    /* CASTAWAY_FEATURE_* */
	uint8_t pointer_size; /* 8 */
	uint8_t endian;       /* 1 = little */
	uint16_t machine;     /* ELF e_machine, 62 = x86-64 */
	uint32_t page_size;
	uint32_t pid;
	uint32_t ppid;
	uint64_t start_realtime_ns;  /* CLOCK_REALTIME at start */
	uint64_t start_monotonic_ns; /* CLOCK_MONOTONIC at start */
	uint64_t start_ticks;        /* event clock at start; see CLOCK chunks */
	uint8_t clock_source;        /* enum castaway_clock_source */
	uint8_t clock_shift;         /* event time deltas are in units of 2^shift ticks */
	uint8_t reserved0[6];
	char writer[32]; /* castaway version, NUL padded */
	uint8_t reserved1[20];
	uint32_t header_hash; /* XXH32, seed 0, of bytes 0..123 */
};
_Static_assert(sizeof(struct castaway_file_header) == 128, "file header is 128 bytes");

enum castaway_clock_source {
	CASTAWAY_CLOCK_TSC = 1,       /* invariant time-stamp counter */
	CASTAWAY_CLOCK_MONOTONIC = 2, /* nanoseconds of CLOCK_MONOTONIC */
};

enum castaway_feature {
	CASTAWAY_FEATURE_FREE_STACKS = 1 << 0, /* FREE events carry stacks */
	CASTAWAY_FEATURE_INHERITED = 1 << 1,   /* child of fork: starts with an INHERIT snapshot */
	CASTAWAY_FEATURE_ROTATED = 1 << 3,     /* followed a full file: starts with a ROTATE snapshot */
	CASTAWAY_FEATURE_LIVE = 1 << 2,        /* no events of blocks and objects: snapshots hold the state */
};

/* ---- chunk header: 32 bytes, followed by stored_size bytes ---------------- */
struct castaway_chunk_header {
	uint32_t magic;        /* CASTAWAY_CHUNK_MAGIC */
	uint16_t type;         /* enum castaway_chunk_type; unknown ones are skipped */
	uint16_t flags;        /* CASTAWAY_CHUNK_ZSTD */
	uint32_t stored_size;  /* bytes that follow this header */
	uint32_t raw_size;     /* bytes after decompression, <= CASTAWAY_MAX_CHUNK_RAW */
	uint32_t thread;       /* trace's own thread number, from 1; 0 = the process */
	uint32_t sequence;     /* 0, 1, 2 ... over the whole file: a gap means lost chunks */
	uint32_t payload_hash; /* XXH32, seed 0, of the stored bytes */
	uint32_t header_hash;  /* XXH32, seed 0, of bytes 0..27 of this header */
};
_Static_assert(sizeof(struct castaway_chunk_header) == 32, "chunk header is 32 bytes");

#define CASTAWAY_CHUNK_ZSTD 1u /* payload is one zstd frame */

/* X(name, number): payloads are specified in FORMAT.md. */
#define CASTAWAY_CHUNK_TYPES(X)                                                                       \
	X(PROCESS, 1)          /* key/value strings: exe, argv, options */                            \
	X(CLOCK, 2)            /* (ticks, monotonic ns, realtime ns): calibration points */           \
	X(MODULES, 3)          /* load and unload of ELF objects */                                   \
	X(STRINGS, 4)          /* string table, appended to */                                        \
	X(STACKS, 5)           /* stack nodes, appended to */                                         \
	X(THREADS, 6)          /* thread numbers, kernel tids, names */                               \
	X(EVENTS, 7)           /* one thread's events */                                              \
	X(SNAPSHOT, 8)         /* begins a snapshot */                                                \
	X(BLOCKS, 9)           /* live blocks of a snapshot */                                        \
	X(OBJECTS, 10)         /* objects of a snapshot, each with its outgoing exact edges */        \
	X(RUNTIME, 11)         /* a runtime's own state at a snapshot: version, counts, thresholds */ \
	X(SNAPSHOT_END, 12)    /* totals; a snapshot without it is incomplete */                      \
	X(LIMITS, 13)          /* what was not seen, with counts */                                   \
	X(END, 14)             /* the writer finished; the trace is complete */                       \
	X(SCAN_EDGES, 15)      /* scanned edges of a snapshot */                                      \
	X(ROOTS, 16)           /* pointers from roots of a snapshot */                                \
	X(EDGE_RULES, 17)      /* what is known of scanned edges */                                   \
	X(TYPES, 18)           /* what a collector does not learn from a type's instances */          \
	X(SCAN_EDGES_FINE, 19) /* SCAN_EDGES with offsets in bytes */                                 \
	X(NAMES, 20)           /* what the program calls objects of a snapshot */

enum castaway_chunk_type {
#define X(name, number) CASTAWAY_CHUNK_##name = number,
	CASTAWAY_CHUNK_TYPES(X)
#undef X
};

/* PROCESS keys: entries are varint key, string value; ARGV repeats in order. */
enum castaway_process_key {
	CASTAWAY_PROCESS_EXE = 1,
	CASTAWAY_PROCESS_ARGV = 2,
	CASTAWAY_PROCESS_OPTIONS = 3,
	CASTAWAY_PROCESS_OPTION_ERROR = 4, /* an unknown or malformed setting, verbatim */
};

/* Stack node frame tags (STACKS chunk): 0, 1, or 2 + module number. */
#define CASTAWAY_FRAME_RAW     0u /* varint pc: no module known (JIT) */
#define CASTAWAY_FRAME_SCRIPT  1u /* varint function string, file string, line */
#define CASTAWAY_FRAME_MODULE0 2u /* tag - 2 = module number; varint offset from its load bias */

enum castaway_module_op { CASTAWAY_MODULE_LOAD = 1, CASTAWAY_MODULE_UNLOAD = 2 };

/* Runtimes.  X(name in reports, constant, number) */
#define CASTAWAY_RUNTIMES(X)           \
	X("none", NONE, 0)             \
	X("native", NATIVE, 1)         \
	X("cpython", CPYTHON, 2)       \
	X("gobject", GOBJECT, 3)       \
	X("gst", GST, 4)               \
	X("shared_ptr", SHARED_PTR, 5) \
	X("profile", PROFILE, 6)

enum castaway_runtime {
#define X(name, constant, number) CASTAWAY_RUNTIME_##constant = number,
	CASTAWAY_RUNTIMES(X)
#undef X
		CASTAWAY_RUNTIME_COUNT
};

enum castaway_runtime_status {
	CASTAWAY_STATUS_EXACT = 0,
	CASTAWAY_STATUS_RULES = 1,
	CASTAWAY_STATUS_OFF = 2
};

/* ---- events ---------------------------------------------------------------
 * An EVENTS chunk holds part of one thread buffer by columns (see FORMAT.md for
 * its preamble): alike stands beside alike, which compresses better and faster.
 * An event has one byte in the column OPCODE, with CASTAWAY_EVENT_TIMED a varint
 * time delta in TIME, and each of its fields, in the order of its signature, in
 * the column of the field's letter:
 *   b  block address: zigzag varint of (address - previous block address) / 8
 *   o  object address: zigzag varint of address - previous object address
 *   n  varint
 *   s  stack node, 0 = none: zigzag varint of node - previous node
 *   t  varint string id, 0 = none
 *   i  zigzag varint
 * What comes before the first in a buffer is 0.
 *
 * X(NAME, opcode, signature, "field names, comma separated")
 */
#define CASTAWAY_EVENTS(X)                                                               \
	/* A block was born.  Recorded after the real call. */                           \
	X(ALLOC, 1, "bns", "block,size,stack")                                           \
	/* A block dies.  Recorded before the real call, so that no other thread's       \
	   ALLOC of the same address can have an earlier time. */                        \
	X(FREE, 2, "bs", "block,stack")                                                  \
	/* The realloc that recorded the last FREE of this block failed: it lives on. */ \
	X(REALLOC_FAILED, 3, "b", "block")                                               \
	/* As ALLOC, by a runtime's own allocator. */                                    \
	X(ALLOC_MANAGED, 4, "bnsn", "block,size,stack,runtime")                          \
	X(OBJECT, 5, "onts", "object,size,type,stack")                                   \
	X(OBJECT_END, 6, "os", "object,stack")                                           \
	X(REF, 7, "os", "object,stack")                                                  \
	X(UNREF, 8, "os", "object,stack")                                                \
	X(LINK, 9, "oots", "owner,target,field,stack")                                   \
	X(UNLINK, 10, "oots", "owner,target,field,stack")                                \
	X(WEAK, 11, "oots", "owner,target,field,stack")                                  \
	X(LAYOUT, 12, "tnni", "type,count_offset,count_width,count_bias")                \
	/* A generation pass over domain (enum castaway_domain): its number, the         \
	   oldest generation that it examined, how many it examined and promoted. */     \
	X(PASS, 13, "nnnnn", "domain,number,generation,examined,promoted")               \
	/* Collector state changes: enum castaway_gc_control and its argument. */        \
	X(GC_CONTROL, 14, "nnnn", "control,a,b,c")                                       \
	/* A named moment (castaway_snapshot). */                                        \
	X(MARK, 15, "ts", "name,stack")                                                  \
	/* A function of a runtime that counts by itself was called: it took or gave     \
	   back a reference to an object, or did something else with it: operation is    \
	   an enum castaway_operation, data its argument, an address. */                 \
	X(RUNTIME_REF, 16, "os", "object,stack")                                         \
	X(RUNTIME_UNREF, 17, "os", "object,stack")                                       \
	X(RUNTIME_CALL, 18, "onns", "object,operation,data,stack")

enum castaway_event {
#define X(name, opcode, signature, fields) CASTAWAY_EVENT_##name = opcode,
	CASTAWAY_EVENTS(X)
#undef X
		CASTAWAY_EVENT_LIMIT
};

/* What a RUNTIME_CALL did.  X(name in reports, constant, number) */
#define CASTAWAY_OPERATIONS(X)                                                  \
	X("sink", SINK, 1)     /* the floating reference became the caller's */ \
	X("weak-ref", WEAK, 2) /* data: what is told, or the weak pointer */    \
	X("weak-unref", UNWEAK, 3)                                              \
	X("connect", CONNECT, 4) /* data: the handler's data, or its closure */ \
	X("disconnect", DISCONNECT, 5)

enum castaway_operation {
#define X(name, constant, number) CASTAWAY_OPERATION_##constant = number,
	CASTAWAY_OPERATIONS(X)
#undef X
};

#define CASTAWAY_EVENT_MAX_FIELDS 5
#define CASTAWAY_EVENT_TIMED      0x80u /* in an opcode byte */

/* Columns in the order of the chunk.  X(NAME, letter of its fields) */
#define CASTAWAY_COLUMNS(X) \
	X(OPCODE, 'e')      \
	X(TIME, 'd')        \
	X(BLOCK, 'b')       \
	X(OBJECT, 'o')      \
	X(NUMBER, 'n')      \
	X(STACK, 's')       \
	X(STRING, 't')      \
	X(INTEGER, 'i')

enum castaway_column {
#define X(name, letter) CASTAWAY_COLUMN_##name,
	CASTAWAY_COLUMNS(X)
#undef X
		CASTAWAY_COLUMN_COUNT
};

static inline enum castaway_column castaway_column_of(char letter)
{
	switch (letter) {
#define X(name, of_letter) \
	case of_letter:    \
		return CASTAWAY_COLUMN_##name;
		CASTAWAY_COLUMNS(X)
#undef X
	default:
		return CASTAWAY_COLUMN_COUNT;
	}
}

/* Generations are kept twice: for plain blocks, and for annotated objects. */
enum castaway_domain { CASTAWAY_DOMAIN_BLOCKS = 0, CASTAWAY_DOMAIN_OBJECTS = 1, CASTAWAY_DOMAIN_COUNT };

enum castaway_gc_control {
	CASTAWAY_GC_ENABLE = 1,
	CASTAWAY_GC_DISABLE = 2,
	CASTAWAY_GC_THRESHOLD = 3, /* a, b, c = thresholds 0, 1, 2 */
	CASTAWAY_GC_FREEZE = 4,    /* all objects born so far become permanent */
	CASTAWAY_GC_UNFREEZE = 5,
};

/* ---- snapshots ------------------------------------------------------------ */
/* Why it was taken.  X("name in reports", CONSTANT, number) */
#define CASTAWAY_REASONS(X)                                                                  \
	X("exit", EXIT, 1)                                                                   \
	X("request", REQUEST, 2)                                                             \
	X("interval", INTERVAL, 3)                                                           \
	X("api", API, 4)                                                                     \
	X("inherit", INHERIT, 5) /* state of the parent at fork; not an analysis moment */   \
	X("late", LATE, 6)       /* after destructors */                                     \
	X("confirm", CONFIRM, 7) /* a first look, that the next snapshot is compared with */ \
	X("signal", SIGNAL, 8)   /* a signal ends the program; its name is the snapshot's */ \
	X("rotate", ROTATE, 9)   /* the state that a file begins with which followed a full one */

enum castaway_snapshot_reason {
#define X(name, constant, number) CASTAWAY_REASON_##constant = number,
	CASTAWAY_REASONS(X)
#undef X
};
enum castaway_snapshot_method {
	CASTAWAY_METHOD_EVENTS = 0, /* the analyzer's own, from events alone */
	CASTAWAY_METHOD_PTRACE = 1,
	CASTAWAY_METHOD_SIGNAL = 2,
	CASTAWAY_METHOD_INPLACE = 3, /* nothing was stopped, or nothing but the scan could be done */
	CASTAWAY_METHOD_ALONE = 4,   /* the only thread asked for it, and waited */
};

/* ROOTS entries. */
enum castaway_root_kind {
	CASTAWAY_ROOT_REGISTER = 1,
	CASTAWAY_ROOT_STACK = 2,
	CASTAWAY_ROOT_MODULE = 3, /* writable data of a module */
	CASTAWAY_ROOT_MEMORY = 4, /* any other mapping */
	CASTAWAY_ROOT_TLS = 5,    /* a thread's static thread-local storage */
};

/* EDGE_RULES entries. */
enum castaway_edge_rule {
	CASTAWAY_RULE_POINTER = 1, /* the pointer at this address has this strength */
	CASTAWAY_RULE_KEPT_BY = 2, /* only this block keeps that one, no block's pointer does */
	CASTAWAY_RULE_HOLDS = 3,   /* this block holds that one by what is no word of its own */
};

/* TYPES entries: what the part of an instance that a type in C laid out lacks. */
enum castaway_type_trait {
	CASTAWAY_TYPE_NO_TRAVERSE = 1 << 0, /* nothing tells the collector what it refers to */
	CASTAWAY_TYPE_NO_CLEAR = 1 << 1,    /* nothing gives that up when the collector asks */
};

enum castaway_object_flag {
	CASTAWAY_OBJECT_TRACKED = 1 << 0,   /* on the runtime collector's lists */
	CASTAWAY_OBJECT_PERMANENT = 1 << 1, /* frozen: never a candidate, counts as external */
	CASTAWAY_OBJECT_IMMORTAL = 1 << 2,
	CASTAWAY_OBJECT_RECYCLED = 1 << 3, /* may come from a free list: its allocation site may be older */
};

/* Edge: flags byte = strength (bits 0-1) | origin (bit 2) | FIELD (bit 3) | OFFSET (bit 4) | STACK (bit 5) */
enum castaway_strength {
	CASTAWAY_STRONG = 0,
	CASTAWAY_WEAK = 1,
	CASTAWAY_BORROWED = 2,
	CASTAWAY_UNKNOWN = 3,
};
#define CASTAWAY_EDGE_STRENGTH 0x03u
#define CASTAWAY_EDGE_SCANNED  0x04u /* else exact */
#define CASTAWAY_EDGE_FIELD    0x08u /* varint string id follows */
#define CASTAWAY_EDGE_OFFSET   0x10u /* varint offset in the owner follows */
#define CASTAWAY_EDGE_STACK    0x20u /* varint stack node of its acquisition follows */
#define CASTAWAY_EDGE_HELD     0x40u /* of a scanned one: other memory of C code has its target, too */

/* ---- limits: X(CONSTANT, number, "code in reports", "message") ------------ */
#define CASTAWAY_LIMITS(X)                                                                               \
	X(DROPPED_EVENTS, 1, "dropped-events", "events dropped because the writer could not keep up")    \
	X(WRITE_ERROR, 2, "write-error", "the trace file could not be written; recording stopped")       \
	X(NO_STACKS, 3, "no-stacks", "events recorded without a call stack")                             \
	X(STACK_DEPTH, 4, "stack-depth", "call stacks cut off at the depth limit")                       \
	X(OWN_MALLOC, 5, "own-malloc", "the program defines its own malloc; its blocks are not seen")    \
	X(DEEPBIND, 6, "deepbind", "libraries opened with RTLD_DEEPBIND; their blocks are not seen")     \
	X(UNKNOWN_FREE, 7, "unknown-free", "blocks freed that were not seen allocated")                  \
	X(MEMORY, 8, "memory", "the tracer ran out of its own memory; recording stopped")                \
	X(UNKNOWN_OPTION, 9, "unknown-option", "settings that castaway does not know")                   \
	X(ADAPTER_OFF, 10, "adapter-off", "a runtime was found but its layout failed validation")        \
	X(NO_SNAPSHOT, 11, "no-snapshot", "a snapshot, or a part of one, could not be taken")            \
	X(DAMAGED, 12, "damaged-chunk", "damaged parts of the trace were skipped")                       \
	X(TRUNCATED, 13, "truncated", "the trace ends in the middle of a chunk")                         \
	X(INCOMPLETE, 14, "incomplete", "the target ended without finishing the trace")                  \
	X(MISSING_CHUNKS, 15, "missing-chunks", "chunks are missing from the trace")                     \
	X(NO_HELPER, 16, "no-helper",                                                                    \
	  "the writer process could not start; the target's threads wrote themselves")                   \
	X(NOT_FOLLOWED, 17, "not-followed", "child processes were not followed")                         \
	X(UNALIGNED, 18, "unaligned", "blocks at addresses that are no multiple of 8 were not recorded") \
	X(INCOMPLETE_SNAPSHOT, 19, "incomplete-snapshot", "a snapshot was not finished and is not used") \
	X(SUBINTERPRETER, 20, "subinterpreter", "sub-interpreters whose objects were not read")          \
	X(RECYCLED_SITES, 21, "recycled-sites",                                                          \
	  "objects that may come from a free list: their allocation site may be older")                  \
	X(STATIC_TARGET, 22, "static-target", "a static or set-id child cannot be traced")               \
	X(INEXACT, 23, "inexact", "objects with more references than counts; they are taken as held")    \
	X(STACKS_VERIFIED, 24, "stacks-verified", "call stacks that were compared with libunwind's")     \
	X(STACKS_DIFFER, 25, "stacks-differ", "call stacks of which libunwind says something else")      \
	X(NOT_SCANNED, 26, "not-scanned", "the memory was not scanned: leaks cannot be told")            \
	X(UNREAD, 27, "unread-memory",                                                                   \
	  "bytes of memory that the scan could not read: what they point to may look lost")              \
	X(NAMESPACE, 28, "namespace",                                                                    \
	  "libraries opened in a namespace of their own (dlmopen); their blocks are not seen")           \
	X(NO_HISTORY, 29, "no-history",                                                                  \
	  "events left out (events=live): only what lives at a snapshot is told")                        \
	X(ROTATED, 30, "rotated",                                                                        \
	  "times the trace was begun anew (max-size); what was over by then is not told")                \
	X(NOT_ROTATED, 31, "not-rotated", "times the trace could not be begun anew and went on growing")

enum castaway_limit {
#define X(constant, number, code, message) CASTAWAY_LIMIT_##constant = number,
	CASTAWAY_LIMITS(X)
#undef X
		CASTAWAY_LIMIT_COUNT
};

enum castaway_end_reason {
	CASTAWAY_END_EXIT = 1,       /* exit() or return from main */
	CASTAWAY_END_UNDER_EXIT = 2, /* _exit, _Exit, quick_exit */
	CASTAWAY_END_ABORT = 3,
	CASTAWAY_END_EXEC = 4,
	CASTAWAY_END_VANISHED = 5, /* written by the helper: the target died without a word; not complete */
	CASTAWAY_END_STOPPED = 6,  /* tracing stopped early; see LIMITS */
};

#endif
