/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/stage_segment.h"

#include "base/codec.h"
#include "base/crc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_HEADER SPAN_LITERAL("mangstg\1")
#define RECORD_MAGIC 0x6d726563u /* "mrec" */
#define RECORD_HEADER 32u
#define RECORD_ALIGN 8u

struct stage_segment {
	int fd, dir;
	uint64_t length;
	/* How much is on disk; written by who syncs, read by who appends. */
	uint64_t synced;
	bool named;  /* the folder knows of it, on disk too */
	bool failed; /* (S2) */
};

static bool failed(const struct stage_segment *s)
{
	return __atomic_load_n(&s->failed, __ATOMIC_ACQUIRE);
}

static int fails(struct stage_segment *s, int error)
{
	__atomic_store_n(&s->failed, true, __ATOMIC_RELEASE);
	return fail(error == ENOSPC || error == EDQUOT || error == EFBIG ? -ENOSPC : -EIO);
}

static uint64_t record_length(uint64_t head, uint64_t body)
{
	const uint64_t all = RECORD_HEADER + head + body;

	return (all + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

/* Writes all of it at `off`. 0 or -errno. */
static int write_at(int fd, struct iovec *v, int n, uint64_t off)
{
	while (n) {
		ssize_t done = pwritev(fd, v, n, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		off += (uint64_t)done;
		while (n && (size_t)done >= v->iov_len) {
			done -= (ssize_t)v->iov_len;
			v++;
			n--;
		}
		if (n) {
			v->iov_base = (uint8_t *)v->iov_base + done;
			v->iov_len -= (size_t)done;
		}
	}
	return 0;
}

int stage_segment_create(int dir, const char *name, struct stage_segment **ret)
{
	_cleanup_(stage_segment_closep) struct stage_segment *s = calloc(1, sizeof(*s));
	struct iovec v = { (void *)FILE_HEADER.data, FILE_HEADER.len };
	int r;

	if (!s)
		return fail(-ENOMEM);
	s->fd = s->dir = -1;
	s->fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->fd < 0)
		return errno == EEXIST ? -EEXIST : fails(s, errno);
	s->dir = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	r = s->dir < 0 ? -errno : write_at(s->fd, &v, 1, 0);
	if (r) {
		unlinkat(dir, name, 0);
		return fails(s, -r);
	}
	s->length = FILE_HEADER.len;
	*ret = take_ptr(&s);
	return 0;
}

struct stage_segment *stage_segment_close(struct stage_segment *s)
{
	if (!s)
		return NULL;
	closep(&s->fd);
	closep(&s->dir);
	free(s);
	return NULL;
}

static int header_encode(const struct stage_segment *s, uint32_t kind, struct span head,
			 struct span body, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_be32(&w, RECORD_MAGIC);
	write_be32(&w, kind);
	write_be32(&w, (uint32_t)head.len);
	write_be32(&w, (uint32_t)body.len);
	write_be64(&w, __atomic_load_n(&s->synced, __ATOMIC_ACQUIRE));
	write_be32(&w, crc32c(crc32c(0, head), body));
	write_be32(&w, crc32c(0, buf_span(ret)));
	return w.error;
}

int stage_segment_append(struct stage_segment *s, uint32_t kind, struct span head, struct span body,
			 uint64_t *ret_offset)
{
	static const uint8_t zeros[RECORD_ALIGN];
	_cleanup_buf_ struct buf header = BUF_INIT(RECORD_HEADER);
	const uint64_t length = record_length(head.len, body.len), at = s->length;
	int r = header_encode(s, kind, head, body, &header);
	struct iovec v[] = {
		{ header.data, header.len },
		{ (void *)head.data, head.len },
		{ (void *)body.data, body.len },
		{ (void *)zeros, length - RECORD_HEADER - head.len - body.len },
	};

	assert(head.len <= STAGE_HEAD_MAX && body.len <= STAGE_BODY_MAX);
	if (r)
		return r;
	if (failed(s))
		return fail(-EIO);
	r = write_at(s->fd, v, ARRAY_SIZE(v), at);
	if (r) {
		/* what stays of it is no record, and nothing will follow */
		(void)!ftruncate(s->fd, (off_t)at);
		return fails(s, -r);
	}
	__atomic_store_n(&s->length, at + length, __ATOMIC_RELEASE);
	if (ret_offset)
		*ret_offset = at + RECORD_HEADER + head.len;
	return 0;
}

int stage_segment_sync(struct stage_segment *s)
{
	const uint64_t upto = __atomic_load_n(&s->length, __ATOMIC_ACQUIRE);

	if (failed(s))
		return fail(-EIO);
	if (fdatasync(s->fd) < 0 || (!s->named && fsync(s->dir) < 0)) {
		fails(s, EIO);
		return -EIO;
	}
	s->named = true;
	__atomic_store_n(&s->synced, upto, __ATOMIC_RELEASE);
	return 0;
}

uint64_t stage_segment_length(const struct stage_segment *s)
{
	return __atomic_load_n(&s->length, __ATOMIC_ACQUIRE);
}

bool stage_segment_failed(const struct stage_segment *s)
{
	return failed(s);
}

int stage_segment_fd(const struct stage_segment *s)
{
	return s->fd;
}

/* A file while it is scanned. */
struct scan {
	int fd;
	uint64_t length, at;
	uint64_t synced; /* the most that any record knew of */
	struct buf bytes;
	struct { /* ranges without records, of which it is not known yet whether they were synced */
		uint64_t from, to;
	} *gaps;
	size_t n_gaps, cap_gaps;
};

static void scan_release(struct scan *s)
{
	closep(&s->fd);
	buf_release(&s->bytes);
	free(s->gaps);
}

/* Bytes of the file into s->bytes. 0; STAGE_SHORT: it ends before; -EIO, -ENOMEM. */
enum { STAGE_SHORT = 1 };
static int scan_read(struct scan *s, uint64_t off, uint64_t len)
{
	uint8_t *to;

	if (len > s->length || off > s->length - len)
		return STAGE_SHORT;
	buf_clear(&s->bytes);
	to = buf_extend(&s->bytes, (size_t)len);
	if (!to)
		return fail(-ENOMEM);
	for (size_t done = 0; done < len;) {
		const ssize_t n = pread(s->fd, to + done, (size_t)len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(-EIO);
		if (n == 0)
			return STAGE_SHORT;
		done += (size_t)n;
	}
	return 0;
}

struct record_header {
	uint32_t kind, head, body, crc;
	uint64_t synced;
};

static bool header_decode(struct span s, struct record_header *ret)
{
	struct reader r = READER(s);
	const uint32_t magic = read_be32(&r);

	ret->kind = read_be32(&r);
	ret->head = read_be32(&r);
	ret->body = read_be32(&r);
	ret->synced = read_be64(&r);
	ret->crc = read_be32(&r);
	return magic == RECORD_MAGIC && read_be32(&r) == crc32c(0, span_sub(s, 0, s.len - 4)) &&
	       read_end(&r) == 0 && ret->head <= STAGE_HEAD_MAX && ret->body <= STAGE_BODY_MAX;
}

/* The record at s->at: 0 with its span of the file; STAGE_SHORT: none; negative. */
static int scan_record(struct scan *s, struct stage_record *ret, uint64_t *ret_length)
{
	struct record_header h;
	struct span all;
	int r = scan_read(s, s->at, RECORD_HEADER);

	if (r)
		return r;
	if (!header_decode(buf_span(&s->bytes), &h))
		return STAGE_SHORT;
	r = scan_read(s, s->at + RECORD_HEADER, (uint64_t)h.head + h.body);
	if (r)
		return r;
	all = buf_span(&s->bytes);
	if (crc32c(0, all) != h.crc)
		return STAGE_SHORT;
	s->synced = MAX(s->synced, h.synced);
	*ret = (struct stage_record){ .kind = h.kind,
				      .head = span_sub(all, 0, h.head),
				      .body = span_sub(all, h.head, h.body),
				      .body_offset = s->at + RECORD_HEADER + h.head };
	*ret_length = record_length(h.head, h.body);
	return 0;
}

static int note_gap(struct scan *s, uint64_t from, uint64_t to)
{
	if (from == to)
		return 0;
	if (s->n_gaps && s->gaps[s->n_gaps - 1].to == from) {
		s->gaps[s->n_gaps - 1].to = to;
		return 0;
	}
	if (s->n_gaps == s->cap_gaps) {
		const size_t cap = MAX(2 * s->cap_gaps, (size_t)16);
		void *v = realloc(s->gaps, cap * sizeof(*s->gaps));

		if (!v)
			return fail(-ENOMEM);
		s->gaps = v;
		s->cap_gaps = cap;
	}
	s->gaps[s->n_gaps].from = from;
	s->gaps[s->n_gaps++].to = to;
	return 0;
}

static int scan_all(struct scan *s, stage_record_fn *fn, void *arg)
{
	int r = scan_read(s, 0, FILE_HEADER.len);

	if (r < 0)
		return r;
	if (r == 0 && span_equal(buf_span(&s->bytes), FILE_HEADER))
		s->at = FILE_HEADER.len;
	while (s->at < s->length) {
		struct stage_record rec;
		uint64_t length = RECORD_ALIGN;

		r = scan_record(s, &rec, &length);
		if (r == 0)
			r = fn(&rec, arg);
		else if (r == STAGE_SHORT)
			r = note_gap(s, s->at, MIN(s->at + length, s->length));
		if (r)
			return r;
		s->at += length;
	}
	return 0;
}

/* (S1) */
static void judge_gaps(const struct scan *s, struct stage_damage *ret)
{
	for (size_t i = 0; i < s->n_gaps; i++) {
		const uint64_t lost =
			MIN(MAX(s->synced, s->gaps[i].from), s->gaps[i].to) - s->gaps[i].from;

		ret->lost_bytes += lost;
		ret->torn_bytes += s->gaps[i].to - s->gaps[i].from - lost;
	}
}

int stage_segment_scan(int dir, const char *name, stage_record_fn *fn, void *arg,
		       struct stage_damage *ret_damage)
{
	_cleanup_(scan_release) struct scan s = { .fd = -1 };
	struct stat st;
	int r;

	*ret_damage = (struct stage_damage){ 0 };
	s.fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (s.fd < 0)
		return errno == ENOENT ? -ENOENT : fail(-EIO);
	if (fstat(s.fd, &st) < 0)
		return fail(-EIO);
	s.length = (uint64_t)st.st_size;
	buf_init(&s.bytes, STAGE_HEAD_MAX + STAGE_BODY_MAX);
	r = scan_all(&s, fn, arg);
	judge_gaps(&s, ret_damage);
	return r;
}
