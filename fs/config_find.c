/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/open.h"
#include "base/text.h"
#include "fs/config.h"
#include "fs/ns/rows.h"

/* From the word VOLUME to a configuration, and back into a file. */

#define PATH_LIMIT 4096u
#define FILE_LIMIT (64u * 1024)

/* $XDG_CONFIG_HOME, else ~/.config. false: neither is known. */
static bool person_folder(struct buf *ret)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (xdg && *xdg == '/')
		return !buf_add_str(ret, xdg);
	return home && *home == '/' && !buf_addf(ret, "%s/.config", home);
}

int config_path(const char *name, struct buf *ret)
{
	if (geteuid() == 0)
		return buf_addf(ret, "/etc/mangrove/%s.conf", name);
	if (!person_folder(ret))
		return fail(-ENOENT);
	return buf_addf(ret, "/mangrove/%s.conf", name);
}

/* A store's name where the person gave none: the provider's; of a folder its last part. */
static void name_from_url(const char *url, char ret[64])
{
	static const char *const providers[][2] = { { "s3://", "aws" },
						    { "azblob://", "azure" },
						    { "gs://", "google" } };
	size_t path = strcspn(url, "?"), from = path;

	snprintf(ret, 64, "disk");
	for (size_t i = 0; i < ARRAY_SIZE(providers); i++)
		if (!strncmp(url, providers[i][0], strlen(providers[i][0])))
			snprintf(ret, 64, "%s", providers[i][1]);
	if (strncmp(url, "file://", 7))
		return;
	while (path > 7 && url[path - 1] == '/')
		path--;
	for (from = path; from > 7 && url[from - 1] != '/'; from--)
		;
	if (path > from && path - from < 60) {
		char last[64] = "";

		memcpy(last, url + from, path - from);
		if (config_name_ok(last))
			snprintf(ret, 64, "%s", last);
	}
}

static bool name_taken(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_stores; i++)
		if (!strcmp(c->stores[i].name, name))
			return true;
	return false;
}

/* Splits "name=url"; a URL may hold '=' itself, but never before "://". */
static const char *given_name(const char *text, char ret[64])
{
	size_t eq = strcspn(text, "=:/?");

	*ret = '\0';
	if (text[eq] != '=' || !eq || eq > 63)
		return text;
	memcpy(ret, text, eq);
	ret[eq] = '\0';
	return text + eq + 1;
}

int config_add_store(struct config *c, const char *text, char *err, size_t err_size)
{
	struct config_store *st = &c->stores[c->n_stores];
	char name[64], base[64];
	const char *url = given_name(text, name);

	if (!store_url_is(url) || (*name && !config_name_ok(name))) {
		snprintf(
			err, err_size,
			"%s: not a store; expected s3://, azblob://, "
			"gs:// or file:// (or NAME=URL)",
			text);
		return fail(-EINVAL);
	}
	if (c->n_stores == CONFIG_STORES_MAX || (*name && name_taken(c, name))) {
		snprintf(err, err_size, *name ? "two stores are named %s" : "too many stores: %s",
			 *name ? name : text);
		return fail(-EINVAL);
	}
	if (!*name) {
		name_from_url(url, base);
		snprintf(name, sizeof(name), "%s", base);
		for (unsigned n = 2; name_taken(c, name); n++)
			snprintf(name, sizeof(name), "%.60s%u", base, n);
	}
	*st = (struct config_store){ .name = strdup(name),
				     .url = strdup(url),
				     .roles = STORE_ROLE_DATA | STORE_ROLE_JOURNAL,
				     .prices = prices_unknown };
	c->n_stores++;
	return st->name && st->url ? 0 : fail(-ENOMEM);
}

/* The last part of the path: of the prefix, else the bucket, the container, the folder. */
static void name_of_bucket(const char *url, char ret[64])
{
	size_t end = strcspn(url, "?"), from;
	char last[64] = "";

	snprintf(ret, 64, "bucket");
	while (end && url[end - 1] == '/')
		end--;
	for (from = end; from && url[from - 1] != '/'; from--)
		;
	if (end == from || end - from >= 60)
		return;
	memcpy(last, url + from, end - from);
	if (config_name_ok(last))
		snprintf(ret, 64, "%s", last);
}

static bool attach_taken(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_attach; i++)
		if (!strcmp(c->attach[i].name, name))
			return true;
	return false;
}

