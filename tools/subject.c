/* SPDX-License-Identifier: Apache-2.0
 *
 * Gathers names; formats no report.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "subject.h"

/* Enough to recognise a structure; a list of a million nodes has few types. */
#define MAX_MEMBERS 4096
#define MAX_FRAMES  256
#define LABEL_TYPES 5

bool subject_names_add(struct subject_names *names, const char *text)
{
	size_t low = 0, high = names->count;
	char *copy;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(names->items[middle], text);

		if (!order)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (names->count == names->capacity) {
		size_t capacity = names->capacity ? 2 * names->capacity : 16;
		char **items = realloc(names->items, capacity * sizeof(*items));

		if (!items)
			return false;
		names->items = items;
		names->capacity = capacity;
	}
	copy = strdup(text);
	if (!copy)
		return false;
	memmove(&names->items[low + 1], &names->items[low], (names->count - low) * sizeof(*names->items));
	names->items[low] = copy;
	names->count++;
	return true;
}

static bool add_type(struct subject *subject, const struct analysis *analysis, uint32_t type,
		     unsigned runtime)
{
	const char *name = trace_text(analysis->trace, type);
	char *qualified;
	bool done;

	if (!*name)
		return true;
	if (asprintf(&qualified, "%s:%s", trace_runtime_name(runtime), name) < 0)
		return false;
	done = subject_names_add(&subject->types, name) && subject_names_add(&subject->qualified, qualified);
	free(qualified);
	return done;
}

static bool add_stack(struct subject *subject, const struct analysis *analysis, uint32_t stack)
{
	struct symbols_frame *frames = NULL;
	size_t count = stack ? symbols_program_stack(analysis->symbols, stack, MAX_FRAMES, &frames) : 0;
	bool done = true;

	for (size_t i = 0; i < count && done; i++) {
		const char *module = frames[i].module;
		const char *slash = module ? strrchr(module, '/') : NULL;

		if (frames[i].function)
			done = subject_names_add(&subject->functions, frames[i].function);
		if (done && module)
			done = subject_names_add(&subject->modules, module);
		if (done && slash)
			done = subject_names_add(&subject->modules, slash + 1);
	}
	free(frames);
	return done;
}

/* "cycle of a, b, c" */
static void make_label(struct subject *subject, const struct analysis *analysis, const char *what)
{
	size_t length = (size_t)snprintf(subject->label, sizeof(subject->label), "%s", what);

	for (size_t i = 0; i < subject->types.count && length < sizeof(subject->label); i++) {
		const char *before = i ? ", " : *what ? " of " : "";

		if (i == LABEL_TYPES) {
			snprintf(subject->label + length, sizeof(subject->label) - length, ", ...");
			return;
		}
		length += (size_t)snprintf(subject->label + length, sizeof(subject->label) - length, "%s%s",
					   before, subject->types.items[i]);
	}
}

bool subject_of_finding(const struct analysis *analysis, const struct finding *finding,
			struct subject *subject)
{
	const struct structure *structure = &analysis->structures[finding->representative];
	uint32_t last_stack = 0;
	bool done = true;

	*subject = (struct subject){.verdict = verdict_name(finding->verdict),
				    .has_fingerprint = true,
				    .fingerprint = finding->fingerprint,
				    .count = finding->count,
				    .objects = finding->objects,
				    .bytes = finding->bytes};
	for (uint32_t i = 0; i < structure->member_count && i < MAX_MEMBERS && done; i++) {
		const struct graph_node *node = &analysis->graph->node[structure->members[i]];

		done = add_type(subject, analysis, node->type, node->runtime);
		if (!subject->stack)
			subject->stack = node->stack;
		if (done && node->stack != last_stack)
			done = add_stack(subject, analysis, node->stack);
		last_stack = node->stack;
	}
	make_label(subject, analysis,
		   finding->verdict == VERDICT_OVER_REFERENCED || finding->verdict == VERDICT_LEAKED
			   ? "group"
			   : "cycle");
	return done;
}

bool subject_of_leak(const struct analysis *analysis, const struct leak *leak, struct subject *subject)
{
	*subject = (struct subject){.verdict = verdict_name(leak->verdict),
				    .has_fingerprint = true,
				    .fingerprint = leak->fingerprint,
				    .count = leak->count,
				    .objects = leak->blocks,
				    .bytes = leak->bytes,
				    .stack = leak->stack};
	if (*trace_text(analysis->trace, leak->type) &&
	    !subject_names_add(&subject->types, trace_text(analysis->trace, leak->type)))
		return false;
	make_label(subject, analysis, leak->type ? "objects" : "blocks");
	return add_stack(subject, analysis, leak->stack);
}

bool subject_of_misuse(const struct analysis *analysis, const struct replay_misuse *misuse,
		       struct subject *subject)
{
	const char *type = trace_text(analysis->trace, misuse->type);

	*subject = (struct subject){.verdict = "misuse",
				    .count = misuse->count,
				    .objects = misuse->count,
				    .stack = misuse->stack};
	if (*type && !subject_names_add(&subject->types, type))
		return false;
	make_label(subject, analysis, replay_misuse_text(misuse->kind));
	return add_stack(subject, analysis, misuse->stack);
}

static void free_names(struct subject_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
}

void subject_free(struct subject *subject)
{
	free_names(&subject->types);
	free_names(&subject->qualified);
	free_names(&subject->functions);
	free_names(&subject->modules);
	*subject = (struct subject){0};
}
