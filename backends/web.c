/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/web.h"

#include "backends/exchange.h"
#include "base/text.h"

#include <stdio.h>
#include <unistd.h>

int web_check_ca(const char *ca_file, char *err, size_t err_size)
{
	if (!ca_file || access(ca_file, R_OK) == 0)
		return 0;
	snprintf(err, err_size, "ca_file %s cannot be read: %s", ca_file, strerror(errno));
	return fail(-EINVAL);
}

int web_init(struct web *w, const struct store_ops *ops, const struct dialect *d, const char *name,
	     const char *url, const char *prefix, const char *ca_file)
{
	_cleanup_free_ char *shown = strndup(url, strcspn(url, "?"));
	int error;

	w->dialect = d;
	w->store.ops = ops;
	if (!shown)
		return fail(-ENOMEM);
	error = store_init(&w->store, ops, name, shown);
	if (error < 0)
		return error;
	w->ca_file = ca_file ? strdup(ca_file) : NULL;
	if (asprintf(&w->prefix, "%s%s", prefix, prefix[0] ? "/" : "") < 0)
		w->prefix = NULL;
	return w->prefix && (!ca_file || w->ca_file) ? 0 : fail(-ENOMEM);
}

void web_free(struct store *s)
{
	struct web *w = container_of(s, struct web, store);

	creds_free(w->creds);
	if (w->dialect->free_more)
		w->dialect->free_more(s);
	endpoint_release(&w->endpoint);
	free(w->bucket);
	free(w->prefix);
	free(w->ca_file);
	if (s->url)
		store_release(s);
	free(w);
}

uint64_t web_now(const struct web *w)
{
	return clock_wall() / NS_PER_S + (uint64_t)__atomic_load_n(&w->skew_s, __ATOMIC_RELAXED);
}

char *web_key(const struct web *w, struct span name)
{
	char *key;

	return asprintf(&key, "%s%.*s", w->prefix, SPAN_FMT(name)) < 0 ? NULL : key;
}

char *web_path(const char *base, const char *bucket, const char *key, bool keep_slash)
{
	_cleanup_buf_ struct buf b = BUF_INIT(16 * KiB);

	if (buf_add_str(&b, base) < 0)
		return NULL;
	if (bucket &&
	    (buf_add_byte(&b, '/') < 0 || percent_encode(span_str(bucket), false, &b) < 0))
		return NULL;
	if (key && (buf_add_byte(&b, '/') < 0 || percent_encode(span_str(key), keep_slash, &b) < 0))
		return NULL;
	return buf_str(&b) ? (char *)buf_take(&b, &(size_t){ 0 }) : NULL;
}
