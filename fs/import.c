/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/import_i.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"

#define IMPORTS_MAX 16 /* those that ended are forgotten when there are more */

struct imports {
	struct volume *volume;
	struct {
		struct lock lock; /* RANK_VOLUME */
		struct import *all[IMPORTS_MAX];
		unsigned last_id;
	} sync;
};

/* ---- one ---- */

int import_fail(struct import *im, int error, const char *fmt, ...)
{
	va_list ap;

	LOCK_SCOPE(&im->sync.lock);
	im->stop = true;
	if (im->sync.error)
		return error;
	im->sync.error = error;
	va_start(ap, fmt);
	vsnprintf(im->sync.why, sizeof(im->sync.why), fmt, ap);
	va_end(ap);
	return error;
}

void import_count(struct import *im, uint64_t *counter, uint64_t *sum, uint64_t bytes)
{
	LOCK_SCOPE(&im->sync.lock);
	++*counter;
	if (sum)
		*sum += bytes;
}

void import_refuse(struct import *im, uint64_t *counter, struct span key, const char *why)
{
	char *name = NULL;

	log_warn("import", "an object is left out", "key=%.*s why=\"%s\"", SPAN_FMT(key), why);
	LOCK_SCOPE(&im->sync.lock);
	++*counter;
	if (im->sync.n_names < IMPORT_NAMES_MAX &&
	    asprintf(&name, "%.*s: %s", SPAN_FMT(key), why) >= 0)
		im->sync.names[im->sync.n_names++] = name;
}

static struct import *import_free(struct import *im)
{
	if (!im)
		return NULL;
	im->stop = true;
	if (im->task)
		task_join(im->task);
	for (unsigned i = 0; i < im->sync.n_names; i++)
		free(im->sync.names[i]);
	cond_release(&im->sync.room);
	lock_release(&im->sync.lock);
	free(im->url);
	free(im->path);
	free(im);
	return NULL;
}
DEFINE_CLEANUP(struct import *, import_free)

static void phase(struct import *im, bool sealing)
{
	LOCK_SCOPE(&im->sync.lock);
	im->sync.sealing = sealing;
}

static void ended(struct import *im, int r)
{
	const struct import_counts *n = &im->sync.n;

	lock_take(&im->sync.lock);
	im->sync.state = im->sync.error	    ? IMPORT_FAILED
			 : r == -ECANCELED ? IMPORT_STOPPED
					   : IMPORT_DONE;
	lock_give(&im->sync.lock);
	log_info("import", "an import ended",
		 "path=%s files=%llu present=%llu refused=%llu sealed=%llu failed=%llu why=\"%s\"",
		 im->path, (unsigned long long)n->files, (unsigned long long)n->present,
		 (unsigned long long)n->refused, (unsigned long long)n->sealed_files,
		 (unsigned long long)n->failed,
		 im->sync.error	   ? im->sync.why
		 : r == -ECANCELED ? "stopped"
				   : "done");
}

static void import_run(void *arg)
{
	struct import *im = arg;
	int r = im->mode == IMPORT_SEAL ? 0 : import_list(im);

	if (r == 0 && im->mode != IMPORT_ADOPT) {
		phase(im, true);
		r = import_seal(im);
	}
	if (r && r != -ECANCELED)
		import_fail(im, r, "%s", strerror(-r));
	ended(im, r);
}

/* What the path leads to, and whose it is. */
static int find(struct import *im, char *err, size_t err_size)
{
	struct inode_view at;
	int r = ns_path(commit_lock(im->volume->commit), im->path, &at, &im->ino);

	commit_unlock(im->volume->commit);
	if (!r) {
		im->is_dir = S_ISDIR(at.row.mode);
		im->uid = at.row.uid;
		im->gid = at.row.gid;
		buf_release(&at.bytes);
		if (!im->is_dir && im->mode != IMPORT_SEAL)
			r = -ENOTDIR;
	}
	if (r)
		snprintf(err, err_size, "%s: %s", im->path, strerror(-r));
	return r;
}

static int import_new(struct imports *s, enum import_mode mode, const char *url, const char *path,
		      struct import **ret, char *err, size_t err_size)
{
	_cleanup_(import_freep) struct import *im = calloc(1, sizeof(*im));
	int r;

	if (!im)
		return fail(-ENOMEM);
	im->volume = s->volume;
	im->mode = mode;
	lock_init(&im->sync.lock, RANK_LEAF);
	cond_init(&im->sync.room);
	im->path = strdup(path);
	im->url = url ? strdup(url) : NULL;
	if (!im->path || (url && !im->url))
		return fail(-ENOMEM);
	r = find(im, err, err_size);
	if (r)
		return r;
	*ret = take_ptr(&im);
	return 0;
}

/* ---- all ---- */

int imports_new(struct volume *v, struct imports **ret)
{
	struct imports *s = calloc(1, sizeof(*s));

	if (!s)
		return fail(-ENOMEM);
	s->volume = v;
	lock_init(&s->sync.lock, RANK_VOLUME);
	*ret = s;
	return 0;
}

