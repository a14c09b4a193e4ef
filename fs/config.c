/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/config.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "backends/open.h"
#include "base/ini.h"
#include "base/text.h"
#include "fs/ns/rows.h"

/*
 * The table below is the whole syntax: what is not in it is an error, with file, line and the
 * nearest word that is.
 */
enum section { IN_VOLUME, IN_STORE, IN_ATTACH, IN_CACHE, SECTIONS };
static const char *const section_names[] = { "volume", "store", "attach", "cache", NULL };

enum value_type {
	VALUE_NAME,
	VALUE_TEXT,
	VALUE_PATH,
	VALUE_ID,
	VALUE_COPIES,
	VALUE_SIZE,
	VALUE_SHARE,
	VALUE_PRICE,
	VALUE_ROLES,
	VALUE_URL,
	VALUE_MIRRORS, /* URLs joined by commas */
	VALUE_BOOL,
	VALUE_TIME
};

struct key {
	enum section section;
	const char *name;
	enum value_type type;
	size_t at; /* offset in struct config, config_store or config_attach */
	const char *otherwise, *help;
};
#define V(field) offsetof(struct config, field)
#define S(field) offsetof(struct config_store, field)
#define A(field) offsetof(struct config_attach, field)
static const struct key keys[] = {
	{ IN_VOLUME, "name", VALUE_NAME, V(name), "",
	  "the volume's name, for people and for its files here" },
	{ IN_VOLUME, "id", VALUE_ID, V(id), "",
	  "the volume's id: another volume in its place is refused" },
	{ IN_VOLUME, "key_file", VALUE_PATH, V(key_file), "",
	  "a file of at least 32 random bytes that opens the volume" },
	{ IN_VOLUME, "passphrase_file", VALUE_PATH, V(passphrase_file), "",
	  "a file with the passphrase" },
	{ IN_VOLUME, "key_command", VALUE_TEXT, V(key_command), "",
	  "a shell command that prints the key, e.g. vault kv get -field=key kv/demo" },
	{ IN_VOLUME, "recovery_key_file", VALUE_PATH, V(recovery_key_file), "",
	  "a file with the recovery key that format printed" },
	{ IN_VOLUME, "acknowledge", VALUE_COPIES, V(acknowledge), "2",
	  "how many stores have a file's data before fsync and close return" },
	{ IN_STORE, "url", VALUE_URL, S(url), "",
	  "where it is: s3://, azblob://, gs:// or file://" },
	{ IN_STORE, "credentials", VALUE_PATH, S(credentials), "the provider's own places",
	  "a file with the credentials of this store" },
	{ IN_STORE, "profile", VALUE_TEXT, S(profile), "", "a profile of the shared AWS files" },
	{ IN_STORE, "read_price", VALUE_PRICE, S(prices.read_gb), "the provider's list",
	  "price of reading a GB; configured, it makes reads prefer cheap stores" },
	{ IN_STORE, "write_price", VALUE_PRICE, S(prices.write_gb), "the provider's list",
	  "price of writing a GB" },
	{ IN_STORE, "reads_price", VALUE_PRICE, S(prices.reads), "the provider's list",
	  "price of a thousand requests that read" },
	{ IN_STORE, "writes_price", VALUE_PRICE, S(prices.writes), "the provider's list",
	  "price of a thousand requests that write or list" },
	{ IN_STORE, "roles", VALUE_ROLES, S(roles), "data,journal",
	  "what it holds: data, journal, or both (as the volume was made)" },
	{ IN_ATTACH, "url", VALUE_URL, A(urls[0]), "",
	  "an existing bucket or a part of one, shown as the directory NAME" },
	{ IN_ATTACH, "mirror", VALUE_MIRRORS, A(urls), "",
	  "buckets with the same content, joined by commas: the nearest healthy one is read" },
	{ IN_ATTACH, "credentials", VALUE_PATH, A(credentials), "the provider's own places",
	  "a file with the credentials of this bucket" },
	{ IN_ATTACH, "profile", VALUE_TEXT, A(profile), "", "a profile of the shared AWS files" },
	{ IN_ATTACH, "read_only", VALUE_BOOL, A(read_only), "false", "true: nothing is written" },
	{ IN_ATTACH, "ttl", VALUE_TIME, A(ttl_ns), "60s", "how long a listing is believed" },
	{ IN_CACHE, "dir", VALUE_PATH, V(cache_dir), "/var/cache/mangrove/NAME",
	  "folder on a local disk" },
	{ IN_CACHE, "size", VALUE_SHARE, V(cache_size), "80%",
	  "the most it holds: a size, or a share of the disk" },
	{ IN_CACHE, "memory", VALUE_SIZE, V(memory), "chosen by the machine",
	  "the mount's hard budget of memory" },
};

