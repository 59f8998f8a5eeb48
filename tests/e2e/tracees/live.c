/* SPDX-License-Identifier: Apache-2.0
 *
 * What lives changes from one snapshot to the next: `live moments [ROUNDS]`
 * leaves one more stranded pair behind before each, and `live fork` lets a child
 * do so too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <castaway/castaway.h>

struct half {
	struct half *other;
	char text[40];
};

static struct half *volatile held; /* what is alive */

static struct half *make(const char *type)
{
	struct half *half = calloc(1, sizeof(*half));

	if (!half)
		abort();
	castaway_object(half, sizeof(*half), type);
	return half;
}

static void take(struct half *owner, struct half *target)
{
	owner->other = target;
	castaway_ref(target);
	castaway_link(owner, target, "other");
}

static void strand(void)
{
	struct half *one = make("stranded"), *two = make("stranded");

	take(one, two);
	take(two, one);
	castaway_unref(one);
	castaway_unref(two);
}

static void replace_held(void)
{
	struct half *former = held;

	held = make("held");
	if (former) {
		castaway_unref(former);
		castaway_object_end(former);
		free(former);
	}
}

/* Much that does not stay. */
static void churn(void)
{
	for (int i = 0; i < 2000; i++) {
		void *volatile block = malloc(16 + (size_t)i % 400);

		free(block);
		castaway_ref(held);
		castaway_unref(held);
	}
}

static void moment(const char *name)
{
	replace_held();
	churn();
	strand();
	if (castaway_snapshot(name) != 0)
		fprintf(stderr, "no snapshot\n");
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 3;
	pid_t child;

	if (argc > 1 && strcmp(argv[1], "moments") == 0) {
		for (int i = 0; i < rounds; i++)
			moment("moment");
		return 0;
	}
	if (argc != 2 || strcmp(argv[1], "fork") != 0)
		return 99;
	moment("parent");
	child = fork();
	if (child == 0) {
		moment("child");
		return 0;
	}
	return waitpid(child, NULL, 0) == child ? 0 : 1;
}
