/* SPDX-License-Identifier: Apache-2.0 */
#include "web_http.h"

#include "web.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *web_op_name(enum web_op op)
{
	static const char *const names[WEB_OPS] = {
		[WEB_OP_OTHER] = "other",   [WEB_OP_PUT] = "put",   [WEB_OP_GET] = "get",
		[WEB_OP_HEAD] = "head",     [WEB_OP_LIST] = "list", [WEB_OP_DELETE] = "delete",
		[WEB_OP_TOKEN] = "token",
	};
	return names[op];
}

/* ---- request ---- */

ssize_t web_head_read(struct web_conn *conn)
{
	size_t looked = 0;
	for (;;) {
		char *end = memmem(conn->head + looked, conn->filled - looked, "\r\n\r\n", 4);
		if (end)
			return end + 4 - conn->head;
		looked = conn->filled > 3 ? conn->filled - 3 : 0;
		if (conn->filled == WEB_HEAD_MAX)
			return -1;
		ssize_t got = web_io_read(&conn->io, conn->head + conn->filled,
					  WEB_HEAD_MAX - conn->filled);
		if (got <= 0)
			return 0;
		conn->filled += (size_t)got;
	}
}

char *web_req_keep(struct web_req *req, const char *s, size_t n)
{
	/* What is kept are parts of the head, each at most twice, so this never runs out. */
	if (n + 1 > (size_t)(req->conn->scratch + sizeof(req->conn->scratch) - req->scratch))
		abort();
	char *kept = req->scratch;
	memcpy(kept, s, n);
	kept[n] = '\0';
	req->scratch += n + 1;
	return kept;
}

static bool is_token(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || strchr("()<>@,;:\\\"/[]?={}", *s))
			return false;
	return true;
}

static const char *parse_request_line(struct web_req *req, char *line)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;
	if (!version)
		return "malformed request line";
	*target++ = '\0';
	*version++ = '\0';
	if (!is_token(line) || strcmp(version, "HTTP/1.1") != 0)
		return "malformed request line";
	if (*target != '/')
		return "the request target is no path";
	for (const char *p = target; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '#')
			return "raw byte in the request target that must be percent-encoded";
	req->method = line;
	req->target = target;
	return NULL;
}

static const char *parse_target(struct web_req *req)
{
	char *query = strchr(req->target, '?');
	size_t n = query ? (size_t)(query - req->target) : strlen(req->target);
	req->path = web_req_keep(req, req->target, n);
	req->query = query ? query + 1 : req->target + n;
	char *rest = web_req_keep(req, req->query, strlen(req->query));
	for (char *part; (part = strsep(&rest, "&"));) {
		if (!*part)
			continue;
		if (req->nparams == WEB_QUERY_MAX)
			return "too many query parameters";
		char *value = strchr(part, '=');
		if (value)
			*value++ = '\0';
		else
			value = part + strlen(part);
		if (!web_percent_decode(part, false) || !web_percent_decode(value, false))
			return "broken percent-encoding in the query";
		req->params[req->nparams++] = (struct web_pair){ part, value };
	}
	return NULL;
}

