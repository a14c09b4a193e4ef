/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel keeps of a file in a bucket. It has one set of pages and one size for a file,
 * and handles of several versions, when another tool replaces the object:
 *
 * (P1) While a handle reads through the kernel's pages, they are of its version: a handle of
 *      another one goes past them (direct I/O).
 * (P2) A handle that may use them and finds them to be of another version has them dropped by its
 *      opening, and the size that is remembered with them: else it would end where the old object
 *      did. The kernel drops them some time after it was answered, in the program's own time: so
 *      does every further handle, until one of them is heard to read.
 * (P3) While pages are in use the size that is shown is no less than that of their version, for the
 *      kernel reads no further. Where it was shown to be more, because the object was replaced by a
 *      larger one, the end of the old one cannot be told from zeros any more: ESTALE.
 */
#include "fs/fuse_attach_i.h"

#include "base/crc.h"

/* A file whose pages are in use. */
struct at_pages {
	uint64_t ino, version, size;
	bool _Atomic clean;     /* (P2): there are no others any more */
	uint64_t _Atomic shown; /* (P3) */
	unsigned users;
	UT_hash_handle hh;
};

static uint64_t version_of(const struct bucket_entry *e)
{
	uint64_t hash = e->size ^ e->modified_s << 20;

	for (unsigned i = 0; i < MIRRORS_MAX; i++)
		hash = hash * 31 + crc32c(0, span_str(e->version[i]));
	return hash;
}

/* Are pages that nobody uses of this version? */
static bool are_left_locked(const struct mountfs *fs, uint64_t ino, uint64_t version)
{
	const struct at_opened *last = &fs->opened[ino % AT_OPENED];

	return last->ino == ino && last->version == version;
}

enum at_pages_use at_pages_open(struct at_handle *h, const struct bucket_entry *e)
{
	struct mountfs *fs = h->fs;
	const uint64_t version = version_of(e);
	struct at_pages *p;

	LOCK_SCOPE(&fs->at_lock);
	HASH_FIND(hh, fs->pages, &e->ino, sizeof(e->ino), p);
	if (p && p->version != version)
		return AT_PAGES_NONE;
	if (p) {
		p->users++;
		h->pages = p;
		return p->clean ? AT_PAGES_KEEP : AT_PAGES_DROP;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return AT_PAGES_NONE;
	*p = (struct at_pages){ .ino = e->ino,
				.version = version,
				.size = e->size,
				.shown = e->size,
				.clean = are_left_locked(fs, e->ino, version),
				.users = 1 };
	HASH_ADD(hh, fs->pages, ino, sizeof(p->ino), p);
	h->pages = p;
	return p->clean ? AT_PAGES_KEEP : AT_PAGES_DROP;
}

void at_pages_close(struct at_handle *h)
{
	struct mountfs *fs = h->fs;
	struct at_pages *p = h->pages;

	if (!p)
		return;
	LOCK_SCOPE(&fs->at_lock);
	if (--p->users)
		return;
	fs->opened[p->ino % AT_OPENED] =
		(struct at_opened){ .ino = p->clean ? p->ino : 0, .version = p->version };
	HASH_DEL(fs->pages, p);
	free(p);
}

void at_pages_read(struct at_handle *h)
{
	if (h->pages)
		h->pages->clean = true;
}

uint64_t at_pages_shown(struct mountfs *fs, const struct bucket_entry *e)
{
	struct at_pages *p;

	LOCK_SCOPE(&fs->at_lock);
	HASH_FIND(hh, fs->pages, &e->ino, sizeof(e->ino), p);
	if (!p)
		return e->size;
	p->shown = MAX(p->shown, e->size);
	return MAX(p->size, e->size);
}

bool at_pages_end(const struct at_handle *h, uint64_t end)
{
	return h->pages && end > h->pages->size && h->pages->shown > h->pages->size;
}
