/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/sigv4.h"

#include "base/crypto.h"
#include "base/sodium.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define CANONICAL_MAX (64 * KiB)

/* Headers that proxies and libraries change on the way. */
static bool is_signed(const char *name)
{
	static const char *const never[] = {
		"connection",        "user-agent",     "expect",       "accept-encoding",
		"transfer-encoding", "content-length", "authorization"
	};

	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (strcasecmp(name, never[i]) == 0)
			return false;
	return true;
}

/*
 * Sorted by name alone: "x-amz-meta-a" before "x-amz-meta-a-b". Equal names keep their order by
 * address.
 */
static int by_name(const void *a, const void *b)
{
	const struct pair *x = *(const struct pair *const *)a, *y = *(const struct pair *const *)b;
	int c = strcasecmp(x->name, y->name);

	return c ? c : x < y ? -1 : x > y;
}

static int add_lower(struct buf *b, const char *s)
{
	for (; *s; s++) {
		int error = buf_add_byte(b, (uint8_t)tolower((unsigned char)*s));

		if (error < 0)
			return error;
	}
	return 0;
}

/* Trims both ends, makes runs of blanks one. */
static int add_value(struct buf *b, const char *s)
{
	bool blank = false, begun = false;
	int error = 0;

	for (; *s && error == 0; s++) {
		if (*s == ' ' || *s == '\t') {
			blank = true;
			continue;
		}
		if (blank && begun)
			error = buf_add_byte(b, ' ');
		if (error == 0)
			error = buf_add_byte(b, (uint8_t)*s);
		blank = false;
		begun = true;
	}
	return error;
}

static int add_headers(const struct pair **sorted, size_t n, struct buf *ret, struct buf *names)
{
	for (size_t i = 0; i < n; i++) {
		bool again = i && strcasecmp(sorted[i]->name, sorted[i - 1]->name) == 0;
		int error;

		if (again) {
			ret->len--; /* the end of the line before */
			error = buf_add_byte(ret, ',');
		} else {
			error = add_lower(ret, sorted[i]->name);
			if (error == 0)
				error = buf_add_byte(ret, ':');
			if (error == 0 && i)
				error = buf_add_byte(names, ';');
			if (error == 0)
				error = add_lower(names, sorted[i]->name);
		}
		if (error == 0)
			error = add_value(ret, sorted[i]->value);
		if (error == 0)
			error = buf_add_byte(ret, '\n');
		if (error < 0)
			return error;
	}
	return 0;
}

int sigv4_canonical(const struct sigv4_request *r, struct buf *ret, struct buf *ret_signed)
{
	_cleanup_free_ const struct pair **sorted = calloc(r->headers->n + 1, sizeof(*sorted));
	size_t n = 0;
	int error;

	if (!sorted)
		return fail(-ENOMEM);
	for (size_t i = 0; i < r->headers->n; i++)
		if (is_signed(r->headers->items[i].name))
			sorted[n++] = &r->headers->items[i];
	qsort(sorted, n, sizeof(*sorted), by_name);
	error = buf_addf(ret, "%s\n%s\n%s\n", r->method, r->path[0] ? r->path : "/", r->query);
	if (error == 0)
		error = add_headers(sorted, n, ret, ret_signed);
	if (error == 0)
		error = buf_addf(ret, "\n%.*s\n%s", SPAN_FMT(buf_span(ret_signed)),
				 r->payload_hash);
	return error;
}

void sigv4_signing_key(const struct sigv4_key *k, const char *date, uint8_t ret[32])
{
	static const char end[] = "aws4_request";
	char first[512];
	int n = snprintf(first, sizeof(first), "AWS4%s", k->secret);

	hmac_sha256(span_of(first, MIN((size_t)n, sizeof(first) - 1)), span_of(date, 8), ret);
	hmac_sha256(span_of(ret, 32), span_str(k->region), ret);
	hmac_sha256(span_of(ret, 32), span_str(k->service), ret);
	hmac_sha256(span_of(ret, 32), span_str(end), ret);
	wipe(first, sizeof(first));
}

int sigv4_sign(const struct sigv4_key *k, const struct sigv4_request *r, struct buf *ret)
{
	_cleanup_buf_ struct buf canonical = BUF_INIT(CANONICAL_MAX), names = BUF_INIT(4 * KiB),
				 to_sign = BUF_INIT(KiB);
	uint8_t hash[SHA256_LEN], key[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1], scope[256];
	int error = sigv4_canonical(r, &canonical, &names);

	if (error < 0)
		return error;
	snprintf(scope, sizeof(scope), "%.8s/%s/%s/aws4_request", r->date, k->region, k->service);
	sha256(buf_span(&canonical), hash);
	hex_encode(span_of(hash, sizeof(hash)), hex);
	error = buf_addf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n%s", r->date, scope, hex);
	if (error < 0)
		return error;
	sigv4_signing_key(k, r->date, key);
	hmac_sha256(span_of(key, sizeof(key)), buf_span(&to_sign), hash);
	wipe(key, sizeof(key));
	hex_encode(span_of(hash, sizeof(hash)), hex);
	return buf_addf(ret, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%.*s, Signature=%s",
			k->id, scope, SPAN_FMT(buf_span(&names)), hex);
}
