/* SPDX-License-Identifier: Apache-2.0
 *
 * x86-64: system calls, the helper's clone, the time-stamp counter, and the
 * hooks that must leave the caller's return address where it is.  Everything
 * here may run in any thread, in the helper and before constructors.
 */
#include "arch.h"

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#include "hook_loader.h"
#include "hooks.h"
#include "hot.h"

/* clang-format off */
__attribute__((naked)) long arch_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	__asm__("mov %rdi, %rax\n\t"
		"mov %rsi, %rdi\n\t"
		"mov %rdx, %rsi\n\t"
		"mov %rcx, %rdx\n\t"
		"mov %r8, %r10\n\t"
		"mov %r9, %r8\n\t"
		"mov 8(%rsp), %r9\n\t"
		"syscall\n\t"
		"ret");
}

__attribute__((naked)) void arch_set_thread_pointer(uintptr_t pointer)
{
	__asm__("mov %rdi, %rsi\n\t"
		"mov $0x1002, %edi\n\t" /* ARCH_SET_FS */
		"mov $158, %eax\n\t"    /* arch_prctl */
		"syscall\n\t"
		"ret");
}

/* The new task finds the function and its argument on its stack. */
__attribute__((naked)) long arch_clone(unsigned long flags, void *stack_top, void *tls, const struct arch_clone_ids *ids,
				       int (*function)(void *), void *arg)
{
	__asm__("sub $16, %rsi\n\t"
		"mov %r8, (%rsi)\n\t"
		"mov %r9, 8(%rsi)\n\t"
		"mov %rdx, %r8\n\t"    /* tls */
		"mov 8(%rcx), %r10\n\t" /* child's id */
		"mov (%rcx), %rdx\n\t"  /* parent's id */
		"mov $56, %eax\n\t"     /* clone */
		"syscall\n\t"
		"test %rax, %rax\n\t"
		"jz 1f\n\t"
		"ret\n"
		"1:\n\t"
		".cfi_undefined %rip\n\t"
		"xor %ebp, %ebp\n\t"
		"pop %rax\n\t"
		"pop %rdi\n\t"
		"call *%rax\n\t"
		"mov %eax, %edi\n\t"
		"mov $231, %eax\n\t" /* exit_group */
		"syscall\n\t"
		"hlt");
}

__attribute__((naked)) void arch_signal_return(void)
{
	__asm__("mov $15, %eax\n\t" /* rt_sigreturn */
		"syscall");
}

/* dlopen() takes RUNPATH and namespace of the code that its return address
 * points into, so the real one is entered by a jump, as if from the caller. */
__attribute__((naked, visibility("default"))) void *dlopen(const char *file, int mode)
{
	__asm__("push %rdi\n\t"
		".cfi_adjust_cfa_offset 8\n\t"
		"push %rsi\n\t"
		".cfi_adjust_cfa_offset 8\n\t"
		"sub $8, %rsp\n\t"
		".cfi_adjust_cfa_offset 8\n\t"
		"call hook_loader_dlopen\n\t"
		"add $8, %rsp\n\t"
		".cfi_adjust_cfa_offset -8\n\t"
		"pop %rsi\n\t"
		".cfi_adjust_cfa_offset -8\n\t"
		"pop %rdi\n\t"
		".cfi_adjust_cfa_offset -8\n\t"
		"jmp *%rax");
}

__attribute__((naked, visibility("default"))) void *dlmopen(long name_space, const char *file, int mode)
{
	__asm__("push %rdi\n\t"
		".cfi_adjust_cfa_offset 8\n\t"
		"push %rsi\n\t"
		".cfi_adjust_cfa_offset 8\n\t"
		"push %rdx\n\t"
		".cfi_adjust_cfa_offset 8\n\t"
		"call hook_loader_dlmopen\n\t"
		"pop %rdx\n\t"
		".cfi_adjust_cfa_offset -8\n\t"
		"pop %rsi\n\t"
		".cfi_adjust_cfa_offset -8\n\t"
		"pop %rdi\n\t"
		".cfi_adjust_cfa_offset -8\n\t"
		"jmp *%rax");
}

/* Valgrind's request RUNNING_ON_VALGRIND: the rotations leave rdi as it is, and
 * a real processor the result too. */
bool arch_is_valgrind(void)
{
	const uint64_t request[6] = {0x1001};
	uint64_t result = 0;

	__asm__ volatile("rol $3, %%rdi\n\t"
			 "rol $13, %%rdi\n\t"
			 "rol $61, %%rdi\n\t"
			 "rol $51, %%rdi\n\t"
			 "xchg %%rbx, %%rbx"
			 : "+d"(result)
			 : "a"(request)
			 : "cc", "memory");
	return result != 0;
}
/* clang-format on */

