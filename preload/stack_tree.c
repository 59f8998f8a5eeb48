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
#include "emit.h"
#include "modules.h"
#include "pool.h"
#include "stack.h"

enum {
	LIST_LIMIT = 8, /* children found by going through the list */
	/* A program with few stacks touches few pages: a table 16 times larger is
	 * looked into when a node's places in the smaller one are taken. */
	TABLE_BITS = 12,
	TABLE_GROWTH = 4,
	TABLES = 4,
	HASH_BITS = TABLE_BITS + (TABLES - 1) * TABLE_GROWTH, /* of the largest */
	PLACES = 8,                                           /* in a table but the largest */
	PROBE_LIMIT = 256
};

enum state { EMPTY = 0, READY = 1, VOID = 2 };

struct node {
	uint32_t parent, tag;
	uint64_t value;       /* pc, or function << 32 | file */
	uint32_t line;        /* script: line; native: epoch of the modules when value was looked up */
	uint32_t first_child; /* newest */
	uint32_t next;        /* older child of the same parent */
	uint32_t state;
};
_Static_assert(sizeof(struct node) == 32, "two nodes share a cache line");

static struct pool s_nodes = POOL_INIT(struct node);
static struct node s_root;
static uint32_t *s_hash;

static struct node *node_at(uint32_t number)
{
	return number ? pool_at(&s_nodes, number) : &s_root;
}

/* Code at this address may be another module's by now: looked up again after
 * every change of the modules. */
static bool native_holds(struct node *node)
{
	uint32_t epoch = modules_epoch();
	uintptr_t bias;

	if (__atomic_load_n(&node->line, __ATOMIC_RELAXED) == epoch)
		return true;
	if (modules_tag(modules_find(node->value - 1, &bias)) != node->tag)
		return false;
	__atomic_store_n(&node->line, epoch, __ATOMIC_RELAXED);
	return true;
}

/* `key` is a native frame when its tag is not SCRIPT; its tag is not known yet. */
static bool matches(struct node *node, const struct node *key)
{
	if (node->value != key->value || node->parent != key->parent)
		return false;
	if (key->tag == CASTAWAY_FRAME_SCRIPT)
		return node->tag == CASTAWAY_FRAME_SCRIPT && node->line == key->line;
	return node->tag != CASTAWAY_FRAME_SCRIPT && native_holds(node);
}

static uint32_t *hash_table(void)
{
	return modules_map_once((void **)&s_hash, sizeof(uint32_t) << (HASH_BITS + 1));
}

static uint64_t hash_of(const struct node *key)
{
	uint64_t hash = (key->value ^ (uint64_t)key->parent << 32) * UINT64_C(0x9e3779b97f4a7c15);

	if (key->tag == CASTAWAY_FRAME_SCRIPT)
		hash = (hash ^ key->line) * UINT64_C(0xff51afd7ed558ccd);
	return hash >> 20; /* the better bits */
}

/* Where a node is looked for, in this order, until a free place; each table
 * begins at its own size, where the former ones have ended. */
static size_t place(uint64_t hash, unsigned probe)
{
	unsigned table = probe / PLACES < TABLES ? probe / PLACES : TABLES - 1;
	size_t size = (size_t)1 << (TABLE_BITS + table * TABLE_GROWTH);

	return size + ((hash + probe) & (size - 1));
}

