/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/scratch.h"

#include "base/crypto.h"
#include "base/sodium.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#define SEALED (SCRATCH_BLOCK + GCM_TAG_LEN)
#define NOWHERE UINT64_MAX

struct block {
	uint64_t number;
	uint8_t *bytes;  /* NULL: on the disk */
	uint64_t slot;   /* in the file; NOWHERE: none */
	uint64_t nonce;  /* of the sealing there */
	struct block *prev, *next; /* those in memory, the oldest first */
	UT_hash_handle hh;
};

struct scratch {
	struct scratch_options o;
	struct block *all, *in_memory;
	uint64_t n_in_memory;
	int fd; /* -1: not made yet */
	struct gcm *gcm;
	uint64_t last_nonce;
	uint64_t n_slots; /* the file's length */
	uint64_t *idle;   /* slots that are not in use */
	size_t n_idle, room_idle;
	uint8_t sealed[SEALED], opened[SCRATCH_BLOCK];
	uint64_t opened_nonce; /* whose bytes are in `opened`; 0: nobody's */
};

int scratch_new(const struct scratch_options *o, struct scratch **ret)
{
	struct scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return fail(-ENOMEM);
	s->o = *o;
	s->fd = -1;
	*ret = s;
	return 0;
}

/* ---- the file ---- */

