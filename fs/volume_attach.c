/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/volume_i.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

/*
 * Attached buckets of a mount: their stores are opened as the configuration says; what is kept of
 * them on this machine is sealed with the volume's key, or, without a volume, with one of this
 * machine's own.
 */
#define LOCAL_KEY_SIZE 48u /* id, key */
#define NAME_SHOWN_MAX 48u

struct attach_spec volume_attach_spec(const struct volume *v, const struct config_attach *a,
				      bool of_volume)
{
	return (struct attach_spec){ .name = a->name,
				     .urls = (const char *const *)a->urls,
				     .n_urls = a->n_urls,
				     .of_volume = of_volume,
				     .read_only = a->read_only || v->options->read_only,
				     .ttl_ns = a->ttl_ns };
}

static void free_stores(struct store **stores, size_t n)
{
	while (n)
		store_free(stores[--n]);
}

/* All of them, or none and a sentence. */
static int open_stores(const struct volume *v, const struct config_attach *a, struct store **ret,
		       char *err, size_t err_size)
{
	for (size_t i = 0; i < a->n_urls; i++) {
		char why[512] = "";
		int r = config_open_store(v->config, a->name, a->urls[i], &ret[i], why,
					  sizeof(why));

		if (!r)
			continue;
		free_stores(ret, i);
		return say(r, err, err_size, "bucket %s: %s", a->name,
			   *why ? why : strerror(-r));
	}
	return 0;
}

static int attach_section(struct volume *v, const struct config_attach *a, char *err,
			  size_t err_size)
{
	const struct attach_spec spec = volume_attach_spec(v, a, false);
	struct store *stores[CONFIG_MIRRORS_MAX];
	int r = open_stores(v, a, stores, err, err_size);

	return r ? r : attach_add(v->attach, &spec, stores);
}

int volume_attach_row(struct volume *v, const struct config_attach *row)
{
	struct attach_spec spec = volume_attach_spec(v, row, true);
	struct store *stores[CONFIG_MIRRORS_MAX];
	char why[512] = "";
	int r = open_stores(v, row, stores, why, sizeof(why));

	if (r == -ENOMEM)
		return r;
	if (r) {
		spec.refused = why;
		log_warn("attach", "a bucket of the volume cannot be opened on this machine",
			 "why=\"%s\"", why);
	}
	return attach_add(v->attach, &spec, stores);
}

int volume_attach_open(struct volume *v, char *err, size_t err_size)
{
	const struct attach_options o = {
		.dir = v->cache_dir,
		.pieces = v->pieces,
		.sealer = v->attach_sealer ? v->attach_sealer : v->sealer,
		.memory_bytes = v->memory_bytes,
		.deadline_ns = v->options->deadline_ns,
	};
	int r = attach_new(&o, &v->attach);

	for (size_t i = 0; !r && i < v->config->n_attach; i++)
		r = attach_section(v, &v->config->attach[i], err, err_size);
	if (!r && !is_bare(v))
		r = attach_keeper_new(v, &v->attach_keeper);
	return r;
}

/* "raw+images", and an id that tells other sets of buckets apart. */
static int name_buckets(struct volume *v)
{
	_cleanup_buf_ struct buf name = BUF_INIT(64 * KiB), urls = BUF_INIT(MiB);
	const struct config *c = v->config;
	int r = 0;

	for (size_t i = 0; !r && i < c->n_attach; i++) {
		r = buf_addf(&name, "%s%s", i ? "+" : "", c->attach[i].name);
		for (size_t m = 0; !r && m < c->attach[i].n_urls; m++)
			r = buf_addf(&urls, "%s=%s\n", c->attach[i].name, c->attach[i].urls[m]);
	}
	if (r)
		return r;
	blake2b(SPAN_NULL, buf_span(&urls), v->id, sizeof(v->id));
	hex_encode(span_of(v->id, 16), v->id_text);
	free(v->name);
	v->name = c->name ? strdup(c->name) : strndup(buf_str(&name), NAME_SHOWN_MAX);
	return v->name ? 0 : fail(-ENOMEM);
}

/* Other buckets under the same names have another cache folder. */
static int open_folder(struct volume *v, char *err, size_t err_size)
{
	char *shown = v->name, *folder = NULL;
	int r;

	if (asprintf(&folder, "%s-%.8s", shown, v->id_text) < 0)
		return fail(-ENOMEM);
	v->name = folder;
	r = volume_local_open(v, err, err_size);
	v->name = shown;
	free(folder);
	return r;
}

/* The key of this machine for this cache folder: drawn once, readable by its owner. */
static int local_key(const struct volume *v, uint8_t ret[LOCAL_KEY_SIZE])
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (asprintf(&path, "%s/local.key", v->cache_dir) < 0)
		return fail(-ENOMEM);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, ret, LOCAL_KEY_SIZE) == (ssize_t)LOCAL_KEY_SIZE)
		return 0;
	if (fd >= 0)
		close(take_fd(&fd));
	random_fill(ret, LOCAL_KEY_SIZE);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, ret, LOCAL_KEY_SIZE) != (ssize_t)LOCAL_KEY_SIZE)
		return errno ? -errno : -EIO;
	return 0;
}

static int open_sealer(struct volume *v)
{
	uint8_t bytes[LOCAL_KEY_SIZE];
	int r = local_key(v, bytes);

	if (!r)
		r = sealer_new(bytes, &v->attach_sealer);
	if (!r)
		r = sealer_add_key(v->attach_sealer, 1, bytes + 16);
	wipe(bytes, sizeof(bytes));
	return r;
}

int volume_bare_open(struct volume *v, char *err, size_t err_size)
{
	const struct replicas_options none = { .late_budget_bytes = 0 };
	int r = name_buckets(v);

	if (!r)
		r = replicas_new(&none, &v->replicas);
	if (!r)
		r = open_folder(v, err, err_size);
	if (!r)
		r = open_sealer(v);
	if (r && !*err)
		return say(r, err, err_size, "%s: %s", v->cache_dir ? v->cache_dir : v->name,
			   strerror(-r));
	return r;
}
