/* SPDX-License-Identifier: Apache-2.0
 *
 * The trace file: its header, and chunks compressed and written.  Opened in a
 * thread of the target, written by the pump (in the helper, or inline).  Only
 * raw system calls, arena memory, and mem*.
 */
#define XXH_INLINE_ALL
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>

#include "arena.h"
#include "clock.h"
#include "config.h"
#include "emit.h"
#include "rawio.h"
#include "writer_internal.h"

#define OPEN_FLAGS  (O_WRONLY | O_NOFOLLOW | O_CLOEXEC)
#define MAX_SUFFIX  99u
#define HEADER_SIZE sizeof(struct castaway_chunk_header)

static struct {
	int fd;            /* the pump's; valid in the helper's descriptor table, or in ours */
	int open_here;     /* the target's own descriptor, -1 once the helper has its copy */
	unsigned failures; /* after the first, only the last words are tried */
	int former;        /* the full file's, until the next one takes its place; else -1 */
	uint32_t sequence;
	uint64_t offset; /* end of the last whole chunk */
	dev_t device;
	ino_t inode;
	uint8_t *staging; /* behind room for a header */
	uint8_t *packed;  /* header and stored bytes, so that one write holds both */
	size_t packed_size;
} s_file = {.fd = -1, .open_here = -1, .former = -1};

static bool make_memory(void)
{
	uint8_t *staging;

	if (s_file.staging != NULL)
		return true;
	s_file.packed_size = HEADER_SIZE + writer_compress_bound(WRITER_STAGING);
	s_file.packed = arena_map(s_file.packed_size);
	staging = arena_map(HEADER_SIZE + WRITER_STAGING);
	if (s_file.packed == NULL || staging == NULL || !writer_compress_init())
		return false;
	s_file.staging = staging + HEADER_SIZE;
	return true;
}

uint8_t *writer_file_staging(void)
{
	return s_file.staging;
}

int writer_file_fd(void)
{
	return s_file.fd;
}

void writer_file_close(void)
{
	if (s_file.open_here >= 0)
		rawio_close(s_file.open_here);
	s_file.open_here = -1;
}

void writer_file_reset(void)
{
	/* Set only if another thread forked while this file was being opened. */
	writer_file_close();
	s_file.fd = s_file.former = -1;
	s_file.failures = 0;
	s_file.sequence = 0;
	s_file.offset = 0;
}

/* The name as configured; where it exists, with ".<pid>", then ".<pid>.<n>"
 * (a process that executes itself again and again keeps its pid). */
