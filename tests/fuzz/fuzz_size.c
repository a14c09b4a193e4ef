/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, sizes and durations as people type them, and as they are shown. */
#include "tests/fuzz/fuzz.h"

#include "base/log.h"
#include "base/text.h"

static void numbers(const char *text)
{
	uint64_t v = 77, size = 77, ns = 77;
	char again[24];

	if (uint_parse(text, &v) < 0) {
		MUST(v == 77);
		return;
	}
	snprintf(again, sizeof(again), "%llu", (unsigned long long)v);
	while (text[0] == '0' && text[1])
		text++;
	MUST(strcmp(text, again) == 0);
	/* Without a unit: bytes, seconds. */
	MUST(size_parse(text, &size) == 0 && size == v);
	MUST(duration_parse(text, &ns) == 0 ? ns == v * NS_PER_S : v > UINT64_MAX / NS_PER_S);
}

/* The number before the unit is never more than the whole. */
static void units(const char *text)
{
	uint64_t size = 0, ns = 0;

	if (size_parse(text, &size) == 0)
		MUST(strtoull(text, NULL, 10) <= size);
	if (duration_parse(text, &ns) == 0)
		MUST(strtoull(text, NULL, 10) <= ns);
}

static void shown(uint64_t v)
{
	char size[16], duration[16];

	size_format(v, size);
	MUST(strlen(size) < sizeof(size) - 1 && strstr(size, "B"));
	duration_format(v, duration);
	MUST(strlen(duration) < sizeof(duration) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	_cleanup_free_ char *text = text_of(in);
	enum log_level level;

	numbers(text);
	units(text);
	if (log_level_parse(text, &level) == 0)
		MUST(level <= LOG_LEVEL_DEBUG);
	shown(take_number(&in, 8));
	return 0;
}
