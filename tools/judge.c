/* SPDX-License-Identifier: Apache-2.0
 *
 * What is new and why it fails, in a few lines each.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "judge.h"
#include "message.h"
#include "text.h"

#define SHOWN_FRAMES 4

static struct {
	struct option_list baselines, suppressions;
	uint32_t verdicts;
	bool misuse, given, verbose;
} g_judge;

static bool parse_fail_on(const struct option_row *row, const char *argument)
{
	g_judge.given = true;
	g_judge.verdicts = 0;
	g_judge.misuse = false;
	while (*argument) {
		char name[32];
		size_t length = strcspn(argument, ",");
		enum verdict verdict;

		if (!length || length >= sizeof(name))
			return false;
		snprintf(name, sizeof(name), "%.*s", (int)length, argument);
		if (!strcmp(name, "misuse"))
			g_judge.misuse = true;
		else if (verdict_parse(name, &verdict))
			g_judge.verdicts |= 1u << verdict;
		else
			return false;
		argument += length;
		argument += *argument == ',';
	}
	return g_judge.verdicts || g_judge.misuse;
}

const struct option_row judge_rows[] = {
	{"baseline", 'b', "FILE", option_list, &g_judge.baselines,
	 "findings that are known, written by castaway baseline (may be repeated)"},
	{"suppressions", 's', "FILE", option_list, &g_judge.suppressions,
	 "findings to pass over: lines of fingerprint:HEX, type:GLOB, function:GLOB, module:GLOB (may be "
	 "repeated)"},
	{"fail-on", 0, "LIST", parse_fail_on, NULL,
	 "what fails: stranded, likely-stranded, over-referenced, leaked, latent, misuse, separated by "
	 "commas "
	 "(default: stranded,likely-stranded)"},
	{"verbose", 'v', NULL, option_flag, &g_judge.verbose,
	 "also say what is known, what is suppressed, and which suppressions nothing matched"},
	{0},
};

static int add_baseline(struct judge *judge, const char *path)
{
	struct baseline one;
	struct error error = {0};
	bool done = true;

	if (baseline_read(path, &one, &error) != ERROR_NONE)
		return message_error(path, &error);
	for (size_t i = 0; i < one.count && done; i++)
		done = baseline_add(&judge->known, one.entries[i].fingerprint, one.entries[i].verdict,
				    one.entries[i].label, one.entries[i].count);
	baseline_free(&one);
	return done ? EXIT_STATUS_OK : message_usage("out of memory");
}

int judge_begin(struct judge *judge, FILE *out)
{
	struct error error = {0};

	*judge = (struct judge){.out = out, .verbose = g_judge.verbose};
	judge->verdicts =
		g_judge.given ? g_judge.verdicts : 1u << VERDICT_STRANDED | 1u << VERDICT_LIKELY_STRANDED;
	judge->misuse = g_judge.misuse;
	/* What is to fail has to be looked for. */
	if (judge->verdicts & (1u << VERDICT_LATENT))
		g_options.analysis.latent = true;
	if (judge->verdicts & (1u << VERDICT_LEAKED | 1u << VERDICT_OVER_REFERENCED))
		g_options.analysis.leaks = true;
	for (size_t i = 0; i < g_judge.baselines.count; i++) {
		int status = add_baseline(judge, g_judge.baselines.items[i]);

		if (status)
			return status;
	}
	for (size_t i = 0; i < g_judge.suppressions.count; i++)
		if (suppress_read(g_judge.suppressions.items[i], &judge->suppressions, &error) != ERROR_NONE)
			return message_error(g_judge.suppressions.items[i], &error);
	return EXIT_STATUS_OK;
}

static void print_line(struct judge *judge, const struct subject *subject, const char *remark)
{
	struct textout out = {.out = judge->out};
	char times[TEXTOUT_NUMBER], objects[TEXTOUT_NUMBER], size[TEXTOUT_NUMBER];

	if (judge->silent)
		return;
	textout_put(&out, "%s", subject->verdict);
	if (subject->has_fingerprint)
		textout_put(&out, " %016" PRIx64, subject->fingerprint);
	textout_put(&out, ": %s, %s", subject->label, textout_plural(subject->count, "time", "times", times));
	if (subject->has_fingerprint)
		textout_put(&out, ", %s, %s", textout_plural(subject->objects, "object", "objects", objects),
			    textout_size(subject->bytes, size));
	textout_put(&out, "%s\n", remark);
}

static void print_stack(struct judge *judge, const struct analysis *analysis, const struct subject *subject)
{
	struct textout out = {.out = judge->out};
	struct symbols_frame *frames = NULL;
	size_t count;

	if (judge->silent || !subject->stack)
		return;
	count = symbols_program_stack(analysis->symbols, subject->stack, SHOWN_FRAMES, &frames);
	for (size_t i = 0; i < count; i++) {
		textout_put(&out, i ? "    by " : "    at ");
		text_frame(&out, &frames[i]);
		textout_put(&out, "\n");
	}
	free(frames);
}

static void print_break(struct judge *judge, const struct analysis *analysis, const struct finding *finding)
{
	const struct break_advice *advice = &finding->advice;
	const char *field = trace_text(analysis->trace, advice->field);
	struct textout out = {.out = judge->out};

	if (judge->silent || !advice->present)
		return;
	textout_put(&out, "    break %s%s%s -> %s: %s\n", trace_text(analysis->trace, advice->from_type),
		    *field ? "." : "", field, trace_text(analysis->trace, advice->to_type), advice->reason);
}

