/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/ns_random.h"

#include <stdio.h>
#include <sys/stat.h>

#include "tests/lib/cm.h"

#define SMALL 700  /* offsets and lengths */
#define LARGE 1500 /* a file beyond that does not grow by appending */

uint32_t draw(struct random *r, uint32_t below)
{
	r->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
	uint64_t z = r->state;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ z >> 31) >> 32) % below;
}

static void any_name(struct random *r, char *ret)
{
	static const char *const odd[] = { "", ".", "..", "a/b" };

	memset(ret, 0, MODEL_NAME);
	if (chance(r, 1)) {
		memset(ret, 'x', 255 + draw(r, 2));
	} else if (chance(r, 2)) {
		snprintf(ret, MODEL_NAME, "%s", odd[draw(r, ARRAY_SIZE(odd))]);
	} else {
		ret[0] = (char)('a' + draw(r, 6));
	}
}

static const struct model_node *any_node(struct random *r, const struct model *m)
{
	return &m->nodes[draw(r, (uint32_t)m->n_nodes)];
}

/* Mostly one of the wanted type, now and then anything, now and then what is no more. */
static uint64_t any_ino(struct random *r, const struct model *m, uint32_t type)
{
	if (chance(r, 3))
		return 0x1000001 + draw(r, 200);
	for (int i = 0; i < 30; i++) {
		const struct model_node *n = any_node(r, m);

		if (!type || (n->mode & S_IFMT) == type || chance(r, 1))
			return n->ino;
	}
	return ROOT_INO;
}

/* A place where there may be something, or one where there is. */
static void any_place(struct random *r, const struct model *m, bool taken, uint64_t *ret_parent,
		      char *ret_name)
{
	any_name(r, ret_name);
	*ret_parent = any_ino(r, m, S_IFDIR);
	if (taken && m->n_entries && chance(r, 85)) {
		const struct model_entry *e = &m->entries[draw(r, (uint32_t)m->n_entries)];

		*ret_parent = e->parent;
		memcpy(ret_name, e->name, MODEL_NAME);
	}
}

static uint64_t new_ino(struct random *r, uint32_t block)
{
	if (chance(r, 1))
		return (uint64_t)draw(r, 4) << 24 | draw(r, 20);
	return (uint64_t)block << 24 | ++r->next_counter[block];
}

static uint64_t any_time(struct random *r)
{
	if (chance(r, 90))
		r->time_ns += draw(r, 1000);
	return r->time_ns - draw(r, 300);
}

static void random_create(struct random *r, struct op *op)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG,  S_IFREG, S_IFREG,
					  S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };

	op->mode = types[draw(r, ARRAY_SIZE(types))] | draw(r, 010000);
	op->rdev = draw(r, 1000);
}

static void random_rename(struct random *r, const struct model *m, struct op *op,
			  struct random_space *space)
{
	any_place(r, m, chance(r, 50), &op->to_parent, space->to_name);
	op->to_name = span_str(space->to_name);
	op->saw_to = SAW_ANYTHING;
	op->flags = chance(r, 60) ? 0 : draw(r, 4);
}

static void random_attributes(struct random *r, const struct model *m, struct op *op)
{
	op->ino = any_ino(r, m, 0);
	op->set = draw(r, 32);
	op->mode = draw(r, 010000);
	op->uid = draw(r, 5);
	op->gid = draw(r, 5);
	op->mtime_ns = draw(r, 1000000);
	op->atime_ns = draw(r, 1000000);
}

static void random_xattr(struct random *r, const struct model *m, struct op *op,
			 struct random_space *space)
{
	op->ino = any_ino(r, m, 0);
	snprintf(space->name, MODEL_NAME, "user.%u", draw(r, MODEL_XATTRS));
	snprintf(space->value, sizeof(space->value), "%u", draw(r, 1000));
	op->name = span_str(space->name);
	op->value = span_str(space->value);
	op->flags = chance(r, 70) ? 0 : draw(r, 4);
}

static struct op_chunk new_chunk(struct random *r, uint32_t block)
{
	struct op_chunk c = {
		.length = 1 + draw(r, SMALL), .key_epoch = 1, .stores = draw(r, 8), .want = 7
	};