/* A finished node with the contents of `key`, 0 without memory. */
static uint32_t make(const struct node *key)
{
	struct node *node;
	uint32_t number, state;

	do {
		number = pool_take(&s_nodes, NULL);
		if (!number)
			return 0;
		node = node_at(number);
		node->parent = key->parent;
		node->tag = key->tag;
		node->value = key->value;
		node->line = key->line;
		state = EMPTY;
	} while (!__atomic_compare_exchange_n(&node->state, &state, READY, false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	return number;
}

/* Fills in what find_child() did not need to know. */
static void complete(struct node *key)
{
	uintptr_t bias;
	uint32_t module;

	if (key->tag == CASTAWAY_FRAME_SCRIPT)
		return;
	module = modules_find(key->value - 1, &bias);
	if (!module && modules_discover(key->value - 1))
		module = modules_find(key->value - 1, &bias);
	key->line = modules_epoch();
	key->tag = modules_tag(module);
}

static uint32_t hash_find_or_add(struct node *key)
{
	uint32_t *table = hash_table();
	uint64_t hash = hash_of(key);
	uint32_t fresh = 0;

	if (!table)
		return 0;
	for (unsigned i = 0; i < PROBE_LIMIT; i++) {
		uint32_t *at = &table[place(hash, i)];
		uint32_t number = __atomic_load_n(at, __ATOMIC_ACQUIRE);

		if (!number) {
			if (!fresh) {
				complete(key);
				fresh = make(key);
			}
			if (!fresh || __atomic_compare_exchange_n(at, &number, fresh, false, __ATOMIC_RELEASE,
								  __ATOMIC_ACQUIRE))
				return fresh;
		}
		if (matches(node_at(number), key))
			return number;
	}
	return 0;
}

/* The list is only pushed to, so when its head is still the one that the search
 * began with, nobody has added the frame meanwhile. */
static uint32_t find_or_add(uint32_t parent, struct node *key)
{
	struct node *above = node_at(parent);
	uint32_t head = __atomic_load_n(&above->first_child, __ATOMIC_ACQUIRE);
	uint32_t fresh = 0;

	for (;;) {
		uint32_t at = head;
		unsigned count = 0;

		for (; at; at = node_at(at)->next, count++)
			if (matches(node_at(at), key))
				return at;
		if (count >= LIST_LIMIT)
			return hash_find_or_add(key);
		if (!fresh) {
			complete(key);
			fresh = make(key);
			if (!fresh)
				return 0;
		}
		node_at(fresh)->next = head;
		if (__atomic_compare_exchange_n(&above->first_child, &head, fresh, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return fresh;
	}
}

uint32_t stack_tree_native(uint32_t parent, uintptr_t pc)
{
	struct node key = {.parent = parent, .tag = CASTAWAY_FRAME_RAW, .value = pc};

	return find_or_add(parent, &key);
}

uint32_t stack_tree_script(uint32_t parent, uint32_t function, uint32_t file, uint32_t line)
{
	struct node key = {.parent = parent,
			   .tag = CASTAWAY_FRAME_SCRIPT,
			   .value = (uint64_t)function << 32 | file,
			   .line = line};

	return find_or_add(parent, &key);
}

uint32_t stack_tree_count(void)
{
	static uint32_t s_settled;
	uint32_t count = __atomic_load_n(&s_nodes.used, __ATOMIC_ACQUIRE);
	uint32_t settled = __atomic_load_n(&s_settled, __ATOMIC_RELAXED);

	for (; settled < count; settled++) {
		uint32_t state = EMPTY;

		__atomic_compare_exchange_n(&node_at(settled + 1)->state, &state, VOID, false,
					    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
	}
	__atomic_store_n(&s_settled, count, __ATOMIC_RELAXED);
	return count;
}

void stack_tree_get(uint32_t node, struct stack_tree_node *ret)
{
	const struct node *n = node_at(node);

	*ret = (struct stack_tree_node){.tag = CASTAWAY_FRAME_RAW};
	if (__atomic_load_n(&n->state, __ATOMIC_ACQUIRE) != READY)
		return;
	ret->parent = n->parent;
	ret->tag = n->tag;
	if (n->tag == CASTAWAY_FRAME_SCRIPT) {
		ret->function = (uint32_t)(n->value >> 32);
		ret->file = (uint32_t)n->value;
		ret->line = n->line;
	} else {
		ret->address = n->value - modules_bias(n->tag);
	}
}
