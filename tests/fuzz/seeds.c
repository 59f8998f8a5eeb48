/* SPDX-License-Identifier: Apache-2.0
 *
 * The seeds.
 */
#include "seeds.h"

/* A cycle of two, a leaked node, a block: one of each event. */
static void put_events(struct builder *b)
{
	uint32_t type = builder_string(b, "Node"), next = builder_string(b, "next");
	uint32_t module = builder_module(b, "/nonexistent/libseed.so", 0x400000, 0x400000, 0x500000);
	uint32_t outer = builder_frame(b, 0, module, 0x1000), stack = builder_frame(b, outer, module, 0x1100);

	for (uint64_t i = 0; i < 4; i++) {
		uint64_t at = 0x5000 + 0x40 * i;

		builder_event(b, 1, 20 + 10 * i, ALLOC, at, 32, stack);
		builder_event(b, 1, 21 + 10 * i, OBJECT, at, 32, type, stack);
	}
	builder_event(b, 1, 60, LAYOUT, type, 8, 4, 0);
	builder_event(b, 1, 61, REF, 0x5000, outer);
	builder_event(b, 1, 62, LINK, 0x5040, 0x5000, next, stack);
	builder_event(b, 1, 63, LINK, 0x5000, 0x5040, next, stack);
	builder_event(b, 1, 64, UNREF, 0x5000, outer);
	builder_event(b, 1, 65, WEAK, 0x5080, 0x5000, next, 0);
	builder_event(b, 1, 66, UNLINK, 0x5080, 0x5000, next, 0);
	builder_event(b, 1, 67, PASS, CASTAWAY_DOMAIN_OBJECTS, 0, 1, 4, 4);
	builder_event(b, 1, 68, GC_CONTROL, CASTAWAY_GC_FREEZE, 0, 0, 0);
	builder_event(b, 1, 69, GC_CONTROL, CASTAWAY_GC_UNFREEZE, 0, 0, 0);
	builder_event(b, 1, 70, FREE, 0x5080, stack);
	builder_event(b, 1, 71, REALLOC_FAILED, 0x5080);
	builder_event(b, 1, 72, OBJECT_END, 0x5080, stack);
	builder_event(b, 1, 73, FREE, 0x5080, stack);
	builder_event(b, 1, 74, ALLOC_MANAGED, 0x9000, 100, stack, CASTAWAY_RUNTIME_CPYTHON);
	builder_event(b, 1, 75, MARK, type, stack);
	builder_event(b, 1, 76, UNREF, 0x5001, stack); /* misuse */
	builder_event(b, 1, 77, RUNTIME_REF, 0x5010, stack);
	builder_event(b, 1, 78, RUNTIME_UNREF, 0x5010, outer);
	builder_event(b, 1, 79, RUNTIME_CALL, 0x5010, CASTAWAY_OPERATION_CONNECT, 0x5040, stack);
	builder_unload(b, module, 80);
	builder_limit(b, CASTAWAY_LIMIT_NO_STACKS, 3, "");
	builder_end(b, CASTAWAY_END_EXIT, 100);
}

/* Three threads, buffers in parts, memory that goes from one to the other. */
static void put_threads(struct builder *b)
{
	uint32_t stack = builder_stack(b, "main", "worker", NULL);

	builder_thread(b, 2, 4712, "worker");
	for (uint64_t i = 0; i < 60; i++) {
		uint32_t thread = 1 + (uint32_t)(i % 3);

		builder_event(b, thread, 20 + 2 * i, ALLOC, 0x10000 + 32 * i, 24 + i, stack);
		if (i >= 10)
			builder_event(b, thread, 21 + 2 * i, FREE, 0x10000 + 32 * (i - 10), 0);
		if (i % 20 == 7)
			builder_part(b, thread);
		if (i % 20 == 13)
			builder_next_buffer(b, thread);
	}
	builder_end(b, CASTAWAY_END_VANISHED, 200);
}

