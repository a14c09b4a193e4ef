/* SPDX-License-Identifier: Apache-2.0 */
/* Points of time as the providers write them; in UTC and without the locale. */
#include "base/text.h"

#include <stdio.h>

/* The last second of the year 9999: later ones have no place in four digits. */
#define LAST_SECOND 253402300799

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Clamped, so that every field has its digits. */
static struct tm utc(time_t t)
{
	struct tm tm;

	t = MAX(t, (time_t)0);
	t = MIN(t, (time_t)LAST_SECOND);
	gmtime_r(&t, &tm);
	return tm;
}

static char *put_digits(char *at, unsigned v, unsigned count)
{
	for (unsigned i = count; i > 0; i--, v /= 10)
		at[i - 1] = '0' + v % 10;
	return at + count;
}

static char *put_text(char *at, const char *s, size_t len)
{
	memcpy(at, s, len);
	return at + len;
}

/* "12:34:56" */
static char *put_clock(char *at, const struct tm *tm)
{
	at = put_digits(at, tm->tm_hour, 2);
	*at++ = ':';
	at = put_digits(at, tm->tm_min, 2);
	*at++ = ':';
	return put_digits(at, tm->tm_sec, 2);
}

void http_date(time_t t, char ret[30])
{
	struct tm tm = utc(t);
	char *at = ret;

	at = put_text(at, days + 3 * tm.tm_wday, 3);
	at = put_text(at, ", ", 2);
	at = put_digits(at, tm.tm_mday, 2);
	*at++ = ' ';
	at = put_text(at, months + 3 * tm.tm_mon, 3);
	*at++ = ' ';
	at = put_digits(at, tm.tm_year + 1900, 4);
	*at++ = ' ';
	at = put_clock(at, &tm);
	put_text(at, " GMT", 5);
}

void iso_date(uint64_t ns, char ret[25])
{
	struct tm tm = utc((time_t)(ns / 1000000000));
	char *at = ret;

	at = put_digits(at, tm.tm_year + 1900, 4);
	*at++ = '-';
	at = put_digits(at, tm.tm_mon + 1, 2);
	*at++ = '-';
	at = put_digits(at, tm.tm_mday, 2);
	*at++ = 'T';
	at = put_clock(at, &tm);
	*at++ = '.';
	at = put_digits(at, (unsigned)(ns / 1000000 % 1000), 3);
	put_text(at, "Z", 2);
}

void iso_basic_date(time_t t, char ret[17])
{
	struct tm tm = utc(t);
	char *at = ret;

	at = put_digits(at, tm.tm_year + 1900, 4);
	at = put_digits(at, tm.tm_mon + 1, 2);
	at = put_digits(at, tm.tm_mday, 2);
	*at++ = 'T';
	at = put_digits(at, tm.tm_hour, 2);
	at = put_digits(at, tm.tm_min, 2);
	at = put_digits(at, tm.tm_sec, 2);
	put_text(at, "Z", 2);
}

/* A cursor over a date; failed for good at the first thing that is not there. */
struct scan {
	const char *at;
	bool bad;
};

static int scan_digits(struct scan *s, unsigned count)
{
	int v = 0;

	for (unsigned i = 0; i < count && !s->bad; i++) {
		if (*s->at < '0' || *s->at > '9')
			s->bad = true;
		else
			v = v * 10 + (*s->at++ - '0');
	}
	return v;
}

static void scan_text(struct scan *s, const char *text)
{
	size_t len = strlen(text);

	if (s->bad || strncmp(s->at, text, len) != 0)
		s->bad = true;
	else
		s->at += len;
}

/* Which of the three-letter names in `names`; 0 when it failed. */
static int scan_name(struct scan *s, const char *names, unsigned count)
{
	for (unsigned i = 0; i < count && !s->bad; i++) {
		if (strncmp(s->at, names + 3 * i, 3) == 0) {
			s->at += 3;
			return i;
		}
	}
	s->bad = true;
	return 0;
}

static bool scan_is(struct scan *s, char a, char b)
{
	if (s->bad || (*s->at != a && *s->at != b))
		return false;
	s->at++;
	return true;
}

static void scan_clock(struct scan *s, struct tm *tm)
{
	tm->tm_hour = scan_digits(s, 2);
	scan_text(s, ":");
	tm->tm_min = scan_digits(s, 2);
	scan_text(s, ":");
	tm->tm_sec = scan_digits(s, 2);
}

/* The calendar's answer; a date that it had to correct (31 June) is none. 60 s is a leap second. */
static int date_of(const struct scan *s, struct tm *tm, time_t *ret)
{
	int day = tm->tm_mday, month = tm->tm_mon;
	time_t t;

	if (s->bad || *s->at || tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
		return fail(-EINVAL);
	tm->tm_sec = MIN(tm->tm_sec, 59);
	t = timegm(tm);
	if (tm->tm_mday != day || tm->tm_mon != month)
		return fail(-EINVAL);
	*ret = t;
	return 0;
}

int http_date_parse(const char *text, time_t *ret)
{
	struct scan s = { .at = text };
	struct tm tm = { 0 };

	scan_name(&s, days, 7);
	scan_text(&s, ", ");
	tm.tm_mday = scan_digits(&s, 2);
	scan_text(&s, " ");
	tm.tm_mon = scan_name(&s, months, 12);
	scan_text(&s, " ");
	tm.tm_year = scan_digits(&s, 4) - 1900;
	scan_text(&s, " ");
	scan_clock(&s, &tm);
	scan_text(&s, " GMT");
	return date_of(&s, &tm, ret);
}

/* "Z" or "+hh:mm": seconds east of UTC. */
static int scan_offset(struct scan *s)
{
	int sign, seconds;

	if (scan_is(s, 'Z', 'z'))
		return 0;
	sign = *s->at == '-' ? -1 : 1;
	if (!scan_is(s, '+', '-')) {
		s->bad = true;
		return 0;
	}
	seconds = 3600 * scan_digits(s, 2);
	scan_text(s, ":");
	seconds += 60 * scan_digits(s, 2);
	return sign * seconds;
}

int iso_date_parse(const char *text, time_t *ret)
{
	struct scan s = { .at = text };
	struct tm tm = { 0 };
	int offset, r;
	time_t t = 0;

	tm.tm_year = scan_digits(&s, 4) - 1900;
	scan_text(&s, "-");
	tm.tm_mon = scan_digits(&s, 2) - 1;
	scan_text(&s, "-");
	tm.tm_mday = scan_digits(&s, 2);
	if (!scan_is(&s, 'T', 't'))
		s.bad = true;
	scan_clock(&s, &tm);
	if (scan_is(&s, '.', ','))
		do
			scan_digits(&s, 1);
		while (!s.bad && *s.at >= '0' && *s.at <= '9');
	offset = scan_offset(&s);
	r = date_of(&s, &tm, &t);
	if (r)
		return r;
	*ret = t - offset;
	return 0;
}
