/* SPDX-License-Identifier: Apache-2.0
 *
 * castaway_gc_collect(), step by step; test_collect.py knows what each must
 * give.  Every line is what was asked, the answer, and the name of errno when
 * the answer is -1.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shape.h"

#define THREADS 4

static volatile sig_atomic_t g_children; /* SIGCHLDs */

static void ask(const char *what, int generation)
{
	int64_t answer;

	errno = 0;
	answer = castaway_gc_collect(generation);
	printf("%s: %ld%s%s\n", what, (long)answer, answer < 0 ? " " : "",
	       answer < 0 ? strerrorname_np(errno) : "");
	fflush(stdout);
}

/* Two that hold each other, and a third that the first one holds. */
static struct shape *plant(void)
{
	struct shape *a = shape_new("A"), *b = shape_new("B"), *c = shape_new("C");

	shape_hold(a, b, "other");
	shape_hold(b, a, "other");
	shape_hold(a, c, "leaf");
	a->other = b;
	shape_drop(c);
	shape_drop(b);
	shape_drop(a);
	return a;
}

static void steps(void)
{
	struct castaway_gc_stats stats[3];
	struct shape *root = shape_new("Root"), *a;

	ask("only a root", 2);
	a = plant();
	ask("3 born since, generation 0", 0);
	ask("they are in generation 1, generation 0", 0);
	ask("generation 1", 1);
	ask("they are in generation 2, generation 1", 1);
	ask("generation 2", 2);
	castaway_gc_disable();
	ask("nothing was freed, disabled", 2);
	shape_hold(root, a, "kept");
	ask("the root holds one", 2);
	shape_let_go(root, a, "kept");
	castaway_gc_freeze();
	ask("frozen", 2);
	castaway_gc_unfreeze();
	ask("not frozen", 2);
	castaway_gc_get_stats(stats);
	printf("passes %d %d %d\n", (int)stats[0].collections, (int)stats[1].collections,
	       (int)stats[2].collections);
	shape_let_go(a, a->other, "other");
	shape_end(a->other);
	castaway_object_end(a);
	ask("two ended, the third lost its count's only link", 2);
}

static void *collect_thread(void *arg)
{
	bool *right = arg;

	for (int i = 0; i < 5; i++)
		*right &= castaway_gc_collect(2) == 3;
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	bool right[THREADS];

	plant();
	for (int i = 0; i < THREADS; i++) {
		right[i] = true;
		pthread_create(&thread[i], NULL, collect_thread, &right[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		printf("thread %d right %d\n", i, right[i]);
	}
}

static void forked(void)
{
	pid_t child;

	plant();
	ask("before the fork", 2);
	child = fork();
	if (child == 0) {
		plant();
		ask("child", 2);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	ask("parent", 2);
}

static void count_child(int signal)
{
	g_children++;
}

static void unseen(void)
{
	pid_t waited;

	signal(SIGCHLD, count_child);
	plant();
	ask("collect", 2);
	waited = waitpid(-1, NULL, __WALL);
	printf("wait %d %s, SIGCHLD %d\n", (int)waited, strerrorname_np(errno), (int)g_children);
}

static void errors(void)
{
	plant();
	ask("generation 3", 3);
	ask("generation -1", -1);
	ask("generation 2", 2);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{"steps", steps},   {"threads", threads}, {"forked", forked},
		{"unseen", unseen}, {"errors", errors},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (argc > 1 && !strcmp(argv[1], parts[i].name)) {
			parts[i].run();
			return 0;
		}
	}
	return 2;
}
