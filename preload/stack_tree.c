/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree of all call stacks: a node is a frame and where it was called from,
 * so a stack is one number.  Runs in the target's threads, under the guard, and
 * (count, get) in the writer's helper.  Lock-free, append-only.
 *
 * A node's number is taken before the node is written.  A thread can be lost in
 * between (fork, a signal handler that jumps away), and the writer must neither
 * skip a number that comes to life later nor wait for one that never does: so
 * it declares what is not ready as void, and a thread that finds its node void
 * takes another number.
 */
#include "arena.h"
#include "emit.h"
#include "hot.h"
#include "modules.h"
#include "stack_tree_inline.h"

enum {
	LIST_LIMIT = 4, /* children in the list; further ones are found by their hash */
	/* A program with few stacks touches few pages: a table 16 times larger is
	 * looked into when a node's places in the smaller one are taken. */
	TABLE_BITS = 12,
	TABLE_GROWTH = 4,
	TABLES = 4,
	HASH_BITS = TABLE_BITS + (TABLES - 1) * TABLE_GROWTH, /* of the largest */
	PLACES = 8,                                           /* in a table but the largest */
	PROBE_LIMIT = 256
};

/* In the place of a parent: a node that is not written yet, or never will be. */
#define EMPTY 0u
#define VOID  UINT32_MAX

struct rest {
	uint32_t parent; /* its number + 1, EMPTY or VOID; written last */
	uint32_t tag;    /* of a script's frame: its line */
};

#define TAG_MASK   (~(uint64_t)UINT32_MAX) /* of an entry of the hash table */
#define SCRIPT_BIT STACK_TREE_SCRIPT_BIT
#define PC_MASK    STACK_TREE_PC_MASK

/* 64 MiB of address space, which hardly a program's stacks need more than. */
#define NEAR_NODES (1u << 22)

/* Numbers come from the rests: who sees one finds the rest, and whoever may look
 * for the entry as well. */
HOT struct pool g_stack_tree_entries = POOL_INIT(g_stack_tree_entries, sizeof(struct stack_tree_entry));
static struct pool s_rests = POOL_INIT(s_rests, sizeof(struct rest));
static bool s_ready;
static uint64_t *s_hash; /* an entry: the hash's upper half, then the node's number */

static struct rest *rest_of(uint32_t number)
{
	return pool_at(&s_rests, number);
}

static uint32_t parent_of(uint32_t number)
{
	return __atomic_load_n(&rest_of(number)->parent, __ATOMIC_ACQUIRE);
}

static uint64_t frame_load(const struct stack_tree_entry *node)
{
	return __atomic_load_n(&node->frame, __ATOMIC_RELAXED);
}

/* Code at this address may be another module's by now: looked up again after
 * every change of the modules. */
static __attribute__((noinline, cold)) bool still_holds(uint32_t number, uint64_t wanted)
{
	uintptr_t bias;

	if (modules_tag(modules_find((wanted & PC_MASK) - 1, &bias)) != rest_of(number)->tag)
		return false;
	__atomic_store_n(&stack_tree_at(number)->frame, wanted, __ATOMIC_RELAXED);
	return true;
}

static inline bool native_holds(uint32_t number, uint64_t wanted)
{
	uint64_t difference = frame_load(stack_tree_at(number)) ^ wanted;

	return difference == 0 || ((difference & (PC_MASK | SCRIPT_BIT)) == 0 && still_holds(number, wanted));
}

/* What is looked for.  The tag of a native frame is not known yet. */
struct key {
	uint64_t frame;
	uint32_t parent, tag, line;
};

static bool is_script(const struct key *key)
{
	return key->frame & SCRIPT_BIT;
}

static inline bool matches(uint32_t number, const struct key *key)
{
	if (is_script(key))
		return frame_load(stack_tree_at(number)) == key->frame && rest_of(number)->tag == key->line;
	return native_holds(number, key->frame);
}

static uint64_t *hash_table(void)
{
	return arena_map_once((void **)&s_hash, sizeof(uint64_t) << (HASH_BITS + 1));
}

static uint64_t hash_of(const struct key *key)
{
	uint64_t frame = is_script(key) ? key->frame : key->frame & PC_MASK;
	uint64_t hash = (frame ^ (uint64_t)key->parent << 32) * UINT64_C(0x9e3779b97f4a7c15);

	if (is_script(key))
		hash = (hash ^ key->line) * UINT64_C(0xff51afd7ed558ccd);
	return hash;
}

/* Where a node is looked for, in this order, until a free place; each table
 * begins at its own size, where the former ones have ended. */
static size_t place(uint64_t hash, unsigned probe)
{
	unsigned table = probe / PLACES < TABLES ? probe / PLACES : TABLES - 1;
	size_t size = (size_t)1 << (TABLE_BITS + table * TABLE_GROWTH);

	return size + (((hash >> 20) + probe) & (size - 1));
}

/* The smaller tables fill up, and then a search goes through all of them: their
 * cache lines are asked for at once, not one after the other. */
static void prefetch_tables(const uint64_t *table, uint64_t hash)
{
	for (unsigned i = 1; i < TABLES - 1; i++)
		__builtin_prefetch(&table[place(hash, i * PLACES)]);
}

