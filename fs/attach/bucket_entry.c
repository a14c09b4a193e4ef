/* SPDX-License-Identifier: Apache-2.0 */
/* One entry, put together from the rows: of a name there may be a directory, its marks, a file. */
#include "fs/attach/bucket_i.h"

#define SUFFIX SPAN_LITERAL(FOLDER_SUFFIX)

static bool has_suffix(struct span s)
{
	return s.len >= SUFFIX.len && span_equal(span_sub(s, s.len - SUFFIX.len, s.len), SUFFIX);
}

unsigned mark_flag(struct span rel, uint64_t size)
{
	return size == 0 && rel.len > SUFFIX.len && has_suffix(rel) ? ROW_MARK : 0;
}

struct span rel_component(struct span rel, const struct row *row)
{
	if (rel_is_dir(rel))
		return span_sub(rel, 0, rel.len - 1);
	if (row->flags & ROW_MARK && has_suffix(rel))
		return span_sub(rel, 0, rel.len - SUFFIX.len);
	return rel;
}

/* The live row of component + suffix that has, or lacks, ROW_MARK. */
static int get_live(struct bucket *b, uint64_t dir, struct span component, struct span suffix,
		    unsigned mark, struct row *ret)
{
	_cleanup_buf_ struct buf rel = BUF_INIT(STORE_NAME_MAX);
	struct row row;
	int r = buf_add_span(&rel, component);

	if (!r)
		r = buf_add_span(&rel, suffix);
	if (r)
		return r == -EMSGSIZE ? ROW_NONE : r;
	r = row_get(b, dir, buf_span(&rel), &row);
	if (r)
		return r;
	if (!row_is_live(&row) || (row.flags & ROW_MARK) != mark)
		return ROW_NONE;
	*ret = row;
	return 0;
}

int entry_find_dir(struct bucket *b, uint64_t dir, struct span component, struct row *ret,
		   struct span *ret_suffix)
{
	const struct span none = SPAN_NULL, slash = SPAN_LITERAL("/"), suffix = SUFFIX;
	int r = get_live(b, dir, component, slash, 0, ret);

	*ret_suffix = slash;
	if (r == ROW_NONE && component.len && !has_suffix(component)) { /* else another's mark */
		r = get_live(b, dir, component, none, ROW_MARK, ret);
		*ret_suffix = none;
	}
	if (r == ROW_NONE && component.len) {
		r = get_live(b, dir, component, suffix, ROW_MARK, ret);
		*ret_suffix = suffix;
	}
	return r;
}

static int find_file(struct bucket *b, const struct want *w, struct row *ret)
{
	struct span suffix;
	struct row dir;
	int r = get_live(b, w->dir, w->component, SPAN_NULL, 0, ret);

	if (r || w->kind != KEY_IS_BESIDE || !w->by_name)
		return r;
	/* the name is the file's only as long as there is a directory */
	return entry_find_dir(b, w->dir, w->component, &dir, &suffix);
}

int entry_find(struct bucket *b, const struct want *w, struct row *ret, bool *ret_dir)
{
	struct span suffix;
	int r = ROW_NONE;

	if (w->kind == KEY_IS_DIRECTORY || w->kind == KEY_IS_FILE)
		r = entry_find_dir(b, w->dir, w->component, ret, &suffix);
	*ret_dir = r == 0;
	if (r != ROW_NONE || w->kind == KEY_IS_DIRECTORY)
		return r;
	return find_file(b, w, ret);
}

void entry_fill(const struct want *w, const struct row *row, bool is_dir, struct bucket_entry *ret)
{
	struct bucket_entry e = { .ino = row->ino, .parent = w->dir, .is_dir = is_dir,
				  .size = is_dir ? 0 : row->size,
				  .modified_s = row->modified_s };
	const size_t len = w->prefix.len + w->component.len;

	assert(len + is_dir <= STORE_NAME_MAX);
	if (w->prefix.len)
		memcpy(e.key, w->prefix.data, w->prefix.len);
	if (w->component.len)
		memcpy(e.key + w->prefix.len, w->component.data, w->component.len);
	if (is_dir)
		e.key[len] = '/';
	else
		memcpy(e.version, row->version, sizeof(e.version));
	*ret = e;
}

void entry_root(struct bucket *b, struct bucket_entry *ret)
{
	*ret = (struct bucket_entry){ .ino = b->root, .parent = b->root, .is_dir = true };
}
