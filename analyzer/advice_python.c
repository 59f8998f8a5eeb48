/* SPDX-License-Identifier: Apache-2.0
 *
 * One look through the table per class of references.  Never prints.
 */
#include "advice_python.h"

#include <stddef.h>
#include <string.h>

static const struct rule {
	const char *from, *field, *to;
	struct python_advice advice;
} rules[] = {
#define X(from, field, to, rank, action, why) {from, field, to, {PYTHON_##rank, action, why}},
	PYTHON_ADVICE(X)
#undef X
};

static bool is_own_name(const char *field)
{
	size_t length = strlen(field);

	return length > 4 && strncmp(field, "__", 2) == 0 && strcmp(field + length - 2, "__") == 0;
}

static bool fits(const char *wanted, const char *name)
{
	if (!wanted)
		return true;
	return strcmp(wanted, "*") == 0 ? is_own_name(name) : strcmp(wanted, name) == 0;
}

struct python_advice advice_python(const char *from, const char *field, const char *to)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (fits(rules[i].from, from) && fits(rules[i].field, field) && fits(rules[i].to, to))
			return rules[i].advice;
	}
	return (struct python_advice){.rank = PYTHON_USUAL};
}
