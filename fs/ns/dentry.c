/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/dentry.h"

#include <sys/stat.h>

#include "base/sodium.h"

#define HASH_BITS  60
#define TYPE_SHIFT 12 /* S_IFMT is four bits above the permissions */

uint64_t dentry_hash(const uint8_t name_key[DENTRY_NAME_KEY_SIZE], struct span name)
{
	uint8_t sum[16];
	uint64_t hash;

	blake2b(span_of(name_key, DENTRY_NAME_KEY_SIZE), name, sum, sizeof(sum));
	hash = key_u64(sum) >> (64 - HASH_BITS);
	return hash ? hash : 1; /* (N3) */
}

bool dentry_next(struct reader *rd, struct dentry *ret)
{
	struct dentry d;
	uint8_t head;

	if (read_error(rd) || rd->rest.len == 0)
		return false;
	head = read_u8(rd);
	d.tie = head & (DENTRY_TIES - 1);
	d.type = (uint32_t)(head >> 3) << TYPE_SHIFT;
	d.ino = read_varint(rd);
	d.name = read_bytes(rd, NAME_MAX_BYTES);
	if (read_error(rd) || d.type > S_IFMT || d.ino == 0 || d.name.len == 0) {
		read_fail(rd);
		return false;
	}
	*ret = d;
	return true;
}

static void dentry_write(struct writer *w, const struct dentry *d)
{
	write_u8(w, (uint8_t)((d->type & S_IFMT) >> TYPE_SHIFT << 3 | d->tie));
	write_varint(w, d->ino);
	write_bytes(w, d->name);
}

int bucket_edit(struct span bucket, unsigned tie, const struct dentry *add, struct buf *ret)
{
	struct reader rd = READER(bucket);
	struct writer w = WRITER(ret);
	struct dentry d;
	int error;

	while (dentry_next(&rd, &d)) {
		if (add && d.tie > tie) { /* (N1): its place is before this one */
			dentry_write(&w, add);
			add = NULL;
		}
		if (d.tie != tie)
			dentry_write(&w, &d);
	}
	if (add)
		dentry_write(&w, add);
	error = read_end(&rd);
	return error ? error : w.error;
}

void dentry_slot_release(struct dentry_slot *slot)
{
	buf_release(&slot->bucket);
}

/* Looks through the bucket. 0, -EBADMSG. */
static int bucket_find(struct dentry_slot *slot)
{
	struct reader rd = READER(buf_span(&slot->bucket));
	struct dentry d;
	unsigned expected = 0, free_tie = DENTRY_TIES;

	while (dentry_next(&rd, &d)) {
		if (d.tie < expected)
			return -EBADMSG; /* (N1) */
		if (d.tie > expected && free_tie == DENTRY_TIES)
			free_tie = expected;
		expected = d.tie + 1;
		if (span_equal(d.name, slot->name)) {
			slot->found = true;
			slot->ino = d.ino;
			slot->type = d.type;
			slot->tie = d.tie;
		}
	}
	if (!slot->found)
		slot->tie = MIN(free_tie, expected);
	return read_end(&rd);
}

int dentry_find(struct view *v, const uint8_t name_key[DENTRY_NAME_KEY_SIZE], uint64_t parent,
		struct span name, struct dentry_slot *ret)
{
	uint8_t key[16];
	int r;

	ret->parent = parent;
	ret->hash = dentry_hash(name_key, name);
	ret->name = name;
	ret->found = false;
	ret->ino = 0;
	ret->type = 0;
	ret->tie = 0;
	key_ino_u64(parent, ret->hash, key);
	r = view_get(v, COL_DENTRY, span_of(key, sizeof(key)), &ret->bucket);
	if (r == VIEW_MISSING) {
		buf_clear(&ret->bucket);
		return 0;
	}
	return r ? r : bucket_find(ret);
}

static int bucket_replace(struct view *v, const struct dentry_slot *slot, const struct dentry *add)
{
	_cleanup_buf_ struct buf bucket = BUF_INIT(ROW_MAX);
	uint8_t key[16];
	int r;

	r = bucket_edit(buf_span(&slot->bucket), slot->tie, add, &bucket);
	if (r)
		return r;
	key_ino_u64(slot->parent, slot->hash, key);
	if (bucket.len == 0)
		return view_delete(v, COL_DENTRY, span_of(key, sizeof(key)));
	return view_put(v, COL_DENTRY, span_of(key, sizeof(key)), buf_span(&bucket));
}

int dentry_set(struct view *v, const struct dentry_slot *slot, uint64_t ino, uint32_t type)
{
	const struct dentry d = { .name = slot->name, .ino = ino, .type = type, .tie = slot->tie };

	assert(slot->tie < DENTRY_TIES);
	return bucket_replace(v, slot, &d);
}

int dentry_clear(struct view *v, const struct dentry_slot *slot)
{
	assert(slot->found);
	return bucket_replace(v, slot, NULL);
}
