/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/rows.h"

#include <sys/stat.h>

const char *const column_names[] = {
	[COL_META] = "meta",	   [COL_INODE] = "inode",   [COL_DENTRY] = "dentry",
	[COL_EXTENT] = "extent",   [COL_CHUNK] = "chunk",   [COL_ORPHAN] = "orphan",
	[COL_MOUNT] = "mount",	   [COL_XATTR] = "xattr",   [COL_STORE] = "store",
	[COL_KEYSLOT] = "keyslot", [COL_ATTACH] = "attach", [COL_POLICY] = "policy",
	[COL_PROJECT] = "project", [COL_VOLUME] = "volume", [COL_DEFICIT] = "deficit",
	[COL_RESULT] = "result",   [COL_BLOCK] = "block",   [COL_SOURCE] = "source",
	[COL_COUNT] = NULL,
};

/* Limits of the spans in rows; a longer one is no row. */
#define LABEL_MAX 255
#define URL_MAX	  4096
#define ERROR_MAX 4095

uint32_t read_varint32(struct reader *rd)
{
	const uint64_t v = read_varint(rd);

	if (v > UINT32_MAX) {
		read_fail(rd);
		return 0;
	}
	return (uint32_t)v;
}

/*
 * An encoder adds all of a row or nothing. (Decoders read field by field: what stands in an
 * initialiser is evaluated in any order.)
 */
static int finish(struct writer *w, size_t begin)
{
	if (w->error)
		w->buf->len = begin;
	return w->error;
}

int inode_row_encode(const struct inode_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	write_varint(&w, r->mode);
	write_varint(&w, r->uid);
	write_varint(&w, r->gid);
	write_varint(&w, r->nlink);
	write_varint(&w, r->mtime_ns);
	write_varint(&w, r->ctime_ns);
	write_varint(&w, r->btime_ns);
	write_varint(&w, r->atime_ns);
	write_varint(&w, r->flags);
	write_varint(&w, r->policy);
	write_varint(&w, r->project);
	write_varint(&w, r->delegate);
	write_varint(&w, r->version);
	switch (r->mode & S_IFMT) {
	case S_IFREG:
		write_varint(&w, r->size);
		write_varint(&w, r->bytes);
		break;
	case S_IFDIR:
		write_varint(&w, r->parent);
		write_varint(&w, r->children);
		write_varint(&w, r->subdirs);
		break;
	case S_IFLNK:
		write_bytes(&w, r->target);
		break;
	case S_IFCHR:
	case S_IFBLK:
		write_varint(&w, r->rdev);
		break;
	case S_IFIFO:
	case S_IFSOCK:
		break;
	default:
		w.error = -EINVAL;
	}
	return finish(&w, begin);
}

/* The part that depends on the type. */
static void inode_row_read_kind(struct reader *rd, struct inode_row *r)
{
	switch (r->mode & S_IFMT) {
	case S_IFREG:
		r->size = read_varint(rd);
		r->bytes = read_varint(rd);
		break;
	case S_IFDIR:
		r->parent = read_varint(rd);
		r->children = read_varint(rd);
		r->subdirs = read_varint32(rd);
		break;
	case S_IFLNK:
		r->target = read_bytes(rd, TARGET_MAX_BYTES);
		r->size = r->target.len;
		break;
	case S_IFCHR:
	case S_IFBLK:
		r->rdev = read_varint32(rd);
		break;
	case S_IFIFO:
	case S_IFSOCK:
		break;
	default:
		read_fail(rd);
	}
}

int inode_row_decode(struct span s, struct inode_row *ret)
{
	struct reader rd = READER(s);
	struct inode_row r = {};
	int error;

	r.mode = read_varint32(&rd);
	r.uid = read_varint32(&rd);
	r.gid = read_varint32(&rd);
	r.nlink = read_varint32(&rd);
	r.mtime_ns = read_varint(&rd);
	r.ctime_ns = read_varint(&rd);
	r.btime_ns = read_varint(&rd);
	r.atime_ns = read_varint(&rd);
	r.flags = read_varint32(&rd);
	r.policy = read_varint32(&rd);
	r.project = read_varint32(&rd);
	r.delegate = read_varint32(&rd);
	r.version = read_varint(&rd);
	inode_row_read_kind(&rd, &r);
	error = read_end(&rd);
	if (error)
		return error;
	*ret = r;
	return 0;
}

