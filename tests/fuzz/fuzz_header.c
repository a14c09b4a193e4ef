/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of answers, as raw lines: what is read of them lies in one line, and is what it says. */
#include "tests/fuzz/fuzz.h"

#include "backends/listing.h"
#include "backends/request.h"

static void one(const struct request *r, const char *name)
{
	char text[64];
	struct span v = SPAN_NULL;

	if (!request_header(r, name, &v)) {
		MUST(request_header_copy(r, name, text, sizeof(text))[0] == '\0');
		return;
	}
	MUST(v.len == 0 ||
	     (v.data >= r->http.answer_headers.data &&
	      v.data + v.len <= r->http.answer_headers.data + r->http.answer_headers.len));
	MUST(v.len == 0 || memchr(v.data, '\n', v.len) == NULL);
	MUST(v.len == 0 || !strchr(" \t", v.data[0]) || v.data[0] == 0);
	MUST(strlen(request_header_copy(r, name, text, sizeof(text))) <= v.len);
}

static void numbers(const struct request *r)
{
	uint64_t v = 77, first = 77, last = 77, total = 77;
	int e = request_header_uint(r, "content-length", &v);

	MUST(e == 0 || ((e == -ENOENT || e == -EBADMSG) && v == 77));
	MUST(request_retry_after_ms(r) <= 120 * 1000);
	MUST(request_header_date(r, "last-modified") <= 253402300799);
	e = request_content_range(r, &first, &last, &total);
	MUST(e == 0 ? first <= last : e == -ENOENT || e == -EBADMSG);
	if (e)
		MUST(first == 77 && last == 77 && total == 77);
}

static void version(const struct request *r)
{
	char etag[STORE_VERSION_MAX], again[STORE_VERSION_MAX];
	struct span v = SPAN_NULL;

	(void)request_header(r, "etag", &v);
	etag_copy(v, etag);
	etag_copy(span_str(etag), again);
	MUST(strcmp(etag, again) == 0);
	MUST(!etag[0] || etag[0] == '"' || strncmp(etag, "W/", 2) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "etag", "date", "content-range", "Content-Length",
					     "x-amz-bucket-region" };
	_cleanup_(request_freep) struct request *r = request_new(HTTP_GET, "http://h", "/");

	MUST(r && buf_add(&r->http.answer_headers, data, MIN(size, (size_t)16384)) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		one(r, names[i]);
	numbers(r);
	version(r);
	return 0;
}
