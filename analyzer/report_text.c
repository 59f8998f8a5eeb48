/* SPDX-License-Identifier: Apache-2.0
 *
 * The text report: what a user reads first.  Order: the answer, where it comes
 * from, each finding, then what was looked at and what was not seen.
 */
#include "report_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct total {
	uint64_t structures, objects, bytes;
};

/* ---- headline ------------------------------------------------------------- */

static void headline_part(FILE *out, bool *first, const struct total *total, const char *one,
			  const char *many)
{
	char structures[TEXTOUT_NUMBER], objects[TEXTOUT_NUMBER], bytes[TEXTOUT_NUMBER];

	if (total->structures == 0)
		return;
	fprintf(out, "%s%s: %s, %s", *first ? "" : "; ",
		textout_plural(total->structures, one, many, structures),
		textout_plural(total->objects, "object", "objects", objects),
		textout_size(total->bytes, bytes));
	*first = false;
}

static void write_headline(struct report_text *report)
{
	const struct analysis *analysis = report->model.analysis;
	struct total totals[VERDICT_COUNT] = {{0}};
	bool none = true, grave;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return;
	for (size_t i = 0; i < analysis->finding_count; i++) {
		struct total *total = &totals[analysis->findings[i].verdict];

		total->structures += analysis->findings[i].count;
		total->objects += analysis->findings[i].objects;
		total->bytes += analysis->findings[i].bytes;
	}
	grave = totals[VERDICT_STRANDED].structures + totals[VERDICT_LIKELY_STRANDED].structures > 0;
	if (!grave)
		fputs(analysis->trace->complete ? "No stranded structure"
						: "No stranded structure in the part that was recorded",
		      out);
	none = grave;
	headline_part(out, &none, &totals[VERDICT_STRANDED], "stranded structure", "stranded structures");
	headline_part(out, &none, &totals[VERDICT_LIKELY_STRANDED], "likely stranded structure",
		      "likely stranded structures");
	headline_part(out, &none, &totals[VERDICT_OVER_REFERENCED], "over-referenced group",
		      "over-referenced groups");
	headline_part(out, &none, &totals[VERDICT_LEAKED], "leaked group", "leaked groups");
	headline_part(out, &none, &totals[VERDICT_LATENT], "latent cycle", "latent cycles");
	if (!grave)
		fputc('.', out);
	if (fclose(out) == 0 && text != NULL)
		textout_cell(&report->out, grave ? TEXTOUT_RED : TEXTOUT_GREEN, 0, text);
	textout_put(&report->out, "\n\n");
	free(text);
}

/* ---- where it comes from -------------------------------------------------- */

static void line(struct report_text *report, const char *name, char *content)
{
	char *head = report_place_format("%-9s", name);

	if (head != NULL && content != NULL)
		textout_paragraph(&report->out, TEXTOUT_BOLD, head, 9, content);
	free(head);
	free(content);
}

static const char *why_incomplete(const struct trace *trace)
{
	if (trace->complete)
		return "complete";
	if (!trace->has_end)
		return "incomplete: it breaks off, the target was killed or is still running";
	if (trace->end_reason == CASTAWAY_END_VANISHED)
		return "incomplete: the target died without a word";
	return "incomplete: parts of it are damaged";
}

/* In words; the JSON report has the names. */
static const char *how_taken(const struct trace_snapshot *snapshot)
{
	switch (snapshot->method) {
	case CASTAWAY_METHOD_EVENTS:
		return "from the events";
	case CASTAWAY_METHOD_PTRACE:
		return "threads stopped with ptrace";
	case CASTAWAY_METHOD_SIGNAL:
		return "threads stopped with a signal";
	case CASTAWAY_METHOD_INPLACE:
		return "in place, no thread stopped";
	case CASTAWAY_METHOD_ALONE:
		return "no other thread ran";
	}
	return "taken in an unknown way";
}