static long create(void)
{
	char base[sizeof(g_config_text.output)];
	struct rawio_text text;
	long fd = rawio_open(g_config_text.output, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);

	memcpy(base, g_config_text.output, sizeof(base));
	for (unsigned i = 1; fd == -EEXIST && i <= MAX_SUFFIX; i++) {
		rawio_text_begin(&text, g_config_text.output, sizeof(g_config_text.output));
		rawio_text_put(&text, base);
		rawio_text_put(&text, ".");
		rawio_text_put_number(&text, (uint64_t)rawio_pid());
		if (i > 1) {
			rawio_text_put(&text, ".");
			rawio_text_put_number(&text, i);
		}
		if (text.full)
			return -ENAMETOOLONG;
		fd = rawio_open(g_config_text.output, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
	}
	return fd;
}

/* Features that are not those of the settings. */
static uint64_t origin(void)
{
	if (s_file.former >= 0)
		return CASTAWAY_FEATURE_ROTATED;
	return writer_is_pending() ? CASTAWAY_FEATURE_INHERITED : 0;
}

static long write_header(void)
{
	struct castaway_file_header header = {
		.magic = CASTAWAY_FORMAT_MAGIC,
		.version = CASTAWAY_FORMAT_VERSION,
		.min_reader = CASTAWAY_FORMAT_MIN_READER,
		.header_size = sizeof(header),
		.features = (g_config.free_stacks ? CASTAWAY_FEATURE_FREE_STACKS : 0) | origin() |
			    (g_config.events_live ? CASTAWAY_FEATURE_LIVE : 0),
		.pointer_size = sizeof(void *),
		.endian = 1,
		.machine = ARCH_ELF_MACHINE,
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
		.pid = (uint32_t)rawio_pid(),
		.ppid = (uint32_t)RAW_CALL(SYS_getppid, 0),
		.start_realtime_ns = g_writer.start_realtime_ns,
		.start_monotonic_ns = g_writer.start_ns,
		.start_ticks = g_writer.start_ticks,
		.clock_source = (uint8_t)clock_source(),
		.clock_shift = clock_shift(),
		.writer = "castaway " CASTAWAY_VERSION,
	};

	header.header_hash = XXH32(&header, sizeof(header) - sizeof(header.header_hash), 0);
	s_file.offset = sizeof(header);
	return rawio_write(s_file.fd, &header, sizeof(header));
}

static void remember_identity(void)
{
	struct stat st = {0};

	(void)RAW_CALL(SYS_fstat, s_file.fd, &st);
	s_file.device = st.st_dev;
	s_file.inode = st.st_ino;
}

/* The target may have closed our descriptor and opened something else. */
static bool is_ours(void)
{
	struct stat st;

	return RAW_CALL(SYS_fstat, s_file.fd, &st) == 0 && st.st_dev == s_file.device &&
	       st.st_ino == s_file.inode;
}

bool writer_file_open(void)
{
	long error;

	if (!make_memory()) {
		limits_count(CASTAWAY_LIMIT_MEMORY, 1, NULL);
		return false;
	}
	error = create();
	if (error >= 0) {
		s_file.fd = s_file.open_here = (int)error;
		/* Whoever wants the whole trace waits for this lock.  It belongs
		 * to the open file, so the helper inherits it. */
		(void)RAW_CALL(SYS_flock, s_file.fd, LOCK_EX | LOCK_NB);
		remember_identity();
		error = write_header();
	}
	if (error >= 0)
		return true;
	writer_file_close();
	s_file.fd = -1;
	rawio_complain((const char *const[]){"cannot write ", g_config_text.output, ": ", rawio_reason(error),
					     "; not tracing", NULL});
	return false;
}

bool writer_file_reopen(void)
{
	long fd = rawio_open(g_config_text.output, OPEN_FLAGS | O_APPEND, 0);

	if (fd < 0)
		return false;
	s_file.fd = s_file.open_here = (int)fd;
	if (!is_ours()) {
		writer_file_close();
		return false;
	}
	(void)RAW_CALL(SYS_flock, s_file.fd, LOCK_EX | LOCK_NB);
	return true;
}

uint64_t writer_file_size(void)
{
	return s_file.offset;
}

/* NAME.next: false when that is no name. */
static bool next_name(struct rawio_text *text, char *name, size_t size)
{
	rawio_text_begin(text, name, size);
	rawio_text_put(text, g_config_text.output);
	rawio_text_put(text, ".next");
	return !text->full;
}

bool writer_file_begin_next(void)
{
	char name[sizeof(g_config_text.output) + 8];
	struct rawio_text text;
	const uint64_t full = s_file.offset;
	long fd = next_name(&text, name, sizeof(name)) ? rawio_open(name, OPEN_FLAGS | O_CREAT | O_EXCL, 0600)
						       : -ENAMETOOLONG;

	if (fd < 0)
		return false;
	(void)RAW_CALL(SYS_flock, fd, LOCK_EX | LOCK_NB);
	s_file.former = s_file.fd; /* stays open, and its lock held: whoever waits for the trace waits on */
	s_file.fd = (int)fd;
	if (write_header() >= 0) {
		s_file.sequence = 0;
		return true;
	}
	(void)RAW_CALL(SYS_unlink, name);
	rawio_close(s_file.fd);
	s_file.fd = s_file.former;
	s_file.former = -1;
	s_file.offset = full;
	return false;
}

/* Not over a file that somebody else has put there. */
bool writer_file_finish_next(void)
{
	char name[sizeof(g_config_text.output) + 8];
	struct rawio_text text;
	struct stat st;
	bool done = next_name(&text, name, sizeof(name)) &&
		    RAW_CALL(SYS_stat, g_config_text.output, &st) == 0 && st.st_dev == s_file.device &&
		    st.st_ino == s_file.inode && RAW_CALL(SYS_rename, name, g_config_text.output) == 0;

	rawio_close(s_file.former);
	s_file.former = -1;
	remember_identity();
	return done;
}

bool writer_file_move(void)
{
	long fd = RAW_CALL(SYS_fcntl, s_file.fd, F_DUPFD_CLOEXEC, WRITER_INLINE_FD);

	if (fd < 0) /* the limit is lower: it stays where it is */
		return false;
	rawio_close(s_file.fd);
	s_file.fd = s_file.open_here = (int)fd;
	return true;
}

/* The file ends with its last whole chunk, whatever happened to this one. */
static bool give_up(void)
{
	s_file.failures++;
	(void)RAW_CALL(SYS_ftruncate, s_file.fd, s_file.offset);
	(void)RAW_CALL(SYS_lseek, s_file.fd, s_file.offset, SEEK_SET);
	limits_count(CASTAWAY_LIMIT_WRITE_ERROR, 1, NULL);
	__atomic_store_n(&g_tracing, false, __ATOMIC_RELEASE);
	return false;
}

static bool write_packed(uint8_t *packed, struct castaway_chunk_header *header)
{
	header->payload_hash = XXH32(packed + HEADER_SIZE, header->stored_size, 0);
	header->header_hash = XXH32(header, HEADER_SIZE - sizeof(header->header_hash), 0);
	memcpy(packed, header, HEADER_SIZE);
	if (g_writer.mode == WRITER_INLINE && !is_ours()) {
		s_file.fd = -1;
		__atomic_store_n(&g_tracing, false, __ATOMIC_RELEASE);
		return false;
	}
	if (rawio_write(s_file.fd, packed, HEADER_SIZE + header->stored_size) != 0)
		return give_up();
	s_file.offset += HEADER_SIZE + header->stored_size;
	s_file.sequence++;
	__atomic_fetch_add(&g_writer.progress, 1, __ATOMIC_RELAXED);
	return true;
}

static bool is_wanted(enum castaway_chunk_type type)
{
	return s_file.fd >= 0 &&
	       (s_file.failures == 0 ||
		(s_file.failures == 1 && (type == CASTAWAY_CHUNK_LIMITS || type == CASTAWAY_CHUNK_END)));
}

bool writer_file_chunk(enum castaway_chunk_type type, uint32_t thread, const uint8_t *payload, size_t size)
{
	struct castaway_chunk_header header = {
		.magic = CASTAWAY_CHUNK_MAGIC,
		.type = (uint16_t)type,
		.stored_size = (uint32_t)size,
		.raw_size = (uint32_t)size,
		.thread = thread,
		.sequence = s_file.sequence,
	};
	const bool large = size > WRITER_STAGING;
	const size_t room = large ? HEADER_SIZE + writer_compress_bound(size) : s_file.packed_size;
	uint8_t *packed, *whole;
	size_t stored = 0;
	bool ok;

	if (!is_wanted(type))
		return false;
	whole = packed = large ? arena_map(room) : s_file.packed;
	if (packed == NULL)
		return false;
	if (g_config.compress)
		stored = writer_compress(type, packed + HEADER_SIZE, room - HEADER_SIZE, payload, size);
	if (stored != 0) {
		header.flags = CASTAWAY_CHUNK_ZSTD;
		header.stored_size = (uint32_t)stored;
	} else if (payload == s_file.staging) {
		whole = s_file.staging - HEADER_SIZE;
	} else {
		memcpy(packed + HEADER_SIZE, payload, size);
	}
	ok = write_packed(whole, &header);
	if (large)
		arena_unmap(packed, room);
	return ok;
}

void writer_file_divert(int fd)
{
	s_file.fd = fd;
	s_file.failures = 0;
	s_file.sequence = 0;
	s_file.offset = 0;
}

static bool read_at(int fd, void *ret, size_t size, uint64_t offset)
{
	return RAW_CALL(SYS_pread64, fd, ret, size, offset) == (long)size;
}

/* The payload of a chunk is at `at`. */
static bool adopt_chunk(int fd, struct castaway_chunk_header *header, uint64_t at)
{
	const size_t size = HEADER_SIZE + (size_t)header->stored_size;
	const bool large = size > s_file.packed_size;
	uint8_t *packed = large ? arena_map(size) : s_file.packed;
	bool ok = packed != NULL && s_file.failures == 0;

	header->sequence = s_file.sequence;
	ok = ok && read_at(fd, packed + HEADER_SIZE, header->stored_size, at) && write_packed(packed, header);
	if (large && packed != NULL)
		arena_unmap(packed, size);
	return ok;
}

bool writer_file_adopt(int fd, uint64_t end)
{
	struct castaway_chunk_header header;
	uint64_t at = 0;
	bool ok = true;

	while (ok && at < end) {
		ok = read_at(fd, &header, HEADER_SIZE, at) && header.magic == CASTAWAY_CHUNK_MAGIC;
		at += HEADER_SIZE;
		if (!ok || header.stored_size > end - at)
			return false;
		ok = adopt_chunk(fd, &header, at);
		at += header.stored_size;
	}
	return ok;
}
