/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One lock for the index; no file is written, synced or read under it. Writing is the privilege of
 * one thread at a time (`writing`), syncing of another.
 */
#include "cache/stage_i.h"

#include "base/log.h"
#include "cache/room.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#define SEGMENT_BYTES (64 * MiB)
/* An empty file that has grown so much is not written on. */
#define RETIRE_BYTES (4 * MiB)
/* Memory that unsynced objects may take before who adds one syncs them. */
#define UNSYNCED_BYTES (32 * MiB)

/* Out of the list; `ret_gone` collects what is to be closed and removed without the lock. */
static void file_leave_locked(struct stage *s, struct stage_file *f, struct stage_file **ret_gone)
{
	DL_DELETE(s->sync.files, f);
	s->sync.disk_bytes -= f->bytes;
	if (s->sync.active == f)
		s->sync.active = NULL;
	f->next = *ret_gone;
	*ret_gone = f;
}

void stage_file_free(struct stage_file *f)
{
	if (!f->segment)
		closep(&f->fd);
	stage_segment_close(f->segment);
	free(f);
}

void stage_files_remove(struct stage *s, struct stage_file *gone)
{
	while (gone) {
		struct stage_file *f = gone;
		char name[STAGE_SEGMENT_NAME_MAX];

		gone = f->next;
		stage_file_name(f->number, name);
		unlinkat(s->dir, name, 0);
		stage_file_free(f);
	}
}

/* (T3) */
void stage_file_unused_locked(struct stage *s, struct stage_file *f, struct stage_file **ret_gone)
{
	const bool kept = f == s->sync.active && f->bytes < RETIRE_BYTES;

	if (f->items == 0 && f->users == 0 && !kept)
		file_leave_locked(s, f, ret_gone);
}

static void item_synced_locked(struct stage *s, struct stage_item *i)
{
	if (!i->unsynced)
		return;
	DL_DELETE2(s->sync.unsynced, i, unsynced_prev, unsynced_next);
	s->sync.unsynced_bytes -= i->length;
	i->unsynced = blob_unref(i->unsynced);
}

void stage_item_remove_locked(struct stage *s, struct stage_item *i, struct stage_file **ret_gone)
{
	HASH_DEL(s->sync.index, i);
	DL_DELETE(s->sync.items, i);
	s->sync.bytes -= i->length;
	item_synced_locked(s, i);
	if (i->file) {
		i->file->items--;
		stage_file_unused_locked(s, i->file, ret_gone);
	}
	free(i);
}

struct stage_item *stage_item_find_locked(struct stage *s, const uint8_t id[STAGE_ID_SIZE])
{
	struct stage_item *i;

	HASH_FIND(hh, s->sync.index, id, STAGE_ID_SIZE, i);
	return i;
}

struct stage_item *stage_item_new(const uint8_t id[STAGE_ID_SIZE], struct span head,
				  uint64_t length)
{
	struct stage_item *i = calloc(1, sizeof(*i) + head.len);

	if (!i)
		return NULL;
	memcpy(i->id, id, STAGE_ID_SIZE);
	memcpy(i->head, head.data, head.len);
	i->head_len = head.len;
	i->length = length;
	return i;
}

void stage_item_insert_locked(struct stage *s, struct stage_item *i, struct stage_file *f,
			       uint64_t offset)
{
	i->file = f;
	i->offset = offset;
	i->order = s->sync.order++;
	f->items++;
	HASH_ADD(hh, s->sync.index, id, STAGE_ID_SIZE, i);
	DL_APPEND(s->sync.items, i);
	s->sync.bytes += i->length;
}

/* ---- opening ---- */

static int open_folder(const char *path)
{
	int fd;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fail(errno == EACCES ? -EACCES : -EIO);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? fail(errno == EACCES ? -EACCES : -EIO) : fd;
}

