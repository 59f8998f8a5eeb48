/* SPDX-License-Identifier: Apache-2.0
 *
 * What is alive, and what of it is stranded, by allocation stack, as a profile
 * for pprof: compressed protocol buffers.
 * Source of the format: google/pprof, proto/profile.proto.
 */
#include "report_pprof.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "report_place.h"

/* Field numbers of message Profile. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING = 6,
	PROFILE_TIME_NANOS = 9,
	PROFILE_DURATION_NANOS = 10,
	PROFILE_DEFAULT_SAMPLE_TYPE = 14,
};

static const char *const sample_types[PPROF_VALUES][2] = {
	{"inuse_objects", "count"},
	{"inuse_space", "bytes"},
	{"stranded_objects", "count"},
	{"stranded_space", "bytes"},
};

static void count_nodes(struct pprof *pprof)
{
	const struct graph *graph = pprof->analysis->graph;

	for (uint32_t i = 0; i < graph->node_count; i++)
		pprof_count(pprof, &graph->node[i], 0);
	for (size_t i = 0; i < pprof->analysis->structure_count; i++) {
		const struct structure *structure = &pprof->analysis->structures[i];

		if (structure->verdict == VERDICT_LATENT)
			continue;
		for (uint32_t m = 0; structure->members && m < structure->member_count; m++)
			pprof_count(pprof, &graph->node[structure->members[m]], 2);
		for (uint32_t m = 0; structure->entrained && m < structure->entrained_count; m++)
			pprof_count(pprof, &graph->node[structure->entrained[m]], 2);
	}
}

static void write_sample_types(struct pprof *pprof)
{
	for (size_t i = 0; i < PPROF_VALUES; i++) {
		struct protobuf type = {0};

		protobuf_number(&type, 1, pprof_string(pprof, sample_types[i][0]));
		protobuf_number(&type, 2, pprof_string(pprof, sample_types[i][1]));
		protobuf_message(&pprof->profile, PROFILE_SAMPLE_TYPE, &type);
	}
}

static void write_sample(struct pprof *pprof, uint32_t stack)
{
	const struct trace *trace = pprof->analysis->trace;
	struct protobuf sample = {0}, locations = {0}, values = {0};

	for (uint32_t at = stack; at != 0; at = trace->frames[at].parent)
		if (pprof_location(pprof, at))
			protobuf_varint(&locations, at);
	for (size_t i = 0; i < PPROF_VALUES; i++)
		protobuf_varint(&values, pprof->values[(size_t)stack * PPROF_VALUES + i]);
	protobuf_message(&sample, 1, &locations);
	protobuf_message(&sample, 2, &values);
	protobuf_message(&pprof->profile, PROFILE_SAMPLE, &sample);
}

static void write_samples(struct pprof *pprof)
{
	for (uint32_t i = 1; i < pprof->analysis->trace->frame_count; i++)
		if (pprof->values[(size_t)i * PPROF_VALUES] > 0)
			write_sample(pprof, i);
}

static void write_mappings(struct pprof *pprof)
{
	const struct trace *trace = pprof->analysis->trace;

	for (uint32_t i = 0; i < trace->module_count; i++) {
		const struct trace_module *module = &trace->modules[i];
		struct protobuf mapping = {0};
		char build_id[2 * sizeof(module->build_id) + 1] = "";

		for (uint32_t b = 0; b < module->build_id_size; b++)
			snprintf(build_id + 2 * (size_t)b, 3, "%02x", module->build_id[b]);
		protobuf_number(&mapping, 1, i + 1);
		protobuf_number(&mapping, 2, module->start);
		protobuf_number(&mapping, 3, module->end);
		protobuf_number(&mapping, 5, pprof_string(pprof, module->path ? module->path : ""));
		protobuf_number(&mapping, 6, pprof_string(pprof, build_id));
		/* has_functions, has_filenames, has_line_numbers: it need not look itself. */
		for (uint32_t field = 7; field <= 9; field++)
			protobuf_number(&mapping, field, 1);
		protobuf_message(&pprof->profile, PROFILE_MAPPING, &mapping);
	}
}

static void write_times(struct pprof *pprof, const struct report_model *model)
{
	const struct trace *trace = pprof->analysis->trace;
	uint64_t time;

	protobuf_number(&pprof->profile, PROFILE_TIME_NANOS, trace->header.start_realtime_ns);
	if (trace->has_end && report_model_time(model, trace->end_ticks, &time))
		protobuf_number(&pprof->profile, PROFILE_DURATION_NANOS, time);
	protobuf_number(&pprof->profile, PROFILE_DEFAULT_SAMPLE_TYPE,
			pprof_string(pprof, sample_types[3][0]));
}

/* gzip, as pprof expects its files. */
static bool write_compressed(FILE *out, const struct protobuf *profile)
{
	z_stream stream = {.next_in = (Bytef *)profile->bytes, .avail_in = (uInt)profile->size};
	uint8_t buffer[16384];
	int result;

	if (profile->size > UINT32_MAX ||
	    deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	do {
		stream.next_out = buffer;
		stream.avail_out = sizeof(buffer);
		result = deflate(&stream, Z_FINISH);
		fwrite(buffer, 1, sizeof(buffer) - stream.avail_out, out);
	} while (result == Z_OK);
	deflateEnd(&stream);
	return result == Z_STREAM_END;
}

static enum error_code write_pprof(struct report_model *model, FILE *out, struct error *error)
{
	struct pprof pprof;
	enum error_code code = ERROR_NONE;

	if (pprof_new(&pprof, model->analysis)) {
		(void)pprof_string(&pprof, ""); /* number 0 must be that */
		write_sample_types(&pprof);
		count_nodes(&pprof);
		write_samples(&pprof);
		write_mappings(&pprof);
		write_times(&pprof, model);
		pprof_put_strings(&pprof, PROFILE_STRING);
	}
	if (pprof.failed || pprof.profile.failed || !write_compressed(out, &pprof.profile))
		code = error_set(error, ERROR_MEMORY, "out of memory for the profile");
	pprof_done(&pprof);
	return code;
}

const struct report_format report_pprof = {"pprof", write_pprof};
