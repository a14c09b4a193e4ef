/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume's configuration: a wrong file has its sentence, and one that is written from what was
 * read says the same.
 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include "fs/config.h"

static void same_text(const char *a, const char *b)
{
	MUST(a && b ? strcmp(a, b) == 0 : a == b);
}

static void same(const struct config *a, const struct config *b)
{
	same_text(a->name, b->name);
	MUST(a->has_id == b->has_id && memcmp(a->id, b->id, sizeof(a->id)) == 0);
	same_text(a->key_file, b->key_file);
	same_text(a->passphrase_file, b->passphrase_file);
	same_text(a->key_command, b->key_command);
	same_text(a->recovery_key_file, b->recovery_key_file);
	same_text(a->cache_dir, b->cache_dir);
	same_text(a->cache_size, b->cache_size);
	MUST(a->acknowledge == b->acknowledge && a->memory == b->memory);
	MUST(a->n_stores == b->n_stores);
	for (size_t i = 0; i < a->n_stores; i++) {
		const struct config_store *s = &a->stores[i], *t = &b->stores[i];

		same_text(s->name, t->name);
		same_text(s->url, t->url);
		same_text(s->credentials, t->credentials);
		same_text(s->profile, t->profile);
		MUST(!memcmp(&s->prices, &t->prices, sizeof(s->prices)) && s->roles == t->roles);
	}
}

static void same_buckets(const struct config *a, const struct config *b)
{
	MUST(a->n_attach == b->n_attach);
	for (size_t i = 0; i < a->n_attach; i++) {
		const struct config_attach *s = &a->attach[i], *t = &b->attach[i];

		same_text(s->name, t->name);
		MUST(s->n_urls == t->n_urls);
		for (size_t u = 0; u < s->n_urls; u++)
			same_text(s->urls[u], t->urls[u]);
		same_text(s->credentials, t->credentials);
		same_text(s->profile, t->profile);
		MUST(s->read_only == t->read_only && s->ttl_ns == t->ttl_ns);
	}
}

static void check(const struct config *c)
{
	MUST(c->n_stores + c->n_attach >= 1 && c->n_stores <= CONFIG_STORES_MAX);
	MUST(c->n_attach <= CONFIG_ATTACH_MAX);
	MUST(c->acknowledge >= 1 && c->acknowledge <= CONFIG_STORES_MAX);
	MUST(!c->name || config_name_ok(c->name));
	(void)config_key_source(c);
}

static void write_and_read(const struct config *c)
{
	_cleanup_(config_freep) struct config *again = NULL;
	const char *folder = getenv("TMPDIR");
	char file[256], err[512] = "";
	int r;

	snprintf(file, sizeof(file), "%s/fuzz-config-%d", folder ? folder : "/tmp", (int)getpid());
	unlink(file);
	r = config_write(c, file, err, sizeof(err));
	MUST(r == 0 || (r == -EINVAL && err[0]));
	if (r == 0)
		MUST(config_read(file, &again, err, sizeof(err)) == 0);
	unlink(file);
	if (r == 0)
		same(c, again);
	if (r == 0)
		same_buckets(c, again);
}

static void urls(const char *text)
{
	_cleanup_(config_freep) struct config *c = config_new();
	char err[512] = "";

	MUST(c);
	if (config_add_store(c, text, err, sizeof(err)) == 0)
		MUST(c->n_stores == 1 && config_name_ok(c->stores[0].name) && c->stores[0].url);
	else
		MUST(c->n_stores == 0 && err[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span in = span_of(data, MIN(size, (size_t)8192));
	_cleanup_free_ char *text = text_of(in);
	_cleanup_(config_freep) struct config *c = NULL;
	char err[512] = "";
	const int r = config_parse(in, "/etc/mangrove/v.conf", &c, err, sizeof(err));

	MUST(r == 0 ? c != NULL : r == -EINVAL && err[0] && !c);
	if (c) {
		check(c);
		write_and_read(c);
	}
	urls(text);
	return 0;
}
