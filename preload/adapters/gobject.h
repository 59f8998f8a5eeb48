/* SPDX-License-Identifier: Apache-2.0
 *
 * GObject, between gobject*.c.  What its type system says is collected in a
 * thread of the target (gobject_types.c); the rest runs in the snapshot child,
 * on memory that nobody changes: instances (gobject_find.c), and which of the
 * pointers that the scan finds own nothing (gobject_rules.c, gobject_data.c).
 *
 * Layouts are GLib's for 64-bit machines, the same since 2.32 at least.  Each
 * use checks what it can: a block that does not fit is left alone.
 */
#ifndef GOBJECT_H
#define GOBJECT_H

#include "../snapshot_payload.h"
#include "../snapshot_scan.h"

#define GOBJECT_SIZE     24u
#define GOBJECT_REFCOUNT 8u /* guint */
#define GOBJECT_QDATA    16u
#define GOBJECT_TYPES    32768u
#define REFCOUNT_SANE    (1u << 24)

/* Keys of GObject's own data about an object.  X(name, quark) */
#define GOBJECT_QUARKS(X)                             \
	X(WEAK_REFERENCES, "GObject-weak-references") \
	X(WEAK_NOTIFIES, "GObject-weak-notifies")     \
	X(WEAK_LOCATIONS, "GObject-weak-locations")   \
	X(CLOSURES, "GObject-closure-array")          \
	X(TOGGLES, "GObject-toggle-references")       \
	X(PY_WRAPPER, "PyGObject::wrapper")           \
	X(PY_DATA, "PyGObject::instance-data")

enum gobject_quark {
#define X(name, quark) GOBJECT_QUARK_##name,
	GOBJECT_QUARKS(X)
#undef X
		GOBJECT_QUARK_COUNT
};

enum gobject_kind {
	GOBJECT_INSTANCE,
	GOBJECT_PARAM, /* of a GParamSpec */
	GOBJECT_MINI,  /* boxed, and perhaps of a GstMiniObject; the class is the type itself */
};

struct gobject_type {
	uintptr_t class;
	uint32_t size;     /* of an instance, without its private data */
	uint32_t name;     /* string id */
	uint16_t ancestor; /* 1 + the next one that is in the table, 0 = none */
	uint8_t kind;      /* enum gobject_kind */
};

struct gobject_types {
	uint32_t count;
	uint32_t quark[GOBJECT_QUARK_COUNT];               /* 0: nobody uses it */
	uint32_t module;                                   /* libgobject */
	uint32_t handler_name, closure_name, binding_name; /* string ids */
	uint32_t gst_object, gst_pad, gst_bus;             /* string ids */
	char version[16];                                  /* of GLib, "" when it does not say */
	char gst_version[16];                              /* of GStreamer, "" when it is not there */
	uintptr_t nullify;                                 /* g_nullify_pointer */
	struct gobject_type type[GOBJECT_TYPES];
};

/* In a thread of the target that holds none of GLib's locks.  `patient`: waits,
 * for a bounded time, for another thread that is at it. */
void gobject_types_collect(bool patient);
/* Before main: finds out whether the program came with GObject.  If so, no later
 * collection needs the dynamic loader. */
void gobject_types_link(void);
/* A library is opened: it may be GStreamer. */
void gobject_types_look_again(void);
bool gobject_types_linked(void);
/* Whether there is GObject in this process. */
bool gobject_types_loaded(void);
bool gobject_types_is_glib(uintptr_t pc);
/* NULL: there are none. */
const struct gobject_types *gobject_types_get(void);

/* ---- in the child --------------------------------------------------------------- */

/* Blocks that are no instances. */
enum gobject_role { GOBJECT_OTHER, GOBJECT_HANDLER, GOBJECT_CLOSURE };

struct gobject_heap {
	const struct gobject_types *types;
	const struct scan_index *index;
	const struct maps *maps;
	const struct maps_entry *entry; /* of the last block that was looked at */
	uint32_t *type;                 /* per block: 1 + its instance's, 0 = none */
	uint32_t *offset;               /* per block: of the instance */
	uint32_t *by_class;             /* hash: 1 + type */
	uint8_t *role;                  /* per block: enum gobject_role */
	struct payload objects, rules;
	uint64_t count; /* of objects */
	uint64_t minis; /* of them, GstMiniObjects */
};