struct imports *imports_free(struct imports *s)
{
	if (!s)
		return NULL;
	for (unsigned i = 0; i < IMPORTS_MAX; i++)
		import_free(s->sync.all[i]);
	lock_release(&s->sync.lock);
	free(s);
	return NULL;
}

static enum import_state state_of(struct import *im)
{
	LOCK_SCOPE(&im->sync.lock);
	return im->sync.state;
}

static bool is_same(const struct import *im, enum import_mode mode, const char *url,
		    const char *path)
{
	return im->mode == mode && !strcmp(im->path, path) &&
	       !strcmp(im->url ? im->url : "", url ? url : "");
}

/* The place of a new one; who ended first makes room (to be freed). NULL: all go on. */
static struct import **place_locked(struct imports *s, struct import **ret_old)
{
	struct import **oldest = NULL;

	for (unsigned i = 0; i < IMPORTS_MAX; i++) {
		struct import **at = &s->sync.all[i];

		if (!*at)
			return at;
		if (state_of(*at) != IMPORT_RUNNING && (!oldest || (*at)->id < (*oldest)->id))
			oldest = at;
	}
	if (oldest)
		*ret_old = take_ptr(oldest);
	return oldest;
}

static int start_locked(struct imports *s, struct import **takes, struct import **ret_old)
{
	struct import **at = place_locked(s, ret_old), *im = *takes;

	if (!at)
		return fail(-EBUSY);
	im->id = ++s->sync.last_id;
	im->task = task_start("import", import_run, im);
	if (!im->task)
		return fail(-ENOMEM);
	*at = take_ptr(takes);
	return 0;
}

int imports_start(struct imports *s, enum import_mode mode, const char *url, const char *path,
		  unsigned *ret_id, char *err, size_t err_size)
{
	_cleanup_(import_freep) struct import *im = NULL, *old = NULL;
	int r;

	*err = '\0';
	if (s->volume->options->read_only) {
		snprintf(err, err_size, "the mount is read-only");
		return fail(-EROFS);
	}
	r = import_new(s, mode, url, path, &im, err, err_size);
	if (r)
		return r;
	LOCK_SCOPE(&s->sync.lock);
	for (unsigned i = 0; i < IMPORTS_MAX; i++) {
		struct import *other = s->sync.all[i];

		if (!other || !is_same(other, mode, url, path) ||
		    state_of(other) != IMPORT_RUNNING)
			continue;
		*ret_id = other->id;
		return 0;
	}
	r = start_locked(s, &im, &old);
	if (r == 0)
		*ret_id = s->sync.last_id;
	else if (r == -EBUSY)
		snprintf(err, err_size, "%u imports go on already", IMPORTS_MAX);
	return r;
}

static struct import *find_locked(struct imports *s, unsigned id)
{
	for (unsigned i = 0; i < IMPORTS_MAX; i++)
		if (s->sync.all[i] && s->sync.all[i]->id == id)
			return s->sync.all[i];
	return NULL;
}

int imports_stop(struct imports *s, unsigned id)
{
	struct import *im;

	LOCK_SCOPE(&s->sync.lock);
	im = find_locked(s, id);
	if (!im)
		return -ENOENT;
	im->stop = true;
	return 0;
}

static struct json *report_locked(const struct import *im)
{
	static const char *const states[] = { "running", "done", "stopped", "failed" };
	static const char *const modes[] = { "adopt", "copy", "seal" };
	const struct import_counts *n = &im->sync.n;
	struct json *j = json_object_new(), *names = json_array_new();

	json_set_uint(j, "id", im->id);
	json_set_str(j, "mode", modes[im->mode]);
	json_set_str(j, "url", im->url);
	json_set_str(j, "path", im->path);
	json_set_str(j, "state", states[im->sync.state]);
	json_set_str(j, "phase",
		     im->sync.sealing || im->mode == IMPORT_SEAL ? "sealing" : "listing");
	json_set_str(j, "error", im->sync.error ? im->sync.why : NULL);
	json_set_uint(j, "listed", n->listed);
	json_set_uint(j, "files", n->files);
	json_set_uint(j, "directories", n->directories);
	json_set_uint(j, "bytes", n->bytes);
	json_set_uint(j, "present", n->present);
	json_set_uint(j, "refused", n->refused);
	json_set_uint(j, "sealed_files", n->sealed_files);
	json_set_uint(j, "sealed_bytes", n->sealed_bytes);
	json_set_uint(j, "unverified", n->unverified);
	json_set_uint(j, "failed", n->failed);
	for (unsigned i = 0; i < im->sync.n_names; i++)
		json_append_str(names, im->sync.names[i]);
	json_set(j, "names", names);
	return j;
}

int imports_json(struct imports *s, unsigned id, struct buf *ret)
{
	_cleanup_(json_freep) struct json *j = NULL;
	struct import *im;

	LOCK_SCOPE(&s->sync.lock);
	im = find_locked(s, id);
	if (!im)
		return -ENOENT;
	lock_take(&im->sync.lock);
	j = report_locked(im);
	lock_give(&im->sync.lock);
	return json_write(j, 1, ret);
}