struct parse {
	struct config *cfg;
	const char *file;
	char *err;
	size_t err_size;
};

static int wrong(const struct parse *p, int line, const char *fmt, ...) printf_like(3, 4);
static int wrong(const struct parse *p, int line, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(p->err, p->err_size, "%s:%d: %s", p->file, line, text);
	return fail(-EINVAL);
}

struct config *config_new(void)
{
	struct config *c = calloc(1, sizeof(*c));

	if (c)
		c->acknowledge = 2;
	return c;
}

void config_attach_release(struct config_attach *a)
{
	free(a->name);
	for (size_t i = 0; i < a->n_urls; i++)
		free(a->urls[i]);
	free(a->credentials);
	free(a->profile);
}

struct config *config_free(struct config *c)
{
	if (!c)
		return NULL;
	free(c->file);
	free(c->bare);
	free(c->name);
	free(c->key_file);
	free(c->passphrase_file);
	free(c->key_command);
	free(c->recovery_key_file);
	free(c->cache_dir);
	free(c->cache_size);
	for (size_t i = 0; i < c->n_attach; i++)
		config_attach_release(&c->attach[i]);
	for (size_t i = 0; i < c->n_stores; i++) {
		free(c->stores[i].name);
		free(c->stores[i].url);
		free(c->stores[i].credentials);
		free(c->stores[i].profile);
	}
	free(c);
	return NULL;
}

bool config_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (!n || n > 63 || name[0] == '.' || name[0] == '-')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-_.", *name))
			return false;
	return true;
}

int cache_size_parse(const char *text, const char *dir, uint64_t *ret)
{
	size_t n = strlen(text);
	char digits[8] = "";
	struct statvfs st;
	uint64_t share;

	if (!n || text[n - 1] != '%')
		return size_parse(text, ret);
	if (n > sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, n - 1);
	if (uint_parse(digits, &share) || !share || share > 100)
		return -EINVAL;
	if (statvfs(dir, &st))
		return -errno;
	*ret = (uint64_t)st.f_blocks * st.f_frsize / 100 * share;
	return 0;
}

/* A relative path in a file is relative to that file, so that it means the same from everywhere. */
static char *path_beside(const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');
	char *joined;

	if (*path == '/' || !slash)
		return strdup(path);
	return asprintf(&joined, "%.*s/%s", (int)(slash - file), file, path) < 0 ? NULL : joined;
}

static int roles_parse(const char *text, uint32_t *ret)
{
	if (!strcmp(text, "data"))
		*ret = STORE_ROLE_DATA;
	else if (!strcmp(text, "journal"))
		*ret = STORE_ROLE_JOURNAL;
	else if (!strcmp(text, "both") || !strcmp(text, "data,journal") ||
		 !strcmp(text, "journal,data"))
		*ret = STORE_ROLE_DATA | STORE_ROLE_JOURNAL;
	else
		return -EINVAL;
	return 0;
}

static int bool_parse(const char *text, bool *ret)
{
	*ret = !strcmp(text, "true") || !strcmp(text, "yes") || !strcmp(text, "1");
	return *ret || !strcmp(text, "false") || !strcmp(text, "no") || !strcmp(text, "0") ?
		       0 :
		       -EINVAL;
}

