/* SPDX-License-Identifier: Apache-2.0
 *
 * The report as JUnit's XML, as CI systems read it: one test case for the trace,
 * and one for each finding, which fails with the finding as the text report has
 * it.  Latent cycles are no failures.  There is no standard; this keeps to the
 * elements that Jenkins' and GitLab's readers share.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "marktext.h"
#include "report_text.h"

struct junit {
	FILE *out;
	const struct report_model *model;
};

static bool fails(enum verdict verdict)
{
	return verdict != VERDICT_LATENT;
}

static uint64_t count_failures(const struct analysis *analysis)
{
	uint64_t count = analysis->leak_count;

	for (size_t i = 0; i < analysis->finding_count; i++)
		count += fails(analysis->findings[i].verdict);
	return count;
}

static void write_suite(struct junit *junit)
{
	const struct analysis *analysis = junit->model->analysis;
	const struct trace *trace = analysis->trace;
	char started[40];
	uint64_t time = 0;

	fputs("  <testsuite", junit->out);
	marktext_attribute(junit->out, "name", trace->argc > 0 ? trace->argv[0] : trace->exe);
	fprintf(junit->out, " tests=\"%zu\" failures=\"%" PRIu64 "\" errors=\"%d\" skipped=\"0\"",
		1 + analysis->finding_count + analysis->leak_count, count_failures(analysis),
		!trace->complete);
	if (trace->has_end && report_model_time(junit->model, trace->end_ticks, &time))
		fprintf(junit->out, " time=\"%.6f\"", (double)time / 1e9);
	if (report_model_started(junit->model, started))
		marktext_attribute(junit->out, "timestamp", started);
	fputs(">\n", junit->out);
}

/* A trace that breaks off says nothing about what came after. */
static void write_trace(struct junit *junit)
{
	const struct trace *trace = junit->model->analysis->trace;

	fputs("    <testcase classname=\"castaway.trace\" name=\"the trace is complete\" time=\"0\"",
	      junit->out);
	if (trace->complete) {
		fputs("/>\n", junit->out);
		return;
	}
	fputs(">\n      <error type=\"incomplete\"", junit->out);
	marktext_attribute(junit->out, "message", trace_limit_message(CASTAWAY_LIMIT_INCOMPLETE));
	fputs("/>\n    </testcase>\n", junit->out);
}

/* Takes the texts. */
static void write_case(struct junit *junit, enum verdict verdict, const char *name, char *message, char *body)
{
	fprintf(junit->out, "    <testcase classname=\"castaway.%s\"", verdict_name(verdict));
	marktext_attribute(junit->out, "name", name);
	fputs(" time=\"0\">\n      ", junit->out);
	if (fails(verdict)) {
		fprintf(junit->out, "<failure type=\"%s\"", verdict_name(verdict));
		marktext_attribute(junit->out, "message", message);
		fputc('>', junit->out);
	} else {
		fputs("<system-out>", junit->out);
	}
	marktext_put(junit->out, body);
	fprintf(junit->out, "</%s>\n    </testcase>\n", fails(verdict) ? "failure" : "system-out");
	free(message);
	free(body);
}

static void write_finding(struct junit *junit, size_t index)
{
	const struct analysis *analysis = junit->model->analysis;
	const struct finding *finding = &analysis->findings[index];
	char *label = report_model_label(junit->model, &analysis->structures[finding->representative]);
	char *name = report_place_format("%s [%016" PRIx64 "]", label ? label : "?", finding->fingerprint);

	write_case(junit, finding->verdict, name, report_text_line(junit->model, finding),
		   report_text_of_finding(junit->model, index + 1, finding));
	free(name);
	free(label);
}

static void write_leak(struct junit *junit, const struct leak *leak)
{
	const char *type = trace_text(junit->model->analysis->trace, leak->type);
	char *name = report_place_format("%s [%016" PRIx64 "]", *type ? type : "block", leak->fingerprint);

	write_case(junit, leak->verdict, name, report_text_leak_line(junit->model, leak),
		   report_text_of_leak(junit->model, leak));
	free(name);
}

static enum error_code write_junit(struct report_model *model, FILE *out, struct error *error)
{
	const struct analysis *analysis = model->analysis;
	struct junit junit = {.out = out, .model = model};

	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"castaway\">\n", out);
	write_suite(&junit);
	write_trace(&junit);
	for (size_t i = 0; i < analysis->finding_count; i++)
		write_finding(&junit, i);
	for (size_t i = 0; i < analysis->leak_count; i++)
		write_leak(&junit, &analysis->leaks[i]);
	fputs("  </testsuite>\n</testsuites>\n", out);
	return ERROR_NONE;
}

const struct report_format report_junit = {"junit", write_junit};
