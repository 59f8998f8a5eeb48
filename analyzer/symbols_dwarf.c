/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks addresses up in DWARF through libdw.  Two tables make repeated lookups
 * cheap: address ranges of all units (from the units themselves, because some
 * compilers write no .debug_aranges), and per unit, on first use, the ranges
 * of its functions.  Only inlined calls inside the one function are walked
 * each time.  Walks use an explicit stack and never recurse.
 */
#include "symbols_dwarf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>

#define MAX_DEPTH  64 /* nesting of namespaces and blocks */
#define MAX_RANGES 65536

struct range {
	uint64_t low, high;
	uint64_t furthest; /* the largest `high` of this and all earlier entries */
	size_t unit;       /* of unit ranges */
	Dwarf_Die die;     /* of function ranges */
};

struct ranges {
	struct range *range;
	size_t count, capacity;
};

struct unit {
	Dwarf_Die lines;     /* has the line table */
	Dwarf_Die functions; /* the split unit, when there is one */
	bool indexed;
	struct ranges index;
};

struct symbols_dwarf {
	Dwarf *dwarf;
	struct unit *units;
	size_t unit_count, unit_capacity;
	struct ranges ranges;
};

static bool ranges_add(struct ranges *ranges, const struct range *range)
{
	if (ranges->count == ranges->capacity) {
		size_t capacity = ranges->capacity > 0 ? ranges->capacity * 2 : 64;
		struct range *grown = reallocarray(ranges->range, capacity, sizeof(*grown));

		if (grown == NULL)
			return false;
		ranges->range = grown;
		ranges->capacity = capacity;
	}
	ranges->range[ranges->count++] = *range;
	return true;
}

static bool ranges_add_die(struct ranges *ranges, Dwarf_Die *die, size_t unit)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t at = 0;

	for (unsigned i = 0; i < MAX_RANGES && (at = dwarf_ranges(die, at, &base, &low, &high)) > 0; i++) {
		struct range range = {.low = low, .high = high, .unit = unit, .die = *die};

		/* Functions that the linker dropped are left at address 0. */
		if (low < high && low != 0 && !ranges_add(ranges, &range))
			return false;
	}
	return true;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *left = a, *right = b;

	if (left->low != right->low)
		return left->low < right->low ? -1 : 1;
	if (left->high != right->high)
		return left->high > right->high ? -1 : 1;
	return 0;
}

static void ranges_sort(struct ranges *ranges)
{
	uint64_t furthest = 0;

	if (ranges->count > 1)
		qsort(ranges->range, ranges->count, sizeof(*ranges->range), compare_ranges);
	for (size_t i = 0; i < ranges->count; i++) {
		if (ranges->range[i].high > furthest)
			furthest = ranges->range[i].high;
		ranges->range[i].furthest = furthest;
	}
}

/* The entry with the largest start that covers `address`. */
static struct range *ranges_find(const struct ranges *ranges, uint64_t address)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->range[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	while (low > 0 && ranges->range[low - 1].furthest > address) {
		if (ranges->range[low - 1].high > address)
			return &ranges->range[low - 1];
		low--;
	}
	return NULL;
}

static bool add_unit(struct symbols_dwarf *dwarf, const Dwarf_Die *die, const Dwarf_Die *split)
{
	struct unit *unit;

	if (dwarf->unit_count == dwarf->unit_capacity) {
		size_t capacity = dwarf->unit_capacity > 0 ? dwarf->unit_capacity * 2 : 64;
		struct unit *grown = reallocarray(dwarf->units, capacity, sizeof(*grown));

		if (grown == NULL)
			return false;
		dwarf->units = grown;
		dwarf->unit_capacity = capacity;
	}
	unit = &dwarf->units[dwarf->unit_count];
	*unit = (struct unit){.lines = *die, .functions = split != NULL ? *split : *die};
	return ranges_add_die(&dwarf->ranges, &unit->lines, dwarf->unit_count++);
}

struct symbols_dwarf *symbols_dwarf_open(Elf *elf)
{
	struct symbols_dwarf *dwarf = calloc(1, sizeof(*dwarf));
	Dwarf_CU *cu = NULL, *next = NULL;
	Dwarf_Die die, split;
	uint8_t type;
	bool fine = true;

	if (dwarf == NULL)
		return NULL;
	dwarf->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (dwarf->dwarf == NULL) {
		free(dwarf);
		return NULL;
	}
	while (fine && dwarf_get_units(dwarf->dwarf, cu, &next, NULL, &type, &die, &split) == 0) {
		bool is_split = type == DW_UT_skeleton && dwarf_tag(&split) == DW_TAG_compile_unit;

		cu = next;
		if (dwarf_tag(&die) == DW_TAG_compile_unit || dwarf_tag(&die) == DW_TAG_skeleton_unit)
			fine = add_unit(dwarf, &die, is_split ? &split : NULL);
	}
	ranges_sort(&dwarf->ranges);
	return dwarf;
}

void symbols_dwarf_close(struct symbols_dwarf *dwarf)
{
	if (dwarf == NULL)
		return;
	for (size_t i = 0; i < dwarf->unit_count; i++)
		free(dwarf->units[i].index.range);
	free(dwarf->units);
	free(dwarf->ranges.range);
	dwarf_end(dwarf->dwarf);
	free(dwarf);
}

