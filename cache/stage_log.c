/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files `o-<wall clock>-<author>`, so that names are in the order of time. A takeover is written as
 * `new-...` and renamed; its first record names the authors that it stands for, and while such a
 * file is there theirs do not count.
 */
#include "cache/stage_log.h"

#include "base/codec.h"
#include "base/log.h"
#include "base/text.h"
#include "base/wait.h"
#include "cache/room.h"
#include "cache/stage_segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_BYTES (16 * MiB)
#define RECORD_BATCH 2u
#define RECORD_TAKES 3u
#define PREFIX "o-"
#define PREFIX_NEW "new-"
#define TIME_DIGITS 16u
#define AUTHOR_DIGITS (2u * STAGE_AUTHOR_SIZE)
#define NAME_LEN (sizeof(PREFIX) - 1 + TIME_DIGITS + 1 + AUTHOR_DIGITS)

/* A finished file of our own. */
struct past_file {
	char name[STAGE_SEGMENT_NAME_MAX];
	uint64_t last, bytes;
};

struct names {
	char (*v)[STAGE_SEGMENT_NAME_MAX];
	size_t n, cap;
};

struct stage_log {
	int dir;
	uint8_t author[STAGE_AUTHOR_SIZE];
	struct names left; /* files of others that count */
	struct stage_segment *segment;
	char name[STAGE_SEGMENT_NAME_MAX];
	uint64_t last, last_time;
	bool taking;
	struct past_file *past;
	size_t n_past;
};

static int names_add(struct names *l, const char *name)
{
	if (l->n == l->cap) {
		const size_t cap = MAX(2 * l->cap, (size_t)8);
		void *v = realloc(l->v, cap * sizeof(*l->v));

		if (!v)
			return fail(-ENOMEM);
		l->v = v;
		l->cap = cap;
	}
	snprintf(l->v[l->n++], sizeof(*l->v), "%s", name);
	return 0;
}

static void names_release(struct names *l)
{
	free(l->v);
	*l = (struct names){ 0 };
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The author in a file's name; false: it is none of ours. */
static bool author_of(const char *name, uint8_t ret[STAGE_AUTHOR_SIZE])
{
	return strlen(name) == NAME_LEN && strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
	       hex_decode(name + NAME_LEN - AUTHOR_DIGITS, AUTHOR_DIGITS, ret, STAGE_AUTHOR_SIZE) >=
		       0;
}

/* All files of batches in a folder, in the order of time; unfinished takeovers are removed. */
static int list_files(int dir, bool clean, struct names *ret)
{
	const int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint8_t author[STAGE_AUTHOR_SIZE];
	struct dirent *e;
	int r = 0;

	if (!d)
		return fail(-EIO);
	while (r == 0 && (e = readdir(d))) {
		if (author_of(e->d_name, author))
			r = names_add(ret, e->d_name);
		else if (clean && strncmp(e->d_name, PREFIX_NEW, strlen(PREFIX_NEW)) == 0)
			unlinkat(dir, e->d_name, 0);
	}
	closedir(d);
	if (r == 0 && ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), compare_names);
	return r;
}

static bool in_span(struct span authors, const uint8_t author[STAGE_AUTHOR_SIZE])
{
	for (size_t i = 0; i + STAGE_AUTHOR_SIZE <= authors.len; i += STAGE_AUTHOR_SIZE)
		if (memcmp(authors.data + i, author, STAGE_AUTHOR_SIZE) == 0)
			return true;
	return false;
}

static int note_taken(const struct stage_record *r, void *arg)
{
	return r->kind == RECORD_TAKES ? buf_add_span(arg, r->body) : 0;
}

/* (L2) Without the files of authors that others stand for. */
static int list_standing(int dir, bool clean, struct names *ret)
{
	_cleanup_buf_ struct buf taken = BUF_INIT(MiB);
	_cleanup_(names_release) struct names all = { 0 };
	struct stage_damage damage;
	uint8_t author[STAGE_AUTHOR_SIZE];
	int r = list_files(dir, clean, &all);

	for (size_t i = 0; r == 0 && i < all.n; i++) {
		r = stage_segment_scan(dir, all.v[i], note_taken, &taken, &damage);
		if (r == -ENOENT)
			r = 0;
	}
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		if (!author_of(all.v[i], author))
			continue;
		if (!in_span(buf_span(&taken), author))
			r = names_add(ret, all.v[i]);
		else if (clean)
			unlinkat(dir, all.v[i], 0);
	}
	return r;
}