bool extent_row_valid(const struct extent_row *r)
{
	if (r->length == 0 || r->length > FILE_SIZE_MAX)
		return false;
	switch (r->kind) {
	case EXTENT_CHUNK:
		return r->length <= UINT32_MAX - r->chunk_offset;
	case EXTENT_FOREIGN:
		return r->foreign_offset <= FILE_SIZE_MAX - r->length && r->bytes.len > 0 &&
		       r->bytes.len <= FOREIGN_REFERENCE_MAX;
	case EXTENT_INLINE:
		return r->length <= INLINE_MAX && r->bytes.len == r->length;
	default:
		return false;
	}
}

void extent_row_write(struct writer *w, const struct extent_row *r)
{
	if (!extent_row_valid(r)) {
		w->error = w->error ? w->error : -EINVAL;
		return;
	}
	write_u8(w, (uint8_t)r->kind);
	write_varint(w, r->length);
	switch (r->kind) {
	case EXTENT_CHUNK:
		write_raw(w, span_of(r->chunk, CHUNK_ID_SIZE));
		write_varint(w, r->chunk_offset);
		break;
	case EXTENT_FOREIGN:
		write_varint(w, r->foreign_offset);
		write_bytes(w, r->bytes);
		break;
	case EXTENT_INLINE:
		write_raw(w, r->bytes);
		break;
	}
}

void extent_row_read(struct reader *rd, struct extent_row *ret)
{
	struct extent_row r = {};

	r.kind = read_u8(rd);
	r.length = read_varint(rd);
	switch (r.kind) {
	case EXTENT_CHUNK:
		read_copy(rd, r.chunk, CHUNK_ID_SIZE);
		r.chunk_offset = read_varint32(rd);
		break;
	case EXTENT_FOREIGN:
		r.foreign_offset = read_varint(rd);
		r.bytes = read_bytes(rd, FOREIGN_REFERENCE_MAX);
		break;
	case EXTENT_INLINE:
		if (r.length <= INLINE_MAX)
			r.bytes = read_raw(rd, r.length);
		break;
	}
	if (read_error(rd) || !extent_row_valid(&r)) {
		read_fail(rd);
		return;
	}
	*ret = r;
}

int extent_row_encode(const struct extent_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	extent_row_write(&w, r);
	return finish(&w, begin);
}

int extent_row_decode(struct span s, struct extent_row *ret)
{
	struct reader rd = READER(s);
	struct extent_row r = {};
	int error;

	extent_row_read(&rd, &r);
	error = read_end(&rd);
	if (error)
		return error;
	*ret = r;
	return 0;
}

int chunk_row_encode(const struct chunk_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	write_varint(&w, r->length);
	write_varint(&w, r->key_epoch);
	write_raw(&w, span_of(r->salt, sizeof(r->salt)));
	write_varint(&w, r->live);
	write_varint(&w, r->stores);
	write_varint(&w, r->want);
	write_varint(&w, r->policy);
	write_varint(&w, r->born);
	write_varint(&w, r->dead);
	return finish(&w, begin);
}

int chunk_row_decode(struct span s, struct chunk_row *ret)
{
	struct reader rd = READER(s);
	struct chunk_row r = {};
	int error;

	r.length = read_varint32(&rd);
	r.key_epoch = read_varint32(&rd);
	read_copy(&rd, r.salt, sizeof(r.salt));
	r.live = read_varint(&rd);
	r.stores = read_varint(&rd);
	r.want = read_varint(&rd);
	r.policy = read_varint32(&rd);
	r.born = read_varint(&rd);
	r.dead = read_varint(&rd);
	error = read_end(&rd);
	if (error)
		return error;
	*ret = r;
	return 0;
}

