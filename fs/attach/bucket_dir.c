/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a directory is known, and what is done to know more. */
#include "fs/attach/bucket_i.h"

/* How many pages of a listing of more than this directory are waited for. */
#define PAGES_NEAR 8 /* it is at the directory, but in one below it */
#define PAGES_FAR 2  /* of each question */

int dir_read_begin(struct bucket *b, uint64_t dir, struct dir_read *ret)
{
	const int r = place_get(b, dir, &ret->place);

	if (r)
		return r == ROW_NONE ? BUCKET_MISSING : r;
	if (!ret->place.is_dir)
		return fail(-ENOTDIR);
	ret->bucket = b;
	ret->dir = dir;
	ret->prefix = span_str(ret->place.key);
	ret->ttl_ns = b->o.ttl_ns;
	ret->deadline_ns = clock_now() + b->o.deadline_ns;
	ret->begun_ns = clock_wall();
	ret->first_job = 0;
	ret->alone = false;
	job_demand(b, ret->prefix);
	return 0;
}

static bool is_listed(const struct dir_read *d)
{
	struct bucket *b = d->bucket;

	return belief_dir(b, d->prefix, &d->row, d->ttl_ns) ||
	       (d->row.flags & DIR_COMPLETE && d->row.listed_ns >= d->begun_ns &&
		d->row.asked_ns > belief_refreshed(b, d->prefix));
}

int dir_read_known(struct dir_read *d)
{
	int r;

	/* In this order: what ends meanwhile has written its row. */
	job_cover(d->bucket, d->dir, d->prefix, &d->cover);
	r = dir_row_get(d->bucket, d->dir, &d->row);
	if (r)
		return r;
	if (is_listed(d)) {
		d->cover = (struct cover){ .begun = true, .all = true };
		return DIR_ALL;
	}
	if (!d->cover.job) {
		r = belief_failure(d->bucket, d->dir);
		d->cover.begun = d->cover.all = false;
	}
	if (r)
		return r;
	/* of a listing of its own the end is waited for: it writes down that it is complete */
	return d->cover.begun && d->cover.all && !d->cover.exact ? DIR_ALL : DIR_PART;
}

/* Others' listings may come here late. */
static bool is_worth_waiting(struct dir_read *d)
{
	const struct cover *c = &d->cover;
	const uint64_t most = c->begun ? PAGES_NEAR : PAGES_FAR * MAX(c->active, 1u);

	if (c->exact)
		return true;
	if (d->first_job != c->job) {
		d->first_job = c->job;
		d->first_pages = c->pages;
	}
	return c->pages - d->first_pages < most;
}

int dir_read_more(struct dir_read *d)
{
	int r;

	if (d->cover.job && is_worth_waiting(d))
		return job_wait(d->bucket, &d->cover, d->deadline_ns);
	if (clock_now() >= d->deadline_ns)
		return fail(-ETIMEDOUT);
	if (d->alone || d->cover.job)
		r = job_start(d->bucket, d->dir, d->prefix, SPAN_NULL, JOB_DIRECTORY,
			      d->deadline_ns);
	else
		r = walk_start(d->bucket, d->dir, &d->place, d->deadline_ns);
	d->alone = true;
	return r;
}

bool dir_read_stale(struct dir_read *d, int error)
{
	if (!(d->row.flags & DIR_COMPLETE) || error == -ENOMEM || error == -EACCES)
		return false;
	belief_served_stale(d->bucket);
	return true;
}
