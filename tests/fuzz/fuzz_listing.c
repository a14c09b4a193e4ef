/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of listings in three dialects, which the first byte tells (S, A, G): names in order,
 * below the store's prefix, none of what the page has to leave out; and the token of the next page.
 */
#include "tests/fuzz/fuzz.h"

#include "backends/listing.h"

static int parse(uint8_t dialect, struct span body, struct listing *ret)
{
	switch (dialect) {
	case 'S':
		return listing_parse_s3(body, ret);
	case 'A':
		return listing_parse_azure(body, ret);
	default:
		return listing_parse_gcs(body, ret);
	}
}

static void check_entries(const struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		MUST(l->entries[i].name);
		MUST(memchr(l->entries[i].version, 0, STORE_VERSION_MAX));
	}
	MUST(!l->token || l->token[0]);
}

static void finish(struct listing *l, const char *prefix, const struct listing_state *state)
{
	const size_t n = l->n, skip = strlen(prefix);

	listing_finish(l, prefix, state);
	MUST(l->n <= n);
	for (size_t i = 0; i < l->n; i++) {
		const struct span name = span_str(l->entries[i].name);

		MUST(name.len);
		if (i)
			MUST(span_compare(span_str(l->entries[i - 1].name), name) <= 0);
		if (state->after && strlen(state->after) > skip)
			MUST(span_compare(span_str(state->after + skip), name) < 0);
	}
}

static void token(const char *text)
{
	_cleanup_listing_state_ struct listing_state s = {}, back = {};
	_cleanup_free_ char *again = NULL, *third = NULL;
	const int r = listing_state_read(text, &s);

	MUST(r == 0 || r == -EINVAL);
	if (r)
		return;
	again = listing_state_write(&s);
	MUST(again && listing_state_read(again, &back) == 0);
	third = listing_state_write(&back);
	MUST(third && strcmp(again, third) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct listing_state from_start,
		later = { .after = (char *)"p/b", .last_prefix = (char *)"p/d/" };
	struct span in = span_of(data, MIN(size, (size_t)16384));
	_cleanup_free_ char *text = text_of(in);
	const uint8_t dialect = take_byte(&in);

	for (unsigned i = 0; i < 3; i++) {
		_cleanup_listing_ struct listing l = {};
		const int r = parse(dialect, in, &l);

		MUST(r == 0 || (r == -EBADMSG && l.n == 0 && !l.token));
		if (r == 0) {
			check_entries(&l);
			finish(&l, i ? "p/" : "", i == 2 ? &later : &from_start);
		}
	}
	token(text);
	return 0;
}