int orphan_row_encode(const struct orphan_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	write_varint(&w, r->slot);
	write_varint(&w, r->time_ns);
	return finish(&w, begin);
}

int orphan_row_decode(struct span s, struct orphan_row *ret)
{
	struct reader rd = READER(s);
	struct orphan_row r = {};
	int error;

	r.slot = read_varint(&rd);
	r.time_ns = read_varint(&rd);
	error = read_end(&rd);
	if (error)
		return error;
	*ret = r;
	return 0;
}

static bool mount_row_valid(const struct mount_row *r)
{
	return r->status >= MOUNT_MOUNTED && r->status <= MOUNT_FENCED && r->name.len <= LABEL_MAX;
}

int mount_row_encode(const struct mount_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	if (!mount_row_valid(r))
		return -EINVAL;
	write_varint(&w, r->number);
	write_u8(&w, (uint8_t)r->status);
	write_varint(&w, r->last);
	write_varint(&w, r->slot);
	write_bytes(&w, r->name);
	return finish(&w, begin);
}

int mount_row_decode(struct span s, struct mount_row *ret)
{
	struct reader rd = READER(s);
	struct mount_row r = {};
	int error;

	r.number = read_varint32(&rd);
	r.status = read_u8(&rd);
	r.last = read_varint(&rd);
	r.slot = read_varint(&rd);
	r.name = read_bytes(&rd, LABEL_MAX);
	error = read_end(&rd);
	if (error)
		return error;
	if (!mount_row_valid(&r))
		return -EBADMSG;
	*ret = r;
	return 0;
}

int result_row_encode(const struct result_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	if (r->error > 0 || r->error < -ERROR_MAX)
		return -EINVAL;
	write_varint(&w, (uint64_t)-r->error);
	write_varint(&w, r->value);
	return finish(&w, begin);
}

int result_row_decode(struct span s, struct result_row *ret)
{
	struct reader rd = READER(s);
	const uint64_t code = read_varint(&rd);
	const uint64_t value = read_varint(&rd);
	const int error = read_end(&rd);

	if (error)
		return error;
	if (code > ERROR_MAX)
		return -EBADMSG;
	*ret = (struct result_row){ .error = -(int)code, .value = value };
	return 0;
}

int store_row_encode(const struct store_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	if (r->name.len > LABEL_MAX || r->url.len > URL_MAX)
		return -EINVAL;
	write_raw(&w, span_of(r->id, sizeof(r->id)));
	write_varint(&w, r->roles);
	write_bytes(&w, r->name);
	write_bytes(&w, r->url);
	return finish(&w, begin);
}

int store_row_decode(struct span s, struct store_row *ret)
{
	struct reader rd = READER(s);
	struct store_row r = {};
	int error;

	read_copy(&rd, r.id, sizeof(r.id));
	r.roles = read_varint32(&rd);
	r.name = read_bytes(&rd, LABEL_MAX);
	r.url = read_bytes(&rd, URL_MAX);
	error = read_end(&rd);
	if (error)
		return error;
	*ret = r;
	return 0;
}

static bool attach_row_valid(const struct attach_row *r)
{
	if (r->flags & ~ATTACH_READ_ONLY || !r->n_urls || r->n_urls > ATTACH_URLS_MAX)
		return false;
	for (size_t i = 0; i < r->n_urls; i++)
		if (!r->urls[i].len || r->urls[i].len > URL_MAX)
			return false;
	return true;
}

int attach_row_encode(const struct attach_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	if (!attach_row_valid(r))
		return -EINVAL;
	write_varint(&w, r->flags);
	write_varint(&w, r->ttl_ns);
	write_varint(&w, r->n_urls);
	for (size_t i = 0; i < r->n_urls; i++)
		write_bytes(&w, r->urls[i]);
	return finish(&w, begin);
}

