/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The configuration of one volume: an INI file, or nothing but the URLs of its stores. */
#include "backends/price.h"
#include "base/buf.h"
#include "fs/keys.h"

#define CONFIG_STORES_MAX 16

struct config_store {
	char *name;        /* of the section: [store aws] */
	char *url;
	char *credentials; /* a file, or NULL */
	char *profile;     /* or NULL */
	struct prices prices; /* PRICE_UNKNOWN: the list's */
	uint32_t roles;    /* STORE_ROLE_* of fs/ns/rows.h */
	int line;          /* of its section, for messages */
};

/* An existing bucket, shown as a directory of its name. */
#define CONFIG_ATTACH_MAX 64
#define CONFIG_MIRRORS_MAX 4
#define ATTACH_TTL_NS (60 * NS_PER_S)
struct config_attach {
	char *name;
	char *urls[CONFIG_MIRRORS_MAX]; /* the bucket and those with the same content */
	size_t n_urls;
	char *credentials, *profile; /* or NULL; of all its stores */
	bool read_only;
	uint64_t ttl_ns; /* how long a listing is believed */
	int line;
};

struct config {
	char *file; /* where it was read from, or NULL */
	char *name; /* or NULL: as the superblock says */
	bool has_id;
	uint8_t id[16];
	char *key_file, *passphrase_file, *key_command, *recovery_key_file; /* at most one */
	unsigned acknowledge; /* copies before fsync returns; default 2 */
	struct config_store stores[CONFIG_STORES_MAX];
	size_t n_stores;
	struct config_attach attach[CONFIG_ATTACH_MAX];
	size_t n_attach;
	char *bare; /* the one URL given: a volume if one is there, else a bucket; or NULL */
	char *cache_dir;    /* or NULL: chosen by the volume's name */
	char *cache_size;   /* "200G" or "80%"; default 80% */
	uint64_t memory;    /* bytes; 0: chosen */
};
void config_attach_release(struct config_attach *a);
struct config *config_new(void); /* with defaults; NULL: no memory */
struct config *config_free(struct config *c);
DEFINE_CLEANUP(struct config *, config_free)

/* Errors of all: negative errno with one sentence in err (file, line, nearest known word). */
must_check int config_read(const char *file, struct config **ret, char *err, size_t err_size);
must_check int config_parse(struct span text, const char *file, struct config **ret, char *err,
			    size_t err_size);
/* VOLUME: URLs joined by commas, a path of a configuration file, or a name that is looked up;
 * file: --config, or NULL. */
must_check int config_find(const char *volume, const char *file, struct config **ret, char *err,
			   size_t err_size);
/* Adds a store by URL; its name is the provider's, or as given ("aws=s3://..."). */
must_check int config_add_store(struct config *c, const char *url, char *err, size_t err_size);
/* Adds a bucket by URL; its name is the last part of its path, or as given ("logs=gs://x"). */
must_check int config_add_attach(struct config *c, const char *text, char *err, size_t err_size);
/* A configuration of nothing but buckets: all words are URLs. */
must_check int config_of_buckets(const char *const *words, size_t n, struct config **ret, char *err,
				 size_t err_size);
/* The one bare URL that is no volume becomes a bucket. */
must_check int config_make_bucket(struct config *c, char *err, size_t err_size);
/* What the configuration names as the source of the key; KEY_NONE if nothing. Borrows. */
struct key_source config_key_source(const struct config *c);
/*
 * Opens the store of any URL as this machine is set up: with the credentials of the section
 * [attach NAME] (name: or NULL), else of the [attach] or [store] section of the same bucket (with
 * Azure: account) and endpoint that shares most of the path, else where the provider's own tools
 * look. A folder, and an endpoint that is to get credentials, must be named by a section. No
 * request is sent. 0; -EACCES (no credentials, or not named), -EINVAL, -ENOMEM with one sentence
 * in err.
 */
struct store;
must_check int config_open_store(const struct config *c, const char *name, const char *url,
				 struct store **ret, char *err, size_t err_size);
/* Where NAME's configuration is written by format: /etc/mangrove or below $XDG_CONFIG_HOME.
 * Appends. */
must_check int config_path(const char *name, struct buf *ret);
/* Writes it (mode 0600, makes the folder); refuses to replace a file: -EEXIST. */
must_check int config_write(const struct config *c, const char *file, char *err, size_t err_size);
/* "200G" or a share of the disk of `dir` ("80%"). */
must_check int cache_size_parse(const char *text, const char *dir, uint64_t *ret);
/* May this be a volume's or store's name? Letters, digits, - _ . ; at most 63. */
bool config_name_ok(const char *name);
/* Every key with type, default and help, for people and for the check of the manual page.
 * Appends. */
must_check int config_explain(struct buf *ret);
