/* SPDX-License-Identifier: Apache-2.0 */
/* The model against a view: everything that one has, the other has, and nothing more. */
#include <sys/stat.h>

#include "fs/ns/extent.h"
#include "fs/ns/lookup.h"
#include "tests/lib/cm.h"
#include "tests/lib/ns_model.h"

static int count_row(struct span key, struct span value, void *arg)
{
	++*(size_t *)arg;
	return 0;
}

static size_t rows(struct view *v, unsigned column)
{
	size_t n = 0;

	assert_int_equal(view_walk(v, column, SPAN_NULL, SPAN_NULL, count_row, &n), 0);
	return n;
}

struct contents {
	const struct model *m;
	const struct model_node *n;
	uint64_t end; /* of the last extent */
	struct extent_row last;
	bool any;
};

static void compare_foreign(const struct model *m, const struct model_cell *cell,
			    const struct extent_row *row, uint64_t i)
{
	assert_int_not_equal(cell->foreign, 0);
	assert_true(span_equal(row->bytes, span_str(m->references[cell->foreign - 1].text)));
	assert_int_equal(cell->at, row->foreign_offset + i);
}

/*
 * Extents are in order, disjoint, within the size, joined where they can be, and say what the cells
 * say.
 */
static int compare_extent(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct contents *c = arg;

	assert_true(offset >= c->end && offset + row->length <= c->n->size);
	for (uint64_t b = c->end; b < offset; b++)
		assert_false(c->n->cells[b].allocated);
	if (c->any && c->end == offset && row->kind != EXTENT_INLINE)
		assert_false(extent_continues(&c->last, row));
	for (uint64_t i = 0; i < row->length; i++) {
		const struct model_cell *cell = &c->n->cells[offset + i];

		assert_true(cell->allocated);
		if (row->kind == EXTENT_INLINE) {
			assert_int_equal(cell->chunk, 0);
			assert_int_equal(cell->foreign, 0);
			assert_int_equal(cell->byte, row->bytes.data[i]);
			continue;
		}
		if (row->kind == EXTENT_FOREIGN) {
			compare_foreign(c->m, cell, row, i);
			continue;
		}
		assert_int_not_equal(cell->chunk, 0);
		assert_memory_equal(c->m->chunks[cell->chunk - 1].c.id, row->chunk, CHUNK_ID_SIZE);
		assert_int_equal(cell->at, row->chunk_offset + i);
		assert_int_equal(cell->byte, model_pattern(row->chunk, row->chunk_offset + i));
	}
	c->end = offset + row->length;
	c->last = *row;
	if (row->kind == EXTENT_FOREIGN) /* the row's bytes are gone after this call */
		c->last.bytes = span_str(c->m->references[c->n->cells[offset].foreign - 1].text);
	else
		c->last.bytes = SPAN_NULL;
	c->any = true;
	return 0;
}

static void compare_contents(const struct model *m, struct view *v, const struct model_node *n)
{
	struct contents c = { .m = m, .n = n };

	assert_int_equal(ns_extents(v, n->ino, 0, UINT64_MAX, compare_extent, &c), 0);
	for (uint64_t b = c.end; b < n->size; b++)
		assert_false(n->cells[b].allocated);
}

static void compare_row(const struct model *m, const struct model_node *n,
			const struct inode_row *row)
{
	const bool dir = S_ISDIR(n->mode);

	assert_int_equal(row->mode, n->mode);
	assert_int_equal(row->uid, n->uid);
	assert_int_equal(row->gid, n->gid);
	assert_int_equal(row->rdev, n->rdev);
	assert_int_equal(row->nlink, model_links(m, n));
	assert_int_equal(row->mtime_ns, n->mtime);
	assert_int_equal(row->ctime_ns, n->ctime);
	assert_int_equal(row->btime_ns, n->btime);
	assert_int_equal(row->atime_ns, n->atime);
	assert_int_equal(row->version, n->version);
	assert_int_equal(row->size, S_ISLNK(n->mode) ? strlen(n->target) : n->size);
	assert_int_equal(row->bytes, model_bytes(n));
	assert_int_equal(row->children, dir ? model_children(m, n->ino) : 0);
	assert_int_equal(row->parent, dir ? model_parent(m, n->ino) : 0);
	assert_int_equal(row->subdirs, dir && !n->orphan ? model_links(m, n) - 2 : 0);
	assert_true(span_equal(row->target, span_str(n->target)));
}

