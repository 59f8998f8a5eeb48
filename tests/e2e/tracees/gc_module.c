/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks everything that the annotation header can answer and prints one line
 * per answer; test_gc.py knows what they must be, with and without castaway.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shape.h"

struct counted {
	long other;
	int count; /* references beyond the first */
};

static int count_visit(void *object, void *arg)
{
	(void)object;
	++*(int *)arg;
	return 0;
}

static int stop_visit(void *object, void *arg)
{
	(void)object;
	++*(int *)arg;
	return 1;
}

static int is_it(void *object, void *arg)
{
	return object != *(void **)arg;
}

static void print_counts(const char *what)
{
	size_t counts[3] = {0, 0, 0};

	castaway_gc_get_count(counts);
	printf("%s %zu %zu %zu\n", what, counts[0], counts[1], counts[2]);
}

static void print_objects(const char *what, int generation)
{
	int visited = 0;
	size_t returned = castaway_gc_get_objects(generation, count_visit, &visited);

	printf("%s %zu %d\n", what, returned, visited);
}

static void ask_defaults(void)
{
	size_t thresholds[3] = {0, 0, 0};

	castaway_gc_get_threshold(thresholds);
	printf("active %d enabled %d thresholds %zu %zu %zu\n", castaway_active(), castaway_gc_isenabled(),
	       thresholds[0], thresholds[1], thresholds[2]);
	castaway_gc_disable();
	printf("disabled %d\n", castaway_gc_isenabled());
	castaway_gc_enable();
	printf("enabled again %d\n", castaway_gc_isenabled());
}

static void ask_references(struct shape *a, struct shape *b, struct shape *c)
{
	int visited = 0, stopped = 0;
	size_t number, none;

	shape_hold(a, b, "first");
	shape_hold(a, b, "second");
	shape_hold(c, b, "first");
	castaway_weak(b, a, "weak");
	number = castaway_gc_get_referents(a, count_visit, &visited);
	none = castaway_gc_get_referents(b, count_visit, &visited);
	printf("referents of a %zu, of b %zu, visited %d\n", number, none, visited);
	visited = 0;
	number = castaway_gc_get_referrers(b, count_visit, &visited);
	none = castaway_gc_get_referrers(a, count_visit, &visited);
	printf("referrers of b %zu, of a %zu, visited %d\n", number, none, visited);
	number = castaway_gc_get_referrers(b, stop_visit, &stopped);
	printf("stopped after %zu %d\n", number, stopped);
	printf("referent of c is b %d\n", (int)castaway_gc_get_referents(c, is_it, &b) == 1);
	printf("counts %ld %ld %ld\n", (long)castaway_getrefcount(a), (long)castaway_getrefcount(b),
	       (long)castaway_getrefcount(c));
}

static void ask_unknown(const void *unknown)
{
	int64_t count;

	errno = 0;
	count = castaway_getrefcount(unknown);
	printf("unknown %ld %s tracked %d\n", (long)count,
	       errno == EINVAL ? "EINVAL"
	       : errno         ? "?"
			       : "-",
	       castaway_gc_is_tracked(unknown));
	castaway_ref(NULL);
	castaway_object(NULL, 10, "nothing");
	castaway_link(NULL, NULL, NULL);
	printf("null %ld %d\n", (long)castaway_getrefcount(NULL), castaway_gc_is_tracked(NULL));
}

static void ask_layout(void)
{
	static struct counted one = {0, 4};

	castaway_layout("counted", offsetof(struct counted, count), sizeof(one.count), 1);
	castaway_object(&one, sizeof(one), "counted");
	printf("count in memory %ld", (long)castaway_getrefcount(&one));
	one.count = -1;
	printf(" %ld\n", (long)castaway_getrefcount(&one));
	castaway_object_end(&one);
}

static void ask_freeze(void)
{
	castaway_gc_freeze();
	printf("frozen %zu\n", castaway_gc_get_freeze_count());
	print_objects("not frozen", -1);
	castaway_gc_unfreeze();
	printf("unfrozen %zu\n", castaway_gc_get_freeze_count());
	print_objects("in generation 2", 2);
}

static void ask_passes(void)
{
	struct castaway_gc_stats stats[3];

	memset(stats, 0, sizeof(stats));
	castaway_gc_set_threshold(5, 1, 1);
	for (int i = 0; i < 12; i++)
		shape_new("New");
	print_counts("after 12 births");
	castaway_gc_get_stats(stats);
	for (int i = 0; i < 3; i++)
		printf("generation %d: %ld passes, %ld examined, %ld promoted, %ld live\n", i,
		       (long)stats[i].collections, (long)stats[i].examined, (long)stats[i].promoted,
		       (long)stats[i].live);
	castaway_gc_set_threshold(0, 10, 10);
	for (int i = 0; i < 2000; i++)
		shape_new("New");
	castaway_gc_get_stats(stats);
	printf("passes with threshold 0: %ld\n", (long)stats[0].collections);
}

int main(void)
{
	struct shape *a, *b, *c;

	ask_defaults();
	a = shape_new("A");
	b = shape_new("B");
	c = shape_new("C");
	print_counts("after 3 births");
	print_objects("all", -1);
	print_objects("in generation 0", 0);
	print_objects("in generation 1", 1);
	printf("tracked %d %d\n", castaway_gc_is_tracked(a), castaway_gc_is_tracked(&a->other));
	ask_references(a, b, c);
	castaway_object_end(c);
	print_counts("after 1 end");
	ask_unknown(c);
	ask_layout();
	ask_freeze();
	ask_passes();
	printf("snapshot %d\n", castaway_snapshot("named"));
	return 0;
}
