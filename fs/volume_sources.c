/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign objects as contents of this volume's files. */
#include "fs/volume_i.h"

static int source_url(uint32_t number, struct buf *ret, void *arg)
{
	const struct volume *v = arg;
	struct view *view = commit_lock(v->commit);
	const int r = ns_source(view, number, ret);

	commit_unlock(v->commit);
	return r;
}

static int source_store(const char *url, struct store **ret, char *err, size_t err_size, void *arg)
{
	const struct volume *v = arg;

	return config_open_store(v->config, NULL, url, ret, err, err_size);
}

int volume_sources_open(struct volume *v)
{
	const struct sources_options o = { .pieces = v->pieces,
					   .sealer = v->sealer,
					   .memory_bytes = v->memory_bytes,
					   .deadline_ns = v->options->deadline_ns,
					   .url = source_url,
					   .open = source_store,
					   .arg = v };

	return sources_new(&o, &v->sources);
}

int volume_foreign_read(struct span reference, uint64_t off, size_t len, enum file_wait wait,
			uint8_t *dst, void *arg)
{
	const struct volume *v = arg;
	const int r = sources_read(v->sources, reference, off, len,
				   wait == FILE_WAIT ? OBJECT_WAIT : OBJECT_NO_WAIT, dst);

	return r == OBJECT_WOULD_WAIT ? FILE_WOULD_WAIT : r;
}
