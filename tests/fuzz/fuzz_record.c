/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the journal: what decodes is the one form of what it says. */
#include "tests/fuzz/fuzz.h"

#include "fs/journal/record.h"

static void check(struct span in, struct record *r)
{
	uint8_t hash[RECORD_HASH_SIZE];

	memcpy(hash, r->hash, sizeof(hash));
	MUST(r->n_authors == 0 || incarnation_equal(r->authors[0], r->author));
	for (size_t i = 0; i < r->n_ops; i++) {
		const struct span op = r->ops[i].bytes;

		MUST(r->ops[i].author < r->n_authors);
		MUST(op.len == 0 || (op.data >= r->bytes.data &&
				     op.data + op.len <= r->bytes.data + r->bytes.len));
	}
	MUST(record_seal(r) == 0);
	MUST(span_equal(in, buf_span(&r->bytes)));
	MUST(memcmp(hash, r->hash, sizeof(hash)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(record_freep) struct record *r = NULL;
	const int error = record_decode(span_of(data, size), &r);

	MUST(error == 0 ? r != NULL : error == -EBADMSG && !r);
	if (r)
		check(span_of(data, size), r);
	return 0;
}
