/* SPDX-License-Identifier: Apache-2.0 */
/* The value of OP_FORMAT. */
#include "fs/ns/op.h"

int volume_format_encode(const struct volume_format *f, struct buf *ret)
{
	const size_t begin = ret->len;
	struct writer w = WRITER(ret);
	int error = 0;

	if (f->n_stores > STORES_MAX || f->n_keyslots > STORES_MAX)
		return -EINVAL;
	write_raw(&w, span_of(f->id, sizeof(f->id)));
	write_varint(&w, f->level);
	write_varint(&w, f->epoch);
	write_varint(&w, f->key_epoch);
	write_raw(&w, span_of(f->name_key, sizeof(f->name_key)));
	write_bytes(&w, f->name);
	write_varint(&w, f->n_stores);
	for (size_t i = 0; i < f->n_stores && !error; i++) {
		_cleanup_buf_ struct buf row = BUF_INIT(ROW_MAX);

		error = store_row_encode(&f->stores[i], &row);
		write_bytes(&w, buf_span(&row));
	}
	write_varint(&w, f->n_keyslots);
	for (size_t i = 0; i < f->n_keyslots; i++)
		write_bytes(&w, f->keyslots[i]);
	error = error ? error : w.error;
	if (error)
		ret->len = begin;
	return error;
}

int volume_format_decode(struct span s, struct volume_format *ret)
{
	struct reader rd = READER(s);
	struct volume_format f = {};
	int error;

	read_copy(&rd, f.id, sizeof(f.id));
	f.level = read_varint32(&rd);
	f.epoch = read_varint32(&rd);
	f.key_epoch = read_varint32(&rd);
	read_copy(&rd, f.name_key, sizeof(f.name_key));
	f.name = read_bytes(&rd, NAME_MAX_BYTES);
	f.n_stores = read_varint(&rd);
	for (size_t i = 0; i < f.n_stores; i++) {
		if (i >= STORES_MAX || store_row_decode(read_bytes(&rd, ROW_MAX), &f.stores[i]))
			return -EBADMSG;
	}
	f.n_keyslots = read_varint(&rd);
	for (size_t i = 0; i < f.n_keyslots; i++) {
		if (i >= STORES_MAX || read_error(&rd))
			return -EBADMSG;
		f.keyslots[i] = read_bytes(&rd, ROW_MAX);
	}
	error = read_end(&rd);
	if (error)
		return error;
	*ret = f;
	return 0;
}
