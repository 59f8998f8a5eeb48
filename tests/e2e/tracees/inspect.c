/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints what a program can see of itself without looking for a tracer: its
 * descriptors, children, threads, signals, limits, errno.  The output must be
 * the same with and without castaway.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void show_descriptors(void)
{
	for (int fd = 3; fd < 1024; fd++) {
		struct stat status;

		if (fstat(fd, &status) == 0)
			printf("descriptor %d is open\n", fd);
	}
	printf("next descriptor %d\n", dup(0));
}

/* With __WALL as tracers wait, who loop until there is no child left. */
static void show_children(int options)
{
	int status;
	pid_t child = waitpid(-1, &status, WNOHANG | options);

	printf("waitpid(-1): %d %s\n", (int)child, child < 0 ? strerror(errno) : "");
}

static int s_stop;

static void *nothing(void *arg)
{
	return arg;
}

static void *come_and_go(void *arg)
{
	pthread_t thread;

	while (!__atomic_load_n(&s_stop, __ATOMIC_RELAXED))
		if (pthread_create(&thread, NULL, nothing, NULL) == 0)
			pthread_join(thread, NULL);
	return arg;
}

/* The same while threads come and go. */
static void count_children(int options)
{
	unsigned seen = 0, missed = 0;
	pthread_t thread;
	pid_t child;

	if (pthread_create(&thread, NULL, come_and_go, NULL) != 0)
		return;
	for (int i = 0; i < 1000; i++)
		seen += waitpid(-1, NULL, WNOHANG | options) != -1 || errno != ECHILD;
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	if (child < 0) /* to kill -1 is to kill all */
		exit(1);
	for (int i = 0; i < 1000; i++)
		missed += waitpid(-1, NULL, WNOHANG | options) != 0;
	kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) == -1 && errno == EINTR)
		;
	__atomic_store_n(&s_stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("children seen where there are none: %u, missed: %u\n", seen, missed);
}

static void show_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int count = 0;

	for (struct dirent *entry; tasks && (entry = readdir(tasks)) != NULL;)
		count += entry->d_name[0] != '.';
	printf("threads: %d\n", count);
	if (tasks)
		closedir(tasks);
}

static void show_signals(void)
{
	sigset_t mask;
	struct sigaction action;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int i = 1; i < 65; i++) {
		if (sigismember(&mask, i) == 1)
			printf("signal %d is blocked\n", i);
		if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			printf("signal %d is not default\n", i);
	}
}

static void show_limits(void)
{
	static const int kinds[] = {RLIMIT_NOFILE, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_DATA, RLIMIT_AS};
	mode_t mask = umask(0);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct rlimit limit;

		getrlimit((__rlimit_resource_t)kinds[i], &limit);
		printf("limit %d: %ld %ld\n", kinds[i], (long)limit.rlim_cur, (long)limit.rlim_max);
	}
	printf("umask %o, the session's first group %d\n", (unsigned)mask, getsid(0) == getpgrp());
}

static void show_errno(void)
{
	void *block;

	errno = 4711;
	block = malloc(100000);
	free(block);
	block = calloc(3, 3);
	block = realloc(block, 5000);
	free(block);
	free(NULL);
	if (posix_memalign(&block, 64, 64) == 0)
		free(block);
	printf("errno after malloc and free: %d\n", errno);
	for (int i = 0; i < 100000; i++) {
		errno = i;
		free(malloc((size_t)(i & 255)));
		if (errno != i) {
			printf("errno changed in round %d\n", i);
			break;
		}
	}
}

/* Processor time of children is nobody's but our children's. */
static void show_usage(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	printf("children used %ld s\n", (long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec));
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "wall")) {
		show_children(__WALL);
		count_children(__WALL);
		return 0;
	}
	show_descriptors();
	show_children(0);
	show_threads();
	show_signals();
	show_limits();
	show_errno();
	show_usage();
	show_children(0);
	return 42;
}
