/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket does for imports. */
#include "fs/control_i.h"

#include <stdio.h>

#include "backends/open.h"
#include "base/text.h"

static int mode_parse(const char *text, enum import_mode *ret)
{
	static const char *const words[] = { "adopt", "copy", "seal" };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], text) != 0)
			continue;
		*ret = (enum import_mode)i;
		return 0;
	}
	return -EINVAL;
}

static unsigned status_of(int error)
{
	return error == -ENOENT || error == -ENOTDIR ? 404 : error == -EROFS ? 403 : 500;
}

static unsigned answer(struct control *c, unsigned id, struct buf *ret)
{
	const int r = imports_json(c->imports, id, ret);

	if (r == -ENOENT)
		return act_refuse(404, ret, "there is no import %u", id);
	return r ? act_refuse(500, ret, "import: %s", strerror(-r)) : 200;
}

unsigned act_import(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *mode_text = r->param(r, "mode"), *url = r->param(r, "url");
	const char *path = r->param(r, "path");
	enum import_mode mode;
	unsigned id;
	char err[300];
	int e;

	if (!c->imports)
		return act_refuse(404, ret, "a mount of nothing but buckets has no volume");
	if (!path || !mode_text || mode_parse(mode_text, &mode))
		return act_refuse(400, ret, "path= and mode=adopt|copy|seal are missing");
	if (mode != IMPORT_SEAL && (!url || !store_url_is(url)))
		return act_refuse(400, ret, "url= is no bucket");
	e = imports_start(c->imports, mode, mode == IMPORT_SEAL ? NULL : url, path, &id, err,
			  sizeof(err));
	return e ? act_refuse(status_of(e), ret, "%s", *err ? err : strerror(-e))
		 : answer(c, id, ret);
}

static bool id_of(const struct request_line *r, unsigned *ret)
{
	const char *text = r->param(r, "id");
	uint64_t n;

	if (!text || uint_parse(text, &n) || n > UINT32_MAX)
		return false;
	*ret = (unsigned)n;
	return true;
}

unsigned act_import_progress(struct control *c, const struct request_line *r, struct buf *ret)
{
	unsigned id;

	if (!c->imports || !id_of(r, &id))
		return act_refuse(400, ret, "id= is the number of an import");
	return answer(c, id, ret);
}

unsigned act_import_stop(struct control *c, const struct request_line *r, struct buf *ret)
{
	unsigned id;

	if (!c->imports || !id_of(r, &id))
		return act_refuse(400, ret, "id= is the number of an import");
	(void)!imports_stop(c->imports, id); /* the answer says whether there is one */
	return answer(c, id, ret);
}
