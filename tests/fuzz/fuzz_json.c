/* SPDX-License-Identifier: Apache-2.0 */
/* JSON of answers and of credentials: what is read can be looked at, and is written as it was. */
#include "tests/fuzz/fuzz.h"

#include "base/json.h"

#define LIMIT (1 * MiB)

static void look_at(const char *key, const struct json *value, void *arg);

static void look_into(const struct json *object, const char *key)
{
	uint64_t v = 77;
	const int r = json_uint(object, key, &v);

	MUST(r == 0 || r == -ENOENT || r == -EBADMSG);
	MUST(r == 0 || v == 77);
	(void)json_number(object, key, 0);
	(void)json_bool(object, key, false);
	MUST(json_str(object, key) == json_text(json_get(object, key)));
}

struct walk {
	const struct json *object;
	unsigned left; /* of values to look at */
};

static void walk(const struct json *j, unsigned left)
{
	struct walk w = { j, left };
	const size_t n = json_count(j);

	json_each(j, look_at, &w);
	for (size_t i = 0; i < n && i < left; i++)
		walk(json_at(j, i), left / 2);
	MUST(!json_at(j, n));
}

static void look_at(const char *key, const struct json *value, void *arg)
{
	struct walk *w = arg;

	look_into(w->object, key);
	MUST(json_get(w->object, key) == value);
	if (w->left)
		walk(value, w->left / 2);
}

static void round_trip(const struct json *j)
{
	_cleanup_buf_ struct buf text = BUF_INIT(LIMIT), again = BUF_INIT(LIMIT);
	_cleanup_(json_freep) struct json *second = NULL;

	MUST(json_write(j, 0, &text) == 0);
	MUST(json_parse(buf_span(&text), &second) == 0);
	MUST(json_write(second, 0, &again) == 0);
	MUST(span_equal(buf_span(&text), buf_span(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const int r = json_parse(span_of(data, MIN(size, (size_t)16384)), &j);

	MUST(r == 0 ? j != NULL : r == -EBADMSG && !j);
	if (r == 0) {
		walk(j, 32);
		round_trip(j);
	}
	return 0;
}