/* A snapshot of another runtime, in which a cycle of two is held by nobody. */
static void put_snapshot(struct builder *b)
{
	static const struct snapshot_runtime_record runtime = {
		.version = "3.11.2",
		.note = "",
		.generations = {{5, 700, 3, 0, 0}, {1, 10, 0, 0, 0}, {0, 10, 0, 0, 0}},
		.generation_count = 3,
		.runtime = CASTAWAY_RUNTIME_CPYTHON,
		.enabled = true,
	};
	uint32_t type = builder_string(b, "list"), field = builder_string(b, "[0]");
	uint32_t stack = builder_stack(b, "main", "make", NULL), snapshot;

	for (uint64_t i = 0; i < 3; i++)
		builder_event(b, 1, 20 + i, ALLOC_MANAGED, 0x7000 + 64 * i, 56, stack,
			      CASTAWAY_RUNTIME_CPYTHON);
	snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 50, "exit");
	builder_runtime(b, snapshot, &runtime);
	for (uint64_t i = 0; i < 3; i++) {
		const struct snapshot_object_record object = {.address = 0x7010 + 64 * i,
							      .size = 40,
							      .block_offset = 16,
							      .refcount = 1,
							      .type = type,
							      .flags = CASTAWAY_OBJECT_TRACKED,
							      .edge_count = 1,
							      .stack = stack,
							      .runtime = CASTAWAY_RUNTIME_CPYTHON};
		const struct snapshot_edge_record edge = {.target = i < 2 ? 0x7050 - 64 * i : 0x9999,
							  .offset = 8,
							  .field = field,
							  .stack = stack};

		builder_object(b, snapshot, &object, &edge);
		builder_block(b, snapshot,
			      &(struct snapshot_block_record){.address = 0x7000 + 64 * i, .size = 56});
	}
	builder_snapshot_end(b, snapshot, 60);
	builder_end(b, CASTAWAY_END_EXIT, 100);
}

/* What lives: a block with an object in it that holds itself. */
static void add_state(struct builder *b, enum castaway_snapshot_reason reason, uint64_t ticks)
{
	uint32_t type = builder_string(b, "Parent"), snapshot = builder_snapshot(b, reason, ticks, "");
	const struct snapshot_object_record object = {.address = 0x3000,
						      .size = 16,
						      .refcount = 1,
						      .type = type,
						      .birth_pass = 4,
						      .edge_count = 1,
						      .runtime = CASTAWAY_RUNTIME_NATIVE};
	const struct snapshot_edge_record self = {.target = 0x3000, .offset = -1, .field = type};

	builder_block(b, snapshot,
		      &(struct snapshot_block_record){.address = 0x3000, .size = 16, .birth_pass = 6});
	builder_object(b, snapshot, &object, &self);
	builder_snapshot_end(b, snapshot, ticks + 1);
}

static void put_inherit(struct builder *b)
{
	builder_header(b)->features = CASTAWAY_FEATURE_INHERITED;
	add_state(b, CASTAWAY_REASON_INHERIT, 5);
	builder_event(b, 1, 20, PASS, CASTAWAY_DOMAIN_OBJECTS, 9, 2, 1, 1);
	builder_event(b, 1, 21, REF, 0x3000, 0);
	builder_event(b, 1, 22, FREE, 0x3000, 0);
	builder_end(b, CASTAWAY_END_ABORT, 100);
}

/* No history: the state at two moments, and what is told all the same. */
static void put_live(struct builder *b)
{
	uint32_t type = builder_string(b, "Parent");

	builder_header(b)->features = CASTAWAY_FEATURE_LIVE;
	builder_event(b, 1, 20, LAYOUT, type, 8, 4, 0);
	builder_event(b, 1, 21, PASS, CASTAWAY_DOMAIN_OBJECTS, 0, 1, 1, 1);
	builder_event(b, 1, 22, MARK, type, 0);
	add_state(b, CASTAWAY_REASON_API, 30);
	builder_event(b, 1, 40, GC_CONTROL, CASTAWAY_GC_UNFREEZE, 0, 0, 0);
	add_state(b, CASTAWAY_REASON_EXIT, 50);
	builder_limit(b, CASTAWAY_LIMIT_NO_HISTORY, 1000, "");
	builder_end(b, CASTAWAY_END_EXIT, 100);
}

/* Begun anew: of the events, two are in the state already; then it goes on. */
static void put_rotated(struct builder *b)
{
	uint32_t type = builder_string(b, "Child");

	builder_header(b)->features = CASTAWAY_FEATURE_ROTATED;
	builder_event(b, 1, 20, ALLOC, 0x3000, 16, 0);
	builder_event(b, 1, 21, OBJECT, 0x3000, 16, builder_string(b, "Parent"), 0);
	add_state(b, CASTAWAY_REASON_ROTATE, 30);
	builder_event(b, 1, 40, ALLOC, 0x4000, 32, 0);
	builder_event(b, 1, 41, OBJECT, 0x4000, 32, type, 0);
	builder_event(b, 1, 42, REF, 0x4000, 0);
	builder_event(b, 1, 43, LINK, 0x4000, 0x4000, type, 0);
	builder_event(b, 1, 44, UNREF, 0x4000, 0);
	add_state(b, CASTAWAY_REASON_ROTATE, 50); /* of a later time: not what it begins with */
	builder_limit(b, CASTAWAY_LIMIT_ROTATED, 2, "");
	builder_end(b, CASTAWAY_END_EXIT, 100);
}

