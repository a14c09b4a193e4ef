/* SPDX-License-Identifier: Apache-2.0 */
/* What people type and read: numbers, sizes, durations, mistyped words. */
#include "base/text.h"

#include <stdio.h>
#include <strings.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{ "", 1 },	    { "B", 1 },
	{ "K", KiB },	    { "KB", KiB },	{ "KiB", KiB },
	{ "M", MiB },	    { "MB", MiB },	{ "MiB", MiB },
	{ "G", GiB },	    { "GB", GiB },	{ "GiB", GiB },
	{ "T", 1024 * GiB }, { "TB", 1024 * GiB }, { "TiB", 1024 * GiB },
};

static const struct unit durations[] = {
	{ "", NS_PER_S },	{ "ns", 1 },		  { "us", NS_PER_US },
	{ "ms", NS_PER_MS },	{ "s", NS_PER_S },	  { "m", 60 * NS_PER_S },
	{ "h", 3600 * NS_PER_S }, { "d", 86400 * NS_PER_S },
};

/* The digits at *s, which moves behind them. */
static int scan_uint(const char **s, uint64_t *ret)
{
	const char *at = *s;
	uint64_t v = 0;

	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *at - '0', &v))
			return fail(-ERANGE);
	if (at == *s)
		return fail(-EINVAL);
	*s = at;
	*ret = v;
	return 0;
}

int uint_parse(const char *s, uint64_t *ret)
{
	uint64_t v = 0;
	int r = scan_uint(&s, &v);

	if (r)
		return r;
	if (*s)
		return fail(-EINVAL);
	*ret = v;
	return 0;
}

static int parse_with_unit(const char *s, const struct unit *units, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	int r = scan_uint(&s, &v);

	if (r)
		return r;
	while (*s == ' ')
		s++;
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(s, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(v, units[i].factor, &v))
			return fail(-ERANGE);
		*ret = v;
		return 0;
	}
	return fail(-EINVAL);
}

int size_parse(const char *s, uint64_t *ret)
{
	return parse_with_unit(s, sizes, ARRAY_SIZE(sizes), ret);
}

int duration_parse(const char *s, uint64_t *ret_ns)
{
	return parse_with_unit(s, durations, ARRAY_SIZE(durations), ret_ns);
}

void size_format(uint64_t bytes, char ret[16])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = bytes;
	size_t i = 0;

	/* From what would be printed as 1024.0 the next unit reads better. */
	while (v >= 1023.95 && i + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		i++;
	}
	snprintf(ret, 16, i ? "%.1f %s" : "%.0f %s", v, units[i]);
}

void duration_format(uint64_t ns, char ret[16])
{
	const uint64_t s = ns / NS_PER_S;

	if (ns < NS_PER_US)
		snprintf(ret, 16, "%u ns", (unsigned)ns);
	else if (ns < NS_PER_MS)
		snprintf(ret, 16, "%u us", (unsigned)(ns / NS_PER_US));
	else if (ns < NS_PER_S)
		snprintf(ret, 16, "%u ms", (unsigned)(ns / NS_PER_MS));
	else if (s < 60)
		snprintf(ret, 16, "%u.%u s", (unsigned)s, (unsigned)(ns / (NS_PER_S / 10) % 10));
	else if (s < 3600)
		snprintf(ret, 16, "%u m %u s", (unsigned)(s / 60), (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(ret, 16, "%u h %u m", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	else
		snprintf(ret, 16, "%u d %u h", (unsigned)(s / 86400), (unsigned)(s / 3600 % 24));
}

#define WORD_MAX 64

/*
 * Insertions, deletions, changes and swaps of neighbours that make b of a; both at most WORD_MAX
 * long.
 */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2], *reused;

	for (size_t j = 0; j <= b_len; j++)
		before[j] = above[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = MIN(above[j], row[j - 1]) + 1;
			row[j] = MIN(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
		reused = before;
		before = above;
		above = row;
		row = reused;
	}
	return above[b_len];
}

const char *nearest_word(const char *word, const char *const *known)
{
	size_t len = strlen(word), best = SIZE_MAX, distance;
	const char *nearest = NULL;

	for (; *known; known++) {
		size_t known_len = strlen(*known);

		if (len > WORD_MAX || known_len > WORD_MAX)
			continue;
		distance = edit_distance(word, len, *known, known_len);
		if (distance < best && 3 * distance <= MAX(len, known_len)) {
			best = distance;
			nearest = *known;
		}
	}
	return nearest;
}