int stage_open(const char *dir, uint64_t limit_bytes, struct stage **ret)
{
	_cleanup_(stage_closep) struct stage *s = calloc(1, sizeof(*s));
	_cleanup_free_ uint64_t *numbers = NULL;
	size_t n = 0;
	int r;

	if (!s)
		return fail(-ENOMEM);
	lock_init(&s->sync.lock, RANK_DISK);
	cond_init(&s->sync.idle);
	s->limit = limit_bytes;
	s->dir = open_folder(dir);
	r = s->dir < 0 ? s->dir : stage_list_files(s->dir, &numbers, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = stage_find_file(s, numbers[i]);
	if (r)
		return r;
	*ret = take_ptr(&s);
	return 0;
}

struct stage *stage_close(struct stage *s)
{
	struct stage_file *f, *next, *gone = NULL;
	struct stage_item *i, *after;

	if (!s)
		return NULL;
	DL_FOREACH_SAFE(s->sync.files, f, next)
		if (f->items == 0)
			file_leave_locked(s, f, &gone);
	if (s->dir >= 0)
		stage_files_remove(s, gone);
	HASH_CLEAR(hh, s->sync.index);
	DL_FOREACH_SAFE(s->sync.items, i, after) {
		blob_unref(i->unsynced);
		free(i);
	}
	DL_FOREACH_SAFE(s->sync.files, f, next)
		stage_file_free(f);
	closep(&s->dir);
	cond_release(&s->sync.idle);
	lock_release(&s->sync.lock);
	free(s);
	return NULL;
}

/* ---- writing ---- */

/* The file that is written on; makes one. By who writes; lock not held. */
static int active_file(struct stage *s, struct stage_file **ret)
{
	char name[STAGE_SEGMENT_NAME_MAX];
	struct stage_file *f, *gone = NULL;
	int r;

	lock_take(&s->sync.lock);
	f = s->sync.active;
	if (f && (f->bytes >= SEGMENT_BYTES || stage_segment_failed(f->segment))) {
		s->sync.active = NULL;
		stage_file_unused_locked(s, f, &gone);
		f = NULL;
	}
	if (f)
		f->users++;
	stage_file_name(s->sync.number, name);
	lock_give(&s->sync.lock);
	stage_files_remove(s, gone);
	if (f) {
		*ret = f;
		return 0;
	}
	f = calloc(1, sizeof(*f));
	r = f ? stage_segment_create(s->dir, name, &f->segment) : fail(-ENOMEM);
	if (r) {
		free(f);
		return r;
	}
	f->fd = stage_segment_fd(f->segment);
	f->users = 1;
	LOCK_SCOPE(&s->sync.lock);
	f->number = s->sync.number++;
	DL_APPEND(s->sync.files, f);
	s->sync.active = f;
	*ret = f;
	return 0;
}

static void file_done(struct stage *s, struct stage_file *f)
{
	struct stage_file *gone = NULL;

	lock_take(&s->sync.lock);
	f->users--;
	stage_file_unused_locked(s, f, &gone);
	lock_give(&s->sync.lock);
	stage_files_remove(s, gone);
}

/* One object into the active file; the file has a user more on success. By who writes. */
static int write_object(struct stage *s, const struct stage_item *i, struct blob *body,
			struct stage_file **ret_file, uint64_t *ret_offset)
{
	uint8_t head[STAGE_HEAD_MAX];
	struct stage_file *f;
	uint64_t before;
	int r = active_file(s, &f);

	if (r)
		return r;
	memcpy(head, i->id, STAGE_ID_SIZE);
	memcpy(head + STAGE_ID_SIZE, i->head, i->head_len);
	before = stage_segment_length(f->segment);
	r = stage_segment_append(f->segment, STAGE_RECORD_OBJECT,
				 span_of(head, STAGE_ID_SIZE + i->head_len), blob_span(body),
				 ret_offset);
	if (r) {
		file_done(s, f);
		return r;
	}
	lock_take(&s->sync.lock);
	f->bytes += stage_segment_length(f->segment) - before;
	s->sync.disk_bytes += stage_segment_length(f->segment) - before;
	lock_give(&s->sync.lock);
	*ret_file = f;
	return 0;
}

static void writing_begin(struct stage *s)
{
	LOCK_SCOPE(&s->sync.lock);
	while (s->sync.writing)
		cond_wait(&s->sync.idle, &s->sync.lock, NEVER);
	s->sync.writing = true;
}

static void writing_end(struct stage *s)
{
	LOCK_SCOPE(&s->sync.lock);
	s->sync.writing = false;
	cond_broadcast(&s->sync.idle);
}

/* (T4) */
static bool has_room(struct stage *s, uint64_t bytes)
{
	LOCK_SCOPE(&s->sync.lock);
	return s->sync.disk_bytes + bytes <= s->limit && room_left(s->dir);
}

static bool too_much_unsynced(struct stage *s)
{
	LOCK_SCOPE(&s->sync.lock);
	return s->sync.unsynced_bytes > UNSYNCED_BYTES;
}

static int add(struct stage *s, struct stage_item *i, struct blob *body)
{
	struct stage_file *f;
	uint64_t offset;
	int r = write_object(s, i, body, &f, &offset);

	if (r)
		return r;
	lock_take(&s->sync.lock);
	stage_item_insert_locked(s, i, f, offset);
	i->unsynced = blob_ref(body);
	DL_APPEND2(s->sync.unsynced, i, unsynced_prev, unsynced_next);
	s->sync.unsynced_bytes += i->length;
	lock_give(&s->sync.lock);
	file_done(s, f);
	return 0;
}

int stage_add(struct stage *s, const uint8_t id[STAGE_ID_SIZE], struct span head, struct blob *body)
{
	const uint64_t len = blob_span(body).len;
	struct stage_item *i;
	int r;

	assert(head.len + STAGE_ID_SIZE <= STAGE_HEAD_MAX);
	if (!has_room(s, len))
		return fail(-ENOSPC);
	if (too_much_unsynced(s)) {
		r = stage_sync(s);
		if (r)
			return r;
	}
	i = stage_item_new(id, head, len);
	if (!i)
		return fail(-ENOMEM);
	writing_begin(s);
	r = add(s, i, body);
	writing_end(s);
	if (r)
		free(i);
	return r;
}

/* ---- syncing ---- */

/* A file with unsynced objects, with a user more; NULL: there is none older than `order`. */
static struct stage_file *unsynced_file(struct stage *s, uint64_t order)
{
	struct stage_item *i;

	LOCK_SCOPE(&s->sync.lock);
	i = s->sync.unsynced;
	if (!i || i->order >= order)
		return NULL;
	i->file->users++;
	return i->file;
}

static void file_synced(struct stage *s, const struct stage_file *f, uint64_t order)
{
	struct stage_item *i, *next;

	LOCK_SCOPE(&s->sync.lock);
	DL_FOREACH_SAFE2(s->sync.unsynced, i, next, unsynced_next)
		if (i->file == f && i->order < order)
			item_synced_locked(s, i);
}

/* The first unsynced object of a file that failed: its place is taken by another one. */
static int move_one(struct stage *s, struct stage_file *from, bool *ret_any)
{
	struct stage_item *i, *copy = NULL, *now;
	struct blob *body = NULL;
	struct stage_file *to;
	uint64_t offset;
	int r;

	lock_take(&s->sync.lock);
	DL_FOREACH2(s->sync.unsynced, i, unsynced_next)
		if (i->file == from)
			break;
	if (i) {
		copy = stage_item_new(i->id, span_of(i->head, i->head_len), i->length);
		body = blob_ref(i->unsynced);
	}
	lock_give(&s->sync.lock);
	*ret_any = i;
	if (!i)
		return 0;
	r = copy ? write_object(s, copy, body, &to, &offset) : fail(-ENOMEM);
	blob_unref(body);
	if (r) {
		free(copy);
		return r;
	}
	lock_take(&s->sync.lock);
	now = stage_item_find_locked(s, copy->id);
	if (now && now->file == from) {
		from->items--;
		to->items++;
		now->file = to;
		now->offset = offset;
	}
	lock_give(&s->sync.lock);
	free(copy);
	file_done(s, to);
	return 0;
}

/* (T2) */
static int move_unsynced(struct stage *s, struct stage_file *from)
{
	bool any = true;
	int r = 0;

	log_error("stage", "a file of the staging log cannot be trusted: it is written again",
		  "number=%llu", (unsigned long long)from->number);
	writing_begin(s);
	while (r == 0 && any)
		r = move_one(s, from, &any);
	writing_end(s);
	return r;
}

/* One file. 0: synced, or what was in it is in another one now. */
static int sync_file(struct stage *s, struct stage_file *f, uint64_t order)
{
	const int r = stage_segment_sync(f->segment);

	if (r)
		return move_unsynced(s, f);
	file_synced(s, f, order);
	return 0;
}

/* How often what fails is written again in one sync. */
#define SYNC_FAILURES 3

int stage_sync(struct stage *s)
{
	unsigned failures = 0;
	struct stage_file *f;
	uint64_t order;
	int r = 0;

	lock_take(&s->sync.lock);
	while (s->sync.syncing)
		cond_wait(&s->sync.idle, &s->sync.lock, NEVER);
	s->sync.syncing = true;
	order = s->sync.order;
	lock_give(&s->sync.lock);
	while (r == 0 && (f = unsynced_file(s, order))) {
		r = sync_file(s, f, order);
		if (r == 0 && stage_segment_failed(f->segment) && ++failures == SYNC_FAILURES)
			r = fail(-EIO);
		file_done(s, f);
	}
	lock_take(&s->sync.lock);
	s->sync.syncing = false;
	cond_broadcast(&s->sync.idle);
	lock_give(&s->sync.lock);
	return r;
}

/* ---- reading ---- */

/* Where an object is: in memory (*ret_body, referenced), or in a file with a user more. */
static int locate(struct stage *s, const uint8_t id[STAGE_ID_SIZE], struct blob **ret_body,
		  struct stage_file **ret_file, uint64_t *ret_offset, uint64_t *ret_length)
{
	struct stage_item *i;

	LOCK_SCOPE(&s->sync.lock);
	i = stage_item_find_locked(s, id);
	if (!i)
		return STAGE_MISSING;
	*ret_length = i->length;
	*ret_offset = i->offset;
	if (i->unsynced) {
		*ret_body = blob_ref(i->unsynced);
		return 0;
	}
	i->file->users++;
	*ret_file = i->file;
	return 0;
}

int stage_read(struct stage *s, const uint8_t id[STAGE_ID_SIZE], uint64_t off, uint64_t len,
	       struct buf *ret)
{
	_cleanup_(blob_unrefp) struct blob *body = NULL;
	struct stage_file *f = NULL;
	uint64_t offset, length;
	const size_t before = ret->len;
	ssize_t n = -1;
	uint8_t *to;
	int r = locate(s, id, &body, &f, &offset, &length);

	if (r)
		return r;
	off = MIN(off, length);
	len = MIN(len, length - off);
	if (body)
		return buf_add_span(ret, span_sub(blob_span(body), (size_t)off, (size_t)len));
	to = buf_extend(ret, (size_t)len);
	if (to)
		n = pread(f->fd, to, (size_t)len, (off_t)(offset + off));
	file_done(s, f);
	if (n == (ssize_t)len)
		return 0;
	ret->len = before;
	return fail(to ? -EIO : -ENOMEM);
}

int stage_get(struct stage *s, const uint8_t id[STAGE_ID_SIZE], struct blob **ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(STAGE_BODY_MAX);
	int r = stage_read(s, id, 0, STAGE_BODY_MAX, &bytes);
	uint8_t *data;
	size_t len;

	if (r)
		return r;
	data = buf_take(&bytes, &len);
	*ret = blob_from(data, len);
	return *ret ? 0 : fail(-ENOMEM);
}

bool stage_has(struct stage *s, const uint8_t id[STAGE_ID_SIZE])
{
	LOCK_SCOPE(&s->sync.lock);
	return stage_item_find_locked(s, id);
}

void stage_drop(struct stage *s, const uint8_t id[STAGE_ID_SIZE])
{
	struct stage_file *gone = NULL;
	struct stage_item *i;

	lock_take(&s->sync.lock);
	i = stage_item_find_locked(s, id);
	if (i)
		stage_item_remove_locked(s, i, &gone);
	lock_give(&s->sync.lock);
	stage_files_remove(s, gone);
}

int stage_walk(struct stage *s, stage_object_fn *fn, void *arg)
{
	struct stage_item *i;
	int r = 0;

	LOCK_SCOPE(&s->sync.lock);
	DL_FOREACH(s->sync.items, i) {
		r = fn(i->id, span_of(i->head, i->head_len), i->length, arg);
		if (r)
			break;
	}
	return r;
}

void stage_stats_get(struct stage *s, struct stage_stats *ret)
{
	LOCK_SCOPE(&s->sync.lock);
	*ret = (struct stage_stats){ .objects = HASH_COUNT(s->sync.index),
				     .bytes = s->sync.bytes,
				     .disk_bytes = s->sync.disk_bytes,
				     .lost_bytes = s->sync.lost_bytes };
}
