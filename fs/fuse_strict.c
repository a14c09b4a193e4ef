/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `strict`: what an open finds, what a directory holds when it is opened, and that a name is not
 * there, is as new as the tip of the journal at the time of the call. It costs one round trip.
 */
#include "fs/fuse_i.h"

#include <stdio.h>

struct strict_job {
	struct later *later;
	strict_fn *fn;
	fuse_ino_t ino;
	struct fuse_file_info fi;
	char name[NAME_MAX_BYTES + 1];
};

static void refresh_and_answer(void *arg)
{
	struct strict_job *job = arg;
	struct later *l = job->later;
	const int r = commit_refresh(commit_of(l->fs), clock_now() + l->fs->o->deadline_ns);

	if (later_claim(l)) {
		if (r < 0)
			reply_err(l->req, r);
		else
			job->fn(l->req, job->ino, job->name, &job->fi);
	}
	later_free(l);
	free(job);
}

void answer_strictly(fuse_req_t req, strict_fn *fn, fuse_ino_t ino, const char *name,
		     struct fuse_file_info *fi)
{
	struct mountfs *fs = fs_of(req);
	struct strict_job *job;

	if (!fs->o->strict) {
		fn(req, ino, name, fi);
		return;
	}
	job = calloc(1, sizeof(*job));
	if (job)
		job->later = later_new(req);
	if (!job || !job->later) {
		free(job);
		reply_err(req, -ENOMEM);
		return;
	}
	job->fn = fn;
	job->ino = ino;
	if (fi)
		job->fi = *fi;
	if (name)
		snprintf(job->name, sizeof(job->name), "%s", name);
	run_later(fs->readers, job->later, refresh_and_answer, job);
}
