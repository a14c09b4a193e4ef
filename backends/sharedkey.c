/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/sharedkey.h"

#include "base/crypto.h"
#include "base/sodium.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define TEXT_MAX (64 * KiB)

/* The twelve headers whose values stand on lines of their own, in this order. */
static const char *const lines[] = {
	"Content-Encoding",
	"Content-Language",
	"Content-Length",
	"Content-MD5",
	"Content-Type",
	"Date",
	"If-Modified-Since",
	"If-Match",
	"If-None-Match",
	"If-Unmodified-Since",
	"Range",
};

static int add_line(const struct sharedkey_request *r, const char *name, struct buf *ret)
{
	const char *value = pairs_get(r->headers, name);
	char length[24];

	if (strcmp(name, "Content-Length") == 0) { /* empty when there is no body */
		snprintf(length, sizeof(length), "%llu", (unsigned long long)r->body_len);
		value = r->body_len ? length : NULL;
	}
	if (strcmp(name, "Date") == 0 && pairs_get(r->headers, "x-ms-date"))
		value = NULL;
	return buf_addf(ret, "%s\n", value ? value : "");
}

/* Copies a pair with its name in lower case. */
static void add_lower(struct pairs *to, const struct pair *p)
{
	_cleanup_free_ char *name = strdup(p->name);

	if (!name) {
		to->no_memory = true;
		return;
	}
	for (char *c = name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	pairs_add(to, name, p->value);
}

static int by_name_and_value(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->value, y->value);
}

static int sorted(const struct pairs *from, const char *beginning, struct pairs *ret)
{
	for (size_t i = 0; i < from->n; i++)
		if (strncasecmp(from->items[i].name, beginning, strlen(beginning)) == 0)
			add_lower(ret, &from->items[i]);
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), by_name_and_value);
	return pairs_error(ret);
}

static struct span trimmed(const char *s)
{
	struct span v = span_str(s);

	while (v.len && isspace(v.data[0]))
		v = span_sub(v, 1, v.len);
	while (v.len && isspace(v.data[v.len - 1]))
		v.len--;
	return v;
}

static int add_headers(const struct sharedkey_request *r, struct buf *ret)
{
	_cleanup_pairs_ struct pairs h = {};
	int error = sorted(r->headers, "x-ms-", &h);

	for (size_t i = 0; i < h.n && error == 0; i++)
		error = buf_addf(ret, "%s:%.*s\n", h.items[i].name,
				 SPAN_FMT(trimmed(h.items[i].value)));
	return error;
}

/* "\nname:value", several values of a name joined by commas. */
static int add_query(const struct sharedkey_request *r, struct buf *ret)
{
	_cleanup_pairs_ struct pairs q = {};
	int error = sorted(r->query, "", &q);

	for (size_t i = 0; i < q.n && error == 0; i++) {
		bool again = i && strcmp(q.items[i].name, q.items[i - 1].name) == 0;

		error = again ? buf_addf(ret, ",%s", q.items[i].value)
			      : buf_addf(ret, "\n%s:%s", q.items[i].name, q.items[i].value);
	}
	return error;
}

int sharedkey_text(const struct sharedkey_request *r, struct buf *ret)
{
	int error = buf_addf(ret, "%s\n", r->method);

	for (size_t i = 0; i < ARRAY_SIZE(lines) && error == 0; i++)
		error = add_line(r, lines[i], ret);
	if (error == 0)
		error = add_headers(r, ret);
	if (error == 0)
		error = buf_addf(ret, "/%s%s", r->account, r->path);
	return error < 0 ? error : add_query(r, ret);
}

int sharedkey_hmac(const char *key_base64, struct span text, struct buf *ret)
{
	_cleanup_buf_ struct buf key = BUF_INIT(KiB);
	uint8_t mac[SHA256_LEN];
	int error = base64_decode(span_str(key_base64), &key);

	if (error < 0)
		return error;
	hmac_sha256(buf_span(&key), text, mac);
	if (key.len)
		wipe(key.data, key.len);
	return base64_encode(span_of(mac, sizeof(mac)), ret);
}

int sharedkey_sign(const char *key_base64, const struct sharedkey_request *r, struct buf *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT(TEXT_MAX);
	int error = sharedkey_text(r, &text);

	if (error == 0)
		error = buf_addf(ret, "SharedKey %s:", r->account);
	return error < 0 ? error : sharedkey_hmac(key_base64, buf_span(&text), ret);
}

#define ACCESS_VERSION "2020-12-06" /* of the sixteen fields, most of them empty */

int sharedkey_read_access(const char *key_base64, const char *account, const char *path,
			  uint64_t until_s, struct buf *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT(TEXT_MAX), sig = BUF_INIT(128);
	char until[25];
	int error;

	iso_date(until_s * NS_PER_S, until);
	memcpy(until + 19, "Z", 2); /* whole seconds */
	error = buf_addf(&text,
			 "r\n\n%s\n/blob/%s%s\n\n\n\n" ACCESS_VERSION "\nb\n\n\n\n\n\n\n",
			 until, account, path);
	if (error == 0)
		error = sharedkey_hmac(key_base64, buf_span(&text), &sig);
	if (error == 0)
		error = buf_addf(ret, "sv=" ACCESS_VERSION "&sr=b&sp=r&se=");
	if (error == 0)
		error = percent_encode(span_str(until), false, ret);
	if (error == 0)
		error = buf_add_str(ret, "&sig=");
	return error < 0 ? error : percent_encode(buf_span(&sig), false, ret);
}
