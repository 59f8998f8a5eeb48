/* SPDX-License-Identifier: Apache-2.0
 *
 * Exceptions through frames with destructors, rethrown, from threads, and with
 * allocations on the way: a tracer that unwinds must not disturb them.
 */
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct noisy {
	std::vector<int> data;
	int *count;
	noisy(int size, int *counter) : data(static_cast<std::size_t>(size)), count(counter)
	{
	}
	noisy(const noisy &) = delete;
	noisy &operator=(const noisy &) = delete;
	~noisy()
	{
		++*count;
	}
};

static int descend(int depth, int *count)
{
	noisy here(depth, count);

	if (depth == 0)
		throw std::runtime_error("bottom " + std::to_string(*count));
	try {
		return descend(depth - 1, count) + 1;
	} catch (const std::logic_error &) {
		return -1;
	}
}

static int rounds()
{
	int count = 0;

	for (int i = 0; i < 200; i++) {
		try {
			descend(i % 50, &count);
		} catch (const std::exception &error) {
			try {
				throw;
			} catch (const std::runtime_error &again) {
				count += static_cast<int>(std::string(again.what()).size());
			}
		}
	}
	return count;
}

int main()
{
	int result[3] = {};
	std::vector<std::thread> threads;

	for (int &one : result)
		threads.emplace_back([&one] { one = rounds(); });
	for (std::thread &thread : threads)
		thread.join();
	std::printf("%d %d %d %d\n", rounds(), result[0], result[1], result[2]);
	return 0;
}