	c.id[3] = (uint8_t)block;
	r->next_chunk++;
	c.id[CHUNK_ID_SIZE - 2] = (uint8_t)(r->next_chunk >> 8);
	c.id[CHUNK_ID_SIZE - 1] = (uint8_t)r->next_chunk;
	c.salt[0] = (uint8_t)draw(r, 256);
	return c;
}

static void random_inline(struct random *r, struct op_extent *e, char *text)
{
	const uint32_t len = 1 + draw(r, 63);

	for (uint32_t i = 0; i < len; i++)
		text[i] = (char)draw(r, 256);
	e->row = (struct extent_row){ .kind = EXTENT_INLINE,
				      .length = len,
				      .bytes = span_of(text, len) };
}

/* One of a few objects. */
static struct extent_row random_foreign(struct random *r)
{
	static const char *const references[] = { "one", "two", "three" };
	const struct span reference = span_str(references[draw(r, ARRAY_SIZE(references))]);

	return (struct extent_row){ .kind = EXTENT_FOREIGN,
				    .length = 1 + draw(r, SMALL),
				    .foreign_offset = chance(r, 50) ? 0 : draw(r, SMALL),
				    .bytes = reference };
}

/* A part of a new chunk, or of one that is known: named again (a pack) or not. */
static void random_in_chunk(struct random *r, const struct model *m, uint32_t block, struct op *op,
			    struct op_extent *e, struct random_space *space)
{
	struct op_chunk c = new_chunk(r, block);
	bool name_it = true;

	if (m->n_chunks && chance(r, 40)) {
		c = m->chunks[draw(r, (uint32_t)m->n_chunks)].c;
		name_it = chance(r, 80);
		c.salt[1] = (uint8_t)chance(r, 1); /* rarely, another one under the same id */
	}
	e->row = (struct extent_row){ .kind = EXTENT_CHUNK };
	memcpy(e->row.chunk, c.id, CHUNK_ID_SIZE);
	e->row.chunk_offset = chance(r, 60) ? 0 : draw(r, c.length);
	e->row.length = 1 + draw(r, c.length - e->row.chunk_offset + chance(r, 1));
	if (name_it)
		space->chunks[op->n_chunks++] = c;
}

static void random_write(struct random *r, const struct model *m, uint32_t block, struct op *op,
			 struct random_space *space)
{
	const struct model_node *n;
	uint64_t at = draw(r, SMALL);

	op->ino = any_ino(r, m, S_IFREG);
	n = model_node(m, op->ino);
	op->flags = draw(r, 32);
	op->flags &= draw(r, 32);
	if (!n || n->size > LARGE || (op->flags & OP_WRITE_SIZE))
		op->flags &= ~OP_WRITE_APPEND;
	if (op->flags & OP_WRITE_APPEND)
		at = 0;
	for (op->n_extents = draw(r, RANDOM_EXTENTS + 1); op->n_extents > 0; op->n_extents--) {
		struct op_extent *e = &space->extents[op->size];

		e->offset = at;
		if (chance(r, 20))
			e->row = random_foreign(r);
		else if (chance(r, 50))
			random_inline(r, e, space->text[op->size]);
		else
			random_in_chunk(r, m, block, op, e, space);
		at += e->row.length + (chance(r, 60) ? 0 : draw(r, 50));
		op->size++;
	}
	op->n_extents = op->size;
	op->extents = space->extents;
	op->chunks = space->chunks;
	op->size = draw(r, LARGE);
	op->mtime_ns = chance(r, 50) ? 0 : any_time(r);
}

/* Whole objects, as they are adopted. */
static void random_adopt(struct random *r, struct op *op)
{
	const struct extent_row row = random_foreign(r);

	op->mode = draw(r, 010000);
	op->mtime_ns = chance(r, 50) ? 0 : draw(r, 1000000);
	op->size = chance(r, 10) ? 0 : row.length;
	op->value = op->size ? row.bytes : SPAN_NULL;
}

static const struct model_node *any_file(struct random *r, const struct model *m)
{
	const struct model_node *n = model_node(m, any_ino(r, m, S_IFREG));

	return n && S_ISREG(n->mode) && n->size ? n : NULL;
}