static void compare_xattrs(struct view *v, const struct model_node *n)
{
	for (unsigned i = 0; i < n->n_xattrs; i++) {
		_cleanup_buf_ struct buf b = BUF_INIT(ROW_MAX);

		assert_int_equal(ns_getxattr(v, n->ino, span_str(n->xattrs[i].name), &b), 0);
		assert_true(span_equal(buf_span(&b), span_str(n->xattrs[i].value)));
	}
}

static void compare_nodes(const struct model *m, struct view *v)
{
	size_t n_xattrs = 0, n_orphans = 0;

	for (size_t i = 0; i < m->n_nodes; i++) {
		const struct model_node *n = &m->nodes[i];
		struct inode_view iv;

		assert_int_equal(ns_inode(v, n->ino, &iv), 0);
		compare_row(m, n, &iv.row);
		buf_release(&iv.bytes);
		compare_contents(m, v, n);
		compare_xattrs(v, n);
		n_xattrs += n->n_xattrs;
		n_orphans += n->orphan;
	}
	assert_int_equal(rows(v, COL_INODE), m->n_nodes);
	assert_int_equal(rows(v, COL_XATTR), n_xattrs);
	assert_int_equal(rows(v, COL_ORPHAN), n_orphans);
}

static int compare_orphan(uint64_t ino, const struct orphan_row *row, void *arg)
{
	const struct model_node *n = model_node(arg, ino);

	assert_true(n && n->orphan);
	assert_int_equal(row->slot, n->orphan_slot);
	assert_int_equal(row->time_ns, n->orphan_time);
	return 0;
}

struct listing {
	const struct model *m;
	uint64_t dir, cursor;
	size_t n;
};

static int compare_entry(struct span name, uint64_t ino, uint32_t type, uint64_t cursor, void *arg)
{
	struct listing *l = arg;
	const struct model_entry *e = model_find(l->m, l->dir, name);

	assert_non_null(e);
	assert_int_equal(ino, e->ino);
	assert_int_equal(type, model_node(l->m, ino)->mode & S_IFMT);
	assert_true(cursor > l->cursor);
	l->cursor = cursor;
	l->n++;
	return 0;
}

static void compare_entries(const struct model *m, struct view *v)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_nodes; i++) {
		struct listing l = { .m = m, .dir = m->nodes[i].ino };

		assert_int_equal(ns_readdir(v, l.dir, 0, compare_entry, &l), 0);
		n += l.n;
	}
	assert_int_equal(n, m->n_entries);
	for (size_t i = 0; i < m->n_entries; i++) {
		uint64_t ino;

		assert_int_equal(ns_lookup(v, m->entries[i].parent, span_str(m->entries[i].name),
					   &ino, NULL),
				 0);
		assert_int_equal(ino, m->entries[i].ino);
	}
}

static int compare_chunk(const uint8_t *id, const struct chunk_row *row, void *arg)
{
	const struct model *m = arg;
	const struct model_chunk *c = model_chunk(m, id);

	assert_non_null(c);
	assert_int_equal(row->length, c->c.length);
	assert_int_equal(row->stores, c->c.stores);
	assert_int_equal(row->want, c->c.want);
	assert_int_equal(row->born, c->born);
	assert_int_equal(row->dead, c->dead);
	assert_int_equal(row->live, model_live(m, c));
	return 0;
}

static int compare_deficit(const uint8_t *id, unsigned store, void *arg)
{
	const struct model_chunk *c = model_chunk(arg, id);

	assert_non_null(c);
	assert_true(c->deficits & 1ull << store);
	return 0;
}

static void compare_chunks(struct model *m, struct view *v)
{
	size_t n_deficits = 0, n_chunks = 0;

	for (size_t i = 0; i < m->n_chunks; i++) {
		n_deficits += (size_t)__builtin_popcountll(m->chunks[i].deficits);
		n_chunks += !m->chunks[i].gone;
	}
	assert_int_equal(ns_chunks(v, NULL, compare_chunk, m), 0);
	assert_int_equal(rows(v, COL_CHUNK), n_chunks);
	assert_int_equal(ns_deficits(v, NULL, 0, compare_deficit, m), 0);
	assert_int_equal(rows(v, COL_DEFICIT), n_deficits);
}