/* Functions with code live in units, and for some languages in namespaces,
 * types and other functions. */
static bool may_hold_functions(Dwarf_Die *die)
{
	switch (dwarf_tag(die)) {
	case DW_TAG_compile_unit:
	case DW_TAG_skeleton_unit:
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
		return dwarf_haschildren(die) > 0;
	default:
		return false;
	}
}

static void index_unit(struct unit *unit)
{
	Dwarf_Die stack[MAX_DEPTH];
	size_t depth = 0;

	unit->indexed = true;
	if (dwarf_child(&unit->functions, &stack[0]) != 0)
		return;
	for (;;) {
		Dwarf_Die *die = &stack[depth];

		if (dwarf_tag(die) == DW_TAG_subprogram && !ranges_add_die(&unit->index, die, 0))
			break;
		if (depth + 1 < MAX_DEPTH && may_hold_functions(die) &&
		    dwarf_child(die, &stack[depth + 1]) == 0) {
			depth++;
			continue;
		}
		while (dwarf_siblingof(&stack[depth], &stack[depth]) != 0) {
			if (depth == 0) {
				ranges_sort(&unit->index);
				return;
			}
			depth--;
		}
	}
	ranges_sort(&unit->index);
}

/* Collects the inlined calls that contain `address`, outermost first, after
 * the function itself.  Returns their number, the function included. */
static size_t walk_inlined(const Dwarf_Die *function, uint64_t address,
			   Dwarf_Die chain[static SYMBOLS_DWARF_MAX_INLINE])
{
	size_t count = 1;
	Dwarf_Die at = *function, child;

	chain[0] = *function;
	for (unsigned depth = 0; depth < MAX_DEPTH && dwarf_child(&at, &child) == 0; depth++) {
		bool found = false;

		do {
			int tag = dwarf_tag(&child);

			if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block)
				continue;
			found = dwarf_haspc(&child, address) > 0;
			if (found && tag == DW_TAG_inlined_subroutine && count < SYMBOLS_DWARF_MAX_INLINE)
				chain[count++] = child;
		} while (!found && dwarf_siblingof(&child, &child) == 0);
		if (!found)
			break;
		at = child;
	}
	return count;
}

static const char *string_attribute(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;

	return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

static void frame_names(struct symbols_dwarf_frame *frame, Dwarf_Die *die)
{
	frame->linkage_name = string_attribute(die, DW_AT_linkage_name);
	if (frame->linkage_name == NULL)
		frame->linkage_name = string_attribute(die, DW_AT_MIPS_linkage_name);
	frame->name = dwarf_diename(die);
}

/* Where the inlined call `die` was written: a place in its caller. */
static void call_site(struct unit *unit, Dwarf_Die *die, struct symbols_dwarf_frame *caller)
{
	Dwarf_Attribute attribute;
	Dwarf_Word file = 0, line = 0;
	Dwarf_Files *files;
	size_t count;

	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &line) == 0 && line <= UINT32_MAX)
		caller->line = (uint32_t)line;
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &file) != 0)
		return;
	if (dwarf_getsrcfiles(&unit->functions, &files, &count) == 0 && file < count)
		caller->file = dwarf_filesrc(files, file, NULL, NULL);
}

static void source_line(struct unit *unit, uint64_t address, struct symbols_dwarf_frame *frame)
{
	Dwarf_Line *line = dwarf_getsrc_die(&unit->lines, address);
	int number = 0;

	if (line == NULL)
		return;
	frame->file = dwarf_linesrc(line, NULL, NULL);
	if (dwarf_lineno(line, &number) == 0 && number > 0)
		frame->line = (uint32_t)number;
}

static const char *unit_language(struct unit *unit)
{
	switch (dwarf_srclang(&unit->functions)) {
	case DW_LANG_C89:
	case DW_LANG_C:
	case DW_LANG_C99:
	case DW_LANG_C11:
		return "c";
	case DW_LANG_C_plus_plus:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C_plus_plus_14:
		return "c++";
	case DW_LANG_Rust:
		return "rust";
	default:
		return NULL;
	}
}

size_t symbols_dwarf_find(struct symbols_dwarf *dwarf, uint64_t address, struct symbols_dwarf_frame *frames,
			  const char **language)
{
	Dwarf_Die chain[SYMBOLS_DWARF_MAX_INLINE];
	struct range *range = ranges_find(&dwarf->ranges, address);
	struct unit *unit;
	size_t count;

	*language = NULL;
	if (range == NULL)
		return 0;
	unit = &dwarf->units[range->unit];
	if (!unit->indexed)
		index_unit(unit);
	*language = unit_language(unit);
	frames[0] = (struct symbols_dwarf_frame){0};
	source_line(unit, address, &frames[0]);
	range = ranges_find(&unit->index, address);
	if (range == NULL)
		return frames[0].file != NULL;
	count = walk_inlined(&range->die, address, chain);
	for (size_t i = 0; i < count; i++) {
		Dwarf_Die *die = &chain[count - 1 - i];

		frame_names(&frames[i], die);
		if (i + 1 == count)
			break;
		frames[i + 1] = (struct symbols_dwarf_frame){0};
		call_site(unit, die, &frames[i + 1]);
	}
	return count;
}
