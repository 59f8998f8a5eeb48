/* SPDX-License-Identifier: Apache-2.0
 *
 * fork_storm FORKS: forks while four threads allocate without pause; every
 * child allocates and exits, by turns through exit and _exit.  Exits with the
 * number of children that did not end with status 0.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int stop;

static void *churn_main(void *arg)
{
	for (size_t i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++)
		free(malloc(i & 1023));
	return arg;
}

static void child_main(int number)
{
	for (size_t i = 0; i < 100; i++)
		free(calloc(1, i));
	if (number % 2)
		exit(0);
	_exit(0);
}

int main(int argc, char **argv)
{
	int forks = argc == 2 ? atoi(argv[1]) : 0, bad = 0;
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, churn_main, NULL) != 0)
			return 255;
	for (int i = 0; i < forks; i++) {
		int status = -1;
		pid_t child = fork();

		if (child == 0)
			child_main(i);
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		bad += status != 0;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	return bad < 255 ? bad : 254;
}
