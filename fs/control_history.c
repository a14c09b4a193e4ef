/* SPDX-License-Identifier: Apache-2.0 */
/* GET /changes: what was done, slot by slot, for `mangrove log` and for programs that follow. */
#include "fs/control_i.h"

#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "fs/history.h"
#include "fs/ns/lookup.h"

#define SLOTS_DEFAULT 1000u
#define SLOTS_MOST 10000u
#define CHANGES_MOST 20000u /* then no further slot: an answer has a size */
#define DEADLINE_NS (60 * NS_PER_S)
#define TEXT_MAX (64 * KiB)

struct wanted {
	struct json *json; /* borrowed from the answer */
	uint64_t ino;
};
struct changes {
	struct volume *v;
	struct history_paths *paths;
	struct json *list;
	size_t n;
	struct wanted *wanted; /* whose paths are not known yet */
	size_t n_wanted;
	bool everything; /* also what concerns the volume's own affairs */
};

static bool is_change(const struct op *op)
{
	return op->kind >= OP_CREATE && op->kind < OP_STORED;
}

static void set_text(struct json *j, const char *key, struct span text)
{
	_cleanup_buf_ struct buf clean = BUF_INIT(3 * TEXT_MAX);

	if (!utf8_clean(text, &clean))
		json_set_str(j, key, clean.len ? buf_str(&clean) : "");
}

static int set_path(struct changes *c, struct json *j, const char *key, uint64_t parent,
		    struct span name)
{
	_cleanup_buf_ struct buf path = BUF_INIT(TEXT_MAX);
	int r = history_path(c->paths, parent, name, &path);

	if (r < 0)
		return r;
	if (r)
		json_set_str(j, key, NULL);
	else
		set_text(j, key, buf_span(&path));
	if (r)
		set_text(j, "name", name);
	return 0;
}

/* Who: the machine and process of the mount, as it said when it mounted. */
static void set_mount(struct changes *c, struct json *j, const uint8_t *incarnation)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	char id[2 * INCARNATION_SIZE + 1];
	struct mount_row row;
	int r = ns_mount(commit_lock(c->v->commit), incarnation, &row, &bytes);

	commit_unlock(c->v->commit);
	hex_encode(span_of(incarnation, INCARNATION_SIZE), id);
	json_set_str(j, "mount", id);
	if (r)
		json_set_str(j, "host", NULL);
	else
		set_text(j, "host", row.name);
}

static uint64_t written(const struct op *op)
{
	uint64_t n = 0;

	for (size_t i = 0; i < op->n_extents; i++)
		n += op->extents[i].row.length;
	return n;
}

static void set_attributes(struct json *j, const struct op *op)
{
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", op->mode & 07777);
	if (op->set & OP_SET_MODE)
		json_set_str(j, "mode", mode);
	if (op->set & OP_SET_UID)
		json_set_uint(j, "new_uid", op->uid);
	if (op->set & OP_SET_GID)
		json_set_uint(j, "new_gid", op->gid);
	if (op->set & OP_SET_MTIME)
		json_set_real(j, "mtime", (double)op->mtime_ns / NS_PER_S);
}

/* What one kind has and others have not. */
static void set_details(struct json *j, const struct op *op)
{
	switch (op->kind) {
	case OP_WRITE:
		json_set_uint(j, "bytes", written(op));
		break;
	case OP_TRUNCATE:
		json_set_uint(j, "size", op->size);
		break;
	case OP_PUNCH:
	case OP_CLONE:
		json_set_uint(j, "bytes", op->len);
		break;
	case OP_SETATTR:
		set_attributes(j, op);
		break;
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
		set_text(j, "attribute", op->name);
		break;
	case OP_SYMLINK:
		set_text(j, "target", op->value);
		break;
	default:
		break;
	}
}

/* The inode that the operation is about: that which a clone writes to. */
static uint64_t subject(const struct op *op)
{
	return op->kind == OP_CLONE ? op->to : op->ino;
}

static bool has_name(const struct op *op)
{
	return op->kind >= OP_CREATE && op->kind < OP_SETATTR;
}

static struct json *describe(struct changes *c, const struct history_op *h)
{
	const struct op *op = h->op;
	struct json *j = json_object_new();
	char when[25];

	iso_date(op->time_ns ? op->time_ns : h->recorded_ns, when);
	json_set_uint(j, "slot", h->slot);
	json_set_str(j, "time", when);
	json_set_str(j, "operation", op_kind_name(op->kind));
	set_mount(c, j, h->mount);
	json_set_uint(j, "uid", op->uid);
	json_set_uint(j, "gid", op->gid);
	if (subject(op))
		json_set_uint(j, "inode", subject(op));
	else if (has_name(op) && op->saw && op->saw != SAW_ANYTHING)
		json_set_uint(j, "inode", op->saw);
	set_details(j, op);
	return j;
}

/* Its path is looked for when all are read. */
static int want(struct changes *c, struct json *j, uint64_t ino)
{
	if (c->n_wanted % 64 == 0) {
		struct wanted *more = reallocarray(c->wanted, c->n_wanted + 64, sizeof(*more));

		if (!more)
			return fail(-ENOMEM);
		c->wanted = more;
	}
	c->wanted[c->n_wanted++] = (struct wanted){ j, ino };
	return history_paths_want(c->paths, ino);
}