static int price_parse(const char *text, double *ret)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= 0 && v < 1e6))
		return -EINVAL;
	*ret = v;
	return 0;
}

/* 0; -EINVAL with what would have been right in *ret_expected. */
static int number_set(const struct key *k, const char *value, void *field,
		      const char **ret_expected)
{
	uint64_t v;

	switch (k->type) {
	case VALUE_COPIES:
		*ret_expected = "a number from 1 to 16";
		if (uint_parse(value, &v) || v < 1 || v > CONFIG_STORES_MAX)
			return -EINVAL;
		*(unsigned *)field = (unsigned)v;
		return 0;
	case VALUE_SIZE:
		*ret_expected = "a size of at least 64M, such as 2G";
		if (size_parse(value, &v) || v < 64 * MiB)
			return -EINVAL;
		*(uint64_t *)field = v;
		return 0;
	case VALUE_PRICE:
		*ret_expected = "a price, such as 0.09";
		return price_parse(value, field);
	case VALUE_BOOL:
		*ret_expected = "true or false";
		return bool_parse(value, field);
	case VALUE_TIME:
		*ret_expected = "a time such as 60s";
		return duration_parse(value, field);
	default:
		*ret_expected = "data, journal, or data,journal";
		return roles_parse(value, field);
	}
}

static int text_check(const struct key *k, const char *value, const char **ret_expected)
{
	uint64_t size;

	switch (k->type) {
	case VALUE_NAME:
		*ret_expected = "a name of letters, digits, '-', '_' and '.'";
		return config_name_ok(value) ? 0 : -EINVAL;
	case VALUE_URL:
		*ret_expected = "a URL that begins with s3://, azblob://, gs:// or file://";
		return store_url_is(value) ? 0 : -EINVAL;
	case VALUE_SHARE:
		*ret_expected = "a size such as 200G, or a share of the disk such as 80%";
		return cache_size_parse(value, "/", &size);
	default:
		*ret_expected = "some text";
		return *value ? 0 : -EINVAL;
	}
}

/* The url of an attached bucket counts as one of its mirrors. */
static void count_url(const struct key *k, void *base)
{
	struct config_attach *a = base;

	if (k->section == IN_ATTACH && k->type == VALUE_URL)
		a->n_urls = MAX(a->n_urls, (size_t)1);
}

static int text_set(const struct parse *p, const struct key *k, const char *value, char **field)
{
	free(*field);
	*field = k->type == VALUE_PATH ? path_beside(p->file, value) : strdup(value);
	return *field ? 0 : fail(-ENOMEM);
}

/* The first mirror is the bucket itself: url =. */
static int mirrors_set(const struct parse *p, struct config_attach *a, const char *value, int line)
{
	_cleanup_free_ char *copy = strdup(value);
	char *rest = copy, *one;

	while (rest && (one = strsep(&rest, ","))) {
		one += strspn(one, " \t");
		one[strcspn(one, " \t")] = '\0';
		if (!store_url_is(one))
			return wrong(p, line, "mirror = %s: expected URLs joined by commas", value);
		if (a->n_urls == CONFIG_MIRRORS_MAX)
			return wrong(p, line, "more than %d mirrors", CONFIG_MIRRORS_MAX - 1);
		a->n_urls = MAX(a->n_urls, (size_t)1);
		a->urls[a->n_urls] = strdup(one);
		if (!a->urls[a->n_urls++])
			return fail(-ENOMEM);
	}
	return copy ? 0 : fail(-ENOMEM);
}

static bool is_number(enum value_type t)
{
	return t == VALUE_COPIES || t == VALUE_SIZE || t == VALUE_PRICE || t == VALUE_ROLES ||
	       t == VALUE_BOOL || t == VALUE_TIME;
}

