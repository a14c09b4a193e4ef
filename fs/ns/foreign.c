/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/foreign.h"

static bool foreign_valid(const struct foreign *f)
{
	return f->source && f->key.len && f->key.len <= FOREIGN_KEY_MAX &&
	       f->version.len <= FOREIGN_VERSION_MAX && f->size <= FILE_SIZE_MAX &&
	       (!f->version.len || !f->modified_s);
}

int foreign_encode(const struct foreign *f, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	if (!foreign_valid(f))
		return -EINVAL;
	write_varint(&w, f->source);
	write_bytes(&w, f->key);
	write_varint(&w, f->size);
	write_bytes(&w, f->version);
	if (!f->version.len)
		write_varint(&w, f->modified_s);
	if (w.error)
		ret->len = begin;
	return w.error;
}

int foreign_decode(struct span s, struct foreign *ret)
{
	struct reader rd = READER(s);
	struct foreign f = {};

	f.source = read_varint32(&rd);
	f.key = read_bytes(&rd, FOREIGN_KEY_MAX);
	f.size = read_varint(&rd);
	f.version = read_bytes(&rd, FOREIGN_VERSION_MAX);
	if (!f.version.len)
		f.modified_s = read_varint(&rd);
	if (read_end(&rd) || !foreign_valid(&f))
		return -EBADMSG;
	*ret = f;
	return 0;
}

int source_row_encode(const struct source_row *r, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	if (!r->url.len || r->url.len > SOURCE_URL_MAX)
		return -EINVAL;
	write_bytes(&w, r->url);
	if (w.error)
		ret->len = begin;
	return w.error;
}

int source_row_decode(struct span s, struct source_row *ret)
{
	struct reader rd = READER(s);
	struct source_row r = {};

	r.url = read_bytes(&rd, SOURCE_URL_MAX);
	if (read_end(&rd) || !r.url.len)
		return -EBADMSG;
	*ret = r;
	return 0;
}

void key_source(uint32_t number, uint8_t ret[4])
{
	for (int i = 0; i < 4; i++)
		ret[i] = (uint8_t)(number >> (24 - 8 * i));
}
