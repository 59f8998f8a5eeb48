/* SPDX-License-Identifier: Apache-2.0
 *
 * Demangling; the expected forms are those of c++filt and of the Rust RFCs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "demangle.h"

static void expect(const char *mangled, const char *readable, const char *language)
{
	char *text = demangle(mangled);

	assert_non_null(text);
	assert_string_equal(text, readable);
	assert_string_equal(demangle_language(mangled), language);
	free(text);
}

static void test_cpp(void **state)
{
	expect("_ZN5names5Shelf5countEiPKc", "names::Shelf::count(int, char const*)", "c++");
	expect("_Znwm", "operator new(unsigned long)", "c++");
	expect("_ZN4NodeC2Ev", "Node::Node()", "c++");
}

static void test_rust(void **state)
{
	expect("_RNvC6_123foo3bar", "123foo::bar", "rust");
	expect("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write", "rust");
}

static void test_plain(void **state)
{
	static const char *const names[] = {"main",   "",       "_",   "_Z",  "_R",
					    "_start", "_Zebra", "_ZN", "_RN", "_Z17h"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_null(demangle(names[i]));
	assert_null(demangle_language("main"));
	assert_null(demangle_language("_ReallyPlain"));
}

/* Deep nesting must end at the demangler's own limit, length at ours. */
static void test_hostile(void **state)
{
	size_t size = 8000;
	char *deep = malloc(size + 1), *longer = malloc(100000);

	assert_non_null(deep);
	assert_non_null(longer);
	memset(deep, 'P', size);
	memcpy(deep, "_Z1f", 4);
	deep[size - 1] = 'i';
	deep[size] = '\0';
	free(demangle(deep));
	memset(longer, 'P', 99999);
	memcpy(longer, "_Z1f", 4);
	longer[99998] = 'i';
	longer[99999] = '\0';
	assert_null(demangle(longer));
	assert_null(demangle_language(longer));
	free(deep);
	free(longer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpp),
		cmocka_unit_test(test_rust),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
