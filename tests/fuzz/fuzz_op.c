/* SPDX-License-Identifier: Apache-2.0 */
/* Operations, and the value of a FORMAT: what decodes is valid and the one form of what it says. */
#include "tests/fuzz/fuzz.h"

#include "fs/ns/op.h"

#define LIMIT (256 * KiB)

static void operation(struct span in)
{
	_cleanup_buf_ struct buf again = BUF_INIT(LIMIT);
	struct op op;
	const int r = op_decode(in, &op);

	if (r) {
		MUST(r == -EBADMSG || r == OP_UNKNOWN_KIND);
		return;
	}
	MUST(op_valid(&op));
	MUST(strcmp(op_kind_name(op.kind), "unknown") != 0);
	MUST(op_encode(&op, &again) == 0);
	MUST(span_equal(in, buf_span(&again)));
	op_release(&op);
}

static void format(struct span in)
{
	_cleanup_buf_ struct buf again = BUF_INIT(LIMIT);
	struct volume_format f;
	const int r = volume_format_decode(in, &f);

	MUST(r == 0 || r == -EBADMSG);
	if (r)
		return;
	MUST(volume_format_encode(&f, &again) == 0);
	MUST(span_equal(in, buf_span(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	operation(span_of(data, size));
	format(span_of(data, size));
	return 0;
}