int attach_row_decode(struct span s, struct attach_row *ret)
{
	struct reader rd = READER(s);
	struct attach_row r = {};
	int error;

	r.flags = read_varint32(&rd);
	r.ttl_ns = read_varint(&rd);
	r.n_urls = read_varint(&rd);
	for (size_t i = 0; i < MIN(r.n_urls, (size_t)ATTACH_URLS_MAX); i++)
		r.urls[i] = read_bytes(&rd, URL_MAX);
	error = read_end(&rd);
	if (error)
		return error;
	if (!attach_row_valid(&r))
		return -EBADMSG;
	*ret = r;
	return 0;
}

int volume_row_encode(const struct volume_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	if (r->name.len > LABEL_MAX)
		return -EINVAL;
	write_raw(&w, span_of(r->id, sizeof(r->id)));
	write_varint(&w, r->level);
	write_varint(&w, r->epoch);
	write_varint(&w, r->key_epoch);
	write_varint(&w, r->next_mount);
	write_raw(&w, span_of(r->name_key, sizeof(r->name_key)));
	write_varint(&w, r->created_ns);
	write_bytes(&w, r->name);
	return finish(&w, begin);
}

int volume_row_decode(struct span s, struct volume_row *ret)
{
	struct reader rd = READER(s);
	struct volume_row r = {};
	int error;

	read_copy(&rd, r.id, sizeof(r.id));
	r.level = read_varint32(&rd);
	r.epoch = read_varint32(&rd);
	r.key_epoch = read_varint32(&rd);
	r.next_mount = read_varint32(&rd);
	read_copy(&rd, r.name_key, sizeof(r.name_key));
	r.created_ns = read_varint(&rd);
	r.name = read_bytes(&rd, LABEL_MAX);
	error = read_end(&rd);
	if (error)
		return error;
	*ret = r;
	return 0;
}

int totals_row_encode(const struct totals_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	write_varint(&w, r->files);
	write_varint(&w, r->directories);
	write_varint(&w, r->bytes);
	return finish(&w, begin);
}

int totals_row_decode(struct span s, struct totals_row *ret)
{
	struct reader rd = READER(s);
	struct totals_row r = {};
	int error;

	r.files = read_varint(&rd);
	r.directories = read_varint(&rd);
	r.bytes = read_varint(&rd);
	error = read_end(&rd);
	if (error)
		return error;
	*ret = r;
	return 0;
}

int checkpoint_row_encode(const struct checkpoint_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	write_varint(&w, r->slot);
	write_varint(&w, r->mount);
	write_raw(&w, span_of(r->manifest, sizeof(r->manifest)));
	return finish(&w, begin);
}

int checkpoint_row_decode(struct span s, struct checkpoint_row *ret)
{
	struct reader rd = READER(s);
	struct checkpoint_row r = {};
	int error;

	r.slot = read_varint(&rd);
	r.mount = read_varint32(&rd);
	read_copy(&rd, r.manifest, sizeof(r.manifest));
	error = read_end(&rd);
	if (error)
		return error;
	*ret = r;
	return 0;
}

int grace_row_encode(const struct grace_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	write_varint(&w, r->seconds);
	write_varint(&w, r->since_ns);
	return finish(&w, begin);
}

int grace_row_decode(struct span s, struct grace_row *ret)
{
	struct reader rd = READER(s);
	struct grace_row r;
	int error;

	r.seconds = read_varint(&rd);
	r.since_ns = read_varint(&rd);
	error = read_end(&rd);
	if (error)
		return error;
	*ret = r;
	return 0;
}

static void put_be64(uint64_t v, uint8_t ret[8])
{
	for (int i = 0; i < 8; i++)
		ret[i] = (uint8_t)(v >> (56 - 8 * i));
}

void key_ino(uint64_t ino, uint8_t ret[8])
{
	put_be64(ino, ret);
}

void key_ino_u64(uint64_t ino, uint64_t second, uint8_t ret[16])
{
	put_be64(ino, ret);
	put_be64(second, ret + 8);
}

uint64_t key_u64(const uint8_t *key)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | key[i];
	return v;
}