int stage_log_open(const char *dir, const uint8_t author[STAGE_AUTHOR_SIZE], struct stage_log **ret)
{
	_cleanup_(stage_log_closep) struct stage_log *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return fail(-ENOMEM);
	memcpy(l->author, author, STAGE_AUTHOR_SIZE);
	l->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dir < 0)
		return fail(-EIO);
	r = list_standing(l->dir, true, &l->left);
	if (r)
		return r;
	*ret = take_ptr(&l);
	return 0;
}

struct stage_log *stage_log_close(struct stage_log *l)
{
	if (!l)
		return NULL;
	names_release(&l->left);
	stage_segment_close(l->segment);
	free(l->past);
	closep(&l->dir);
	free(l);
	return NULL;
}

/* A new file for our batches; names rise, whatever the clock does. */
static int file_begin(struct stage_log *l)
{
	char hex[AUTHOR_DIGITS + 1];
	int r;

	l->last_time = MAX(clock_wall(), l->last_time + 1);
	hex_encode(span_of(l->author, STAGE_AUTHOR_SIZE), hex);
	snprintf(l->name, sizeof(l->name), "%s" PREFIX "%016lx-%s", l->taking ? PREFIX_NEW : "",
		 l->last_time, hex);
	r = stage_segment_create(l->dir, l->name, &l->segment);
	if (r == 0)
		l->last = 0;
	return r;
}

/* The present file is finished: kept until its last operation is done. */
static int file_end(struct stage_log *l)
{
	struct past_file *v = realloc(l->past, (l->n_past + 1) * sizeof(*v));

	if (!v)
		return fail(-ENOMEM);
	l->past = v;
	v[l->n_past] = (struct past_file){ .last = l->last,
					   .bytes = stage_segment_length(l->segment) };
	memcpy(v[l->n_past++].name, l->name, sizeof(l->name));
	l->segment = stage_segment_close(l->segment);
	return 0;
}

static int head_encode(const struct stage_log *l, const struct stage_batch *b, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_raw(&w, span_of(l->author, STAGE_AUTHOR_SIZE));
	write_be64(&w, b->first);
	write_be64(&w, b->last);
	write_be64(&w, b->done);
	write_be64(&w, b->time_ns);
	return w.error;
}

static int head_decode(struct span s, struct stage_batch *ret)
{
	struct reader r = READER(s);

	read_copy(&r, ret->author, STAGE_AUTHOR_SIZE);
	ret->first = read_be64(&r);
	ret->last = read_be64(&r);
	ret->done = read_be64(&r);
	ret->time_ns = read_be64(&r);
	return read_end(&r);
}

int stage_log_add(struct stage_log *l, const struct stage_batch *batch, struct span body)
{
	_cleanup_buf_ struct buf head = BUF_INIT(STAGE_HEAD_MAX);
	int r = head_encode(l, batch, &head);

	if (r == 0 && !l->taking && !room_left(l->dir))
		r = fail(-ENOSPC); /* what was staged before may use the last of it */
	if (r == 0 && l->segment && !l->taking &&
	    (stage_segment_failed(l->segment) || stage_segment_length(l->segment) >= FILE_BYTES)) {
		if (!stage_segment_failed(l->segment))
			r = stage_segment_sync(l->segment);
		if (r == 0)
			r = file_end(l);
	}
	if (r == 0 && !l->segment)
		r = file_begin(l);
	if (r == 0)
		r = stage_segment_append(l->segment, RECORD_BATCH, buf_span(&head), body, NULL);
	if (r == 0)
		l->last = MAX(l->last, batch->last);
	return r;
}

int stage_log_sync(struct stage_log *l)
{
	return l->segment ? stage_segment_sync(l->segment) : 0;
}

void stage_log_done(struct stage_log *l, uint64_t upto)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n_past; i++) {
		if (l->past[i].last <= upto)
			unlinkat(l->dir, l->past[i].name, 0);
		else
			l->past[kept++] = l->past[i];
	}
	l->n_past = kept;
	if (l->segment && l->last <= upto) {
		l->segment = stage_segment_close(l->segment);
		unlinkat(l->dir, l->name, 0);
	}
}

uint64_t stage_log_bytes(const struct stage_log *l)
{
	uint64_t bytes = l->segment ? stage_segment_length(l->segment) : 0;

	for (size_t i = 0; i < l->n_past; i++)
		bytes += l->past[i].bytes;
	return bytes;
}

