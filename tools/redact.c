/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/redact.h"

#include <ctype.h>
#include <stdio.h>

#include "base/text.h"

#define SECRET_LEAST 8u
#define FILE_MOST (256 * KiB)

void redactor_release(struct redactor *r)
{
	for (size_t i = 0; i < r->n; i++) {
		explicit_bzero(r->secrets[i], strlen(r->secrets[i]));
		free(r->secrets[i]);
	}
	r->n = 0;
}

void redact_add(struct redactor *r, struct span s)
{
	if (s.len < SECRET_LEAST || r->n == REDACT_MAX)
		return;
	for (size_t i = 0; i < r->n; i++)
		if (strlen(r->secrets[i]) == s.len && !memcmp(r->secrets[i], s.data, s.len))
			return;
	r->secrets[r->n] = strndup((const char *)s.data, s.len);
	r->n += r->secrets[r->n] != NULL;
}

/* Of a variable, by its name. */
static bool is_secret_name(struct span name)
{
	static const char *const words[] = { "KEY", "SECRET", "TOKEN", "PASS", "CONNECTION", "SAS",
					     "CREDENTIAL" };
	char text[128];

	snprintf(text, sizeof(text), "%.*s", (int)MIN(name.len, sizeof(text) - 1), name.data);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(text, words[i]))
			return true;
	return false;
}

void redact_environment(struct redactor *r, struct span env)
{
	while (env.len) {
		size_t n = strnlen((const char *)env.data, env.len);
		const uint8_t *eq = memchr(env.data, '=', n);
		size_t name = eq ? (size_t)(eq - env.data) : n;
		struct span value = span_sub(env, MIN(name + 1, n), n - MIN(name + 1, n));

		/* a path says where a secret is, and is none */
		if (eq && value.len && value.data[0] != '/' &&
		    is_secret_name(span_of(env.data, name)))
			redact_add(r, value);
		env = span_sub(env, MIN(n + 1, env.len), SIZE_MAX);
	}
}

static bool is_plain(uint8_t c)
{
	return isalnum(c) || (c && strchr("+/=_.-~%", c));
}

void redact_file(struct redactor *r, const char *path)
{
	FILE *f = path ? fopen(path, "re") : NULL;
	_cleanup_free_ char *text = f ? malloc(FILE_MOST) : NULL;
	size_t n = text ? fread(text, 1, FILE_MOST, f) : 0;

	/* words of letters and digits, long enough to be guarded */
	for (size_t i = 0; i < n;) {
		size_t begin = i;

		while (i < n && is_plain((uint8_t)text[i]))
			i++;
		if (i - begin >= 2 * SECRET_LEAST)
			redact_add(r, span_of(text + begin, i - begin));
		i += i == begin;
	}
	if (text)
		explicit_bzero(text, FILE_MOST);
	if (f)
		fclose(f);
}

/* The length of a known secret that begins here, or 0. */
static size_t known_at(const struct redactor *r, struct span s)
{
	size_t longest = 0;

	for (size_t i = 0; i < r->n; i++) {
		size_t n = strlen(r->secrets[i]);

		if (n > longest && n <= s.len && !memcmp(s.data, r->secrets[i], n))
			longest = n;
	}
	return longest;
}

/* The length of a word here after which a secret follows, or 0. */
static size_t mark_at(struct span s)
{
	static const char *const marks[] = { "sig=",	       "Signature=",	"AccountKey=",
					     "Authorization: ", "Bearer ",	"private_key\": \"",
					     "private_key\":\"", "access_token\":\"",
					     "access_token\": \"", "password=",	"Credential=" };

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		size_t n = strlen(marks[i]);

		if (n <= s.len && !strncasecmp((const char *)s.data, marks[i], n))
			return n;
	}
	return 0;
}

/* Of "scheme://USER:PASSWORD@host": the length of the part before '@', or 0. */
static size_t userinfo_at(struct span s)
{
	size_t i = 3;

	if (s.len < 4 || memcmp(s.data, "://", 3))
		return 0;
	while (i < s.len && !strchr("/?@ \t\n\"'", s.data[i]))
		i++;
	return i < s.len && s.data[i] == '@' ? i - 3 : 0;
}

static size_t value_length(struct span s)
{
	size_t i = 0;

	while (i < s.len && !strchr("&;,\"' \t\n", s.data[i]))
		i++;
	return i;
}

int redact(const struct redactor *r, struct span text, struct buf *ret)
{
	int e = 0;

	for (size_t i = 0; i < text.len && !e;) {
		struct span rest = span_sub(text, i, SIZE_MAX);
		size_t known = known_at(r, rest), mark = mark_at(rest), user = userinfo_at(rest);

		if (known) {
			e = buf_add_str(ret, REDACTED);
			i += known;
		} else if (mark || user) {
			size_t keep = mark ? mark : 3;

			e = buf_add_span(ret, span_sub(rest, 0, keep));
			if (!e)
				e = buf_add_str(ret, REDACTED);
			i += keep + (mark ? value_length(span_sub(rest, keep, SIZE_MAX)) : user);
		} else {
			e = buf_add_byte(ret, text.data[i++]);
		}
	}
	return e;
}

/* What is left of a line: nothing of a comment. */
static size_t without_comment(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if ((line.data[i] == ';' || line.data[i] == '#') &&
		    (i == 0 || isspace(line.data[i - 1])))
			return i;
	return line.len;
}

int redact_config(struct span text, struct buf *ret)
{
	int e = 0;

	while (text.len && !e) {
		const uint8_t *end = memchr(text.data, '\n', text.len);
		size_t n = end ? (size_t)(end - text.data) : text.len, blank = 0;
		struct span line = span_sub(text, 0, n);

		while (blank < n && isspace(line.data[blank]))
			blank++;
		if (span_starts(span_sub(line, blank, SIZE_MAX), SPAN_LITERAL("key_command")))
			e = buf_add_str(ret, "key_command = " REDACTED);
		else
			e = buf_add_span(ret, span_sub(line, 0, without_comment(line)));
		if (!e)
			e = buf_add_byte(ret, '\n');
		text = span_sub(text, MIN(n + 1, text.len), SIZE_MAX);
	}
	return e;
}