static int value_set(struct parse *p, const struct key *k, void *base, const char *value, int line)
{
	void *field = (char *)base + k->at;
	const char *expected = "";
	int r;

	if (k->type == VALUE_ID) {
		expected = "32 hex digits";
		r = hex_decode(value, strlen(value), field, 16);
		p->cfg->has_id = !r;
	} else if (k->type == VALUE_MIRRORS) {
		return mirrors_set(p, base, value, line);
	} else if (is_number(k->type)) {
		r = number_set(k, value, field, &expected);
	} else {
		r = text_check(k, value, &expected);
		if (!r) {
			count_url(k, base);
			return text_set(p, k, value, field);
		}
	}
	return r ? wrong(p, line, "%s = %s: expected %s", k->name, value, expected) : 0;
}

static const struct key *key_find(enum section in, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].section == in && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static int unknown_key(const struct parse *p, enum section in, const char *name, int line)
{
	const char *known[ARRAY_SIZE(keys) + 1] = { NULL }, *near;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].section == in)
			known[n++] = keys[i].name;
	near = nearest_word(name, known);
	if (near)
		return wrong(p, line, "unknown key '%s' in [%s]; did you mean '%s'?", name,
			     section_names[in], near);
	return wrong(p, line, "unknown key '%s' in [%s]", name, section_names[in]);
}

static struct config_store *store_of(struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_stores; i++)
		if (!strcmp(c->stores[i].name, name))
			return &c->stores[i];
	return NULL;
}

static int store_section(struct parse *p, const char *name, int line, struct config_store **ret)
{
	struct config *c = p->cfg;

	while (*name == ' ')
		name++;
	*ret = store_of(c, name);
	if (*ret)
		return 0;
	if (!config_name_ok(name))
		return wrong(p, line, "[store %s]: expected [store NAME]", name);
	if (c->n_stores == CONFIG_STORES_MAX)
		return wrong(p, line, "more than %d stores", CONFIG_STORES_MAX);
	*ret = &c->stores[c->n_stores];
	(*ret)->name = strdup(name);
	(*ret)->roles = STORE_ROLE_DATA | STORE_ROLE_JOURNAL;
	(*ret)->prices = prices_unknown;
	(*ret)->line = line;
	if (!(*ret)->name)
		return fail(-ENOMEM);
	c->n_stores++;
	return 0;
}

static int attach_section(struct parse *p, const char *name, int line, struct config_attach **ret)
{
	struct config *c = p->cfg;

	while (*name == ' ')
		name++;
	for (size_t i = 0; i < c->n_attach; i++) {
		*ret = &c->attach[i];
		if (!strcmp((*ret)->name, name))
			return 0;
	}
	if (!config_name_ok(name))
		return wrong(p, line, "[attach %s]: expected [attach NAME]", name);
	if (c->n_attach == CONFIG_ATTACH_MAX)
		return wrong(p, line, "more than %d attached buckets", CONFIG_ATTACH_MAX);
	*ret = &c->attach[c->n_attach];
	**ret = (struct config_attach){ .name = strdup(name),
					.line = line,
					.ttl_ns = ATTACH_TTL_NS };
	if (!(*ret)->name)
		return fail(-ENOMEM);
	c->n_attach++;
	return 0;
}

static int unknown_section(const struct parse *p, const char *section, int line)
{
	const char *near = nearest_word(section, section_names);

	if (near)
		return wrong(p, line, "unknown section [%s]; did you mean [%s]?", section, near);
	return wrong(p, line, "unknown section [%s]", section);
}