struct reading {
	stage_batch_fn *fn;
	void *arg;
};

static int read_batch(const struct stage_record *r, void *arg)
{
	const struct reading *to = arg;
	struct stage_batch batch;

	if (r->kind != RECORD_BATCH || head_decode(r->head, &batch))
		return 0;
	return to->fn(&batch, r->body, to->arg);
}

int stage_log_left(struct stage_log *l, stage_batch_fn *fn, void *arg)
{
	struct reading to = { fn, arg };

	for (size_t i = 0; i < l->left.n; i++) {
		struct stage_damage damage;
		int r = stage_segment_scan(l->dir, l->left.v[i], read_batch, &to, &damage);

		if (damage.lost_bytes)
			log_error("stage",
				  "staged operations are damaged: changes that were answered are "
				  "lost",
				  "file=%s lost_bytes=%llu", l->left.v[i],
				  (unsigned long long)damage.lost_bytes);
		if (r)
			return r;
	}
	return 0;
}

bool stage_log_any_left(const struct stage_log *l)
{
	return l->left.n > 0;
}

int stage_log_take_begin(struct stage_log *l)
{
	_cleanup_buf_ struct buf authors = BUF_INIT(STAGE_BODY_MAX);
	uint8_t author[STAGE_AUTHOR_SIZE];
	int r = 0;

	assert(!l->segment && !l->n_past);
	for (size_t i = 0; r == 0 && i < l->left.n; i++)
		if (author_of(l->left.v[i], author))
			r = buf_add(&authors, author, sizeof(author));
	l->taking = true;
	if (r == 0)
		r = file_begin(l);
	if (r == 0)
		r = stage_segment_append(l->segment, RECORD_TAKES, SPAN_NULL, buf_span(&authors),
					 NULL);
	return r;
}

int stage_log_take_end(struct stage_log *l)
{
	const char *name = l->name + strlen(PREFIX_NEW);
	int r = stage_segment_sync(l->segment);

	if (r)
		return r;
	if (renameat(l->dir, l->name, l->dir, name) < 0 || fsync(l->dir) < 0)
		return fail(-EIO);
	memmove(l->name, name, strlen(name) + 1);
	l->taking = false;
	for (size_t i = 0; i < l->left.n; i++)
		unlinkat(l->dir, l->left.v[i], 0);
	names_release(&l->left);
	/* From now on the new file may go any time, so theirs must not come back. */
	return fsync(l->dir) < 0 ? fail(-EIO) : 0;
}

struct looking {
	struct stage_log_stats stats;
	uint8_t author[STAGE_AUTHOR_SIZE];
	uint64_t done, reached;
};

/* Counts each number once, and none that is known to be done. */
static int look_batch(const struct stage_batch *b, struct span body, void *arg)
{
	struct looking *l = arg;
	uint64_t from;

	if (memcmp(l->author, b->author, STAGE_AUTHOR_SIZE) != 0) {
		memcpy(l->author, b->author, STAGE_AUTHOR_SIZE);
		l->done = l->reached = 0;
	}
	if (b->done > l->done) {
		const uint64_t settled = MIN(b->done, l->reached) - MIN(l->done, l->reached);

		l->stats.operations -= MIN(settled, l->stats.operations);
		l->done = b->done;
	}
	if (l->stats.operations == 0)
		l->stats.oldest_ns = l->stats.bytes = 0;
	from = MAX(b->first, MAX(l->reached, l->done) + 1);
	if (b->last < from)
		return 0;
	l->stats.operations += b->last - from + 1;
	l->stats.bytes += body.len;
	l->reached = b->last;
	if (!l->stats.oldest_ns)
		l->stats.oldest_ns = b->time_ns;
	return 0;
}

int stage_log_look(const char *dir, struct stage_log_stats *ret)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(names_release) struct names files = { 0 };
	struct looking look = { .stats = { 0 } };
	struct reading to = { look_batch, &look };
	int r;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fail(-EIO);
	r = list_standing(fd, false, &files);
	for (size_t i = 0; r == 0 && i < files.n; i++) {
		struct stage_damage damage;

		r = stage_segment_scan(fd, files.v[i], read_batch, &to, &damage);
		look.stats.lost_bytes += damage.lost_bytes;
		if (r == -ENOENT)
			r = 0;
	}
	if (r == 0)
		*ret = look.stats;
	return r;
}
