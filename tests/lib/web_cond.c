/* SPDX-License-Identifier: Apache-2.0 */
#include "web_cond.h"

#include <stdlib.h>
#include <string.h>

static enum web_range range_suffix(const char *digits, size_t size, size_t *ret_from,
				   size_t *ret_len)
{
	uint64_t n;
	if (!web_parse_u64(digits, UINT64_MAX, &n))
		return WEB_RANGE_ALL;
	if (n == 0 || size == 0)
		return WEB_RANGE_BEYOND;
	*ret_len = n < size ? n : size;
	*ret_from = size - *ret_len;
	return WEB_RANGE_PART;
}

enum web_range web_range_parse(const char *header, bool suffix, size_t size, size_t *ret_from,
			       size_t *ret_len)
{
	char copy[64];
	uint64_t from, to = UINT64_MAX;
	if (!header || strncmp(header, "bytes=", 6) != 0 || strlen(header) >= sizeof(copy))
		return WEB_RANGE_ALL;
	strcpy(copy, header + 6);
	char *dash = strchr(copy, '-');
	if (!dash)
		return WEB_RANGE_ALL;
	*dash = '\0';
	if (dash == copy)
		return suffix ? range_suffix(dash + 1, size, ret_from, ret_len) : WEB_RANGE_ALL;
	if (!web_parse_u64(copy, UINT64_MAX, &from))
		return WEB_RANGE_ALL;
	if (dash[1] && (!web_parse_u64(dash + 1, UINT64_MAX, &to) || to < from))
		return WEB_RANGE_ALL;
	if (from >= size)
		return WEB_RANGE_BEYOND;
	*ret_from = from;
	*ret_len = to >= size ? size - from : to - from + 1;
	return WEB_RANGE_PART;
}

bool web_etag_matches(const char *header, const char *etag)
{
	size_t n = strlen(etag);
	while (*header) {
		header += strspn(header, " ,");
		if (strncmp(header, "W/", 2) == 0)
			header += 2;
		size_t len = strcspn(header, " ,");
		if (len == 1 && *header == '*')
			return true;
		bool quoted = len >= 2 && header[0] == '"' && header[len - 1] == '"';
		const char *value = quoted ? header + 1 : header;
		if ((quoted ? len - 2 : len) == n && strncmp(value, etag, n) == 0)
			return true;
		header += len;
	}
	return false;
}

int web_read_verdict(const struct web_req *req, const struct web_object *object)
{
	const char *match = web_header(req, "if-match");
	const char *none_match = web_header(req, "if-none-match");
	const char *since = web_header(req, "if-modified-since");
	const char *unmodified = web_header(req, "if-unmodified-since");
	int64_t modified_s = object->modified_ns / 1000000000;
	if (match && !web_etag_matches(match, object->etag))
		return WEB_PRECONDITION;
	if (!match && unmodified && modified_s > web_parse_http_date(unmodified))
		return WEB_PRECONDITION;
	if (none_match && web_etag_matches(none_match, object->etag))
		return WEB_NOT_MODIFIED;
	if (!none_match && since && modified_s <= web_parse_http_date(since))
		return WEB_NOT_MODIFIED;
	return WEB_PASS;
}

/*
 * A token is the base64 of: 'i' or 'x' (the position itself is included or not), 'e' or '-' (the
 * empty page before this one has been given or not), and the position.
 */
static char *token_make(bool inclusive, bool emptied, const char *position)
{
	struct web_text plain = { 0 }, coded = { 0 };
	web_text_putc(&plain, inclusive ? 'i' : 'x');
	web_text_putc(&plain, emptied ? 'e' : '-');
	web_text_puts(&plain, position);
	web_text_base64(&coded, plain.s, plain.len);
	web_text_release(&plain);
	return coded.s;
}

struct position {
	bool inclusive, emptied;
	char *at;               /* memory of the caller */
};

static bool token_parse(const char *token, char *buf, size_t size, struct position *ret)
{
	ssize_t n = web_base64_decode(token, buf, size - 1);
	if (n < 2 || !strchr("ix", buf[0]) || !strchr("e-", buf[1]))
		return false;
	buf[n] = '\0';
	*ret = (struct position){ buf[0] == 'i', buf[1] == 'e', buf + 2 };
	return true;
}

int web_page_make(const struct web_req *req, const struct web_list_req *list_req,
		  const char *token, struct web_page *ret)
{
	char buf[4096];
	struct web_list_req asked = *list_req;
	struct web_page page = { 0 };
	struct position position = { .inclusive = asked.inclusive };
	const struct web_conf *conf = &req->web->conf;
	if (*token) {
		if (!token_parse(token, buf, sizeof(buf), &position))
			return WEB_BAD_TOKEN;
		asked.from = position.at;
		asked.inclusive = position.inclusive;
	}
	if (conf->page && asked.max > conf->page)
		asked.max = conf->page;
	if (conf->empty_pages && !position.emptied && asked.max) {
		if (!web_store_bucket_exists(req->web->store, req->bucket))
			return WEB_NO_BUCKET;
		page.list.truncated = true;
		page.token = token_make(asked.inclusive, true, asked.from);
		*ret = page;
		return 0;
	}
	int cond = web_store_list(req->web->store, req->bucket, &asked, &page.list);
	if (cond)
		return cond;
	if (page.list.truncated)
		page.token = token_make(page.list.next_inclusive, false, page.list.next);
	*ret = page;
	return 0;
}

void web_page_release(struct web_page *page)
{
	web_list_release(&page->list);
	free(page->token);
	page->token = NULL;
}
