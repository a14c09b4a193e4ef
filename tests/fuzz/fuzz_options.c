/* SPDX-License-Identifier: Apache-2.0 */
/* Mount options: a wrong one has its sentence, and the same ones twice say the same. */
#include "tests/fuzz/fuzz.h"

#include "fs/options.h"

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void same(const struct mount_options *a, const struct mount_options *b)
{
	MUST(a->read_only == b->read_only && a->allow_other == b->allow_other);
	MUST(a->strict == b->strict && a->acl == b->acl && a->log_level == b->log_level);
	MUST(a->names_committed == b->names_committed && a->close_staged == b->close_staged);
	MUST(a->set_uid == b->set_uid && a->uid == b->uid);
	MUST(a->set_gid == b->set_gid && a->gid == b->gid);
	MUST(a->set_umask == b->set_umask && a->umask == b->umask);
	MUST(a->freshness_ns == b->freshness_ns && a->deadline_ns == b->deadline_ns);
	MUST(a->memory_bytes == b->memory_bytes && a->max_read_ahead == b->max_read_ahead);
	MUST(same_text(a->listen, b->listen) && same_text(a->subdir, b->subdir));
	MUST(same_text(a->config, b->config) && same_text(a->cache_dir, b->cache_dir));
	MUST(same_text(a->cache_size, b->cache_size) && same_text(a->key_file, b->key_file));
	MUST(same_text(a->key_command, b->key_command) && same_text(a->log_file, b->log_file));
}

static void check(const struct mount_options *o)
{
	MUST(o->umask <= 07777 && o->log_level <= LOG_LEVEL_DEBUG);
	MUST(!o->listen || o->listen[0]);
	MUST(!o->set_uid || o->uid != UINT32_MAX);
	MUST(!o->set_gid || o->gid != UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = text_of(span_of(data, MIN(size, (size_t)4096)));
	_cleanup_(mount_options_release) struct mount_options once = {}, twice = {};
	char err[256] = "";
	int r;

	mount_options_init(&once);
	mount_options_init(&twice);
	r = mount_options_add(&once, text, err, sizeof(err));
	MUST(r == 0 ? !err[0] : r == -EINVAL && err[0]);
	check(&once);
	if (r)
		return 0;
	MUST(mount_options_add(&twice, text, err, sizeof(err)) == 0);
	MUST(mount_options_add(&twice, text, err, sizeof(err)) == 0);
	same(&once, &twice);
	return 0;
}
