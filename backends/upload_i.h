/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An upload as its implementer sees it. upload.c makes it, checks the order of things and keeps
 * account of the parts; the implementer keeps what its server wants to hear again.
 *
 * (V1) What begin was told, and `id` and `data`, which begin's implementer sets before it finishes
 *      its call, do not change any more.
 * (V2) A part counts as there when its call finished with 0; its call's `version` is what the
 * server called it, to be said again at the end.
 */
#include "backends/upload.h"

struct upload_part {
	bool done, has_crc32c; /* has_crc32c: was not copied */
	uint64_t len;
	uint32_t crc32c;
	char version[STORE_VERSION_MAX];
};

struct store_upload {
	struct store *store;
	char name[STORE_NAME_MAX + 1];
	struct object_meta meta;
	enum put_cond cond;
	char if_match[STORE_VERSION_MAX]; /* "": none */
	uint64_t part_size;
	bool copies;
	char *id; /* the server's name of it, or the implementer's; freed with it */
	void *data;
	void (*free_data)(void *data);
	struct {
		struct lock lock; /* RANK_LEAF */
		unsigned refs;
		struct upload_part *parts;
		unsigned n, room; /* n: parts begin before it */
		unsigned under_way;
		/* A part ended unclear: it may yet arrive at the server, even after an abort. */
		bool doubtful;
		struct blob *tail; /* the last part, not sent yet; or NULL */
	} sync;
};

/* The account of the parts, when none is under way: as at the end. */
unsigned upload_parts(struct store_upload *u);
uint64_t upload_size(struct store_upload *u);
/* The CRC-32C of the whole; false: some part was copied, and its sum is not known. */
bool upload_crc32c(struct store_upload *u, uint32_t *ret);
/* A server has told that of a copied part. */
void upload_know_crc32c(struct store_upload *u, unsigned index, uint32_t crc);
bool upload_is_doubtful(struct store_upload *u);
/* For servers that take the last part together with the end. */
void upload_keep_tail(struct store_upload *u, struct blob *body);
struct blob *upload_tail(struct store_upload *u); /* a reference, or NULL */
/* Where a part begins. */
static inline uint64_t upload_offset(const struct store_upload *u, unsigned index)
{
	return index * u->part_size;
}

/* By store_call_finish(), before the call's end is seen. */
void upload_ended(struct store_call *c, int result);
