/* SPDX-License-Identifier: Apache-2.0
 *
 * The report as one HTML page that needs nothing else: no script, no network.
 * Each finding has its cycle as a picture (report_html_cycle.c), a table of its
 * members, and the text report's words.
 */
#include "report_html.h"

#include <inttypes.h>
#include <stdlib.h>

#include "marktext.h"
#include "report_text.h"

#define MAX_MEMBERS 100u

static const char style[] =
	"body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#1c2733;"
	"background:#fff}\n"
	"h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}\n"
	"table{border-collapse:collapse;margin:.7em 0}td,th{padding:.15em .8em;text-align:left;"
	"border-bottom:1px solid #dde3e9;vertical-align:top}th{font-weight:600}\n"
	"td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
	"code,pre{font:13px/1.45 "
	"ui-monospace,monospace}pre{background:#f5f7f9;padding:.8em;overflow-x:auto}\n"
	"details{border:1px solid #dde3e9;border-radius:6px;margin:.8em 0;padding:.3em 1em}\n"
	"summary{cursor:pointer;font-weight:600}\n"
	".v{border-radius:4px;padding:.1em .5em;color:#fff;background:#5b6b7b;margin-right:.6em}\n"
	".v.stranded,.v.over-referenced{background:#b3261e}.v.likely-stranded,.v.leaked{background:#9a5b00}\n"
	"svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#1c2733}\n"
	"svg .node{fill:#eef3f8;stroke:#5b7a99}svg .edge{stroke:#5b6b7b;stroke-width:1.5;fill:none}\n"
	"svg .break{stroke:#b3261e;stroke-width:2;stroke-dasharray:5 4}svg "
	"text.break{fill:#b3261e;stroke:none}\n"
	"@media(prefers-color-scheme:dark){body{background:#12181f;color:#dbe4ec}pre{background:#1b232c}"
	"td,th,details{border-color:#2c3742}svg text{fill:#dbe4ec}svg .node{fill:#22303d}"
	"svg text.break{fill:#ff8a80}svg .break{stroke:#ff8a80}}\n";

/* Takes the text. */
static void put_row(FILE *out, const char *name, char *text)
{
	fputs("<tr><th>", out);
	marktext_put(out, name);
	fputs("</th><td>", out);
	marktext_put(out, text);
	fputs("</td></tr>\n", out);
	free(text);
}

static char *command_line(const struct trace *trace)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < trace->argc; i++)
		fprintf(out, "%s%s", i ? " " : "", trace->argv[i]);
	fclose(out);
	return text;
}

static void write_origin(FILE *out, const struct report_model *model)
{
	const struct analysis *analysis = model->analysis;
	const struct trace *trace = analysis->trace;
	const char *reason = report_model_reason(analysis->snapshot);
	char started[40], text[TEXTOUT_NUMBER];
	uint64_t time;

	fputs("<table>\n", out);
	put_row(out, "Command", command_line(trace));
	put_row(out, "Process",
		report_place_format("%" PRIu32 "%s%s", trace->header.pid,
				    report_model_started(model, started) ? ", started " : "",
				    report_model_started(model, started) ? started : ""));
	put_row(out, "Trace",
		report_place_format("%s, %s", trace->path ? trace->path : "-",
				    trace->complete ? "complete" : "incomplete"));
	put_row(out, "Moment",
		report_place_format("%s%s%s", reason ? reason : "from the events",
				    report_model_time(model, analysis->ticks, &time) ? ", at " : "",
				    report_model_time(model, analysis->ticks, &time)
					    ? textout_duration(time, text)
					    : ""));
	put_row(out, "Seen",
		report_place_format("%" PRIu64 " objects with %" PRIu64 " references; %" PRIu64
				    " live blocks, %s",
				    analysis->summary.objects, analysis->summary.references,
				    analysis->summary.blocks, textout_size(analysis->summary.bytes, text)));
	fputs("</table>\n", out);
}

static void write_member(FILE *out, const struct report_model *model, uint32_t place, uint32_t index)
{
	const struct graph_node *node = &model->analysis->graph->node[index];
	char size[TEXTOUT_NUMBER];
	char *where = report_place(model, node->stack);

	fprintf(out, "<tr><td class=\"n\">#%" PRIu32 "</td><td>", place);
	marktext_put(out, report_model_name(model, index));
	fprintf(out, "</td><td><code>0x%" PRIx64 "</code></td><td class=\"n\">%s</td><td class=\"n\">",
		node->address, textout_size(node->size, size));
	if (node->flags & GRAPH_NODE_COUNTED)
		fprintf(out, "%" PRId64, node->refcount);
	fprintf(out, "</td><td class=\"n\">%u</td><td>", node->flags & GRAPH_NODE_GENERATION);
	marktext_put(out, where);
	fprintf(out, "%s</td></tr>\n", node->flags & GRAPH_NODE_RECYCLED ? " (or later)" : "");
	free(where);
}

