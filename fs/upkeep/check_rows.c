/* SPDX-License-Identifier: Apache-2.0 */
/* Each row by itself: its form, what it says of its own place, and the sum of all. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"
#include "fs/ns/chunk.h"
#include "fs/ns/dentry.h"
#include "fs/ns/foreign.h"
#include "fs/upkeep/check_i.h"

#define KEY_TEXT 48 /* bytes of a key that a person is shown */

/* "dentry 00000001..." */
static void say_key(char ret[2 * KEY_TEXT + 24], unsigned column, struct span key)
{
	const int n = snprintf(ret, 24, "%s ", column_names[column]);

	hex_encode(span_sub(key, 0, KEY_TEXT), ret + n);
}

static void bad_row(struct check *c, unsigned column, struct span key)
{
	char text[2 * KEY_TEXT + 24];

	say_key(text, column, key);
	check_found(c, CHECK_ROW, "%s", text);
}

static void check_slot(struct check *c, unsigned column, struct span key, uint64_t slot)
{
	char text[2 * KEY_TEXT + 24];

	if (slot <= c->snap->mark.slot)
		return;
	say_key(text, column, key);
	check_found(c, CHECK_SLOT, "%s: slot %" PRIu64, text, slot);
}

static bool inode_ok(struct check *c, struct span key, struct span value)
{
	struct inode_row row;
	uint64_t ino;

	if (key.len != 8 || inode_row_decode(value, &row))
		return false;
	ino = key_u64(key.data);
	c->rep.inodes++;
	if (ino != ROOT_INO &&
	    (ino >> INO_BLOCK_BITS == 0 || ino >> INO_BLOCK_BITS >= c->volume.next_mount))
		check_found(c, CHECK_INO, "inode %" PRIu64, ino);
	return true;
}

static bool bucket_ok(struct check *c, struct span key, struct span value)
{
	struct reader rd = READER(value);
	uint64_t parent, hash;
	unsigned n = 0, last = 0;
	struct dentry d;

	if (key.len != 16)
		return false;
	parent = key_u64(key.data);
	hash = key_u64(key.data + 8);
	for (; dentry_next(&rd, &d); n++, last = d.tie) {
		if (n && d.tie <= last)
			check_found(c, CHECK_BUCKET, "directory %" PRIu64 ", '%.*s'", parent,
				    SPAN_FMT(d.name));
		if (c->has_volume && dentry_hash(c->volume.name_key, d.name) != hash)
			check_found(c, CHECK_NAME_HASH, "directory %" PRIu64 ", '%.*s'", parent,
				    SPAN_FMT(d.name));
	}
	if (!n && !read_end(&rd))
		check_found(c, CHECK_BUCKET, "directory %" PRIu64 ": an empty bucket", parent);
	return !read_end(&rd);
}

static bool extent_ok(struct check *c, struct span key, struct span value)
{
	struct extent_row row;

	return key.len == 16 && !extent_row_decode(value, &row);
}

static bool chunk_ok(struct check *c, struct span key, struct span value)
{
	struct chunk_row row;

	if (key.len != CHUNK_ID_SIZE || chunk_row_decode(value, &row))
		return false;
	c->rep.chunks++;
	check_slot(c, COL_CHUNK, key, MAX(row.born, row.dead));
	return true;
}

static bool orphan_ok(struct check *c, struct span key, struct span value)
{
	struct orphan_row row;

	if (key.len != 8 || orphan_row_decode(value, &row))
		return false;
	check_slot(c, COL_ORPHAN, key, row.slot);
	return true;
}

static bool mount_ok(struct check *c, struct span key, struct span value)
{
	struct mount_row row;

	if (key.len != INCARNATION_SIZE || mount_row_decode(value, &row))
		return false;
	check_slot(c, COL_MOUNT, key, row.slot);
	return true;
}

static bool xattr_ok(struct check *c, struct span key, struct span value)
{
	return key.len > 8 && key.len <= 8 + NAME_MAX_BYTES && value.len <= XATTR_VALUE_MAX;
}

static bool store_ok(struct check *c, struct span key, struct span value)
{
	struct store_row row;

	return key.len == 1 && key.data[0] < STORES_MAX && !store_row_decode(value, &row);
}

static bool volume_ok(struct check *c, struct span key, struct span value)
{
	struct checkpoint_row checkpoint;

	if (span_equal(key, CHECKPOINT_KEY) && !checkpoint_row_decode(value, &checkpoint)) {
		check_slot(c, COL_VOLUME, key, checkpoint.slot);
		return true;
	}
	if (span_equal(key, GRACE_KEY)) {
		struct grace_row grace;

		return !grace_row_decode(value, &grace) && grace.seconds >= GRACE_LEAST_S;
	}
	if (span_equal(key, TOTALS_KEY))
		return !totals_row_decode(value, &c->totals);
	return key.len == 0 && c->has_volume;
}

static bool deficit_ok(struct check *c, struct span key, struct span value)
{
	return key.len == CHUNK_ID_SIZE + 1 && key.data[CHUNK_ID_SIZE] < STORES_MAX && !value.len;
}

static bool result_ok(struct check *c, struct span key, struct span value)
{
	struct result_row row;

	return key.len == INCARNATION_SIZE + 1 && key.data[INCARNATION_SIZE] < MOUNT_RESULTS &&
	       !result_row_decode(value, &row);
}

