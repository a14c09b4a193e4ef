/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of stores and addresses of servers: written from their parts they read the same. */
#include "tests/fuzz/fuzz.h"

#include "backends/open.h"
#include "backends/uri.h"
#include "base/text.h"

#define LIMIT (64 * KiB)

static void write_url(const struct uri *u, struct buf *ret)
{
	MUST(buf_addf(ret, "%s://", u->scheme) == 0);
	MUST(percent_encode(span_str(u->authority), false, ret) == 0);
	MUST(buf_add_byte(ret, '/') == 0);
	MUST(percent_encode(span_str(u->path), false, ret) == 0);
	for (size_t i = 0; i < u->params.n; i++) {
		MUST(buf_add_byte(ret, i ? '&' : '?') == 0);
		MUST(percent_encode(span_str(u->params.items[i].name), false, ret) == 0);
		MUST(buf_add_byte(ret, '=') == 0);
		MUST(percent_encode(span_str(u->params.items[i].value), false, ret) == 0);
	}
}

static void same(const struct uri *a, const struct uri *b)
{
	MUST(strcmp(a->scheme, b->scheme) == 0 && strcmp(a->authority, b->authority) == 0);
	MUST(strcmp(a->path, b->path) == 0 && a->params.n == b->params.n);
	for (size_t i = 0; i < a->params.n; i++) {
		MUST(strcmp(a->params.items[i].name, b->params.items[i].name) == 0);
		MUST(strcmp(a->params.items[i].value, b->params.items[i].value) == 0);
	}
}

static void params(const struct uri *u, const char *url)
{
	static const char *const known[] = { "region", "endpoint", "anonymous", NULL };
	char err[256] = "";
	bool v;

	MUST(uri_check_params(u, known, url, err, sizeof(err)) == 0 || err[0]);
	err[0] = '\0';
	MUST(uri_param_bool(u, "anonymous", false, &v, err, sizeof(err)) == 0 || err[0]);
}

static void url(const char *text)
{
	_cleanup_uri_ struct uri u = {}, again = {};
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);
	char err[256] = "";
	const int r = uri_parse(text, &u, err, sizeof(err));

	MUST(r == 0 || (r == -EINVAL && err[0] && !u.scheme));
	(void)store_url_is(text);
	if (r)
		return;
	MUST(u.scheme[0] && !strchr(u.authority, '@'));
	params(&u, text);
	write_url(&u, &b);
	if (b.len >= 4 * KiB) /* escapes made it longer than a URL may be */
		return;
	MUST(uri_parse(buf_str(&b), &again, err, sizeof(err)) == 0);
	same(&u, &again);
}

static void endpoint(const char *text)
{
	_cleanup_endpoint_ struct endpoint e = {}, again = {};
	_cleanup_free_ char *whole = NULL;
	const int r = endpoint_parse(text, "https", &e);

	MUST(r == 0 || (r == -EINVAL && !e.host));
	if (r)
		return;
	(void)endpoint_is_bare(&e);
	MUST(e.host[0] && strncmp(e.origin, e.tls ? "https://" : "http://", e.tls ? 8 : 7) == 0);
	MUST(asprintf(&whole, "%s%s", e.origin, e.path) > 0);
	MUST(endpoint_parse(whole, "https", &again) == 0);
	MUST(e.tls == again.tls && strcmp(e.path, again.path) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = text_of(span_of(data, size));

	url(text);
	endpoint(text);
	return 0;
}