static void write_members(FILE *out, const struct report_model *model, const struct structure *structure)
{
	uint32_t count = structure->members ? structure->member_count : 0;

	fputs("<table><tr><th class=\"n\"></th><th>type</th><th>address</th><th class=\"n\">size</th>"
	      "<th class=\"n\">refs</th><th class=\"n\">gen</th><th>allocated at</th></tr>\n",
	      out);
	for (uint32_t i = 0; i < count && i < MAX_MEMBERS; i++)
		write_member(out, model, i + 1, structure->members[i]);
	fputs("</table>\n", out);
	if (count > MAX_MEMBERS)
		fprintf(out, "<p>and %" PRIu32 " more members</p>\n", count - MAX_MEMBERS);
}

/* Takes the texts. */
static void begin_details(FILE *out, enum verdict verdict, char *line, uint64_t fingerprint, bool open)
{
	fprintf(out, "<details id=\"f%016" PRIx64 "\"%s><summary><span class=\"v %s\">%s</span>", fingerprint,
		open ? " open" : "", verdict_name(verdict), verdict_name(verdict));
	marktext_put(out, line);
	fprintf(out, " <code>%016" PRIx64 "</code></summary>\n", fingerprint);
	free(line);
}

static void end_details(FILE *out, char *body)
{
	fputs("<pre>", out);
	marktext_put(out, body);
	fputs("</pre></details>\n", out);
	free(body);
}

static void write_finding(FILE *out, struct report_model *model, size_t index)
{
	const struct finding *finding = &model->analysis->findings[index];
	const struct structure *structure = &model->analysis->structures[finding->representative];

	begin_details(out, finding->verdict, report_text_line(model, finding), finding->fingerprint,
		      index == 0);
	report_model_enter(model, structure);
	report_html_cycle(out, model, finding);
	write_members(out, model, structure);
	report_model_leave(model, structure);
	end_details(out, report_text_of_finding(model, index + 1, finding));
}

static void write_findings(FILE *out, struct report_model *model)
{
	const struct analysis *analysis = model->analysis;
	size_t limit = model->options->max_findings ? model->options->max_findings : SIZE_MAX;

	fputs("<h2>Findings</h2>\n", out);
	if (analysis->finding_count == 0)
		fputs("<p>No stranded structure.</p>\n", out);
	for (size_t i = 0; i < analysis->finding_count && i < limit; i++)
		write_finding(out, model, i);
	if (analysis->finding_count > limit)
		fprintf(out, "<p>and %zu more</p>\n", analysis->finding_count - limit);
	if (analysis->leak_count > 0)
		fputs("<h2>Leaks</h2>\n", out);
	for (size_t i = 0; i < analysis->leak_count && i < limit; i++) {
		const struct leak *leak = &analysis->leaks[i];

		begin_details(out, leak->verdict, report_text_leak_line(model, leak), leak->fingerprint,
			      false);
		end_details(out, report_text_of_leak(model, leak));
	}
}

static void write_limits(FILE *out, const struct report_model *model)
{
	struct report_limit limit;

	fputs("<h2>Not seen</h2>\n<table>\n", out);
	for (size_t i = 0; report_model_limit(model, i, &limit); i++)
		put_row(out, limit.code, report_model_limit_text(&limit));
	fputs("</table>\n", out);
}

static enum error_code write_html(struct report_model *model, FILE *out, struct error *error)
{
	const struct trace *trace = model->analysis->trace;
	const char *program = trace->argc > 0 ? trace->argv[0] : trace->exe;

	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>castaway: ",
	      out);
	marktext_put(out, program);
	fprintf(out, "</title>\n<style>\n%s</style></head><body>\n<h1>", style);
	marktext_put(out, program);
	fputs("</h1>\n", out);
	write_origin(out, model);
	write_findings(out, model);
	write_limits(out, model); /* last: looking up names adds to them */
	fputs("</body></html>\n", out);
	return ERROR_NONE;
}

const struct report_format report_html = {"html", write_html};