int config_add_attach(struct config *c, const char *text, char *err, size_t err_size)
{
	struct config_attach *a = &c->attach[c->n_attach];
	char name[64], base[64];
	const char *url = given_name(text, name);

	if (!store_url_is(url) || (*name && !config_name_ok(name))) {
		snprintf(err, err_size,
			 "%s: not a bucket; expected s3://, azblob://, "
			 "gs:// or file:// (or NAME=URL)",
			 text);
		return fail(-EINVAL);
	}
	if (c->n_attach == CONFIG_ATTACH_MAX || (*name && attach_taken(c, name))) {
		snprintf(err, err_size, *name ? "two buckets are named %s" : "too many buckets: %s",
			 *name ? name : text);
		return fail(-EINVAL);
	}
	if (!*name) {
		name_of_bucket(url, base);
		snprintf(name, sizeof(name), "%s", base);
		for (unsigned n = 2; attach_taken(c, name); n++)
			snprintf(name, sizeof(name), "%.60s%u", base, n);
	}
	*a = (struct config_attach){ .name = strdup(name),
				     .urls = { strdup(url) },
				     .n_urls = 1,
				     .ttl_ns = ATTACH_TTL_NS };
	c->n_attach++;
	return a->name && a->urls[0] ? 0 : fail(-ENOMEM);
}

int config_of_buckets(const char *const *words, size_t n, struct config **ret, char *err,
		      size_t err_size)
{
	_cleanup_(config_freep) struct config *c = config_new();
	int r = c ? 0 : fail(-ENOMEM);

	for (size_t i = 0; !r && i < n; i++)
		r = config_add_attach(c, words[i], err, err_size);
	if (!r)
		*ret = take_ptr(&c);
	return r;
}

int config_make_bucket(struct config *c, char *err, size_t err_size)
{
	int r = config_add_attach(c, c->bare, err, err_size);

	if (r)
		return r;
	free(c->stores[0].name);
	free(c->stores[0].url);
	c->n_stores = 0;
	return 0;
}

/* Where the next URL of a list begins: commas may stand in a URL, too. */
static const char *next_url(const char *at)
{
	char name[64];

	for (at = strchr(at, ','); at; at = strchr(at + 1, ','))
		if (store_url_is(given_name(at + 1, name)))
			return at;
	return NULL;
}

static int from_urls(const char *text, struct config **ret, char *err, size_t err_size)
{
	const char *list = text;
	_cleanup_(config_freep) struct config *c = config_new();
	int r = c ? 0 : fail(-ENOMEM);

	while (!r && list) {
		const char *end = next_url(list);
		_cleanup_free_ char *one = end ? strndup(list, (size_t)(end - list)) : strdup(list);

		r = one ? config_add_store(c, one, err, err_size) : fail(-ENOMEM);
		list = end ? end + 1 : NULL;
	}
	if (!r && c->n_stores == 1) {
		c->bare = strdup(text);
		r = c->bare ? 0 : fail(-ENOMEM);
	}
	if (!r)
		*ret = take_ptr(&c);
	return r;
}

static int by_name(const char *name, struct config **ret, char *err, size_t err_size)
{
	_cleanup_buf_ struct buf own = BUF_INIT(PATH_LIMIT), common = BUF_INIT(PATH_LIMIT);
	struct buf *const order[] = { geteuid() ? &own : &common, geteuid() ? &common : &own };
	bool have_own = person_folder(&own) && !buf_addf(&own, "/mangrove/%s.conf", name);

	if (buf_addf(&common, "/etc/mangrove/%s.conf", name))
		return fail(-ENOMEM);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		const char *path = order[i] == &own && !have_own ? NULL : buf_str(order[i]);

		if (path && !access(path, F_OK))
			return config_read(path, ret, err, err_size);
	}
	snprintf(
		err, err_size,
		"no volume '%s' is configured here: looked for %s%s%s; "
		"'mangrove format' creates one",
		name, buf_str(&common), have_own ? " and " : "", have_own ? buf_str(&own) : "");
	return fail(-ENOENT);
}

/* A path, or a file of the present folder that is called like one. */
static bool is_file(const char *word)
{
	size_t n = strlen(word);

	return strchr(word, '/') ||
	       (n > 5 && !strcmp(word + n - 5, ".conf") && !access(word, F_OK));
}

int config_find(const char *volume, const char *file, struct config **ret, char *err,
		size_t err_size)
{
	char name[64];

	if (file)
		return config_read(file, ret, err, err_size);
	if (store_url_is(given_name(volume, name)))
		return from_urls(volume, ret, err, err_size);
	if (strstr(volume, "://")) {
		snprintf(err, err_size,
			 "%s: unknown kind of store; known are s3://, azblob://, gs:// and file://",
			 volume);
		return fail(-EINVAL);
	}
	if (is_file(volume))
		return config_read(volume, ret, err, err_size);
	if (!config_name_ok(volume)) {
		snprintf(err, err_size, "'%s' is neither a volume's name, nor a file, nor a URL",
			 volume);
		return fail(-EINVAL);
	}
	return by_name(volume, ret, err, err_size);
}

