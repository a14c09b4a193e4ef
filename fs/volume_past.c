/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemons that used this cache folder before and ended without a word (killed, power cut). They
 * are fenced: nothing of theirs is evaluated any more, so what they were still sending is known to
 * lack and is repaired.
 *
 * (P1) A mount's incarnation stands in the file, synced, before the journal hears of it; so whoever
 *      finds the file knows all that may still be entered as mounted.
 * (P2) The folder is locked: nobody in the file but ourselves is alive.
 */
#include "fs/volume_i.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "fs/ns/lookup.h"

#define PAST_FILE "incarnations"
#define FENCE_NS (60 * NS_PER_S)

static int past_open(const struct volume *v, int flags)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/" PAST_FILE, v->cache_dir) < 0)
		return fail(-ENOMEM);
	fd = open(path, flags | O_CLOEXEC, 0600);
	return fd < 0 ? fail(-errno) : fd;
}

/* One line: the incarnation in hex. */
static int past_write(int fd, const uint8_t incarnation[INCARNATION_SIZE])
{
	char line[2 * INCARNATION_SIZE + 1];

	hex_encode(span_of(incarnation, INCARNATION_SIZE), line);
	line[sizeof(line) - 1] = '\n';
	if (write(fd, line, sizeof(line)) != (ssize_t)sizeof(line) || fdatasync(fd) < 0)
		return fail(errno ? -errno : -EIO);
	return 0;
}

int volume_past_note(struct volume *v)
{
	_cleanup_close_ int fd = -1;

	if (v->options->read_only)
		return 0;
	fd = past_open(v, O_WRONLY | O_CREAT | O_APPEND);
	if (fd < 0)
		return take_fd(&fd);
	return past_write(fd, journal_incarnation(v->journal));
}

static bool is_mounted(struct volume *v, const uint8_t incarnation[INCARNATION_SIZE])
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct mount_row row;
	int r = ns_mount(commit_lock(v->commit), incarnation, &row, &bytes);

	commit_unlock(v->commit);
	return r == 0 && row.status == MOUNT_MOUNTED;
}

int volume_fence(struct volume *v, const uint8_t incarnation[INCARNATION_SIZE])
{
	const struct op op = { .kind = OP_FENCE, .value = span_of(incarnation, INCARNATION_SIZE) };
	struct result res;
	int r;

	if (!is_mounted(v, incarnation))
		return 0;
	r = commit_op_wait(v->commit, &op, clock_now() + FENCE_NS, &res);
	if (r < 0)
		return r;
	log_info("volume", "a mount that ended without a word is fenced", "last=%llu",
		 (unsigned long long)res.value);
	return 0;
}

/* Fences those of the file that are still entered as mounted. */
static int fence_all(struct volume *v, FILE *f)
{
	char line[128];
	int r = 0;

	while (r == 0 && fgets(line, sizeof(line), f)) {
		uint8_t one[INCARNATION_SIZE];

		if (hex_decode(line, strcspn(line, "\n"), one, sizeof(one)) < 0)
			continue; /* torn by a crash, so never entered (P1) */
		if (memcmp(one, journal_incarnation(v->journal), sizeof(one)))
			r = volume_fence(v, one);
	}
	return r;
}

int volume_past_fence(struct volume *v)
{
	_cleanup_close_ int fd = -1;
	FILE *f;
	int r;

	if (v->options->read_only)
		return 0;
	fd = past_open(v, O_RDONLY);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return fail(-EIO);
	take_fd(&fd);
	r = fence_all(v, f);
	fclose(f);
	if (r < 0)
		return r;
	/*
	 * They have ended for good: ours alone is left. A crash in between only keeps ended ones in
	 * the list.
	 */
	fd = past_open(v, O_WRONLY | O_TRUNC);
	return fd < 0 ? take_fd(&fd) : past_write(fd, journal_incarnation(v->journal));
}