static void write_origin(struct report_text *report)
{
	const struct analysis *analysis = report->model.analysis;
	const struct trace *trace = analysis->trace;
	const struct trace_snapshot *snapshot = analysis->snapshot;
	const char *program = trace->argc > 0 ? trace->argv[0] : trace->exe;
	const char *reason = report_model_reason(snapshot);
	char ran[TEXTOUT_NUMBER] = "", when[TEXTOUT_NUMBER] = "an unknown time", pause[TEXTOUT_NUMBER];
	uint64_t time;

	if (trace->has_end && report_model_time(&report->model, trace->end_ticks, &time))
		textout_duration(time, ran);
	line(report, "Program",
	     report_place_format("%s, pid %" PRIu32 "%s%s", program != NULL ? program : "(unknown)",
				 trace->header.pid, *ran != '\0' ? ", ran " : "", ran));
	line(report, "Trace",
	     report_place_format("%s, %s", trace->path != NULL ? trace->path : "-", why_incomplete(trace)));
	if (report_model_time(&report->model, analysis->ticks, &time))
		textout_duration(time, when);
	if (snapshot == NULL)
		line(report, "Moment", report_place_format("from the events alone, at %s", when));
	else
		line(report, "Moment",
		     report_place_format("snapshot %" PRIu32 " (%s) at %s, %s, pause %s", snapshot->index,
					 reason != NULL ? reason : "unknown", when, how_taken(snapshot),
					 textout_duration(snapshot->pause_ns, pause)));
	if (analysis->earlier != NULL)
		line(report, "Compared",
		     report_place_format("with snapshot %" PRIu32 ": what the scan finds was dead there too",
					 analysis->earlier->index));
}

static void write_scope(struct report_text *report)
{
	const struct analysis_summary *summary = &report->model.analysis->summary;
	char bytes[TEXTOUT_NUMBER];

	line(report, "Seen",
	     report_place_format(
		     "%" PRIu64 " objects with %" PRIu64 " references; %" PRIu64 " live blocks, %s%s",
		     summary->objects, summary->references, summary->blocks,
		     textout_size(summary->bytes, bytes),
		     summary->objects > 0 ? ""
					  : " (nothing is known to be reference-counted: no annotated "
					    "object, no runtime that castaway can read)"));
}

/* ---- tables after the findings -------------------------------------------- */

static void title(struct report_text *report, const char *text)
{
	textout_cell(&report->out, TEXTOUT_BOLD, 0, text);
	textout_put(&report->out, "\n");
}

static void write_leaks(struct report_text *report)
{
	const struct analysis *analysis = report->model.analysis;
	size_t limit = report->model.options->max_findings;

	if (analysis->leak_count == 0)
		return;
	title(report, "Leaks");
	for (size_t i = 0; i < analysis->leak_count && (limit == 0 || i < limit); i++)
		report_text_leak(report, &analysis->leaks[i]);
	if (limit > 0 && analysis->leak_count > limit)
		textout_put(&report->out, "  ... and %zu more\n", analysis->leak_count - limit);
	textout_put(&report->out, "\n");
}

/* What was found but is listed on request only. */
static void write_leak_summary(struct report_text *report)
{
	const struct analysis *analysis = report->model.analysis;
	const struct analysis_summary *summary = &analysis->summary;
	char blocks[TEXTOUT_NUMBER], bytes[TEXTOUT_NUMBER], objects[TEXTOUT_NUMBER];

	if (summary->leaked_blocks + summary->over_referenced == 0)
		return;
	line(report, "Leaked",
	     report_place_format("%s, %s; %s over-referenced%s",
				 textout_plural(summary->leaked_blocks, "block", "blocks", blocks),
				 textout_size(summary->leaked_bytes, bytes),
				 textout_plural(summary->over_referenced, "object", "objects", objects),
				 analysis->leak_count > 0 ? "" : " (--leaks lists them)"));
}

static void write_generations(struct report_text *report, const struct generation_row rows[static 3])
{
	textout_put(&report->out,
		    "    generation     objects  collections    promoted  threshold    stranded\n");
	for (unsigned i = 0; i < 3; i++)
		textout_put(&report->out,
			    "    %10u  %10" PRIu64 "  %11" PRIu64 "  %10" PRIu64 "  %9" PRIu64 "  %10" PRIu64
			    "\n",
			    i, rows[i].objects, rows[i].collections, rows[i].promoted, rows[i].threshold,
			    rows[i].stranded_objects);
}