/* Without a name, where the file system can do that; else it loses it at once. */
static int open_nameless(const char *dir)
{
	_cleanup_free_ char *path = NULL;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd < 0 ? fail(-errno) : fd;
	if (asprintf(&path, "%s/scratch-XXXXXX", dir) < 0) {
		path = NULL;
		return fail(-ENOMEM);
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return fail(-errno);
	unlink(path);
	return fd;
}

/* (T1) */
static int open_file(struct scratch *s)
{
	uint8_t key[GCM_KEY_LEN];
	int fd;

	if (s->fd >= 0)
		return 0;
	if (!s->o.dir)
		return fail(-ENOSPC);
	random_fill(key, sizeof(key));
	s->gcm = s->gcm ? s->gcm : gcm_new(key);
	wipe(key, sizeof(key));
	if (!s->gcm)
		return fail(-ENOMEM);
	fd = open_nameless(s->o.dir);
	if (fd < 0)
		return fd;
	s->fd = fd;
	return 0;
}

/* A place in the file for one more block (T3). */
static int slot_take(struct scratch *s, uint64_t *ret)
{
	if (s->n_idle) {
		*ret = s->idle[--s->n_idle];
		return 0;
	}
	if (budget_try(s->o.disk, SEALED))
		return fail(-ENOSPC);
	*ret = s->n_slots++;
	return 0;
}

/* The room on the disk stays taken, for the next one; if that cannot be noted, it is not used. */
static void slot_give(struct scratch *s, uint64_t slot)
{
	if (slot == NOWHERE)
		return;
	if (s->n_idle == s->room_idle) {
		const size_t room = MAX((size_t)64, 2 * s->room_idle);
		uint64_t *idle = reallocarray(s->idle, room, sizeof(*idle));

		if (!idle)
			return;
		s->idle = idle;
		s->room_idle = room;
	}
	s->idle[s->n_idle++] = slot;
}

/* (T2) */
static void nonce_of(const struct block *b, uint8_t ret[GCM_NONCE_LEN])
{
	memset(ret, 0, GCM_NONCE_LEN);
	memcpy(ret, &b->nonce, sizeof(b->nonce));
}

static int file_write(struct scratch *s, const struct block *b)
{
	const off_t at = (off_t)(b->slot * SEALED);

	for (size_t done = 0; done < SEALED;) {
		const ssize_t n = pwrite(s->fd, s->sealed + done, SEALED - done, at + (off_t)done);

		if (n < 0 && errno != EINTR)
			return fail(errno == EDQUOT || errno == ENOSPC ? -ENOSPC : -EIO);
		done += n < 0 ? 0 : (size_t)n;
	}
	return 0;
}

static int file_read(struct scratch *s, const struct block *b)
{
	const off_t at = (off_t)(b->slot * SEALED);

	for (size_t done = 0; done < SEALED;) {
		const ssize_t n = pread(s->fd, s->sealed + done, SEALED - done, at + (off_t)done);

		if (n == 0 || (n < 0 && errno != EINTR))
			return fail(-EIO);
		done += n < 0 ? 0 : (size_t)n;
	}
	return 0;
}

/* ---- blocks ---- */

static struct block *find(const struct scratch *s, uint64_t number)
{
	struct block *b;

	HASH_FIND(hh, s->all, &number, sizeof(number), b);
	return b;
}

bool scratch_has(const struct scratch *s, uint64_t block)
{
	return find(s, block);
}

bool scratch_is_full(const struct scratch *s)
{
	return (s->n_in_memory + 1) * SCRATCH_BLOCK > s->o.memory_bytes;
}

static void memory_take(struct scratch *s, struct block *b, uint8_t *bytes)
{
	b->bytes = bytes;
	DL_APPEND(s->in_memory, b);
	s->n_in_memory++;
}

/* Its bytes, which are the caller's now. */
static uint8_t *memory_leave(struct scratch *s, struct block *b)
{
	uint8_t *bytes = b->bytes;

	DL_DELETE(s->in_memory, b);
	s->n_in_memory--;
	b->bytes = NULL;
	return bytes;
}

/* The oldest block goes to the disk; its memory is the caller's. */
static int make_room(struct scratch *s, uint8_t **ret)
{
	struct block *b = s->in_memory;
	uint8_t nonce[GCM_NONCE_LEN];
	int r = open_file(s);

	if (!r && b->slot == NOWHERE)
		r = slot_take(s, &b->slot);
	if (r)
		return r;
	b->nonce = ++s->last_nonce;
	nonce_of(b, nonce);
	r = gcm_seal(s->gcm, nonce, span_of(&b->number, sizeof(b->number)),
		     span_of(b->bytes, SCRATCH_BLOCK), s->sealed);
	if (!r)
		r = file_write(s, b);
	if (!r)
		*ret = memory_leave(s, b);
	return r;
}

/* 64 KiB, charged (T3): of the budget, or of the oldest block. */
static int memory_get(struct scratch *s, bool wait, uint8_t **ret)
{
	int r = scratch_is_full(s) && s->in_memory ? -EAGAIN
						   : budget_try(s->o.memory, SCRATCH_BLOCK);

	if (r == -EAGAIN && !wait)
		return SCRATCH_WOULD_WAIT;
	if (r == -EAGAIN && s->in_memory)
		return make_room(s, ret);
	if (r == -EAGAIN)
		r = budget_take(s->o.memory, SCRATCH_BLOCK, clock_now() + s->o.deadline_ns);
	if (r)
		return r == -ETIMEDOUT ? fail(-ENOMEM) : r;
	*ret = malloc(SCRATCH_BLOCK);
	if (*ret)
		return 0;
	budget_give(s->o.memory, SCRATCH_BLOCK);
	return fail(-ENOMEM);
}

/* From the disk to dst. */
static int load(struct scratch *s, const struct block *b, uint8_t *dst)
{
	uint8_t nonce[GCM_NONCE_LEN];
	int r = file_read(s, b);

	nonce_of(b, nonce);
	if (!r)
		r = gcm_open(s->gcm, nonce, span_of(&b->number, sizeof(b->number)),
			     span_of(s->sealed, SEALED), dst);
	return r == -EBADMSG ? fail(-EIO) : r;
}

static void memory_give(struct scratch *s, uint8_t *bytes)
{
	free(bytes);
	budget_give(s->o.memory, SCRATCH_BLOCK);
}

int scratch_block(struct scratch *s, uint64_t block, bool wait, uint8_t **ret, bool *ret_new)
{
	struct block *b = find(s, block);
	const bool is_new = !b;
	uint8_t *bytes;
	int r;

	if (b && !b->bytes && !wait)
		return SCRATCH_WOULD_WAIT;
	if (!b || !b->bytes) {
		r = memory_get(s, wait, &bytes);
		if (r)
			return r;
		if (is_new)
			b = calloc(1, sizeof(*b));
		r = !b ? fail(-ENOMEM) : is_new ? 0 : load(s, b, bytes);
		if (r) {
			memory_give(s, bytes);
			return r;
		}
		memory_take(s, b, bytes);
	}
	if (is_new) {
		b->number = block;
		b->slot = NOWHERE;
		memset(b->bytes, 0, SCRATCH_BLOCK);
		HASH_ADD(hh, s->all, number, sizeof(b->number), b);
	}
	*ret = b->bytes;
	*ret_new = is_new;
	return 0;
}

int scratch_read(struct scratch *s, uint64_t block, size_t from, size_t len, uint8_t *dst)
{
	const struct block *b = find(s, block);
	int r = 0;

	if (!b->bytes && s->opened_nonce != b->nonce) {
		s->opened_nonce = 0;
		r = load(s, b, s->opened);
		if (!r)
			s->opened_nonce = b->nonce;
	}
	if (!r)
		memcpy(dst, (b->bytes ? b->bytes : s->opened) + from, len);
	return r;
}

static void forget(struct scratch *s, struct block *b)
{
	if (b->bytes)
		memory_give(s, memory_leave(s, b));
	slot_give(s, b->slot);
	HASH_DEL(s->all, b);
	free(b);
}

void scratch_forget(struct scratch *s, uint64_t from, uint64_t to)
{
	struct block *b, *next;

	if (to - from <= HASH_COUNT(s->all)) {
		for (; from < to; from++)
			if ((b = find(s, from)))
				forget(s, b);
		return;
	}
	HASH_ITER(hh, s->all, b, next)
		if (b->number >= from && b->number < to)
			forget(s, b);
}

struct scratch *scratch_free(struct scratch *s)
{
	if (!s)
		return NULL;
	scratch_forget(s, 0, UINT64_MAX);
	if (s->n_slots)
		budget_give(s->o.disk, s->n_slots * SEALED);
	closep(&s->fd);
	gcm_free(s->gcm);
	free(s->idle);
	wipe(s->opened, sizeof(s->opened));
	free(s);
	return NULL;
}
