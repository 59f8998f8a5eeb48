/* SPDX-License-Identifier: Apache-2.0
 *
 * What depends on the processor.  One arch_<cpu>.c per architecture; the rest
 * of the preload is portable C (the unwinder has its own interface, stack.h).
 */
#ifndef ARCH_H
#define ARCH_H

#include <stdbool.h>
#include <stdint.h>

#define ARCH_ELF_MACHINE 62 /* EM_X86_64 */

/* A system call as the kernel sees it: the result or -errno.  Touches no libc
 * state, so it serves the helper process and vfork children too. */
long arch_syscall(long number, long a, long b, long c, long d, long e, long f);

/* Runs function(arg) on its own stack in a new task and ends that task with
 * the result as exit status.  Returns the task's id or -errno. */
struct arch_clone_ids {
	uint32_t *parent, *child; /* for CLONE_PARENT_SETTID and CLONE_CHILD_CLEARTID */
};
long arch_clone(unsigned long flags, void *stack_top, void *tls, const struct arch_clone_ids *ids,
		int (*function)(void *), void *arg);

/* Valgrind ends a program that makes a task by a clone that it does not know. */
bool arch_is_valgrind(void);

/* The variable whose value a function of no arguments returns, if that is all that
 * its code does; else NULL. */
const uintptr_t *arch_variable_of(uintptr_t function);

/* Returns from a signal's handler (rt_sigreturn): for raw rt_sigaction. */
void arch_signal_return(void);

/* The calling thread's thread pointer, another one for it, and the state in which
 * the calling function is: what a caller still needs is in these registers or above sp. */
static inline uintptr_t arch_thread_pointer(void)
{
	uintptr_t pointer;

	__asm__("mov %%fs:0, %0" : "=r"(pointer));
	return pointer;
}
void arch_set_thread_pointer(uintptr_t pointer);
#define arch_own_state(thread)                                         \
	do {                                                           \
		uint64_t *saved_ = (thread)->registers;                \
		uintptr_t sp_;                                         \
		__asm__ volatile("mov %%rbx, 24(%1)\n\t"               \
				 "mov %%rbp, 48(%1)\n\t"               \
				 "mov %%r12, 96(%1)\n\t"               \
				 "mov %%r13, 104(%1)\n\t"              \
				 "mov %%r14, 112(%1)\n\t"              \
				 "mov %%r15, 120(%1)\n\t"              \
				 "mov %%rsp, %0"                       \
				 : "=&r"(sp_)                          \
				 : "r"(saved_)                         \
				 : "memory");                          \
		(thread)->register_count = 16;                         \
		(thread)->sp = sp_;                                    \
		(thread)->pc = (uintptr_t)__builtin_return_address(0); \
		(thread)->tls = arch_thread_pointer();                 \
		(thread)->in_syscall = true;                           \
	} while (0)

/* Which of `count` words are less than `span` above `low`: writes their numbers
 * to ret, which has room for ARCH_FILTER_SPARE more, and returns how many. */
typedef uint32_t (*arch_word_filter)(const uint64_t *words, uint32_t count, uint64_t low, uint64_t span,
				     uint32_t *ret);
#define ARCH_FILTER_SPARE 4

/* A filter that looks at several words at once, NULL if the processor has no
 * such instructions.  If it has, it can also run what is ARCH_FAST. */
arch_word_filter arch_find_word_filter(void);
#define ARCH_FAST __attribute__((target("popcnt,lzcnt,bmi,bmi2")))

/* Called once, before anything below it is asked. */
void arch_init(void);

/* Whether the processor deposits bits, and does so fast; then it has these: the
 * lowest bits of a value, one after the other, where the mask has ones; what of a
 * value is below bit `count` (at most 63); the zero bits above the highest one. */
extern bool g_arch_deposits;
static inline uint64_t arch_deposit(uint64_t value, uint64_t mask)
{
	uint64_t result;

	__asm__("pdep %2, %1, %0" : "=r"(result) : "r"(value), "r"(mask));
	return result;
}
static inline uint64_t arch_low_bits(uint64_t value, uint64_t count)
{
	uint64_t result;

	__asm__("bzhi %2, %1, %0" : "=r"(result) : "r"(value), "r"(count) : "cc");
	return result;
}

static inline unsigned arch_leading_zeros(uint64_t value)
{
	uint64_t result;

	__asm__("lzcnt %1, %0" : "=r"(result) : "r"(value) : "cc");
	return (unsigned)result;
}

/* Prepares a block of memory as thread-local storage of a task that runs code
 * compiled for this libc; returns the value for CLONE_SETTLS. */
#define ARCH_TLS_BELOW 16384u
#define ARCH_TLS_ABOVE 8192u
void *arch_fake_tls(void *block);

/* The time-stamp counter, if it runs at a constant rate on all processors. */
bool arch_tsc_usable(void);
static inline uint64_t arch_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

#endif
