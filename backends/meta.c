/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/meta.h"

#include "base/text.h"

#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#define PERMISSIONS 07777u

/* One line of printable ASCII: what a header may hold. */
static bool is_printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
			return false;
	return true;
}

static bool is_word(const char *s)
{
	return s[strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] ==
	       '\0';
}

bool object_meta_is_good(const struct object_meta *m)
{
	return (m->mode & ~PERMISSIONS) == 0 &&
	       strnlen(m->symlink, META_SYMLINK_MAX) < META_SYMLINK_MAX &&
	       strnlen(m->content_type, META_TYPE_MAX) < META_TYPE_MAX &&
	       strnlen(m->writer, META_WRITER_MAX) < META_WRITER_MAX &&
	       is_printable(m->content_type) && is_word(m->writer);
}

void object_meta_over(const struct object_meta *change, struct object_meta *onto)
{
	onto->has |= change->has;
	if (change->has & META_MTIME)
		onto->mtime_ns = change->mtime_ns;
	if (change->has & META_MODE)
		onto->mode = change->mode;
	if (change->has & META_OWNER) {
		onto->uid = change->uid;
		onto->gid = change->gid;
	}
	if (change->symlink[0])
		memcpy(onto->symlink, change->symlink, sizeof(onto->symlink));
	if (change->content_type[0])
		memcpy(onto->content_type, change->content_type, sizeof(onto->content_type));
	if (change->writer[0])
		memcpy(onto->writer, change->writer, sizeof(onto->writer));
}

const char *object_meta_type(const struct object_meta *m)
{
	return m && m->content_type[0] ? m->content_type : "application/octet-stream";
}

/* ---- writing ---- */

/* Seconds and the rest, which is never negative: -0.5 s is -1 s and 0.5 s. */
static int64_t split_time(int64_t ns, uint32_t *ret_rest)
{
	int64_t s = ns / (int64_t)NS_PER_S, rest = ns % (int64_t)NS_PER_S;

	if (rest < 0) {
		s--;
		rest += (int64_t)NS_PER_S;
	}
	*ret_rest = (uint32_t)rest;
	return s;
}

/* "1700000000.5": the sign stands before the whole. */
static void write_float_time(int64_t ns, struct pairs *ret)
{
	uint64_t size = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	char text[40];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s%llu.%09llu", ns < 0 ? "-" : "",
				    (unsigned long long)(size / NS_PER_S),
				    (unsigned long long)(size % NS_PER_S));

	while (text[n - 1] == '0')
		text[--n] = '\0';
	if (text[n - 1] == '.')
		text[--n] = '\0';
	pairs_add(ret, "mtime", text);
}

static void write_date_time(int64_t ns, struct pairs *ret)
{
	uint32_t rest;
	time_t s = (time_t)split_time(ns, &rest);
	struct tm tm;
	char text[32];

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	pairs_addf(ret, "mtime", "%s.%09uZ", text, rest);
}

static void write_encoded(const char *name, const char *value, struct pairs *ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(3 * META_SYMLINK_MAX + 1);

	if (percent_encode(span_str(value), true, &b) < 0 || !buf_str(&b))
		ret->no_memory = true;
	else
		pairs_add(ret, name, buf_str(&b));
}

static void write_gcs(const struct object_meta *m, struct pairs *ret)
{
	uint32_t rest;

	if (m->has & META_MTIME) {
		write_date_time(m->mtime_ns, ret);
		pairs_addf(ret, "goog-reserved-file-mtime", "%lld",
			   (long long)split_time(m->mtime_ns, &rest));
	}
	if (m->has & META_MODE)
		pairs_addf(ret, "goog-reserved-posix-mode", "%03o", m->mode);
	if (m->has & META_OWNER) {
		pairs_addf(ret, "goog-reserved-posix-uid", "%u", m->uid);
		pairs_addf(ret, "goog-reserved-posix-gid", "%u", m->gid);
	}
	if (m->symlink[0])
		pairs_add(ret, "gcsfuse_symlink_target", m->symlink);
}

static void write_plain(const struct object_meta *m, enum meta_style style, struct pairs *ret)
{
	if (m->has & META_MTIME && style == META_AZURE)
		write_date_time(m->mtime_ns, ret);
	else if (m->has & META_MTIME)
		write_float_time(m->mtime_ns, ret);
	if (m->has & META_MODE)
		pairs_addf(ret, "mode", "0%o", m->mode | (m->symlink[0] ? S_IFLNK : S_IFREG));
	if (m->has & META_OWNER) {
		pairs_addf(ret, "uid", "%u", m->uid);
		pairs_addf(ret, "gid", "%u", m->gid);
	}
	if (m->symlink[0])
		write_encoded("symlink", m->symlink, ret);
}

void object_meta_write(const struct object_meta *m, enum meta_style style, struct pairs *ret)
{
	if (!m)
		return;
	if (style == META_GCS)
		write_gcs(m, ret);
	else
		write_plain(m, style, ret);
	if (m->writer[0])
		pairs_add(ret, "mangrovewriter", m->writer);
}

