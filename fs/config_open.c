/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store by its URL alone, as this machine's configuration says. The URL may come from the volume,
 * so from whoever writes to it: it chooses neither a folder of this machine nor a server that gets
 * this machine's credentials.
 */
#include "fs/config.h"

#include <stdio.h>

#include "backends/open.h"
#include "backends/uri.h"

/* What a section says of a URL that is like the wanted one. */
struct match {
	const char *credentials, *profile;
	size_t depth; /* names of the path that they share, plus one; 0: no section is like it */
};

struct search {
	const struct uri *want;
	bool names_endpoint; /* a section names the wanted server */
	bool covers;         /* a section names the wanted place, or one above it */
	struct match best;
};

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

/* "a/../b" is not below a. */
static bool goes_up(const char *path)
{
	for (const char *at = strstr(path, ".."); at; at = strstr(at + 1, ".."))
		if ((at == path || at[-1] == '/') && (!at[2] || at[2] == '/'))
			return true;
	return false;
}

/* Names that both paths begin with; *ret_all: the first path has no others. */
static size_t shared_names(const char *a, const char *b, bool *ret_all)
{
	size_t n = 0;

	while (*a && *b) {
		const size_t len = strcspn(a, "/");

		if (len != strcspn(b, "/") || strncmp(a, b, len) != 0)
			break;
		n++;
		a += len + (a[len] == '/');
		b += len + (b[len] == '/');
	}
	*ret_all = !*a;
	return n;
}

static void consider(struct search *s, const char *url, const char *credentials,
		     const char *profile)
{
	_cleanup_uri_ struct uri u = {};
	char unsaid[256];
	size_t depth;
	bool all;

	if (!url || uri_parse(url, &u, unsaid, sizeof(unsaid)) < 0)
		return; /* who opens that section's store says what is wrong with it */
	if (strcmp(u.scheme, s->want->scheme) != 0 ||
	    !same_text(uri_param(&u, "endpoint"), uri_param(s->want, "endpoint")))
		return;
	s->names_endpoint = true;
	if (strcmp(u.authority, s->want->authority) != 0)
		return;
	depth = 1 + shared_names(u.path, s->want->path, &all);
	s->covers |= all;
	if (depth > s->best.depth)
		s->best = (struct match){ credentials, profile, depth };
}

static void search(struct search *s, const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_attach; i++) {
		const struct config_attach *a = &c->attach[i];

		for (size_t m = 0; m < a->n_urls; m++)
			consider(s, a->urls[m], a->credentials, a->profile);
	}
	for (size_t i = 0; i < c->n_stores; i++) {
		const struct config_store *st = &c->stores[i];

		consider(s, st->url, st->credentials, st->profile);
	}
	for (size_t i = 0; i < c->n_attach; i++) {
		const struct config_attach *a = &c->attach[i];

		if (name && !strcmp(a->name, name))
			s->best = (struct match){ a->credentials, a->profile, SIZE_MAX };
	}
}

/* 0; -EACCES with a sentence: this machine's configuration has to name it first. */
static int check_trust(const struct search *s, const char *url, char *err, size_t err_size)
{
	const char *endpoint = uri_param(s->want, "endpoint");
	bool anonymous = false;
	int r = uri_param_bool(s->want, "anonymous", false, &anonymous, err, err_size);

	if (r)
		return r;
	if (!strcmp(s->want->scheme, "file") && (!s->covers || goes_up(s->want->path))) {
		snprintf(err, err_size,
			 "%s: a folder of this machine is shown only if a section of its "
			 "configuration has it, or one above it, as its url",
			 url);
		return fail(-EACCES);
	}
	if (endpoint && !anonymous && !s->names_endpoint) {
		snprintf(err, err_size,
			 "%s: credentials are sent to %s only if a section of this machine's "
			 "configuration has a url with this endpoint",
			 url, endpoint);
		return fail(-EACCES);
	}
	return 0;
}

int config_open_store(const struct config *c, const char *name, const char *url,
		      struct store **ret, char *err, size_t err_size)
{
	_cleanup_uri_ struct uri want = {};
	struct search s = { .want = &want };
	struct store_config sc = { .name = name ? name : "foreign", .url = url };
	int r;

	*err = '\0';
	r = store_url_is(url) ? uri_parse(url, &want, err, err_size) : 0;
	if (r)
		return r;
	if (want.scheme) {
		search(&s, c, name);
		r = check_trust(&s, url, err, err_size);
	}
	if (r)
		return r;
	sc.credentials = s.best.credentials;
	sc.profile = s.best.profile;
	return store_open(&sc, ret, err, err_size);
}