void *arch_fake_tls(void *block)
{
	uint8_t *thread_pointer = (uint8_t *)block + ARCH_TLS_BELOW;

	/* tcbhead_t: the thread pointer's own address, and the thread's. */
	memcpy(thread_pointer, &thread_pointer, sizeof(thread_pointer));
	memcpy(thread_pointer + 16, &thread_pointer, sizeof(thread_pointer));
	return thread_pointer;
}

bool arch_tsc_usable(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0;
}

/* For each set of four: the numbers of its members, in order. */
static const uint32_t s_members[16][4] = {
	{0, 0, 0, 0}, {0, 0, 0, 0}, {1, 0, 0, 0}, {0, 1, 0, 0}, {2, 0, 0, 0}, {0, 2, 0, 0},
	{1, 2, 0, 0}, {0, 1, 2, 0}, {3, 0, 0, 0}, {0, 3, 0, 0}, {1, 3, 0, 0}, {0, 1, 3, 0},
	{2, 3, 0, 0}, {0, 2, 3, 0}, {1, 2, 3, 0}, {0, 1, 2, 3},
};

#define AHEAD 1536u /* bytes: what the memory takes to come */

/* Comparisons are signed: both sides are moved by half of the numbers. */
__attribute__((target("avx2,popcnt"))) static uint32_t filter_four(const uint64_t *words, uint32_t count,
								   uint64_t low, uint64_t span, uint32_t *ret)
{
	const uint64_t half = UINT64_C(1) << 63;
	const __m256i lows = _mm256_set1_epi64x((long long)(low + half));
	const __m256i spans = _mm256_set1_epi64x((long long)(span - half));
	uint32_t found = 0, i = 0;

	for (; count - i >= 4; i += 4) {
		const char *at = (const char *)&words[i];
		const __m256i four = _mm256_loadu_si256((const __m256i *)(const void *)at);
		const __m256i in = _mm256_cmpgt_epi64(spans, _mm256_sub_epi64(four, lows));
		const unsigned set = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(in));
		const __m128i members = _mm_loadu_si128((const __m128i *)(const void *)s_members[set]);

		/* What is read once shall not drive the caller's tables out of the caches. */
		if (i % 8 == 0)
			_mm_prefetch((const char *)((uintptr_t)at + AHEAD), _MM_HINT_NTA);
		_mm_storeu_si128((__m128i *)(void *)&ret[found],
				 _mm_add_epi32(members, _mm_set1_epi32((int)i)));
		found += (uint32_t)_mm_popcnt_u32(set);
	}
	for (; i < count; i++) {
		ret[found] = i;
		found += words[i] - low < span;
	}
	return found;
}

static bool has_lzcnt(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (c & (1u << 5)) != 0;
}

arch_word_filter arch_find_word_filter(void)
{
	__builtin_cpu_init(); /* also whether the kernel keeps the registers */
	return has_lzcnt() && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi") &&
			       __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx2")
		       ? filter_four
		       : NULL;
}

HOT bool g_arch_deposits;

/* AMD's first two generations have the instructions in slow microcode. */
void arch_init(void)
{
	__builtin_cpu_init();
	g_arch_deposits = has_lzcnt() && __builtin_cpu_supports("bmi2") && !__builtin_cpu_is("znver1") &&
			  !__builtin_cpu_is("znver2");
}

/* mov disp(%rip), %rax; perhaps mov disp(%rax), %rax; ret */
const uintptr_t *arch_variable_of(uintptr_t function)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa}, load[] = {0x48, 0x8b, 0x05},
			     load_from[] = {0x48, 0x8b, 0x80};
	const uint8_t *code = (const uint8_t *)function;
	const uintptr_t *variable;
	int32_t distance;

	if (memcmp(code, endbr64, sizeof(endbr64)) == 0)
		code += sizeof(endbr64);
	if (memcmp(code, load, sizeof(load)) != 0)
		return NULL;
	memcpy(&distance, code + sizeof(load), sizeof(distance));
	code += sizeof(load) + sizeof(distance);
	variable = (const uintptr_t *)(code + distance);
	if (memcmp(code, load_from, sizeof(load_from)) == 0) {
		memcpy(&distance, code + sizeof(load_from), sizeof(distance));
		code += sizeof(load_from) + sizeof(distance);
		variable = (const uintptr_t *)(*variable + (uintptr_t)distance);
	}
	return *code == 0xc3 ? variable : NULL;
}