static const char *parse_header(struct web_req *req, char *line)
{
	char *value = strchr(line, ':');
	if (!value || req->nheaders == WEB_HEADERS_MAX)
		return "malformed header or too many headers";
	*value++ = '\0';
	if (!is_token(line))
		return "malformed header name";
	for (char *p = line; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p |= 0x20;
	value += strspn(value, " \t");
	size_t n = strlen(value);
	while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		value[--n] = '\0';
	for (const char *p = value; *p; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return "control character in a header";
	req->headers[req->nheaders++] = (struct web_pair){ line, value };
	return NULL;
}

static const char *parse_length(struct web_req *req)
{
	size_t lengths = 0;
	for (size_t i = 0; i < req->nheaders; i++)
		lengths += strcmp(req->headers[i].name, "content-length") == 0;
	if (lengths > 1)
		return "more than one Content-Length";
	const char *length = web_header(req, "content-length");
	if (length && !web_parse_u64(length, 1ull << 40, &req->length))
		return "malformed Content-Length";
	req->has_length = length;
	const char *expect = web_header(req, "expect");
	req->expects = expect && strcasecmp(expect, "100-continue") == 0;
	if (!web_header(req, "host"))
		return "no Host header";
	return NULL;
}

const char *web_req_parse(struct web_req *req, struct web_conn *conn, size_t head_len)
{
	req->scratch = conn->scratch;
	if (memchr(conn->head, '\0', head_len))
		return "NUL in the request head";
	conn->head[head_len - 2] = '\0';
	const char *wrong = NULL;
	char *line = conn->head;
	for (bool first = true; *line && !wrong; first = false) {
		char *end = strstr(line, "\r\n");
		*end = '\0';
		wrong = first ? parse_request_line(req, line) : parse_header(req, line);
		line = end + 2;
	}
	if (!wrong && !req->target)
		wrong = "empty request";
	if (!wrong)
		wrong = parse_target(req);
	return wrong ? wrong : parse_length(req);
}

void web_req_release(struct web_req *req)
{
	web_reply_reset(&req->reply);
	web_sums_release(&req->sums);
	web_blob_unref(req->body);
}

static const char *find(const struct web_pair *pairs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(pairs[i].name, name) == 0)
			return pairs[i].value;
	return NULL;
}

const char *web_header(const struct web_req *req, const char *name)
{
	return find(req->headers, req->nheaders, name);
}

const char *web_param(const struct web_req *req, const char *name)
{
	return find(req->params, req->nparams, name);
}

const char *web_param_or_empty(const struct web_req *req, const char *name)
{
	const char *value = web_param(req, name);
	return value ? value : "";
}

/* ---- answer ---- */

void web_reply_reset(struct web_reply *reply)
{
	web_text_release(&reply->headers);
	web_text_release(&reply->body);
	web_object_unref(reply->object);
	*reply = (struct web_reply){ 0 };
}

void web_reply_header(struct web_req *req, const char *name, const char *format, ...)
{
	struct web_text *headers = &req->reply.headers;
	web_text_puts(headers, name);
	web_text_puts(headers, ": ");
	va_list args;
	va_start(args, format);
	web_text_vprintf(headers, format, args);
	va_end(args);
	web_text_puts(headers, "\r\n");
}

void web_reply_object(struct web_req *req, struct web_object *object, size_t from, size_t len)
{
	req->reply.object = web_object_ref(object);
	req->reply.data = object->data + from;
	req->reply.len = len;
}

const uint8_t *web_reply_bytes(const struct web_reply *reply, size_t *ret_len)
{
	if (reply->object) {
		*ret_len = reply->len;
		return reply->data;
	}
	*ret_len = reply->body.len;
	return (const uint8_t *)web_text_str(&reply->body);
}

static const char *reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 201: return "Created";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 206: return "Partial Content";
	case 304: return "Not Modified";
	case 308: return "Resume Incomplete";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 409: return "Conflict";
	case 412: return "Precondition Failed";
	case 416: return "Range Not Satisfiable";
	case 429: return "Too Many Requests";
	case 500: return "Internal Server Error";
	case 499: return "Client Closed Request";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	default: return "Status";
	}
}

bool web_reply_send(struct web_req *req, size_t most)
{
	struct web_reply *reply = &req->reply;
	size_t len;
	const uint8_t *bytes = web_reply_bytes(reply, &len);
	struct web_text head = { 0 };
	web_text_printf(&head, "HTTP/1.1 %d %s\r\nDate: ", reply->status, reason(reply->status));
	web_text_http_date(&head, web_now_ns(req->web) / 1000000000);
	web_text_puts(&head, "\r\nServer: mangrove-standin\r\n");
	web_text_put(&head, reply->headers.s, reply->headers.len);
	if (reply->status != 304 && reply->status != 204)
		web_text_printf(&head, "Content-Length: %lld\r\n",
				(long long)len + reply->length_delta);
	if (reply->close)
		web_text_puts(&head, "Connection: close\r\n");
	web_text_puts(&head, "\r\n");
	if (req->method && strcmp(req->method, "HEAD") == 0)
		len = 0;
	bool sent = web_io_write(&req->conn->io, head.s, head.len, bytes, len < most ? len : most);
	web_text_release(&head);
	return sent;
}