/* ---- reading ---- */

/* The nanoseconds of ".5"; digits beyond the ninth are cut. */
static uint32_t fraction_parse(const char *digits)
{
	uint32_t value = 0;

	for (int i = 0; i < 9; i++) {
		value *= 10;
		if (*digits >= '0' && *digits <= '9')
			value += (uint32_t)(*digits++ - '0');
	}
	return value;
}

static bool join_time(int64_t s, int64_t rest, int64_t *ret)
{
	int64_t whole;

	return !__builtin_mul_overflow(s, (int64_t)NS_PER_S, &whole) &&
	       !__builtin_add_overflow(whole, rest, ret);
}

static bool float_time_parse(const char *text, int64_t *ret)
{
	bool negative = text[0] == '-';
	char whole[24];
	size_t n;
	uint64_t s;
	int64_t rest;

	text += negative;
	n = strcspn(text, ".");
	if (n >= sizeof(whole) || (text[n] && text[n + 1 + strspn(text + n + 1, "0123456789")]))
		return false;
	memcpy(whole, text, n);
	whole[n] = '\0';
	if (uint_parse(whole, &s) < 0 || s > INT64_MAX)
		return false;
	rest = text[n] ? (int64_t)fraction_parse(text + n + 1) : 0;
	return negative ? join_time(-(int64_t)s, -rest, ret) : join_time((int64_t)s, rest, ret);
}

static bool date_time_parse(const char *text, int64_t *ret)
{
	const char *dot = strchr(text, '.');
	time_t s;

	return iso_date_parse(text, &s) == 0 &&
	       join_time(s, dot ? (int64_t)fraction_parse(dot + 1) : 0, ret);
}

static void read_mtime(const char *value, struct object_meta *ret)
{
	int64_t ns;

	if (strchr(value, 'T') ? date_time_parse(value, &ns) : float_time_parse(value, &ns)) {
		ret->mtime_ns = ns;
		ret->has |= META_MTIME;
	}
}

/* Whole seconds, for who has nothing better. */
static void read_coarse_mtime(const char *value, struct object_meta *ret)
{
	if (!(ret->has & META_MTIME))
		read_mtime(value, ret);
}

static void read_mode_of(const char *value, int base, struct object_meta *ret)
{
	char *end;
	unsigned long mode = strtoul(value, &end, base);

	if (value[0] < '0' || value[0] > '9' || *end || mode > 0177777)
		return;
	ret->mode = (uint32_t)mode & PERMISSIONS;
	ret->has |= META_MODE;
}

/* s3fs writes it in decimal: a leading zero tells. */
static void read_mode(const char *value, struct object_meta *ret)
{
	read_mode_of(value, 0, ret);
}

static void read_octal_mode(const char *value, struct object_meta *ret)
{
	read_mode_of(value, 8, ret);
}

static void read_id(const char *value, uint32_t *id, struct object_meta *ret)
{
	uint64_t n;

	if (uint_parse(value, &n) == 0 && n < UINT32_MAX) {
		*id = (uint32_t)n;
		ret->has |= META_OWNER;
	}
}

static void read_uid(const char *value, struct object_meta *ret)
{
	read_id(value, &ret->uid, ret);
}

static void read_gid(const char *value, struct object_meta *ret)
{
	read_id(value, &ret->gid, ret);
}

static void read_symlink(const char *value, struct object_meta *ret)
{
	if (strlen(value) < sizeof(ret->symlink))
		snprintf(ret->symlink, sizeof(ret->symlink), "%s", value);
}

static void read_encoded_symlink(const char *value, struct object_meta *ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(META_SYMLINK_MAX);

	if (percent_decode(span_str(value), false, &b) == 0 && buf_str(&b) &&
	    strlen(buf_str(&b)) == b.len)
		read_symlink(buf_str(&b), ret);
}

static void read_writer(const char *value, struct object_meta *ret)
{
	if (is_word(value) && strlen(value) < sizeof(ret->writer))
		snprintf(ret->writer, sizeof(ret->writer), "%s", value);
}

void object_meta_read(const char *name, const char *value, struct object_meta *ret)
{
	static const struct {
		const char *name;
		void (*read)(const char *value, struct object_meta *ret);
	} known[] = {
		{ "mtime", read_mtime },
		{ "mode", read_mode },
		{ "uid", read_uid },
		{ "gid", read_gid },
		{ "symlink", read_encoded_symlink },
		{ "mangrovewriter", read_writer },
		{ "goog-reserved-file-mtime", read_coarse_mtime },
		{ "goog-reserved-posix-mode", read_octal_mode },
		{ "goog-reserved-posix-uid", read_uid },
		{ "goog-reserved-posix-gid", read_gid },
		{ "gcsfuse_symlink_target", read_symlink },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcasecmp(name, known[i].name) == 0)
			known[i].read(value, ret);
}