static bool any_generation(const struct generation_row rows[static 3])
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 3; i++)
		sum |= rows[i].objects | rows[i].collections | rows[i].promoted | rows[i].stranded_objects;
	return sum != 0;
}

static void write_runtimes(struct report_text *report)
{
	const struct analysis *analysis = report->model.analysis;

	if (analysis->runtime_count == 0 && !any_generation(analysis->generations))
		return;
	title(report, "Runtimes");
	for (size_t i = 0; i < analysis->runtime_count; i++) {
		const struct runtime_row *row = &analysis->runtimes[i];
		bool version = row->version != NULL && *row->version != '\0';

		textout_put(&report->out, "  %s%s%s: %" PRIu64 " objects, %s%s%s%s\n",
			    trace_runtime_name(row->runtime), version ? " " : "", version ? row->version : "",
			    row->objects, report_model_status(row->status),
			    row->enabled ? "" : ", its collector is disabled",
			    row->note != NULL && *row->note != '\0' ? "; " : "",
			    row->note != NULL ? row->note : "");
		/* Where rules had to tell, there is no collector with generations. */
		if (row->status != CASTAWAY_STATUS_RULES && any_generation(row->generation))
			write_generations(report, row->generation);
	}
	if (analysis->runtime_count != 1 && any_generation(analysis->generations)) {
		textout_put(&report->out, "  all together\n");
		write_generations(report, analysis->generations);
	}
	textout_put(&report->out, "\n");
}

static void write_misuse(struct report_text *report)
{
	const struct analysis *analysis = report->model.analysis;
	const struct replay_misuse *misuses = NULL;
	size_t count = 0;

	if (analysis->replay != NULL)
		misuses = replay_misuses(analysis->replay, &count);
	if (count == 0)
		return;
	title(report, "Misuse");
	for (size_t i = 0; i < count; i++) {
		const char *type = trace_text(analysis->trace, misuses[i].type);
		char *place = report_place(&report->model, misuses[i].stack);

		textout_put(&report->out,
			    "  %s: %s 0x%" PRIx64 ", %" PRIu64 " x, in %s (thread %" PRIu32 ")\n",
			    replay_misuse_text(misuses[i].kind), *type != '\0' ? type : "object",
			    misuses[i].address, misuses[i].count, place != NULL ? place : "an unknown place",
			    misuses[i].thread);
		free(place);
	}
	textout_put(&report->out, "\n");
}

static void write_limits(struct report_text *report)
{
	struct report_limit limit;

	for (size_t i = 0; report_model_limit(&report->model, i, &limit); i++) {
		char *text;

		if (i == 0)
			title(report, "Not seen");
		text = report_place_format("%" PRIu64 " x %s%s%s%s [%s]", limit.count, limit.message,
					   limit.detail != NULL ? " (" : "",
					   limit.detail != NULL ? limit.detail : "",
					   limit.detail != NULL ? ")" : "", limit.code);
		if (text != NULL)
			textout_paragraph(&report->out, TEXTOUT_PLAIN, "  ", 4, text);
		free(text);
	}
}

/* ---- the page ------------------------------------------------------------- */

static void write_findings(struct report_text *report)
{
	const struct analysis *analysis = report->model.analysis;
	size_t limit = report->model.options->max_findings;
	size_t shown = limit > 0 && limit < analysis->finding_count ? limit : analysis->finding_count;

	for (size_t i = 0; i < shown; i++)
		report_text_finding(report, i + 1, &analysis->findings[i]);
	if (shown < analysis->finding_count)
		textout_put(&report->out, "... and %zu more findings\n\n", analysis->finding_count - shown);
}

static enum error_code write_text(struct report_model *model, FILE *out, struct error *error)
{
	struct report_text report = {.out = {out, model->options->color}, .model = *model};

	write_headline(&report);
	write_origin(&report);
	write_scope(&report);
	write_leak_summary(&report);
	textout_put(&report.out, "\n");
	write_findings(&report);
	write_leaks(&report);
	write_runtimes(&report);
	write_misuse(&report);
	write_limits(&report); /* last: looking up names adds to them */
	return ERROR_NONE;
}

const struct report_format report_text = {"text", write_text};