/* True when it is new; counts and prints it. */
static bool decide(struct judge *judge, const struct analysis *analysis, const struct subject *subject)
{
	if (suppress_match(&judge->suppressions, subject)) {
		judge->suppressed++;
		if (judge->verbose)
			print_line(judge, subject, " (suppressed)");
		return false;
	}
	if (subject->has_fingerprint && baseline_find(&judge->known, subject->fingerprint)) {
		judge->old++;
		if (judge->verbose)
			print_line(judge, subject, " (known)");
		return false;
	}
	judge->fresh++;
	print_line(judge, subject, "");
	print_stack(judge, analysis, subject);
	return true;
}

static bool judge_findings(struct judge *judge, const struct analysis *analysis)
{
	bool done = true;

	for (size_t i = 0; i < analysis->finding_count && done; i++) {
		const struct finding *finding = &analysis->findings[i];
		struct subject subject;

		if (!(judge->verdicts & (1u << finding->verdict)))
			continue;
		done = subject_of_finding(analysis, finding, &subject);
		if (done && decide(judge, analysis, &subject))
			print_break(judge, analysis, finding);
		subject_free(&subject);
	}
	return done;
}

static bool judge_leaks(struct judge *judge, const struct analysis *analysis)
{
	bool done = true;

	for (size_t i = 0; i < analysis->leak_count && done; i++) {
		const struct leak *leak = &analysis->leaks[i];
		struct subject subject;

		if (!(judge->verdicts & (1u << leak->verdict)))
			continue;
		done = subject_of_leak(analysis, leak, &subject);
		if (done)
			decide(judge, analysis, &subject);
		subject_free(&subject);
	}
	return done;
}

static bool judge_misuses(struct judge *judge, const struct analysis *analysis)
{
	size_t count;
	const struct replay_misuse *misuses = replay_misuses(analysis->replay, &count);
	bool done = true;

	for (size_t i = 0; i < count && done && judge->misuse; i++) {
		struct subject subject;

		done = subject_of_misuse(analysis, &misuses[i], &subject);
		if (done)
			decide(judge, analysis, &subject);
		subject_free(&subject);
	}
	return done;
}

/* Limits with which "nothing found" means nothing. */
static bool limit_hides(uint32_t limit)
{
	switch (limit) {
	case CASTAWAY_LIMIT_DROPPED_EVENTS:
	case CASTAWAY_LIMIT_WRITE_ERROR:
	case CASTAWAY_LIMIT_MEMORY:
	case CASTAWAY_LIMIT_ADAPTER_OFF:
	case CASTAWAY_LIMIT_NO_SNAPSHOT:
	case CASTAWAY_LIMIT_DAMAGED:
	case CASTAWAY_LIMIT_TRUNCATED:
	case CASTAWAY_LIMIT_MISSING_CHUNKS:
	case CASTAWAY_LIMIT_INCOMPLETE_SNAPSHOT:
	case CASTAWAY_LIMIT_NOT_SCANNED: /* only where leaks were asked for */
		return true;
	default:
		return false;
	}
}

static void judge_completeness(struct judge *judge, const struct trace *trace)
{
	const char *why = trace->complete ? NULL : trace_limit_message(CASTAWAY_LIMIT_INCOMPLETE);

	if (!why && trace->end_dropped)
		why = trace_limit_message(CASTAWAY_LIMIT_DROPPED_EVENTS);
	for (size_t i = 0; i < trace->limit_count && !why; i++)
		if (trace->limits[i].count && limit_hides(trace->limits[i].limit))
			why = trace_limit_message(trace->limits[i].limit);
	if (!why || judge->unsure)
		return;
	judge->unsure = true;
	snprintf(judge->why_unsure, sizeof(judge->why_unsure), "%s: %s", trace->path, why);
}

int judge_visit(struct analysis *analysis, void *arg)
{
	struct judge *judge = arg;

	judge_completeness(judge, analysis->trace);
	if (judge_findings(judge, analysis) && judge_leaks(judge, analysis) && judge_misuses(judge, analysis))
		return EXIT_STATUS_OK;
	return message_usage("out of memory");
}

static void print_unused(const struct judge *judge)
{
	for (size_t i = 0; i < judge->suppressions.count && judge->verbose; i++) {
		const struct suppression *entry = &judge->suppressions.entries[i];

		if (!entry->used)
			message_note("%s: line %u: nothing matched %s:%s", entry->path, entry->line,
				     suppress_kind_name(entry->kind), entry->pattern);
	}
}

int judge_conclude(struct judge *judge)
{
	struct textout out = {.out = judge->out};
	char count[TEXTOUT_NUMBER];

	print_unused(judge);
	if (judge->fresh)
		textout_put(&out, "%s", textout_plural(judge->fresh, "new finding", "new findings", count));
	else
		textout_put(&out, judge->unsure ? "nothing found, but the trace is too incomplete to say"
						: "nothing new");
	if (judge->old || judge->suppressed)
		textout_put(&out, " (%" PRIu64 " known, %" PRIu64 " suppressed)", judge->old,
			    judge->suppressed);
	if (!judge->fresh && judge->unsure)
		textout_put(&out, ": %s", judge->why_unsure);
	textout_put(&out, "\n");
	if (judge->fresh)
		return EXIT_STATUS_FINDING;
	return judge->unsure ? EXIT_STATUS_UNSURE : EXIT_STATUS_OK;
}

void judge_end(struct judge *judge)
{
	baseline_free(&judge->known);
	suppress_free(&judge->suppressions);
}
