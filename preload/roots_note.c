/* SPDX-License-Identifier: Apache-2.0
 *
 * What the target's threads note for later snapshots, and what is castaway's
 * own.  roots_note_thread() runs in the target; the rest in the snapshot child.
 */
#include <link.h>

#include "modules.h"
#include "resolve.h"
#include "roots.h"
#include "roots_internal.h"

/* Descriptors are few: glibc reuses them with their stacks. */
#define THREADS_MAX 4096u

static uintptr_t s_threads[THREADS_MAX];

extern char __ehdr_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));

/* A set by open addressing; when it is full, later threads are not noted: their
 * cached stacks then count as roots. */
void roots_note_thread(uintptr_t descriptor)
{
	size_t at = (size_t)((descriptor >> 6) * UINT64_C(0x9E3779B97F4A7C15) >> 40) % THREADS_MAX;

	for (size_t i = 0; i < THREADS_MAX; i++, at = (at + 1) % THREADS_MAX) {
		uintptr_t former = 0;

		if (__atomic_load_n(&s_threads[at], __ATOMIC_RELAXED) == descriptor ||
		    __atomic_compare_exchange_n(&s_threads[at], &former, descriptor, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED) ||
		    former == descriptor)
			return;
	}
}

/* A set by open addressing too.  Entries come and go, so a search ends only at
 * an entry that was never used, or after PROBES. */
#define HIDDEN_MAX 16384u
#define PROBES     64u
#define GONE       1u

static struct hidden {
	uintptr_t address; /* 0 = never used, GONE = used again by the next */
	size_t size;
} s_hidden[HIDDEN_MAX];

static struct hidden *hidden_at(uintptr_t address, size_t probe)
{
	size_t first = (size_t)((address >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 40);

	return &s_hidden[(first + probe) % HIDDEN_MAX];
}

void roots_note_hidden(const void *block, size_t size)
{
	uintptr_t address = (uintptr_t)block;

	for (size_t i = 0; i < PROBES; i++) {
		struct hidden *hidden = hidden_at(address, i);
		uintptr_t former = __atomic_load_n(&hidden->address, __ATOMIC_RELAXED);

		if (former > GONE && former != address)
			continue;
		if (!__atomic_compare_exchange_n(&hidden->address, &former, address, false, __ATOMIC_RELAXED,
						 __ATOMIC_RELAXED))
			continue;
		__atomic_store_n(&hidden->size, size, __ATOMIC_RELAXED);
		return;
	}
}

void roots_forget_hidden(const void *block)
{
	uintptr_t address = (uintptr_t)block;

	for (size_t i = 0; i < PROBES; i++) {
		struct hidden *hidden = hidden_at(address, i);
		uintptr_t found = __atomic_load_n(&hidden->address, __ATOMIC_RELAXED);

		if (found == 0)
			return;
		if (found == address)
			__atomic_store_n(&hidden->address, GONE, __ATOMIC_RELAXED);
	}
}

bool roots_hidden(size_t index, uint64_t *start, uint64_t *end)
{
	if (index >= HIDDEN_MAX)
		return false;
	*start = *end = 0;
	if (s_hidden[index].address > GONE) {
		*start = s_hidden[index].address;
		*end = *start + s_hidden[index].size;
	}
	return true;
}

size_t roots_thread_count(void)
{
	return THREADS_MAX;
}

uintptr_t roots_thread(size_t index)
{
	return s_threads[index];
}

void roots_own_data(uint64_t *start, uint64_t *end)
{
	*start = (uintptr_t)__ehdr_start;
	*end = (uintptr_t)_end;
}

bool roots_is_libc(uint64_t start, uint64_t end)
{
	uint32_t libc = modules_of_data((uintptr_t)g_real.free);

	return resolve_malloc_is_libc() && libc != 0 &&
	       (modules_of_data(start) == libc || modules_of_data(end - 1) == libc);
}
