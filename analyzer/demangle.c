/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs in the analyzer, on names from symbol tables and DWARF.  The demangler
 * keeps its own recursion limit (DMGL_NO_RECURSE_LIMIT is never set); what it
 * lacks is a bound on the length of its input, which is here.
 */
#include "demangle.h"

#include <libiberty/demangle.h>
#include <stddef.h>
#include <string.h>

/* The longest names of real template-heavy programs are some tens of KiB, and
 * nobody reads their expansion. */
#define DEMANGLE_MAX_INPUT 8192

/* A legacy Rust name is an Itanium name that ends in `17h` and 16 hex digits. */
static int is_legacy_rust(const char *name, size_t length)
{
	static const char suffix[] = "17h";

	if (length < 24 || name[length - 1] != 'E')
		return 0;
	name += length - 20;
	return strncmp(name, suffix, 3) == 0 && strspn(name + 3, "0123456789abcdef") == 16;
}

const char *demangle_language(const char *name)
{
	size_t length = strnlen(name, DEMANGLE_MAX_INPUT);

	if (length == DEMANGLE_MAX_INPUT)
		return NULL;
	if (strncmp(name, "_R", 2) == 0 && (name[2] == 'N' || name[2] == 'C' || name[2] == 'I'))
		return "rust";
	if (strncmp(name, "_Z", 2) != 0)
		return NULL;
	return is_legacy_rust(name, length) ? "rust" : "c++";
}

char *demangle(const char *name)
{
	if (demangle_language(name) == NULL)
		return NULL;
	return cplus_demangle(name, DMGL_AUTO | DMGL_PARAMS | DMGL_ANSI);
}
