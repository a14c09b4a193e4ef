/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/options.h"

#include <stdio.h>

#include "base/text.h"

/* What the table does not have is an error: a misspelt `ro` must not mount read-write. */
enum option_type {
	OPTION_FLAG,     /* sets a bool */
	OPTION_TEXT,
	OPTION_SIZE,
	OPTION_DURATION,
	OPTION_ID,       /* uid, gid: a number, and a bool that it was given */
	OPTION_MODE,     /* umask: octal */
	OPTION_CHOICE,   /* one of two words; sets a bool for the first */
	OPTION_LEVEL,
	OPTION_KERNEL,   /* handed to the kernel */
	OPTION_IGNORED,  /* for mount, fstab and systemd */
	OPTION_IGNORED_VALUE,
};
struct option {
	const char *name;
	enum option_type type;
	size_t at, at_given;
	const char *yes, *no; /* OPTION_CHOICE */
};
#define O(field) offsetof(struct mount_options, field)
static const struct option table[] = {
	{ "ro", OPTION_FLAG, O(read_only), 0, NULL, NULL },
	{ "allow_other", OPTION_FLAG, O(allow_other), 0, NULL, NULL },
	{ "strict", OPTION_FLAG, O(strict), 0, NULL, NULL },
	{ "acl", OPTION_FLAG, O(acl), 0, NULL, NULL },
	{ "accept_rollback", OPTION_FLAG, O(accept_rollback), 0, NULL, NULL },
	{ "names", OPTION_CHOICE, O(names_committed), 0, "committed", "early" },
	{ "close", OPTION_CHOICE, O(close_staged), 0, "staged", "quorum" },
	{ "freshness", OPTION_DURATION, O(freshness_ns), 0, NULL, NULL },
	{ "deadline", OPTION_DURATION, O(deadline_ns), 0, NULL, NULL },
	{ "orphan_grace", OPTION_DURATION, O(orphan_grace_ns), 0, NULL, NULL },
	{ "memory", OPTION_SIZE, O(memory_bytes), 0, NULL, NULL },
	{ "max_read_ahead", OPTION_SIZE, O(max_read_ahead), 0, NULL, NULL },
	{ "listen", OPTION_TEXT, O(listen), 0, NULL, NULL },
	{ "subdir", OPTION_TEXT, O(subdir), 0, NULL, NULL },
	{ "config", OPTION_TEXT, O(config), 0, NULL, NULL },
	{ "cache_dir", OPTION_TEXT, O(cache_dir), 0, NULL, NULL },
	{ "cache_size", OPTION_TEXT, O(cache_size), 0, NULL, NULL },
	{ "key_file", OPTION_TEXT, O(key_file), 0, NULL, NULL },
	{ "passphrase_file", OPTION_TEXT, O(passphrase_file), 0, NULL, NULL },
	{ "key_command", OPTION_TEXT, O(key_command), 0, NULL, NULL },
	{ "recovery_key_file", OPTION_TEXT, O(recovery_key_file), 0, NULL, NULL },
	{ "uid", OPTION_ID, O(uid), O(set_uid), NULL, NULL },
	{ "gid", OPTION_ID, O(gid), O(set_gid), NULL, NULL },
	{ "umask", OPTION_MODE, O(umask), O(set_umask), NULL, NULL },
	{ "log_file", OPTION_TEXT, O(log_file), 0, NULL, NULL },
	{ "log_level", OPTION_LEVEL, O(log_level), 0, NULL, NULL },
	{ "nosuid", OPTION_KERNEL, 0, 0, NULL, NULL },
	{ "suid", OPTION_KERNEL, 0, 0, NULL, NULL },
	{ "nodev", OPTION_KERNEL, 0, 0, NULL, NULL },
	{ "dev", OPTION_KERNEL, 0, 0, NULL, NULL },
	{ "noexec", OPTION_KERNEL, 0, 0, NULL, NULL },
	{ "exec", OPTION_KERNEL, 0, 0, NULL, NULL },
	{ "noatime", OPTION_KERNEL, 0, 0, NULL, NULL },
	{ "sync", OPTION_KERNEL, 0, 0, NULL, NULL },
	{ "dirsync", OPTION_KERNEL, 0, 0, NULL, NULL },
	{ "rw", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "defaults", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "_netdev", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "auto", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "noauto", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "nofail", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "user", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "nouser", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "users", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "owner", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "group", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "async", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "atime", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "diratime", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "nodiratime", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "relatime", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "norelatime", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "strictatime", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "lazytime", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "nolazytime", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "default_permissions", OPTION_IGNORED, 0, 0, NULL, NULL },
	{ "comment", OPTION_IGNORED_VALUE, 0, 0, NULL, NULL },
};

