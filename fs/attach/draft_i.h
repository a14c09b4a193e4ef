/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside a draft: who may touch it, and when it is published (draft.c), its contents
 * (draft_bytes.c), the object at its stores (draft_send.c), and the parts under way (draft_part.c).
 *
 * The first store that answers decides the race (F2): it is asked under the condition, the others
 * follow without one. So two writers cannot each win at one mirror, as long as the first one is up.
 */
#include "fs/attach/draft.h"

#define DRAFT_PART (8 * MiB)
#define DRAFT_FLYING 4

struct draft_part {
	unsigned index;
	uint64_t off;
	size_t len;
	struct blob *body; /* NULL: copied from what was opened */
	struct store_call *call;
	unsigned tries;
};

/* The object at one store. */
struct draft_copy {
	struct store *store;
	struct store_upload *upload;
	uint64_t note; /* of the upload */
	struct draft_part flying[DRAFT_FLYING];
	unsigned next; /* index of the next part */
	bool sends;    /* it was found not to copy parts */
	int error;     /* it is given up there: -errno, or STORE_EXISTS, STORE_CHANGED */
	char version[STORE_VERSION_MAX]; /* once published */
};

struct draft {
	struct lock lock; /* RANK_FILE; of `busy` alone */
	struct cond cond;
	bool busy;
	/* of who is busy */
	struct draft_options o;
	char *key;
	bool has_base, excl;
	struct bucket_entry base;  /* what was opened, or published since */
	struct object *object;     /* the same, once it was read */
	uint64_t base_len;         /* so much of it shows where nothing was written */
	struct scratch *scratch;
	uint64_t size;
	struct object_meta meta;
	bool inherits; /* what is known of the object that was opened is not in it yet */
	uint64_t modified_s;
	const struct object_meta *describes; /* while it does */
	bool dirty;
	bool sequential; /* nothing was written before the end */
	int error;       /* it failed for good */
	/* while parts are under way */
	bool streaming;
	bool late; /* metadata came after they had begun */
	uint64_t part_size;
	uint64_t sent; /* bytes that are in parts, from the beginning */
	uint64_t gone; /* from base_len to here they are not kept any more (F6); 0: all are */
	struct draft_copy copies[MIRRORS_MAX];
	unsigned n;
};

/* ---- draft_bytes.c ---- */

/* Bytes within the size. */
int draft_bytes_read(struct draft *d, uint64_t off, size_t len, uint8_t *dst,
		     enum draft_wait wait);
int draft_bytes_write(struct draft *d, uint64_t off, struct span bytes, enum draft_wait wait);
int draft_bytes_resize(struct draft *d, uint64_t size, enum draft_wait wait);
/* Nothing was written there: it is as it was opened. */
bool draft_bytes_are_base(const struct draft *d, uint64_t off, uint64_t len);
/* What was sent is not kept any more. */
void draft_bytes_let_go(struct draft *d);

/* ---- draft_send.c ---- */

/* The size of parts for an object of so many bytes, or of more when it still grows. 0: no store. */
uint64_t draft_part_size(const struct draft *d, uint64_t size);
uint64_t draft_size_max(const struct draft *d); /* with these parts */
/* Parts begin to leave. 0, -EFBIG (no store takes parts), -EIO, ... */
int draft_stream_begin(struct draft *d);
/* Parts that are full leave; with `all`, the last one as well. */
int draft_stream_advance(struct draft *d, bool all);
int draft_stream_publish(struct draft *d);
/* As if no part had left. -EOPNOTSUPP: some are not kept. */
int draft_stream_undo(struct draft *d);
int draft_whole_publish(struct draft *d);
/* Of what was opened, and nothing is to be published. 0, -ESTALE, -EFBIG, -EIO, ... */
int draft_copies_describe(struct draft *d, const struct object_meta *m);
/* Aborts what is under way there (F4). */
void draft_copy_drop(struct draft *d, struct draft_copy *c);
/* Is it asked under the condition (F2)? */
bool draft_copy_decides(const struct draft *d, const struct draft_copy *c);
void draft_copy_failed(struct draft *d, struct draft_copy *c, int error, const char *what);
uint64_t draft_deadline(const struct draft *d);

/* ---- draft_part.c ---- */

/* Bytes [sent, sent + len) leave as the next part, to every store that goes on. */
int draft_part_send(struct draft *d, size_t len);
/* Waits until no more than `most` parts are under way there. */
void draft_part_settle(struct draft *d, struct draft_copy *c, unsigned most);
void draft_part_cancel(struct draft_copy *c);