/* What a file has at some place, or what it perhaps had there. */
static struct extent_row there(struct random *r, const struct model *m, struct op *op)
{
	const struct model_node *n = any_file(r, m);
	const struct model_cell *cell;
	struct extent_row row = random_foreign(r);

	op->ino = n ? n->ino : any_ino(r, m, S_IFREG);
	op->off = n ? draw(r, (uint32_t)n->size) : draw(r, SMALL);
	cell = n ? &n->cells[op->off] : NULL;
	if (!cell || (!cell->foreign && !cell->chunk) || chance(r, 10))
		return row;
	row.foreign_offset = cell->at;
	if (cell->foreign)
		row.bytes = span_str(m->references[cell->foreign - 1].text);
	if (!cell->chunk)
		return row;
	row.kind = EXTENT_CHUNK;
	row.chunk_offset = cell->at;
	memcpy(row.chunk, m->chunks[cell->chunk - 1].c.id, CHUNK_ID_SIZE);
	return row;
}

static void random_repack(struct random *r, const struct model *m, uint32_t block, struct op *op,
			  struct random_space *space)
{
	_cleanup_buf_ struct buf b = BUF_INIT(sizeof(space->old));
	const struct extent_row old = there(r, m, op);
	const struct op_chunk c = new_chunk(r, block);
	struct op_extent *e = &space->extents[0];

	op->value = SPAN_NULL;
	if (extent_row_encode(&old, &b) == 0) {
		memcpy(space->old, b.data, b.len);
		op->value = span_of(space->old, b.len);
	}
	e->offset = op->off + (chance(r, 50) ? 0 : draw(r, (uint32_t)old.length));
	e->row = (struct extent_row){ .kind = EXTENT_CHUNK };
	memcpy(e->row.chunk, c.id, CHUNK_ID_SIZE);
	e->row.length = MIN((uint64_t)c.length, op->off + old.length - e->offset);
	space->chunks[0] = c;
	op->extents = space->extents;
	op->chunks = space->chunks;
	op->n_extents = op->n_chunks = 1;
}

static void random_range(struct random *r, const struct model *m, struct op *op)
{
	op->ino = any_ino(r, m, S_IFREG);
	op->to = chance(r, 30) ? op->ino : any_ino(r, m, S_IFREG);
	op->off = draw(r, SMALL);
	op->len = chance(r, 2) ? 0 : 1 + draw(r, SMALL);
	op->to_off = draw(r, 2 * SMALL);
	op->size = draw(r, SMALL);
	op->flags = op->kind == OP_PUNCH && chance(r, 50) ? OP_PUNCH_GROW : 0;
	if (op->kind != OP_CLONE && chance(r, 30))
		op->flags |= OP_WRITE_KILLPRIV;
	op->mtime_ns = chance(r, 50) ? 0 : any_time(r);
}

static void random_copies(struct random *r, const struct model *m, struct op *op,
			  struct random_space *space)
{
	op->n_chunks = 1;
	op->chunks = space->chunks;
	space->chunks[0] =
		m->n_chunks ? m->chunks[draw(r, (uint32_t)m->n_chunks)].c : new_chunk(r, 1);
	space->chunks[0].stores = draw(r, 8);
}

static void random_collect(struct random *r, const struct model *m, struct op *op,
			   struct random_space *space)
{
	op->n_chunks = draw(r, RANDOM_EXTENTS + 1);
	op->chunks = space->chunks;
	for (size_t i = 0; i < op->n_chunks; i++)
		space->chunks[i] =
			m->n_chunks ? m->chunks[draw(r, (uint32_t)m->n_chunks)].c : new_chunk(r, 1);
	op->saw = draw(r, 30);
	op->size = 59 + draw(r, 20);
}

static void random_orphan(struct random *r, const struct model *m, struct op *op)
{
	op->ino = any_ino(r, m, 0);
	for (size_t i = 0; i < m->n_nodes; i++) {
		const struct model_node *n = &m->nodes[i];

		if (n->orphan && chance(r, 30)) {
			op->ino = n->ino;
			op->saw = chance(r, 50) ? 0 : n->orphan_slot;
		}
	}
}

