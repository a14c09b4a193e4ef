/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint's table of contents, and the names of its objects: one form of each. */
#include "tests/fuzz/fuzz.h"

#include "fs/checkpoint_manifest.h"

#define LIMIT (1 * MiB)

static void contents(struct span in)
{
	_cleanup_(manifest_release) struct manifest m = {};
	_cleanup_buf_ struct buf again = BUF_INIT(LIMIT);
	const int r = manifest_decode(in, &m);

	MUST(r == 0 || (r == -EBADMSG && m.n_parts == 0));
	if (r)
		return;
	for (size_t i = 1; i < m.n_parts; i++)
		MUST(span_compare(buf_span(&m.parts[i - 1].first), buf_span(&m.parts[i].first)) <
		     0);
	MUST(manifest_encode(&m, &again) == 0);
	MUST(span_equal(in, buf_span(&again)));
}

/* What a listing says is read as the place whose name it is. */
static void listed(struct span in)
{
	struct checkpoint_place p;
	char name[PLACE_NAME_MAX];
	const char *slash;

	if (!checkpoint_place_parse(in, &p))
		return;
	checkpoint_place_name(&p, name);
	slash = strrchr(name, '/');
	MUST(slash && span_starts(in, span_of(name, (size_t)(slash + 1 - name))));
}

static void named(struct span in)
{
	struct checkpoint_place p = { .slot = take_number(&in, 8) }, back;
	char name[PLACE_NAME_MAX];

	p.mount = (uint32_t)take_number(&in, 4);
	p.number = (uint32_t)take_number(&in, 4);
	checkpoint_place_name(&p, name);
	MUST(checkpoint_place_parse(span_str(name), &back));
	MUST(back.slot == p.slot && back.mount == p.mount);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span in = span_of(data, size);

	contents(in);
	listed(in);
	named(in);
	return 0;
}