/* An END that was none, and chunks that no reader of this version knows. */
static void put_failed_exec(struct builder *b)
{
	builder_event(b, 1, 20, ALLOC, 0x1000, 8, 0);
	builder_end(b, CASTAWAY_END_EXEC, 30);
	builder_event(b, 1, 40, FREE, 0x1000, 0);
	builder_flush(b);
	builder_chunk(b, 77, 0, "of a later version", 18);
	builder_end(b, CASTAWAY_END_EXIT, 50);
}

/* A scan: a root, a leak with its tail, a cycle of blocks, an object. */
static void add_scan(struct builder *b, enum castaway_snapshot_reason reason, uint64_t ticks, bool fine)
{
	static const struct snapshot_root_record roots[] = {
		{.address = 3, .to = 0, .where = 4711, .kind = CASTAWAY_ROOT_REGISTER},
		{.address = 0x7000, .to = 5, .where = 1, .interior = 8, .kind = CASTAWAY_ROOT_MODULE},
	};
	uint32_t stack = builder_stack(b, "main", "make", NULL);
	uint32_t snapshot = builder_snapshot(b, reason, ticks, "");

	if (fine)
		builder_fine(b, snapshot);
	for (uint32_t i = 0; i < 6; i++)
		builder_block(b, snapshot,
			      &(struct snapshot_block_record){
				      .address = 0x5000 + 0x40 * (uint64_t)i, .size = 64, .stack = stack});
	for (uint32_t i = 1; i < 5; i++)
		builder_pointers(b, snapshot, i,
				 (const struct snapshot_pointer_record[]){
					 {.offset = 8, .to = i == 4 ? 3 : i + 1},
					 {.offset = 16, .interior = 9, .to = i == 1 ? 2 : 4}},
				 2);
	builder_root(b, snapshot, &roots[0]);
	builder_root(b, snapshot, &roots[1]);
	builder_snapshot_end(b, snapshot, ticks + 10);
}

static void put_scanned(struct builder *b, bool twice)
{
	uint32_t stack = builder_stack(b, "main", "make", NULL);

	builder_event(b, 1, 20, ALLOC, 0x5000, 64, stack);
	builder_event(b, 1, 21, OBJECT, 0x5008, 32, builder_string(b, "Node"), stack);
	if (twice)
		add_scan(b, CASTAWAY_REASON_CONFIRM, 30, true);
	add_scan(b, CASTAWAY_REASON_EXIT, 50, twice);
	builder_end(b, CASTAWAY_END_EXIT, 100);
}

static void put_scan(struct builder *b)
{
	put_scanned(b, false);
}

/* The same seen twice, with pointers at any address. */
static void put_twice(struct builder *b)
{
	put_scanned(b, true);
}

/* Two objects that hold each other, one of them by a pointer that only its
 * memory shows. */
static void put_hidden(struct builder *b)
{
	uint32_t box = builder_string(b, "Box"), snapshot = builder_snapshot(b, CASTAWAY_REASON_EXIT, 50, "");
	struct snapshot_object_record object = {.address = 0x5000,
						.size = 32,
						.refcount = 1,
						.type = box,
						.runtime = CASTAWAY_RUNTIME_CPYTHON};
	struct snapshot_edge_record edge = {.target = 0x6000,
					    .offset = 16,
					    .flags = CASTAWAY_UNKNOWN | CASTAWAY_EDGE_SCANNED |
						     CASTAWAY_EDGE_OFFSET};

	builder_event(b, 1, 20, ALLOC, 0x5000, 64, 0);
	object.edge_count = 1;
	builder_object(b, snapshot, &object, &edge);
	object.address = edge.target;
	object.type = builder_string(b, "list");
	object.flags = CASTAWAY_OBJECT_TRACKED;
	edge = (struct snapshot_edge_record){.target = 0x5000, .offset = -1};
	builder_object(b, snapshot, &object, &edge);
	builder_type(b, snapshot,
		     &(struct snapshot_type_record){
			     .type = box, .base = box, .traits = CASTAWAY_TYPE_NO_TRAVERSE});
	builder_name(b, snapshot, 0x6000, box);
	builder_snapshot_end(b, snapshot, 60);
	builder_end(b, CASTAWAY_END_EXIT, 100);
}

/* Each begins alike. */
static struct builder *make(bool compress, void (*put)(struct builder *b))
{
	struct builder *b = builder_new();

	builder_compress(b, compress);
	builder_process(b, CASTAWAY_PROCESS_EXE, "/bin/seed");
	builder_process(b, CASTAWAY_PROCESS_ARGV, "seed");
	builder_process(b, CASTAWAY_PROCESS_OPTIONS, "threshold0=100");
	builder_clock(b, 10, 10, 1000);
	builder_thread(b, 1, 4711, "main");
	put(b);
	return b;
}

#define X(name)                                    \
	struct builder *seed_##name(bool compress) \
	{                                          \
		return make(compress, put_##name); \
	}
SEEDS(X)
#undef X
