/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/open.h"

#include "backends/dialects.h"
#include "backends/dir.h"

#include <stdio.h>

typedef int open_fn(const struct store_config *cfg, const struct uri *u, struct store **ret,
		    char *err, size_t err_size);

static int folder_open(const struct store_config *cfg, const struct uri *u, struct store **ret,
		       char *err, size_t err_size)
{
	return dir_store_open(cfg->name, cfg->url, u, ret, err, err_size);
}

/* A further kind of store is one more line here and one file that it names. */
static const struct {
	const char *scheme;
	open_fn *open;
} kinds[] = {
	{ "s3", s3_open },
	{ "azblob", azure_open },
	{ "gs", gcs_open },
	{ "file", folder_open },
};

static open_fn *kind_of(const char *url)
{
	size_t n = strcspn(url, ":");

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strlen(kinds[i].scheme) == n && strncmp(kinds[i].scheme, url, n) == 0 &&
		    strncmp(url + n, "://", 3) == 0)
			return kinds[i].open;
	return NULL;
}

bool store_url_is(const char *url)
{
	return kind_of(url) != NULL;
}

int store_open(const struct store_config *cfg, struct store **ret, char *err, size_t err_size)
{
	_cleanup_uri_ struct uri u = {};
	open_fn *open = kind_of(cfg->url);
	int error;

	if (!open) {
		snprintf(err, err_size,
			 "'%.*s' is not a kind of store: s3://, azblob://, gs:// and file:// are",
			 (int)MIN(strlen(cfg->url), (size_t)64), cfg->url);
		return fail(-EINVAL);
	}
	error = uri_parse(cfg->url, &u, err, err_size);
	return error < 0 ? error : open(cfg, &u, ret, err, err_size);
}