/* What would be read as a comment, or lose blanks at its ends, stands in quotes. */
static bool needs_quotes(const char *value)
{
	size_t n = strlen(value);

	return strpbrk(value, ";#") || *value == '"' ||
	       (n && (strchr(" \t\r", value[0]) || strchr(" \t\r", value[n - 1])));
}

static int put_text(struct buf *b, const char *key, const char *value)
{
	bool quote = value && needs_quotes(value);

	if (!value)
		return 0;
	if (strchr(value, '\n') || (quote && strchr(value, '"')))
		return fail(-EINVAL);
	return buf_addf(b, quote ? "%s = \"%s\"\n" : "%s = %s\n", key, value);
}

/* The shortest form that reads back as the same number. */
static int put_price(struct buf *b, const char *key, double price)
{
	char text[32];

	if (price < 0)
		return 0;
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, price);
		if (strtod(text, NULL) == price)
			break;
	}
	return put_text(b, key, text);
}

static int write_store(struct buf *b, const struct config_store *st)
{
	int r = buf_addf(b, "\n[store %s]\n", st->name);

	if (!r)
		r = put_text(b, "url", st->url);
	if (!r)
		r = put_text(b, "credentials", st->credentials);
	if (!r)
		r = put_text(b, "profile", st->profile);
	if (!r)
		r = put_price(b, "read_price", st->prices.read_gb);
	if (!r)
		r = put_price(b, "write_price", st->prices.write_gb);
	if (!r)
		r = put_price(b, "reads_price", st->prices.reads);
	if (!r)
		r = put_price(b, "writes_price", st->prices.writes);
	if (!r && st->roles == STORE_ROLE_DATA)
		r = put_text(b, "roles", "data");
	if (!r && st->roles == STORE_ROLE_JOURNAL)
		r = put_text(b, "roles", "journal");
	return r;
}

static int write_attach(struct buf *b, const struct config_attach *a)
{
	int r = buf_addf(b, "\n[attach %s]\n", a->name);

	if (!r)
		r = put_text(b, "url", a->urls[0]);
	for (size_t i = 1; !r && i < a->n_urls; i++) /* more lines add to it */
		r = put_text(b, "mirror", a->urls[i]);
	if (!r)
		r = put_text(b, "credentials", a->credentials);
	if (!r)
		r = put_text(b, "profile", a->profile);
	if (!r && a->read_only)
		r = put_text(b, "read_only", "true");
	if (!r && a->ttl_ns != ATTACH_TTL_NS)
		r = buf_addf(b, "ttl = %llums\n",
			     (unsigned long long)(a->ttl_ns / NS_PER_MS));
	return r;
}

static int write_text(const struct config *c, struct buf *b)
{
	char id[33];
	int r = buf_add_str(b, "[volume]\n");

	hex_encode(span_of(c->id, 16), id);
	if (!r)
		r = put_text(b, "name", c->name);
	if (!r && c->has_id)
		r = put_text(b, "id", id);
	if (!r)
		r = put_text(b, "key_file", c->key_file);
	if (!r)
		r = put_text(b, "passphrase_file", c->passphrase_file);
	if (!r)
		r = put_text(b, "key_command", c->key_command);
	if (!r)
		r = put_text(b, "recovery_key_file", c->recovery_key_file);
	if (!r && c->acknowledge != 2)
		r = buf_addf(b, "acknowledge = %u\n", c->acknowledge);
	for (size_t i = 0; !r && i < c->n_stores; i++)
		r = write_store(b, &c->stores[i]);
	for (size_t i = 0; !r && i < c->n_attach; i++)
		r = write_attach(b, &c->attach[i]);
	if (!r && (c->cache_dir || c->cache_size || c->memory))
		r = buf_add_str(b, "\n[cache]\n");
	if (!r)
		r = put_text(b, "dir", c->cache_dir);
	if (!r)
		r = put_text(b, "size", c->cache_size);
	if (!r && c->memory)
		r = buf_addf(b, "memory = %" PRIu64 "\n", c->memory);
	return r;
}

/* Makes the folders above a file, as far as they are missing. */
static int make_folders(const char *file)
{
	_cleanup_free_ char *path = strdup(file);

	if (!path)
		return fail(-ENOMEM);
	for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	return 0;
}

int config_write(const struct config *c, const char *file, char *err, size_t err_size)
{
	_cleanup_buf_ struct buf text = BUF_INIT(FILE_LIMIT);
	_cleanup_close_ int fd = -1;
	int r = write_text(c, &text);

	if (!r)
		r = make_folders(file);
	if (!r) {
		fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		r = fd < 0 ? -errno : 0;
	}
	if (!r && (write(fd, text.data, text.len) != (ssize_t)text.len || fsync(fd)))
		r = errno ? -errno : -EIO;
	if (r)
		snprintf(err, err_size, "%s: %s", file, strerror(-r));
	return r;
}
