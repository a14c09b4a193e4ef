/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/request.h"

#include "base/text.h"
#include "base/wait.h"

#include <stdio.h>
#include <strings.h>

#define ANSWER_HEADERS_MAX (64 * KiB)
#define MULTIPART_FRAME_MAX (16 * KiB)
#define RETRY_AFTER_MAX_S 120

const char *http_method_name(enum http_method m)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET",   [HTTP_HEAD] = "HEAD",     [HTTP_PUT] = "PUT",
		[HTTP_POST] = "POST", [HTTP_PATCH] = "PATCH",   [HTTP_DELETE] = "DELETE",
	};

	return names[m];
}

static void set_method(struct request *r, enum http_method method)
{
	r->method = method;
	r->sends_body = method == HTTP_PUT || method == HTTP_POST || method == HTTP_PATCH;
	r->repeatable = method == HTTP_GET || method == HTTP_HEAD;
}

struct request *request_new(enum http_method method, const char *origin, const char *path)
{
	_cleanup_(request_freep) struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	set_method(r, method);
	r->origin = strdup(origin);
	r->path = strdup(path);
	buf_init(&r->head, MULTIPART_FRAME_MAX);
	buf_init(&r->tail, MULTIPART_FRAME_MAX);
	buf_init(&r->text, REQUEST_TEXT_MAX);
	buf_init(&r->http.answer_headers, ANSWER_HEADERS_MAX);
	if (!r->origin || !r->path)
		return NULL;
	return take_ptr(&r);
}

struct request *request_free(struct request *r)
{
	if (!r)
		return NULL;
	free(r->origin);
	free(r->path);
	free(r->raw_query);
	free(r->ca_file);
	pairs_release(&r->query);
	pairs_release(&r->headers);
	buf_release(&r->head);
	buf_release(&r->tail);
	buf_release(&r->text);
	buf_release(&r->http.answer_headers);
	blob_unref(r->body);
	free(r);
	return NULL;
}

void request_rewind(struct request *r)
{
	buf_clear(&r->text);
	buf_clear(&r->http.answer_headers);
	if (r->sink)
		buf_clear(r->sink);
	r->end = REQUEST_ANSWERED;
	r->attempts = 0;
	r->status = 0;
	r->why[0] = '\0';
	r->http.sent = 0;
	r->http.too_big = r->http.no_memory = false;
}

void request_retarget(struct request *r, enum http_method method, char *path)
{
	free(r->path);
	r->path = path;
	set_method(r, method);
	pairs_release(&r->query);
	pairs_release(&r->headers);
	buf_clear(&r->head);
	buf_clear(&r->tail);
	r->body = blob_unref(r->body);
	r->sink = NULL;
}

int request_set_origin(struct request *r, const char *origin)
{
	char *copy = strdup(origin);

	if (!copy)
		return fail(-ENOMEM);
	free(r->origin);
	r->origin = copy;
	return 0;
}

uint64_t request_body_len(const struct request *r)
{
	return (uint64_t)r->head.len + (r->body ? blob_span(r->body).len : 0) + r->tail.len;
}

int request_url(const struct request *r, struct buf *ret)
{
	int error = buf_addf(ret, "%s%s", r->origin, r->path);

	if (error == 0 && r->query.n) {
		error = buf_add_byte(ret, '?');
		if (error == 0)
			error = pairs_query(&r->query, ret);
	}
	if (error == 0 && r->raw_query)
		error = buf_addf(ret, "%c%s", r->query.n ? '&' : '?', r->raw_query);
	return error;
}

size_t request_body_read(const struct request *r, uint64_t offset, void *to, size_t room)
{
	const struct span parts[] = { buf_span(&r->head), r->body ? blob_span(r->body) : SPAN_NULL,
				      buf_span(&r->tail) };
	size_t done = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct span part;

		if (offset >= parts[i].len) {
			offset -= parts[i].len;
			continue;
		}
		part = span_sub(parts[i], (size_t)offset, room - done);
		memcpy((uint8_t *)to + done, part.data, part.len);
		done += part.len;
		offset = 0;
		if (done == room)
			break;
	}
	return done;
}

