/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/upkeep/copy.h"

#include "backends/retry.h"

#define ATTEMPTS 4

void copy_seal(const uint8_t id[CHUNK_ID_SIZE], const struct chunk_row *row,
	       struct chunk_seal *ret)
{
	*ret = (struct chunk_seal){ .epoch = row->key_epoch, .length = row->length };
	memcpy(ret->id, id, CHUNK_ID_SIZE);
	memcpy(ret->salt, row->salt, sizeof(ret->salt));
}

bool copy_step_past(uint8_t id[CHUNK_ID_SIZE])
{
	for (size_t i = CHUNK_ID_SIZE; i-- > 0;)
		if (++id[i])
			return true;
	return false;
}

int copy_verify(struct sealer *s, const struct chunk_seal *seal, struct span sealed)
{
	_cleanup_(chunk_opener_freep) struct chunk_opener *opener = NULL;
	struct chunk_seal found;
	uint64_t off, len;
	int x;

	if (sealed.len != chunk_sealed_length(seal))
		return SEAL_BROKEN;
	x = chunk_header_open(s, span_sub(sealed, 0, SEAL_HEADER_SIZE), &found);
	if (x != 0)
		return x;
	if (memcmp(&found.id, seal->id, OBJECT_ID_SIZE) ||
	    memcmp(found.salt, seal->salt, sizeof(seal->salt)) || found.length != seal->length ||
	    found.epoch != seal->epoch)
		return SEAL_BROKEN;
	x = chunk_opener_new(s, seal, &opener);
	if (x != 0)
		return x;
	chunk_frame_range(seal, 0, chunk_frames(seal), &off, &len);
	return chunk_verify(opener, 0, span_sub(sealed, off, len));
}

/*
 * From this store and no other, in a few attempts: one that is away has no say, and the walk goes
 * on.
 */
static int read_from(struct replicas *rs, unsigned store, const struct get_req *req,
		     struct buf *ret)
{
	int r = -EIO;

	for (unsigned failed = 0; failed < ATTEMPTS && replicas_allows(rs, store);) {
		_cleanup_(store_call_unrefp) struct store_call *call = NULL;
		const uint64_t begun = clock_now();

		r = store_get_wait(replicas_store(rs, store), req, &call);
		if (!call)
			return r;
		replicas_observe(rs, store, r == STORE_MISSING ? 0 : r, clock_now() - begun,
				 call->body.len);
		if (!r)
			return buf_move(ret, &call->body);
		if (retry_get_class(r) != RETRY_LATER || ++failed == ATTEMPTS)
			return r;
		sleep_for(retry_delay_ns(failed, call->retry_after_ms, random_u64()));
	}
	return r;
}

int copy_check(struct replicas *rs, struct sealer *s, const struct chunk_seal *seal, unsigned store,
	       uint64_t *ret_bytes)
{
	/* One byte more than it has: a longer object is bad, and no failure of the store. */
	_cleanup_buf_ struct buf bytes = BUF_INIT(chunk_sealed_length(seal) + 1);
	char name[CHUNK_NAME_SIZE];
	struct get_req req = { .length = bytes.limit,
			       .limit = bytes.limit,
			       .deadline_ns = clock_now() + COPY_DEADLINE_NS };
	int r;

	chunk_object_name(seal->id, name);
	req.name = span_str(name);
	r = read_from(rs, store, &req, &bytes);
	*ret_bytes = bytes.len;
	if (r < 0)
		return r;
	if (r)
		return r == STORE_MISSING ? COPY_MISSING : COPY_BAD;
	r = copy_verify(s, seal, buf_span(&bytes));
	return r > 0 ? COPY_BAD : r;
}