/* At once where it is known: further down it may be called otherwise. */
static int name_or_want(struct changes *c, struct json *j, uint64_t ino)
{
	_cleanup_buf_ struct buf path = BUF_INIT(TEXT_MAX);
	int r = history_path_of(c->paths, ino, &path);

	if (r)
		return r < 0 ? r : want(c, j, ino);
	set_text(j, "path", buf_span(&path));
	return 0;
}

static int set_names(struct changes *c, struct json *j, const struct op *op)
{
	int r = 0;

	if (op->kind != OP_LINK && has_name(op))
		r = set_path(c, j, "path", op->parent, op->name);
	if (op->kind == OP_LINK)
		r = set_path(c, j, "to", op->parent, op->name);
	if (!r && op->kind == OP_RENAME)
		r = set_path(c, j, "to", op->to_parent, op->to_name);
	return r;
}

static int add_change(const struct history_op *h, void *arg)
{
	struct changes *c = arg;
	uint64_t nameless = has_name(h->op) && h->op->kind != OP_LINK ? 0 : subject(h->op);
	struct json *j;
	int r;

	if (!is_change(h->op) && !c->everything)
		return history_paths_note(c->paths, h->op);
	j = describe(c, h);
	json_append(c->list, j);
	r = set_names(c, j, h->op);
	if (!r && nameless)
		r = name_or_want(c, j, nameless);
	c->n++;
	if (!r)
		r = history_paths_note(c->paths, h->op);
	return r ? r : c->n >= CHANGES_MOST;
}

/* The paths of those whose names did not stand in what was read. */
static int complete(struct changes *c)
{
	int r = history_paths_find(c->paths);

	for (size_t i = 0; !r && i < c->n_wanted; i++) {
		_cleanup_buf_ struct buf path = BUF_INIT(TEXT_MAX);
		const struct wanted *w = &c->wanted[i];

		r = history_path_of(c->paths, w->ino, &path);
		if (r < 0)
			return r;
		if (r)
			json_set_str(w->json, "path", NULL);
		else
			set_text(w->json, "path", buf_span(&path));
		r = 0;
	}
	return r;
}

static unsigned refuse(int r, uint64_t from, struct buf *ret)
{
	if (r == HISTORY_GONE)
		return act_refuse(410, ret, "the journal no longer has slot %llu",
				  (unsigned long long)from);
	return act_refuse(r == -ETIMEDOUT ? 504 : 500, ret, "the journal cannot be read: %s",
			  strerror(-r));
}

static int read_changes(struct changes *c, uint64_t from, uint64_t max, uint64_t *ret_position)
{
	int r;

	c->paths = history_paths_new(c->v);
	if (!c->paths)
		return fail(-ENOMEM);
	r = history_read(c->v, from, max, clock_now() + DEADLINE_NS, add_change, c, ret_position);
	return r ? r : complete(c);
}

static uint64_t applied(struct volume *v)
{
	struct commit_status st;

	commit_status_get(v->commit, &st);
	return st.applied_slot;
}

/* Where to begin: from=SLOT, last=N slots, since=SECONDS since 1970, or with what comes next. */
static int begin_of(struct control *c, const struct request_line *r, uint64_t *ret)
{
	const char *from = r->param(r, "from"), *last = r->param(r, "last"),
		   *since = r->param(r, "since");
	uint64_t end = applied(c->volume) + 1, n = 0;

	if (from)
		return uint_parse(from, ret);
	if (last && uint_parse(last, &n))
		return -EINVAL;
	if (since && uint_parse(since, &n))
		return -EINVAL;
	if (since)
		return history_find(c->volume, n * NS_PER_S, clock_now() + DEADLINE_NS, ret);
	*ret = end - MIN(n, end);
	return 0;
}

unsigned act_changes(struct control *c, const struct request_line *r, struct buf *ret)
{
	_cleanup_(json_freep) struct json *root = NULL;
	const char *all = r->param(r, "all"), *max = r->param(r, "max");
	struct changes ch = { .v = c->volume, .everything = all && !strcmp(all, "1") };
	uint64_t from, slots = SLOTS_DEFAULT, position = 0;
	int e;

	if (is_bare(c->volume))
		return act_refuse(404, ret, "this mount has no volume, and so no journal");
	e = begin_of(c, r, &from);
	if (e == -EINVAL || e == -ERANGE || (max && uint_parse(max, &slots)))
		return act_refuse(400, ret, "from=, last=, since= and max= are numbers");
	if (e)
		return refuse(e, 0, ret);
	root = json_object_new();
	ch.list = json_array_new();
	e = read_changes(&ch, from, MIN(slots, SLOTS_MOST), &position);
	json_set_uint(root, "from", from);
	json_set_uint(root, "position", position);
	json_set_uint(root, "applied_slot", applied(c->volume));
	json_set(root, "changes", ch.list);
	free(ch.wanted);
	history_paths_free(ch.paths);
	if (e)
		return refuse(e, from, ret);
	return json_write(root, 0, ret) ? act_refuse(500, ret, "answer") : 200;
}