/* ---- the answer's headers: raw lines, each with its CR LF ---- */

static struct span trimmed(struct span s)
{
	while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
		s = span_sub(s, 1, s.len);
	while (s.len && strchr(" \t\r\n", s.data[s.len - 1]))
		s.len--;
	return s;
}

bool request_header(const struct request *r, const char *name, struct span *ret)
{
	struct span rest = buf_span(&r->http.answer_headers);
	size_t n = strlen(name);

	while (rest.len) {
		const uint8_t *end = memchr(rest.data, '\n', rest.len);
		size_t line = end ? (size_t)(end - rest.data) + 1 : rest.len;

		if (line > n && rest.data[n] == ':' &&
		    strncasecmp((const char *)rest.data, name, n) == 0) {
			*ret = trimmed(span_sub(rest, n + 1, line - n - 1));
			return true;
		}
		rest = span_sub(rest, line, rest.len);
	}
	return false;
}

bool request_header_next(const struct request *r, const char *beginning, size_t *at,
			 struct span *ret_name, struct span *ret_value)
{
	struct span all = buf_span(&r->http.answer_headers), line;
	size_t n = strlen(beginning);

	while (*at < all.len) {
		const uint8_t *end, *colon;

		line = span_sub(all, *at, all.len);
		end = memchr(line.data, '\n', line.len);
		if (end)
			line.len = (size_t)(end - line.data) + 1;
		*at += line.len;
		colon = memchr(line.data, ':', line.len);
		if (!colon || (size_t)(colon - line.data) < n ||
		    strncasecmp((const char *)line.data, beginning, n) != 0)
			continue;
		*ret_name = span_sub(line, n, (size_t)(colon - line.data) - n);
		*ret_value = trimmed(span_sub(line, (size_t)(colon - line.data) + 1, line.len));
		return true;
	}
	return false;
}

const char *request_header_copy(const struct request *r, const char *name, char *buf, size_t size)
{
	struct span v = SPAN_NULL;

	(void)request_header(r, name, &v);
	snprintf(buf, size, "%.*s", SPAN_FMT(v));
	return buf;
}

int request_header_uint(const struct request *r, const char *name, uint64_t *ret)
{
	char text[32];
	struct span v;

	if (!request_header(r, name, &v))
		return -ENOENT;
	if (v.len >= sizeof(text))
		return -EBADMSG;
	request_header_copy(r, name, text, sizeof(text));
	return uint_parse(text, ret) < 0 ? -EBADMSG : 0;
}

uint64_t request_header_date(const struct request *r, const char *name)
{
	char text[64];
	time_t t;

	if (http_date_parse(request_header_copy(r, name, text, sizeof(text)), &t) < 0 || t < 0)
		return 0;
	return (uint64_t)t;
}

uint64_t request_retry_after_ms(const struct request *r)
{
	uint64_t s, date, now;

	if (request_header_uint(r, "retry-after", &s) < 0) {
		date = request_header_date(r, "retry-after");
		now = request_header_date(r, "date");
		if (!now)
			now = clock_wall() / NS_PER_S;
		s = date > now ? date - now : 0;
	}
	return MIN(s, (uint64_t)RETRY_AFTER_MAX_S) * 1000;
}

int request_content_range(const struct request *r, uint64_t *ret_first, uint64_t *ret_last,
			  uint64_t *ret_total)
{
	char text[96], *slash, *dash;
	uint64_t first = 0, last = 0, total;

	if (!request_header_copy(r, "content-range", text, sizeof(text))[0])
		return -ENOENT;
	slash = strchr(text, '/');
	if (strncmp(text, "bytes ", 6) != 0 || !slash)
		return -EBADMSG;
	*slash = '\0';
	dash = strchr(text, '-');
	if (dash)
		*dash = '\0';
	if (dash ? uint_parse(text + 6, &first) < 0 || uint_parse(dash + 1, &last) < 0 ||
			    last < first
		 : strcmp(text + 6, "*") != 0)
		return -EBADMSG;
	if (uint_parse(slash + 1, &total) < 0)
		return -EBADMSG;
	*ret_first = first;
	*ret_last = last;
	*ret_total = total;
	return 0;
}
