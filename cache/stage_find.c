/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier mount left in the folder. */
#include "cache/stage_i.h"

#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#define FILE_PREFIX "c-"

void stage_file_name(uint64_t number, char ret[STAGE_SEGMENT_NAME_MAX])
{
	snprintf(ret, STAGE_SEGMENT_NAME_MAX, FILE_PREFIX "%016lx", number);
}

static bool file_number(const char *name, uint64_t *ret)
{
	char only[STAGE_SEGMENT_NAME_MAX];
	char *end;

	if (strncmp(name, FILE_PREFIX, strlen(FILE_PREFIX)) != 0)
		return false;
	*ret = strtoull(name + strlen(FILE_PREFIX), &end, 16);
	stage_file_name(*ret, only);
	return strcmp(only, name) == 0;
}

struct finding {
	struct stage *stage;
	struct stage_file *file;
	struct stage_stats *stats; /* of a look: nothing is kept */
};

/* A record's head is the object's id and its owner's head. */
static int find_record(const struct stage_record *r, void *arg)
{
	struct finding *f = arg;
	struct stage *s = f->stage;
	struct stage_file *gone = NULL;
	struct stage_item *i;

	if (r->kind != STAGE_RECORD_OBJECT || r->head.len < STAGE_ID_SIZE)
		return 0;
	if (f->stats) {
		f->stats->objects++;
		f->stats->bytes += r->body.len;
		return 0;
	}
	i = stage_item_new(r->head.data, span_sub(r->head, STAGE_ID_SIZE, r->head.len),
			   r->body.len);
	if (!i)
		return fail(-ENOMEM);
	LOCK_SCOPE(&s->sync.lock);
	if (stage_item_find_locked(s, i->id)) /* written again after a failed sync: one is enough */
		stage_item_remove_locked(s, stage_item_find_locked(s, i->id), &gone);
	stage_item_insert_locked(s, i, f->file, r->body_offset);
	assert(!gone); /* the file has a user */
	return 0;
}

static void tell_damage(const char *name, const struct stage_damage *d)
{
	if (d->lost_bytes)
		log_error("stage", "a file of the staging log is damaged: what it held is lost",
			  "file=%s lost_bytes=%llu torn_bytes=%llu", name,
			  (unsigned long long)d->lost_bytes, (unsigned long long)d->torn_bytes);
	else if (d->torn_bytes)
		log_info("stage", "an unfinished write was cut by a crash",
			 "file=%s torn_bytes=%llu", name, (unsigned long long)d->torn_bytes);
}

int stage_find_file(struct stage *s, uint64_t number)
{
	struct stage_file *f = calloc(1, sizeof(*f)), *gone = NULL;
	struct finding finding = { .stage = s, .file = f };
	char name[STAGE_SEGMENT_NAME_MAX];
	struct stage_damage damage;
	struct stat st = { 0 };
	int r;

	if (!f)
		return fail(-ENOMEM);
	stage_file_name(number, name);
	f->number = number;
	f->users = 1;
	f->fd = openat(s->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) < 0) {
		stage_file_free(f);
		return fail(-EIO);
	}
	f->bytes = (uint64_t)st.st_size;
	DL_APPEND(s->sync.files, f);
	s->sync.disk_bytes += f->bytes;
	s->sync.number = MAX(s->sync.number, number + 1);
	r = stage_segment_scan(s->dir, name, find_record, &finding, &damage);
	if (r == 0)
		tell_damage(name, &damage);
	lock_take(&s->sync.lock);
	f->users--;
	s->sync.lost_bytes += damage.lost_bytes;
	if (r == 0)
		stage_file_unused_locked(s, f, &gone);
	lock_give(&s->sync.lock);
	stage_files_remove(s, gone);
	return r;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int stage_list_files(int dir, uint64_t **ret, size_t *ret_n)
{
	const int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint64_t *list = NULL, number;
	size_t n = 0, cap = 0;
	struct dirent *e;
	int r = 0;

	if (!d)
		return fail(-EIO);
	while (r == 0 && (e = readdir(d))) {
		if (!file_number(e->d_name, &number))
			continue;
		if (n == cap) {
			void *more = realloc(list, (cap = 2 * cap + 16) * sizeof(*list));

			r = more ? 0 : fail(-ENOMEM);
			list = more ? more : list;
		}
		if (r == 0)
			list[n++] = number;
	}
	closedir(d);
	if (r) {
		free(list);
		return r;
	}
	if (n)
		qsort(list, n, sizeof(*list), compare_numbers);
	*ret = list;
	*ret_n = n;
	return 0;
}

int stage_look(const char *dir, struct stage_stats *ret)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ uint64_t *numbers = NULL;
	struct stage_stats stats = { 0 };
	struct finding finding = { .stats = &stats };
	size_t n;
	int r;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fail(-EIO);
	r = stage_list_files(fd, &numbers, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		char name[STAGE_SEGMENT_NAME_MAX];
		struct stage_damage damage;

		stage_file_name(numbers[i], name);
		r = stage_segment_scan(fd, name, find_record, &finding, &damage);
		stats.lost_bytes += damage.lost_bytes;
		if (r == -ENOENT) /* it went while we looked */
			r = 0;
	}
	if (r == 0)
		*ret = stats;
	return r;
}
