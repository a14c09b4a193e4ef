/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/uri.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define URL_MAX (4 * KiB)

void uri_release(struct uri *u)
{
	free(u->scheme);
	free(u->authority);
	free(u->path);
	pairs_release(&u->params);
	*u = (struct uri){};
}

/* A percent-decoded copy; NULL with *ret_error on a cut escape, a NUL inside, or no memory. */
static char *decoded(struct span s, int *ret_error)
{
	_cleanup_buf_ struct buf b = BUF_INIT(URL_MAX);
	char *text;

	*ret_error = percent_decode(s, false, &b);
	if (*ret_error < 0)
		return NULL;
	if (b.len && memchr(b.data, 0, b.len)) {
		*ret_error = -EINVAL;
		return NULL;
	}
	text = strndup(b.len ? (const char *)b.data : "", b.len);
	if (!text)
		*ret_error = -ENOMEM;
	return text;
}

/* The part of *rest up to the first of `stops`; *rest moves to the stop. */
static struct span until(const char **rest, const char *stops)
{
	struct span s = span_of(*rest, strcspn(*rest, stops));

	*rest += s.len;
	return s;
}

static int parse_params(const char *query, struct pairs *ret)
{
	while (*query) {
		struct span name = until(&query, "=&");
		struct span value = SPAN_NULL;
		_cleanup_free_ char *n = NULL, *v = NULL;
		int error;

		if (*query == '=') {
			query++;
			value = until(&query, "&");
		}
		if (*query == '&')
			query++;
		n = decoded(name, &error);
		if (n)
			v = decoded(value, &error);
		if (!v)
			return error;
		pairs_add(ret, n, v);
	}
	return pairs_error(ret);
}

static bool scheme_is_good(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!islower(s.data[i]) && !(i && isdigit(s.data[i])))
			return false;
	return s.len > 0;
}

static int parse(const char *url, struct uri *u)
{
	const char *rest = url;
	struct span scheme = until(&rest, ":"), authority, path;
	int error = -EINVAL;

	if (strlen(url) >= URL_MAX || !scheme_is_good(scheme) || strncmp(rest, "://", 3) != 0)
		return -EINVAL;
	rest += 3;
	authority = until(&rest, "/?");
	path = until(&rest, "?");
	while (path.len && path.data[0] == '/')
		path = span_sub(path, 1, path.len);
	while (path.len && path.data[path.len - 1] == '/')
		path.len--;
	u->scheme = decoded(scheme, &error);
	u->authority = u->scheme ? decoded(authority, &error) : NULL;
	u->path = u->authority ? decoded(path, &error) : NULL;
	if (!u->path)
		return error;
	return *rest == '?' ? parse_params(rest + 1, &u->params) : 0;
}

int uri_parse(const char *url, struct uri *ret, char *err, size_t err_size)
{
	_cleanup_uri_ struct uri u = {};
	int error = parse(url, &u);

	if (error < 0) {
		snprintf(
			err, err_size,
			"'%s' is not a store's URL; it looks like "
			"s3://BUCKET/PREFIX?region=eu-west-1",
			url);
		return fail(error);
	}
	if (strchr(u.authority, '@')) {
		snprintf(
			err, err_size,
			"credentials do not belong into a URL; use credentials = FILE or "
			"profile = NAME");
		return fail(-EINVAL);
	}
	*ret = u;
	u = (struct uri){};
	return 0;
}

int uri_check_params(const struct uri *u, const char *const *known, const char *url, char *err,
		     size_t err_size)
{
	for (size_t i = 0; i < u->params.n; i++) {
		const char *name = u->params.items[i].name;
		const char *near;
		_cleanup_buf_ struct buf list = BUF_INIT(KiB);
		size_t k;

		for (k = 0; known[k] && strcmp(known[k], name) != 0; k++)
			if (buf_addf(&list, "%s%s", k ? ", " : "", known[k]) < 0)
				return -ENOMEM;
		if (known[k])
			continue;
		near = nearest_word(name, known);
		snprintf(err, err_size, "unknown parameter '%s' in %s%s%s%s: known are %s", name,
			 url, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "",
			 buf_str(&list) ? buf_str(&list) : "");
		return fail(-EINVAL);
	}
	return 0;
}

const char *uri_param(const struct uri *u, const char *name)
{
	return pairs_get(&u->params, name);
}

int uri_param_bool(const struct uri *u, const char *name, bool otherwise, bool *ret, char *err,
		   size_t err_size)
{
	static const char *const words[] = { "false", "true", "0", "1", "no", "yes" };
	const char *v = uri_param(u, name);

	if (!v) {
		*ret = otherwise;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(v, words[i]) == 0) {
			*ret = i % 2;
			return 0;
		}
	}
	snprintf(err, err_size, "parameter %s is '%s': it must be true or false", name, v);
	return fail(-EINVAL);
}

/* ---- endpoints ---- */

void endpoint_release(struct endpoint *e)
{
	free(e->origin);
	free(e->host);
	free(e->path);
	*e = (struct endpoint){};
}

static bool host_is_good(struct span host)
{
	for (size_t i = 0; i < host.len; i++)
		if (!isalnum(host.data[i]) && !strchr(".-_:[]", host.data[i]))
			return false;
	return host.len > 0;
}

/*
 * Length of "host" in "host:port" when the port is the scheme's own, which the Host header leaves
 * out.
 */
static size_t host_len(struct span host, bool tls)
{
	struct span own = tls ? SPAN_LITERAL(":443") : SPAN_LITERAL(":80");

	if (host.len > own.len && span_equal(span_sub(host, host.len - own.len, own.len), own))
		return host.len - own.len;
	return host.len;
}

int endpoint_parse(const char *text, const char *scheme_default, struct endpoint *ret)
{
	_cleanup_endpoint_ struct endpoint e = {};
	const char *mark = strstr(text, "://");
	struct span scheme = mark ? span_of(text, (size_t)(mark - text)) : span_str(scheme_default);
	const char *rest = mark ? mark + 3 : text;
	struct span host = until(&rest, "/");
	size_t path_len = strlen(rest);

	e.tls = span_equal(scheme, SPAN_LITERAL("https"));
	if ((!e.tls && !span_equal(scheme, SPAN_LITERAL("http"))) || !host_is_good(host) ||
	    strpbrk(rest, "?# \t\r\n"))
		return fail(-EINVAL);
	while (path_len && rest[path_len - 1] == '/')
		path_len--;
	host.len = host_len(host, e.tls);
	e.host = strndup((const char *)host.data, host.len);
	e.path = strndup(rest, path_len);
	if (!e.host || !e.path ||
	    asprintf(&e.origin, "http%s://%s", e.tls ? "s" : "", e.host) < 0) {
		e.origin = NULL;
		return fail(-ENOMEM);
	}
	*ret = e;
	e = (struct endpoint){};
	return 0;
}

bool endpoint_is_bare(const struct endpoint *e)
{
	char host[256];
	struct in_addr ip;

	snprintf(host, sizeof(host), "%s", e->host);
	if (host[0] == '[')
		return true;
	host[strcspn(host, ":")] = '\0';
	return strcasecmp(host, "localhost") == 0 || inet_pton(AF_INET, host, &ip) == 1 ||
	       !strchr(host, '.');
}
