/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sanitizers' runtimes ask every program for at their start: their
 * default options.  A program that answers itself comes before this library,
 * and the environment comes before both.  They are called before anything here
 * is initialized, so all they may do is return a constant.
 */
#include "hooks.h"

HOOK_EXPORT const char *__asan_default_options(void);
HOOK_EXPORT const char *__lsan_default_options(void);

/* The allocator hooks find ASan's allocator behind them, as they find libc's;
 * without this ASan ends the program because it is not the first library. */
HOOK_EXPORT const char *__asan_default_options(void)
{
	return "verify_asan_link_order=0";
}

/* LeakSanitizer knows by itself that the TLS of a library that is opened at run
 * time looks leaked; as no library may be but castaway's unwinder, it is not to
 * say so in the target's output. */
HOOK_EXPORT const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}