/* A finished node with the contents of `key`, 0 without memory. */
static uint32_t make(const struct key *key)
{
	struct rest *rest;
	uint32_t number, empty;

	do {
		number = pool_take(&s_rests, NULL);
		if (!number || !pool_cover(&g_stack_tree_entries, number))
			return 0;
		rest = rest_of(number);
		stack_tree_at(number)->frame = key->frame;
		rest->tag = is_script(key) ? key->line : key->tag;
		empty = EMPTY;
	} while (!__atomic_compare_exchange_n(&rest->parent, &empty, key->parent + 1, false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	return number;
}

/* Fills in what the search did not need to know. */
static void complete(struct key *key)
{
	uintptr_t pc = key->frame & PC_MASK, bias;
	uint32_t module;

	if (is_script(key))
		return;
	module = modules_find(pc - 1, &bias);
	if (!module && modules_discover(pc - 1))
		module = modules_find(pc - 1, &bias);
	key->frame = stack_tree_frame(modules_epoch(), pc);
	key->tag = modules_tag(module);
}

static uint32_t hash_find_or_add(struct key *key)
{
	uint64_t *table = hash_table();
	uint64_t hash = hash_of(key);
	uint32_t fresh = 0;

	if (!table)
		return 0;
	prefetch_tables(table, hash);
	for (unsigned i = 0; i < PROBE_LIMIT; i++) {
		uint64_t *at = &table[place(hash, i)];
		uint64_t entry = __atomic_load_n(at, __ATOMIC_ACQUIRE);
		uint32_t number;

		if (!entry) {
			if (!fresh) {
				complete(key);
				fresh = make(key);
			}
			if (!fresh || __atomic_compare_exchange_n(at, &entry, (hash & TAG_MASK) | fresh,
								  false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
				return fresh;
		}
		/* Entries of others mostly differ here, and their nodes are not looked at. */
		number = (uint32_t)entry;
		if (((entry ^ hash) & TAG_MASK) == 0 && parent_of(number) == key->parent + 1 &&
		    matches(number, key))
			return number;
	}
	return 0;
}

bool stack_tree_init(void)
{
	pool_reserve(&g_stack_tree_entries, NEAR_NODES);
	s_ready = pool_cover(&g_stack_tree_entries, 0);
	return s_ready;
}

/* The list is only added to, at its end: the oldest child is met first, which
 * mostly is the one that is made at every visit, and lies behind its parent. */
static __attribute__((noinline)) uint32_t find_or_add(struct key *key)
{
	uint32_t *link = &stack_tree_at(key->parent)->first_child;
	uint32_t fresh = 0;

	for (unsigned count = 0;; count++) {
		uint32_t at = __atomic_load_n(link, __ATOMIC_ACQUIRE);

		if (!at && count >= LIST_LIMIT)
			return hash_find_or_add(key);
		if (!at && !fresh) {
			complete(key);
			fresh = make(key);
			if (!fresh)
				return 0;
		}
		if (!at &&
		    __atomic_compare_exchange_n(link, &at, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return fresh;
		if (matches(at, key))
			return at;
		link = &stack_tree_at(at)->next;
	}
}

__attribute__((noinline)) uint32_t stack_tree_native_slow(uint32_t parent, uint64_t frame)
{
	return find_or_add(&(struct key){.frame = frame, .parent = parent});
}

uint32_t stack_tree_native(uint32_t parent, uintptr_t pc)
{
	const struct stack_tree_entry *entry;

	if (!s_ready || pc > PC_MASK)
		return 0;
	entry = stack_tree_at(parent);
	return stack_tree_child(parent, stack_tree_frame(modules_epoch(), pc), &entry);
}

uint32_t stack_tree_script(uint32_t parent, uint32_t function, uint32_t file, uint32_t line)
{
	struct key key = {.frame = SCRIPT_BIT | (uint64_t)function << 32 | file,
			  .parent = parent,
			  .tag = CASTAWAY_FRAME_SCRIPT,
			  .line = line};

	return s_ready ? find_or_add(&key) : 0;
}

uint32_t stack_tree_count(void)
{
	static uint32_t s_settled;
	uint32_t count = __atomic_load_n(&s_rests.used, __ATOMIC_ACQUIRE);
	uint32_t settled = __atomic_load_n(&s_settled, __ATOMIC_RELAXED);

	for (; settled < count; settled++) {
		uint32_t empty = EMPTY;

		__atomic_compare_exchange_n(&rest_of(settled + 1)->parent, &empty, VOID, false,
					    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
	}
	__atomic_store_n(&s_settled, count, __ATOMIC_RELAXED);
	return count;
}

void stack_tree_get(uint32_t node, struct stack_tree_node *ret)
{
	const struct rest *rest = rest_of(node);
	const uint32_t parent = parent_of(node);
	uint64_t frame;

	*ret = (struct stack_tree_node){.tag = CASTAWAY_FRAME_RAW};
	if (parent == EMPTY || parent == VOID)
		return;
	frame = frame_load(stack_tree_at(node));
	ret->parent = parent - 1;
	if (frame & SCRIPT_BIT) {
		ret->tag = CASTAWAY_FRAME_SCRIPT;
		ret->function = (uint32_t)((frame & ~SCRIPT_BIT) >> 32);
		ret->file = (uint32_t)frame;
		ret->line = rest->tag;
	} else {
		ret->tag = rest->tag;
		ret->address = (frame & PC_MASK) - modules_bias(rest->tag);
	}
}