static void compare_results(struct view *v, const struct model_mount *x)
{
	for (uint64_t n = x->last; n > 0 && n + MOUNT_RESULTS > x->last; n--) {
		const struct result *expected = &x->results[n % MOUNT_RESULTS];
		struct result_row got;

		assert_int_equal(ns_result(v, x->incarnation, n, &got), 0);
		assert_int_equal(got.error, expected->error);
		assert_int_equal(got.value, expected->value);
	}
}

static void compare_mounts(const struct model *m, struct view *v)
{
	for (unsigned i = 0; i < m->n_mounts; i++) {
		const struct model_mount *x = &m->mounts[i];
		_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
		struct mount_row row;

		assert_int_equal(ns_mount(v, x->incarnation, &row, &bytes), 0);
		assert_int_equal(row.status, x->status);
		assert_int_equal(row.number, x->number);
		assert_int_equal(row.last, x->last);
		assert_int_equal(row.slot, x->slot);
		compare_results(v, x);
	}
	assert_int_equal(rows(v, COL_MOUNT), m->n_mounts);
	assert_int_equal(rows(v, COL_BLOCK), m->next_block - 1);
}

static int compare_attached_one(struct span name, const struct attach_row *row, void *arg)
{
	const struct model_attached *a = model_attached(arg, name);

	assert_non_null(a);
	assert_int_equal(row->ttl_ns, a->ttl_ns);
	return 0;
}

static void compare_attached(struct model *m, struct view *v)
{
	size_t n = 0;

	for (unsigned i = 0; i < MODEL_ATTACHED; i++)
		n += *m->attached[i].name != '\0';
	assert_int_equal(ns_attached(v, compare_attached_one, m), 0);
	assert_int_equal(rows(v, COL_ATTACH), n);
}

static void compare_totals(const struct model *m, struct view *v)
{
	struct totals_row expected = { .directories = 0 }, got;

	for (size_t i = 0; i < m->n_nodes; i++) {
		const struct model_node *n = &m->nodes[i];

		expected.bytes += model_bytes(n);
		expected.directories += S_ISDIR(n->mode) && !n->orphan;
		expected.files += !S_ISDIR(n->mode) && !n->orphan;
	}
	assert_int_equal(ns_totals(v, &got), 0);
	assert_int_equal(got.files, expected.files);
	assert_int_equal(got.directories, expected.directories);
	assert_int_equal(got.bytes, expected.bytes);
}

static void compare_sources(const struct model *m, struct view *v)
{
	for (unsigned i = 0; i < m->n_sources; i++) {
		_cleanup_buf_ struct buf url = BUF_INIT(ROW_MAX);

		assert_int_equal(ns_source(v, i + 1, &url), 0);
		assert_string_equal(buf_str(&url), m->sources[i]);
	}
	assert_int_equal(rows(v, COL_SOURCE), m->n_sources);
}

static int compare_keyslot(unsigned number, struct span slot, void *arg)
{
	const struct model *m = arg;

	assert_true(number < KEYSLOTS_MAX);
	assert_span_str(slot, m->keyslots[number]);
	return 0;
}

static void compare_keyslots(struct model *m, struct view *v)
{
	size_t n = 0;

	for (unsigned i = 0; i < KEYSLOTS_MAX; i++)
		n += *m->keyslots[i] != '\0';
	assert_int_equal(ns_keyslots(v, compare_keyslot, m), 0);
	assert_int_equal(rows(v, COL_KEYSLOT), n);
}

void model_compare(struct model *m, struct view *v)
{
	struct grace_row grace;

	compare_nodes(m, v);
	assert_int_equal(ns_orphans(v, 0, compare_orphan, m), 0);
	compare_entries(m, v);
	compare_chunks(m, v);
	compare_mounts(m, v);
	compare_attached(m, v);
	compare_totals(m, v);
	assert_int_equal(ns_grace(v, &grace), 0);
	assert_int_equal(grace.seconds, m->grace_s ? m->grace_s : 24 * 3600);
	assert_int_equal(grace.since_ns, m->grace_since);
	compare_sources(m, v);
	compare_keyslots(m, v);
}
