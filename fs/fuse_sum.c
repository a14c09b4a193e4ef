/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attribute user.mangrove.sha256: of the contents as a program would read them at that moment,
 * computed when it is asked for, by reading all of them. It ends early when nobody waits any more.
 */
#include "fs/fuse_i.h"

#include <sys/stat.h>

#include "base/crypto.h"
#include "base/text.h"
#include "fs/ns/lookup.h"

#define TEXT_LEN (2 * SHA256_LEN)

struct sum_job {
	struct later *later;
	struct file *file;
	size_t size; /* of the program's buffer */
};

static int sum(struct sum_job *job, char text[TEXT_LEN + 1])
{
	_cleanup_(sha256_freep) struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_LEN], *buf = read_buffer(MiB);
	uint64_t off = 0;
	size_t len = 0;
	int r = h && buf ? 0 : -ENOMEM;

	do {
		if (!r)
			r = file_read(job->file, off, MiB, FILE_WAIT, buf, &len);
		if (!r)
			sha256_update(h, span_of(buf, len));
		if (__atomic_load_n(&job->later->answered, __ATOMIC_ACQUIRE))
			r = -EINTR;
		off += len;
	} while (!r && len == MiB);
	if (r)
		return r;
	sha256_final(h, digest);
	hex_encode(span_of(digest, sizeof(digest)), text);
	return 0;
}

static void sum_run(void *arg)
{
	struct sum_job *job = arg;
	char text[TEXT_LEN + 1];
	int r = sum(job, text);

	if (later_claim(job->later)) {
		if (r)
			reply_err(job->later->req, r);
		else if (job->size < TEXT_LEN)
			fuse_reply_err(job->later->req, ERANGE);
		else
			fuse_reply_buf(job->later->req, text, TEXT_LEN);
	}
	later_free(job->later);
	file_close(job->file, FILE_PLAIN);
	free(job);
}

static int is_file(struct mountfs *fs, uint64_t ino)
{
	struct stat st;
	int r = stat_of(fs, ino, &st);

	return r ? r : S_ISREG(st.st_mode) ? 0 : NS_MISSING;
}

/* Takes the file. 0: it will be answered. */
static int start(fuse_req_t req, struct file *file, size_t size)
{
	struct sum_job *job = calloc(1, sizeof(*job));
	struct later *l = job ? later_new(req) : NULL;

	if (!l) {
		file_close(file, FILE_PLAIN);
		free(job);
		return -ENOMEM;
	}
	*job = (struct sum_job){ l, file, size };
	if (pool_run(l->fs->readers, sum_run, job)) {
		file_close(file, FILE_PLAIN);
		free(job);
		later_reply_err(l, -ENOMEM);
	}
	return 0;
}

void answer_sum(fuse_req_t req, uint64_t ino, size_t size)
{
	struct mountfs *fs = fs_of(req);
	struct file *file;
	int r = is_file(fs, ino);

	if (!r && !size) { /* how long is it? */
		fuse_reply_xattr(req, TEXT_LEN);
		return;
	}
	if (!r)
		r = file_open(fs->v->data, ino, FILE_PLAIN, &file);
	if (!r)
		r = start(req, file, size);
	if (r == NS_MISSING)
		fuse_reply_err(req, ENODATA);
	else if (r)
		reply_err(req, r);
}
