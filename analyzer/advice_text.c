/* SPDX-License-Identifier: Apache-2.0
 *
 * Words: which of them in a field's name say that it points back, and how the
 * advice is put.  Never prints.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "advice_hints.h"
#include "advice_internal.h"

struct hint {
	const char *word, *text;
};

static const struct hint hints[] = {
#define X(word, text) {word, text},
	ADVICE_HINTS(X)
#undef X
};
#define HINT_COUNT ((uint32_t)(sizeof(hints) / sizeof(hints[0])))

/* The end of the word that starts at `text`: words end at anything that is no
 * letter, and where a capital follows a small letter. */
static const char *word_end(const char *text)
{
	const char *end = text + 1;

	while (isalpha((unsigned char)*end) &&
	       !(isupper((unsigned char)*end) && islower((unsigned char)end[-1])))
		end++;
	return end;
}

uint32_t advice_text_hint(const char *text)
{
	uint32_t best = HINT_COUNT;

	while (*text) {
		const char *end;

		if (!isalpha((unsigned char)*text)) {
			text++;
			continue;
		}
		end = word_end(text);
		for (uint32_t h = 0; h < best; h++) {
			size_t length = strlen(hints[h].word);

			if ((size_t)(end - text) == length && strncasecmp(text, hints[h].word, length) == 0)
				best = h;
		}
		text = end;
	}
	return best < HINT_COUNT ? best : ADVICE_NO_HINT;
}

#define TYPE_NAME 64u

static const char *name_type(const struct trace *trace, uint32_t type, char text[static TYPE_NAME])
{
	if (!type)
		return "a block";
	snprintf(text, TYPE_NAME, "`%.40s`", trace_text(trace, type));
	return text;
}

static void name_class(const struct graph *graph, const struct advice_class *class, char *text, size_t size)
{
	const struct trace *trace = graph->trace;
	char from[TYPE_NAME], to[TYPE_NAME];

	if (class->item)
		snprintf(text, size, "the `%.30s` in the `%.30s`", trace_text(trace, class->to_type),
			 trace_text(trace, class->from_type));
	else if (class->field)
		snprintf(text, size, "`%.40s`", trace_text(trace, class->field));
	else if (class->name)
		snprintf(text, size, "`%.40s`", class->name);
	else if (class->offset && class->from_type)
		snprintf(text, size, "the reference at offset %d of `%.40s`", class->offset,
			 trace_text(trace, class->from_type));
	else
		snprintf(text, size, "the reference from %.26s to %.26s",
			 name_type(trace, class->from_type, from), name_type(trace, class->to_type, to));
}

static const char *why(const struct advice_class *class)
{
	if (class->python.why)
		return class->python.why;
	if (class->hint != ADVICE_NO_HINT)
		return hints[class->hint].text;
	if (class->younger)
		return "leads from a younger object back to an older one";
	return class->acquired ? "was acquired late" : "is part of the cycle";
}

/* `action` has one %s, which is not left to printf: it is no literal. */
static void put_action(struct break_advice *ret, const char *action, const char *place)
{
	const char *gap = strstr(action, "%s");

	snprintf(ret->action, sizeof(ret->action), "%.*s%s%s", (int)(gap - action), action, place, gap + 2);
}

/* What to do, and where: `type.field`. */
static void write_action(const struct graph *graph, const struct advice_class *class,
			 struct break_advice *ret)
{
	const struct trace *trace = graph->trace;
	const char *from = trace_text(trace, class->from_type);
	char place[120], here[TYPE_NAME], there[TYPE_NAME];

	if (class->item)
		snprintf(place, sizeof(place), "the items of the `%.60s`", from);
	else if (class->field && *trace_text(trace, class->field) == '[')
		snprintf(place, sizeof(place), "`%.50s%s%.44s`",
			 class->owner_type ? trace_text(trace, class->owner_type) : from,
			 class->owner_type ? ".__dict__" : "", trace_text(trace, class->field));
	else if (class->field)
		snprintf(place, sizeof(place), "`%.60s.%.40s`", *from ? from : "?",
			 trace_text(trace, class->field));
	else if (class->name)
		snprintf(place, sizeof(place), "`%.60s.%.40s`", *from ? from : "?", class->name);
	else
		snprintf(place, sizeof(place), "the reference from %.44s to %.44s",
			 name_type(trace, class->from_type, here), name_type(trace, class->to_type, there));
	if (class->python.action)
		put_action(ret, class->python.action, place);
	else
		snprintf(ret->action, sizeof(ret->action), "make %s weak", place);
}

void advice_text_write(const struct graph *graph, const struct advice_class *class, uint32_t count,
		       struct break_advice *ret)
{
	char name[80];

	name_class(graph, class, name, sizeof(name));
	write_action(graph, class, ret);
	if (!class->breaks)
		snprintf(ret->reason, sizeof(ret->reason), "%s %s; no single field breaks every cycle here",
			 name, why(class));
	else if (count == 1)
		snprintf(ret->reason, sizeof(ret->reason), "%s %s; without it the object has no cycle", name,
			 why(class));
	else
		snprintf(ret->reason, sizeof(ret->reason), "%s %s; without it the %u objects have no cycle",
			 name, why(class), count);
}