static bool block_ok(struct check *c, struct span key, struct span value)
{
	return key.len == 4 && value.len == INCARNATION_SIZE;
}

static bool source_ok(struct check *c, struct span key, struct span value)
{
	struct source_row row;

	return key.len == 4 && !source_row_decode(value, &row);
}

static bool attach_ok(struct check *c, struct span key, struct span value)
{
	struct attach_row row;

	return key.len > 0 && key.len <= NAME_MAX_BYTES && !attach_row_decode(value, &row);
}

static bool opaque_ok(struct check *c, struct span key, struct span value)
{
	return true;
}

static bool (*const forms[COL_COUNT])(struct check *c, struct span key, struct span value) = {
	[COL_INODE] = inode_ok,	    [COL_DENTRY] = bucket_ok, [COL_EXTENT] = extent_ok,
	[COL_CHUNK] = chunk_ok,	    [COL_ORPHAN] = orphan_ok, [COL_MOUNT] = mount_ok,
	[COL_XATTR] = xattr_ok,	    [COL_STORE] = store_ok,   [COL_KEYSLOT] = opaque_ok,
	[COL_ATTACH] = attach_ok,   [COL_POLICY] = opaque_ok, [COL_PROJECT] = opaque_ok,
	[COL_VOLUME] = volume_ok,   [COL_DEFICIT] = deficit_ok, [COL_RESULT] = result_ok,
	[COL_BLOCK] = block_ok,	    [COL_SOURCE] = source_ok,
};

static int row_one(struct check *c, struct span key, struct span value, void *arg)
{
	const unsigned *column = arg;

	c->rep.rows++;
	state_hash_add(&c->rep.hash, state_hash_row(*column, key, value));
	if (!forms[*column](c, key, value))
		bad_row(c, *column, key);
	return 0;
}

static int load_volume(struct check *c)
{
	struct span value;
	const int r = check_get(c, COL_VOLUME, VOLUME_KEY, &value);

	if (r < 0)
		return r;
	c->has_volume = r == 0 && !volume_row_decode(value, &c->volume);
	c->volume.name = SPAN_NULL; /* borrowed */
	if (r)
		check_found(c, CHECK_ROW, "there is no row of the volume");
	return 0;
}

/* The block that a number names is this mount's. */
static int check_block(struct check *c, uint32_t number, struct span incarnation)
{
	uint8_t key[8];
	struct span owner;
	char text[2 * INCARNATION_SIZE + 1];
	int r;

	key_ino(number, key);
	r = check_get(c, COL_BLOCK, span_of(key + 4, 4), &owner);
	if (r < 0 || (r == 0 && span_equal(owner, incarnation) && number < c->volume.next_mount))
		return r;
	hex_encode(incarnation, text);
	check_found(c, CHECK_MOUNT, "mount %s: number %u", text, number);
	return 0;
}

static int mount_one(struct check *c, struct span key, struct span value, void *arg)
{
	struct mount_row row;

	if (key.len != INCARNATION_SIZE || mount_row_decode(value, &row))
		return 0; /* a bad row, told already */
	if (!row.number && row.status == MOUNT_FENCED)
		return 0; /* fenced before it mounted */
	return check_block(c, row.number, key);
}

/* What names a mount in its first bytes: there is such a mount. */
static int of_mount(struct check *c, struct span incarnation, enum check_rule rule,
		    const char *what)
{
	char text[2 * INCARNATION_SIZE + 1];
	struct span row;
	const int r = check_get(c, COL_MOUNT, incarnation, &row);

	if (r <= 0)
		return r;
	hex_encode(incarnation, text);
	check_found(c, rule, "%s of mount %s, which there is not", what, text);
	return 0;
}

static int result_one(struct check *c, struct span key, struct span value, void *arg)
{
	if (key.len < INCARNATION_SIZE)
		return 0;
	return of_mount(c, span_sub(key, 0, INCARNATION_SIZE), CHECK_RESULT, "a result");
}

static int block_one(struct check *c, struct span key, struct span value, void *arg)
{
	return value.len == INCARNATION_SIZE ? of_mount(c, value, CHECK_MOUNT, "a block") : 0;
}

static void check_sum(struct check *c)
{
	const struct state_hash is = c->rep.hash, said = c->snap->mark.hash;

	if (is.hi != said.hi || is.lo != said.lo)
		check_found(c, CHECK_HASH, "%016" PRIx64 "%016" PRIx64 " after slot %" PRIu64
			    ", not %016" PRIx64 "%016" PRIx64,
			    is.hi, is.lo, c->snap->mark.slot, said.hi, said.lo);
}

int check_rows(struct check *c)
{
	int r = load_volume(c);

	for (unsigned column = COL_META + 1; column < COL_COUNT && !r; column++)
		r = check_walk(c, column, SPAN_NULL, row_one, &column);
	if (r)
		return r;
	check_sum(c);
	r = check_walk(c, COL_MOUNT, SPAN_NULL, mount_one, NULL);
	if (!r)
		r = check_walk(c, COL_RESULT, SPAN_NULL, result_one, NULL);
	return r ? r : check_walk(c, COL_BLOCK, SPAN_NULL, block_one, NULL);
}