struct op random_op(struct random *r, const struct model *m, uint32_t block,
		    struct random_space *space)
{
	static const enum op_kind kinds[] = {
		OP_CREATE, OP_CREATE, OP_CREATE, OP_MKDIR,   OP_MKDIR,	  OP_SYMLINK,
		OP_LINK,   OP_LINK,   OP_UNLINK, OP_UNLINK,  OP_RMDIR,	  OP_RENAME,
		OP_RENAME, OP_RENAME, OP_RENAME, OP_SETATTR, OP_SETXATTR, OP_REMOVEXATTR,
		OP_WRITE,  OP_WRITE,  OP_WRITE,	 OP_WRITE,   OP_WRITE,	  OP_TRUNCATE,
		OP_PUNCH,  OP_CLONE,  OP_CLONE,	 OP_STORED,  OP_DEFICIT,  OP_REAP,
		OP_REAP,   OP_HOLD,   OP_ADOPT,	 OP_ADOPT,   OP_REPACK,	  OP_REPACK,
		OP_COLLECT, OP_COLLECT,
	};
	struct op op = { .kind = kinds[draw(r, ARRAY_SIZE(kinds))] };
	const bool taken = op.kind == OP_UNLINK || op.kind == OP_RMDIR || op.kind == OP_RENAME;

	memset(space, 0, sizeof(*space));
	op.time_ns = any_time(r);
	op.uid = draw(r, 5);
	op.gid = draw(r, 5);
	any_place(r, m, taken, &op.parent, space->name);
	op.name = span_str(space->name);
	op.ino = op.kind == OP_LINK ? any_ino(r, m, 0) : 0;
	op.saw = op.kind == OP_REAP ? 0 : SAW_ANYTHING;
	snprintf(space->value, sizeof(space->value), "to/%u", draw(r, 1000));
	op.value = span_str(space->value);
	switch (op.kind) {
	case OP_CREATE:
		random_create(r, &op);
		break;
	case OP_MKDIR:
		op.mode = draw(r, 010000);
		break;
	case OP_RENAME:
		random_rename(r, m, &op, space);
		break;
	case OP_SETATTR:
		random_attributes(r, m, &op);
		break;
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
		random_xattr(r, m, &op, space);
		break;
	case OP_WRITE:
		random_write(r, m, block, &op, space);
		break;
	case OP_TRUNCATE:
	case OP_PUNCH:
	case OP_CLONE:
		random_range(r, m, &op);
		break;
	case OP_ADOPT:
		random_adopt(r, &op);
		break;
	case OP_REPACK:
		random_repack(r, m, block, &op, space);
		break;
	case OP_STORED:
	case OP_DEFICIT:
		random_copies(r, m, &op, space);
		break;
	case OP_COLLECT:
		random_collect(r, m, &op, space);
		break;
	case OP_REAP:
	case OP_HOLD:
		random_orphan(r, m, &op);
		break;
	default:
		break;
	}
	if (op.kind == OP_CREATE || op.kind == OP_MKDIR || op.kind == OP_SYMLINK ||
	    op.kind == OP_ADOPT)
		op.ino = new_ino(r, block);
	return op;
}

struct op random_attach(struct random *r, struct random_space *space)
{
	const struct attach_row row = { .ttl_ns = draw(r, 1000),
					.n_urls = 1,
					.urls = { SPAN_LITERAL("s3://b") } };
	struct op op = { .kind = chance(r, 50) ? OP_ATTACH : OP_DETACH };

	*space = (struct random_space){ .row = BUF_INIT(ROW_MAX) };
	op.time_ns = any_time(r);
	any_name(r, space->name);
	op.name = span_str(space->name);
	assert_int_equal(attach_row_encode(&row, &space->row), 0);
	if (chance(r, 5))
		space->row.len--;
	op.value = buf_span(&space->row);
	return op;
}

struct op random_keyslot(struct random *r)
{
	struct op op = { .kind = OP_KEYSLOT, .time_ns = any_time(r), .off = draw(r, 3) };

	if (chance(r, 5))
		op.off = KEYSLOTS_MAX - draw(r, 2);
	if (chance(r, 50))
		op.value = span_of("a secret's slot", 3 + draw(r, 12));
	return op;
}
