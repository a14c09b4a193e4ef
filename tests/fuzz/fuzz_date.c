/* SPDX-License-Identifier: Apache-2.0 */
/* Dates of answers and listings: one that is read stands for one second, written back the same. */
#include "tests/fuzz/fuzz.h"

#include "base/text.h"

#define LAST_SECOND 253402300799 /* of the year 9999 */

static void http(const char *text)
{
	char again[30];
	time_t t, t2;

	if (http_date_parse(text, &t) < 0)
		return;
	MUST(t <= LAST_SECOND);
	if (t < 0)
		return;
	http_date(t, again);
	MUST(http_date_parse(again, &t2) == 0 && t2 == t);
	/* But for the day of the week and a leap second it is the same text. */
	MUST(strcmp(text + 3, again + 3) == 0 || strncmp(text + 22, ":60", 3) == 0);
}

static void iso(const char *text)
{
	char again[32];
	time_t t, t2;
	struct tm tm;

	if (iso_date_parse(text, &t) < 0)
		return;
	if (t < 0 || t > LAST_SECOND)
		return;
	MUST(gmtime_r(&t, &tm));
	strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ", &tm);
	MUST(iso_date_parse(again, &t2) == 0 && t2 == t);
}

static void formats(time_t t)
{
	const time_t clamped = MIN(MAX(t, (time_t)0), (time_t)LAST_SECOND);
	char text[30], basic[17];
	time_t back;

	http_date(t, text);
	MUST(strlen(text) == 29);
	MUST(http_date_parse(text, &back) == 0 && back == clamped);
	iso_basic_date(t, basic);
	MUST(strlen(basic) == 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	_cleanup_free_ char *text = text_of(in);

	http(text);
	iso(text);
	formats((time_t)take_number(&in, 8));
	return 0;
}