/* The block's bytes; NULL when they cannot be read or are fewer than `size`. */
const uint8_t *gobject_block(struct gobject_heap *heap, uint32_t block, uint64_t size);
/* The block of the instance at exactly this address, or SCAN_NONE. */
uint32_t gobject_instance(const struct gobject_heap *heap, uint64_t address);

/* What lies in a block, into heap->objects. */
struct gobject_found {
	uint64_t offset; /* in the block */
	uint32_t block, name, refcount;
	enum castaway_runtime runtime;
};
void gobject_put(struct gobject_heap *heap, const struct gobject_found *found);

static inline const struct gobject_type *gobject_type_of(const struct gobject_heap *heap, uint32_t block)
{
	return &heap->types->type[heap->type[block] - 1];
}
/* Whether a type has this name, or descends from one that has. */
bool gobject_is_a(const struct gobject_heap *heap, const struct gobject_type *type, uint32_t name);

/* The type whose class this is, or NULL. */
const struct gobject_type *gobject_class(const struct gobject_heap *heap, uint64_t address);

/* The bytes of the block that begins at exactly this address, its size into *ret;
 * NULL as above. */
const uint8_t *gobject_block_at(struct gobject_heap *heap, uint64_t address, uint64_t size, uint64_t *ret);

/* Into heap->rules; `more` is the strength or the owner's block. */
void gobject_rule(struct gobject_heap *heap, enum castaway_edge_rule rule, uint64_t address, uint64_t more);
void gobject_pointer(struct gobject_heap *heap, const uint8_t *where, enum castaway_strength strength);
/* Of the instance in this block. */
void gobject_data_rules(struct gobject_heap *heap, uint32_t block);
/* GStreamer's own: of an instance, and of a GstMiniObject. */
void gobject_gst_rules(struct gobject_heap *heap, uint32_t block);
void gobject_mini_rules(struct gobject_heap *heap, uint32_t block);
/* Of a block that is neither. */
void gobject_structure_rules(struct gobject_heap *heap, uint32_t block);
/* PyGObject's: the object's wrapper, which `element` (of its data) points to, and
 * the closures with Python functions that it knows of. */
void gobject_wrapper_rules(struct gobject_heap *heap, const uint8_t *object, const uint8_t *element);
void gobject_pyclosure_rules(struct gobject_heap *heap, const uint8_t *element);
/* What its calls left behind in memory that it keeps for the next ones. */
void gobject_pycall_rules(struct gobject_heap *heap);
/* Its block, or SCAN_NONE. */
uint32_t gobject_closure_at(struct gobject_heap *heap, uint64_t address);
/* Whether the block can be a GstMiniObject, by what it holds. */
bool gobject_is_mini(const uint8_t *bytes, uint64_t size, uint32_t *refcount);

/* A GHashTable; a set has one array. */
struct gobject_table {
	const uint8_t *keys, *values, *hashes;
	uint64_t slots;
	uint8_t key_size, value_size; /* 4 or 8 */
};
/* False when the block is none. */
bool gobject_table(struct gobject_heap *heap, uint32_t block, struct gobject_table *ret);
bool gobject_table_used(const struct gobject_table *table, uint64_t slot);
uint64_t gobject_table_key(const struct gobject_table *table, uint64_t slot);
uint64_t gobject_table_value(const struct gobject_table *table, uint64_t slot);
/* What it points to with 32 bits, by its keys only when they hold something. */
void gobject_table_rules(struct gobject_heap *heap, uint32_t block, const struct gobject_table *table,
			 bool keys);

/* Both write what they find; false when memory ran out. */
bool gobject_find(struct gobject_heap *heap);
bool gobject_rules(struct gobject_heap *heap);

static inline uint64_t gobject_word(const uint8_t *bytes)
{
	uint64_t word;

	__builtin_memcpy(&word, bytes, sizeof(word));
	return word;
}

static inline uint32_t gobject_half(const uint8_t *bytes)
{
	uint32_t half;

	__builtin_memcpy(&half, bytes, sizeof(half));
	return half;
}

#endif
