/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables' chunks: PROCESS, CLOCK, STRINGS, MODULES, THREADS, STACKS, LIMITS
 * and END.  Runs in the pump only (the helper, or a thread of the target that
 * holds the pump's lock); reads what the target's threads append.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "castaway/codec.h"
#include "clock.h"
#include "config.h"
#include "emit.h"
#include "limits.h"
#include "rawio.h"
#include "stack.h"
#include "strings.h"
#include "writer_internal.h"

/* A chunk is written when it holds more; no entry is larger than the rest. */
#define CHUNK_FULL  (WRITER_STAGING / 2)
#define CMDLINE_MAX (128u << 10)
#define FIELD_MAX   CASTAWAY_MAX_STRING

/* How much of each table is in the file. */
static struct {
	uint32_t strings, modules, stacks;
	uint64_t dropped; /* events, counted as a limit so far */
} s_written;

struct chunk {
	enum castaway_chunk_type type;
	uint8_t *at;
};

static struct chunk open_chunk(enum castaway_chunk_type type)
{
	return (struct chunk){type, writer_file_staging()};
}

static size_t chunk_size(const struct chunk *chunk)
{
	return (size_t)(chunk->at - writer_file_staging());
}

static void close_chunk(struct chunk *chunk)
{
	if (chunk_size(chunk) > 0)
		(void)writer_file_chunk(chunk->type, 0, writer_file_staging(), chunk_size(chunk));
	chunk->at = writer_file_staging();
}

static void put_varint(struct chunk *chunk, uint64_t value)
{
	chunk->at = codec_put_varint(chunk->at, value);
}

static void put_u64(struct chunk *chunk, uint64_t value)
{
	chunk->at = codec_put_u64(chunk->at, value);
}

static void put_bytes(struct chunk *chunk, const void *bytes, size_t length)
{
	if (length > FIELD_MAX)
		length = FIELD_MAX;
	put_varint(chunk, length);
	memcpy(chunk->at, bytes, length);
	chunk->at += length;
}

static void put_pair(struct chunk *chunk, enum castaway_process_key key, const char *text)
{
	put_varint(chunk, key);
	put_bytes(chunk, text, strlen(text));
}

/* The arguments, as the kernel keeps them; the helper shares the memory that
 * they are read from. */
static void put_arguments(struct chunk *chunk)
{
	char *text = (char *)writer_file_staging() + WRITER_STAGING - CMDLINE_MAX;
	long size = rawio_read_file("/proc/self/cmdline", text, CMDLINE_MAX - 1);
	const char *end = text + (size > 0 ? size : 0);

	text[size > 0 ? size : 0] = '\0';
	for (const char *at = text; at < end; at += strlen(at) + 1)
		put_pair(chunk, CASTAWAY_PROCESS_ARGV, at);
}

void writer_tables_start(void)
{
	struct chunk chunk = open_chunk(CASTAWAY_CHUNK_PROCESS);
	char path[PATH_MAX];
	long length = RAW_CALL(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof(path) - 1);

	path[length > 0 ? length : 0] = '\0';
	put_pair(&chunk, CASTAWAY_PROCESS_EXE, path);
	put_arguments(&chunk);
	put_pair(&chunk, CASTAWAY_PROCESS_OPTIONS, g_config_text.options);
	if (g_config_text.error[0] != '\0')
		put_pair(&chunk, CASTAWAY_PROCESS_OPTION_ERROR, g_config_text.error);
	close_chunk(&chunk);
}

void writer_tables_clock(void)
{
	struct chunk chunk = open_chunk(CASTAWAY_CHUNK_CLOCK);

	put_u64(&chunk, clock_ticks());
	put_u64(&chunk, rawio_clock(CLOCK_MONOTONIC));
	put_u64(&chunk, rawio_clock(CLOCK_REALTIME));
	close_chunk(&chunk);
}

static void write_strings(void)
{
	const uint32_t count = strings_count();
	struct chunk chunk = open_chunk(CASTAWAY_CHUNK_STRINGS);

	while (s_written.strings < count) {
		uint32_t id = ++s_written.strings;

		if (chunk_size(&chunk) == 0)
			put_varint(&chunk, id);
		put_bytes(&chunk, strings_text(id), strings_length(id));
		if (chunk_size(&chunk) > CHUNK_FULL)
			close_chunk(&chunk);
	}
	close_chunk(&chunk);
}

static void write_modules(void)
{
	const uint32_t count = modules_record_count();
	struct chunk chunk = open_chunk(CASTAWAY_CHUNK_MODULES);

	for (; s_written.modules < count; s_written.modules++) {
		const struct module_record *module = modules_record(s_written.modules);

		*chunk.at++ = module->op;
		put_varint(&chunk, module->number);
		if (module->op == CASTAWAY_MODULE_LOAD) {
			put_u64(&chunk, module->load_bias);
			put_u64(&chunk, module->start);
			put_u64(&chunk, module->end);
		}
		put_u64(&chunk, module->ticks);
		if (module->op == CASTAWAY_MODULE_LOAD) {
			put_bytes(&chunk, module->build_id, module->build_id_size);
			put_bytes(&chunk, module->path, strlen(module->path));
		}
		if (chunk_size(&chunk) > CHUNK_FULL)
			close_chunk(&chunk);
	}
	close_chunk(&chunk);
}

static void write_threads(void)
{
	struct chunk chunk = open_chunk(CASTAWAY_CHUNK_THREADS);

	for (struct thread *thread = thread_first(); thread != NULL; thread = thread->next) {
		uint32_t number = __atomic_load_n(&thread->number, __ATOMIC_ACQUIRE);
		uint32_t announced = __atomic_load_n(&thread->announced, __ATOMIC_ACQUIRE);

		if (number == announced)
			continue;
		put_varint(&chunk, number);
		put_varint(&chunk, (uint32_t)thread->kernel_tid);
		put_u64(&chunk, thread->start_ticks);
		put_bytes(&chunk, thread->name, strnlen(thread->name, sizeof(thread->name)));
		/* A new name that comes just now is set to 0 again: it wins. */
		__atomic_compare_exchange_n(&thread->announced, &announced, number, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED);
		if (chunk_size(&chunk) > CHUNK_FULL)
			close_chunk(&chunk);
	}
	close_chunk(&chunk);
}

static void put_node(struct chunk *chunk, uint32_t number)
{
	struct stack_tree_node node;

	stack_tree_get(number, &node);
	put_varint(chunk, number - node.parent);
	put_varint(chunk, node.tag);
	if (node.tag == CASTAWAY_FRAME_SCRIPT) {
		put_varint(chunk, node.function);
		put_varint(chunk, node.file);
		put_varint(chunk, node.line);
	} else {
		put_varint(chunk, node.address);
	}
}

static void write_stacks(uint32_t count)
{
	struct chunk chunk = open_chunk(CASTAWAY_CHUNK_STACKS);

	while (s_written.stacks < count) {
		uint32_t number = ++s_written.stacks;

		if (chunk_size(&chunk) == 0)
			put_varint(&chunk, number);
		put_node(&chunk, number);
		if (chunk_size(&chunk) > CHUNK_FULL)
			close_chunk(&chunk);
	}
	close_chunk(&chunk);
}

void writer_tables_new(void)
{
	/* Nodes name modules and strings: their count is taken first. */
	const uint32_t stacks = stack_tree_count();

	write_strings();
	write_modules();
	write_threads();
	write_stacks(stacks);
}

static void write_limits(void)
{
	struct chunk chunk = open_chunk(CASTAWAY_CHUNK_LIMITS);
	uint32_t limit;
	uint64_t count;
	const char *detail;

	for (uint32_t i = 0; limits_get(i, &limit, &count, &detail); i++) {
		if (count == 0 || detail == NULL)
			continue;
		put_varint(&chunk, limit);
		put_varint(&chunk, count);
		put_bytes(&chunk, detail, strlen(detail));
	}
	close_chunk(&chunk);
}

void writer_tables_end(enum castaway_end_reason reason)
{
	struct chunk chunk;
	uint64_t dropped = 0, left_out = 0;

	for (struct thread *thread = thread_first(); thread != NULL; thread = thread->next) {
		dropped += __atomic_load_n(&thread->dropped, __ATOMIC_RELAXED);
		left_out += __atomic_load_n(&thread->left_out, __ATOMIC_RELAXED);
	}
	limits_count(CASTAWAY_LIMIT_DROPPED_EVENTS, dropped - s_written.dropped, NULL);
	s_written.dropped = dropped;
	if (left_out > 0)
		limits_set(CASTAWAY_LIMIT_NO_HISTORY, left_out);
	write_limits();
	chunk = open_chunk(CASTAWAY_CHUNK_END);
	put_u64(&chunk, clock_ticks());
	put_varint(&chunk, reason);
	put_varint(&chunk, g_writer.events);
	put_varint(&chunk, dropped);
	close_chunk(&chunk);
}

void writer_tables_reset(void)
{
	memset(&s_written, 0, sizeof(s_written));
}