void mount_options_init(struct mount_options *o)
{
	*o = (struct mount_options){ .freshness_ns = NS_PER_S,
				     .deadline_ns = 60 * NS_PER_S,
				     .orphan_grace_ns = 300 * NS_PER_S,
				     .log_level = LOG_LEVEL_INFO };
}

void mount_options_release(struct mount_options *o)
{
	free(o->dir);
	free(o->source);
	free(o->listen);
	free(o->subdir);
	free(o->config);
	free(o->cache_dir);
	free(o->cache_size);
	free(o->key_file);
	free(o->passphrase_file);
	free(o->key_command);
	free(o->recovery_key_file);
	free(o->log_file);
	free(o->kernel);
	*o = (struct mount_options){ 0 };
}

static const struct option *option_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

static int unknown_option(const char *name, char *err, size_t err_size)
{
	const char *known[ARRAY_SIZE(table) + 1] = { NULL }, *near;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		known[i] = table[i].name;
	near = nearest_word(name, known);
	snprintf(err, err_size, "unknown mount option '%s'%s%s%s", name,
		 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return fail(-EINVAL);
}

static int octal_parse(const char *s, uint32_t *ret)
{
	uint32_t v = 0;

	if (!*s || strlen(s) > 4)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '7')
			return -EINVAL;
		v = v << 3 | (uint32_t)(*s - '0');
	}
	*ret = v & 07777;
	return 0;
}

static int text_set(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return fail(-ENOMEM);
	free(*field);
	*field = copy;
	return 0;
}

static int kernel_add(struct mount_options *o, const char *name)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", o->kernel ? o->kernel : "", o->kernel ? "," : "", name) < 0)
		return fail(-ENOMEM);
	free(o->kernel);
	o->kernel = joined;
	return 0;
}

/* 0, -EINVAL, -ENOMEM. */
static int number_set(const struct option *opt, const char *value, void *field)
{
	uint64_t v;
	int r;

	switch (opt->type) {
	case OPTION_SIZE:
		return size_parse(value, field);
	case OPTION_DURATION:
		return duration_parse(value, field);
	case OPTION_MODE:
		return octal_parse(value, field);
	case OPTION_LEVEL:
		return log_level_parse(value, field);
	default:
		r = uint_parse(value, &v);
		if (r || v >= UINT32_MAX)
			return -EINVAL;
		*(uint32_t *)field = (uint32_t)v;
		return 0;
	}
}

static int choice_set(const struct option *opt, const char *value, bool *field)
{
	if (strcmp(value, opt->yes) && strcmp(value, opt->no))
		return -EINVAL;
	*field = !strcmp(value, opt->yes);
	return 0;
}

static int option_set(struct mount_options *o, const struct option *opt, const char *value)
{
	void *field = (char *)o + opt->at;
	int r;

	switch (opt->type) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_KERNEL:
		return kernel_add(o, opt->name);
	case OPTION_IGNORED:
	case OPTION_IGNORED_VALUE:
		return 0;
	case OPTION_TEXT:
		return *value ? text_set(field, value) : -EINVAL;
	case OPTION_CHOICE:
		return choice_set(opt, value, field);
	default:
		r = number_set(opt, value, field);
		if (!r && opt->at_given)
			*(bool *)((char *)o + opt->at_given) = true;
		return r;
	}
}

static bool takes_value(enum option_type t)
{
	return t != OPTION_FLAG && t != OPTION_KERNEL && t != OPTION_IGNORED;
}

static int one_option(struct mount_options *o, char *word, char *err, size_t err_size)
{
	char *value = strchr(word, '=');
	const struct option *opt;
	int r;

	if (!strncmp(word, "x-", 2) || !strncmp(word, "X-", 2))
		return 0; /* systemd's and people's own */
	if (value)
		*value++ = '\0';
	if (!strcmp(word, "rw"))
		o->read_only = false; /* the last one wins, as with mount(8) */
	opt = option_find(word);
	if (!opt)
		return unknown_option(word, err, err_size);
	if (takes_value(opt->type) != !!value) {
		snprintf(err, err_size,
			 value ? "mount option '%s' takes no value"
			       : "mount option '%s' needs a value: %s=...",
			 word, word);
		return fail(-EINVAL);
	}
	r = option_set(o, opt, value);
	if (r && r != -ENOMEM) {
		if (opt->type == OPTION_CHOICE)
			snprintf(err, err_size, "mount option %s=%s: expected %s or %s", word,
				 value, opt->yes, opt->no);
		else
			snprintf(err, err_size, "mount option %s=%s: not a valid value", word,
				 value);
		return fail(-EINVAL);
	}
	return r;
}

int mount_options_add(struct mount_options *o, const char *text, char *err, size_t err_size)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *word;
	int r = copy ? 0 : fail(-ENOMEM);

	while (!r && (word = strsep(&rest, ",")))
		if (*word)
			r = one_option(o, word, err, err_size);
	return r;
}