static int one_key(const char *section, const char *name, const char *value, int line, void *arg)
{
	struct parse *p = arg;
	struct config_store *st;
	struct config_attach *at = NULL;
	const struct key *k;
	enum section in = IN_VOLUME;
	void *base = p->cfg;
	int r = 0;

	if (!strncmp(section, "store", 5) && (section[5] == ' ' || !section[5])) {
		in = IN_STORE;
		r = store_section(p, section + 5, line, &st);
		base = st;
	} else if (!strncmp(section, "attach", 6) && (section[6] == ' ' || !section[6])) {
		in = IN_ATTACH;
		r = attach_section(p, section + 6, line, &at);
		base = at;
	} else if (!strcmp(section, "cache")) {
		in = IN_CACHE;
	} else if (strcmp(section, "volume")) {
		return *section ? unknown_section(p, section, line) :
				  wrong(p, line, "expected a section such as [volume] first");
	}
	if (r || !name)
		return r;
	k = key_find(in, name);
	return k ? value_set(p, k, base, value, line) : unknown_key(p, in, name, line);
}

static int check_whole(const struct parse *p)
{
	const struct config *c = p->cfg;
	int sources =
		!!c->key_file + !!c->passphrase_file + !!c->key_command + !!c->recovery_key_file;

	if (!c->n_stores && !c->n_attach)
		return wrong(p, 1, "no [store NAME] and no [attach NAME] section");
	if (sources > 1)
		return wrong(
			p, 1,
			"only one of key_file, passphrase_file, "
			"key_command and recovery_key_file may be set");
	for (size_t i = 0; i < c->n_stores; i++)
		if (!c->stores[i].url)
			return wrong(p, c->stores[i].line, "[store %s] has no url",
				     c->stores[i].name);
	for (size_t i = 0; i < c->n_attach; i++)
		if (!c->attach[i].urls[0])
			return wrong(p, c->attach[i].line, "[attach %s] has no url",
				     c->attach[i].name);
	return 0;
}

static int finish(struct parse *p, int r, int line, struct config **ret)
{
	if (r == -EBADMSG)
		r = wrong(p, line, "expected [section] or key = value");
	if (!r)
		r = check_whole(p);
	if (!r) {
		p->cfg->file = strdup(p->file);
		r = p->cfg->file ? 0 : fail(-ENOMEM);
	}
	if (!r)
		*ret = p->cfg;
	else
		config_free(p->cfg);
	return r;
}

int config_parse(struct span text, const char *file, struct config **ret, char *err,
		 size_t err_size)
{
	struct parse p = { config_new(), file, err, err_size };
	int line = 0, r;

	if (!p.cfg)
		return fail(-ENOMEM);
	*err = '\0';
	r = ini_parse(text, one_key, &p, &line);
	return finish(&p, r, line, ret);
}

int config_read(const char *file, struct config **ret, char *err, size_t err_size)
{
	struct parse p = { config_new(), file, err, err_size };
	int line = 0, r;

	if (!p.cfg)
		return fail(-ENOMEM);
	*err = '\0';
	r = ini_read(file, one_key, &p, &line);
	if (r && r != -EBADMSG && !*err)
		snprintf(err, err_size, "%s: %s", file, strerror(-r));
	return finish(&p, r, line, ret);
}

struct key_source config_key_source(const struct config *c)
{
	if (c->key_file)
		return (struct key_source){ KEY_FILE, c->key_file };
	if (c->passphrase_file)
		return (struct key_source){ KEY_PASSPHRASE, c->passphrase_file };
	if (c->key_command)
		return (struct key_source){ KEY_COMMAND, c->key_command };
	if (c->recovery_key_file)
		return (struct key_source){ KEY_RECOVERY, c->recovery_key_file };
	return (struct key_source){ KEY_NONE, NULL };
}

int config_explain(struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(keys); i++) {
		const struct key *k = &keys[i];

		if (!i || keys[i - 1].section != k->section)
			r = buf_addf(ret,
				     k->section == IN_STORE || k->section == IN_ATTACH ?
					     "[%s NAME]\n" :
					     "[%s]\n",
				     section_names[k->section]);
		if (!r)
			r = buf_addf(ret, "%-18s %s%s%s%s\n", k->name, k->help,
				     *k->otherwise ? " (default " : "", k->otherwise,
				     *k->otherwise ? ")" : "");
	}
	return r;
}
