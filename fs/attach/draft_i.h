/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside a draft: its contents (draft.c) and its way to the stores (draft_send.c).
 *
 * The first store that answers decides the race (F2): it is asked under the condition, the others
 * follow without one. So two writers cannot each win at one mirror, as long as the first one is up.
 */
#include "fs/attach/draft.h"

#define DRAFT_PART (8 * MiB)
#define DRAFT_FLYING 4

struct draft_part {
	unsigned index;
	struct blob *body;
	struct store_call *call;
	unsigned tries;
};

/* The object at one store. */
struct draft_copy {
	struct store *store;
	char base[STORE_VERSION_MAX]; /* what was opened there; "": not known */
	struct store_upload *upload;
	struct draft_part flying[DRAFT_FLYING];
	unsigned next; /* index of the next part */
	int error;     /* it is given up there: -errno, or STORE_EXISTS, STORE_CHANGED */
	char version[STORE_VERSION_MAX]; /* once published */
};

struct draft {
	struct lock lock; /* RANK_FILE; of `busy` alone */
	struct cond cond;
	bool busy;
	struct replicas *replicas;
	/* of who is busy */
	struct budget *budget;
	uint64_t charged;
	char *key;
	bool has_base, excl;
	uint64_t deadline_ns;
	struct object_meta meta;
	uint64_t modified_s;
	uint8_t *bytes; /* all, or while streaming those that were not sent yet */
	uint64_t len, cap;
	uint64_t sent;
	uint64_t part_size;
	bool streaming, sequential, dirty;
	int error; /* it failed for good */
	struct draft_copy copies[MIRRORS_MAX];
	unsigned n;
};

/* What is in memory begins to leave by parts. 0, -EFBIG (no store takes parts), -EIO, ... */
int draft_stream_begin(struct draft *d);
/* d->bytes is one part. */
int draft_stream_part(struct draft *d);
int draft_stream_publish(struct draft *d);
int draft_whole_publish(struct draft *d);
/* Aborts what is under way there (F4). */
void draft_copy_drop(struct draft *d, struct draft_copy *c);
