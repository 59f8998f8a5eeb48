/* SPDX-License-Identifier: Apache-2.0
 *
 * Mangled names (Itanium C++, Rust v0 and legacy) to readable ones, through
 * libiberty.  Names come from files that nobody vouches for.
 */
#ifndef ANALYZER_DEMANGLE_H
#define ANALYZER_DEMANGLE_H

/* A malloc'ed readable form; NULL when `name` is not mangled, too long, or
 * there is no memory. */
char *demangle(const char *name);

/* "c++" or "rust" by the way `name` is mangled, NULL when it is not. */
const char *demangle_language(const char *name);

#endif
