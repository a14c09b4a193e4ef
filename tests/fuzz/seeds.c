/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the corpora of binary formats, one file for each thing that the product's own encoders
 * can say: fuzz_seeds tests/fuzz/corpus. To be run again when a format grows; what is random in a
 * sealing is other each time.
 */
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

#include "base/codec.h"
#include "base/sodium.h"
#include "fs/checkpoint_manifest.h"
#include "fs/journal/link.h"
#include "fs/ns/dentry.h"
#include "fs/ns/foreign.h"
#include "fs/super.h"
#include "tests/lib/ns_samples.h"

#define LIMIT (64 * KiB)

static const char *corpus;
static const uint8_t volume_id[16] = "fuzzed-volume..";
static const uint8_t volume_key[32] = "the key of all fuzzed volumes..";

static void save(const char *target, const char *name, struct span s)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", corpus, target);
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/%s", corpus, target, name);
	f = fopen(path, "wb");
	MUST(f && fwrite(s.data, 1, s.len, f) == s.len);
	MUST(fclose(f) == 0);
}

static void add_part(struct buf *b, struct span s)
{
	struct writer w = WRITER(b);

	write_be16(&w, (uint16_t)s.len);
	write_raw(&w, s);
	MUST(w.error == 0);
}

/* ---- operations ---- */

/* One that has an effect on the small namespace of fuzz_apply.c. */
static struct op fitted(struct op op)
{
	op.saw = op.saw_to = SAW_ANYTHING;
	if (op.kind == OP_CREATE || op.kind == OP_MKDIR || op.kind == OP_SYMLINK ||
	    op.kind == OP_ADOPT)
		op.ino = 0x1000009;
	else if (op.ino)
		op.ino = 0x1000001;
	if (op.to)
		op.to = 0x1000003;
	if (op.to_parent)
		op.to_parent = 0x1000002;
	if (op.kind == OP_UNLINK || op.kind == OP_RENAME)
		op.name = SPAN_LITERAL("file");
	if (op.kind == OP_RMDIR)
		op.name = SPAN_LITERAL("dir");
	if (op.kind == OP_CREATE)
		op.mode = S_IFREG | 0644;
	return op;
}

static void save_operations(void)
{
	_cleanup_buf_ struct buf all = BUF_INIT(LIMIT);

	for (size_t i = 0; i < ARRAY_SIZE(sample_ops); i++) {
		const char *name = op_kind_name(sample_ops[i].kind);
		const struct op op = fitted(sample_ops[i]);
		_cleanup_buf_ struct buf b = BUF_INIT(LIMIT), one = BUF_INIT(LIMIT);

		MUST(op_encode(&sample_ops[i], &b) == 0);
		save("op", name, buf_span(&b));
		buf_clear(&b);
		MUST(op_encode(&op, &b) == 0);
		add_part(&one, buf_span(&b));
		save("apply", name, buf_span(&one));
		if (op.kind >= OP_CREATE && op.kind != OP_UNLINK && op.kind != OP_RMDIR)
			add_part(&all, buf_span(&b));
	}
	save("apply", "all", buf_span(&all));
}

static struct volume_format sample_format(void)
{
	struct volume_format f = { .level = 1,
				   .epoch = 1,
				   .key_epoch = 1,
				   .name = SPAN_LITERAL("demo"),
				   .n_stores = 1,
				   .n_keyslots = 1,
				   .keyslots = { SPAN_LITERAL("slot") } };

	f.stores[0] = (struct store_row){ .roles = 3,
					  .name = SPAN_LITERAL("one"),
					  .url = SPAN_LITERAL("file:///one") };
	return f;
}

/* ---- rows ---- */

static void save_row(const char *name, enum column column, struct buf *row)
{
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

	MUST(buf_add_byte(&b, (uint8_t)column) == 0 && buf_move(&b, row) == 0);
	save("row", name, buf_span(&b));
}

#define SAVE_ROW(name, column, kind, ...)                                                          \
	do {                                                                                       \
		_cleanup_buf_ struct buf b_ = BUF_INIT(LIMIT);                                     \
		const struct kind row_ = { __VA_ARGS__ };                                          \
                                                                                                   \
		MUST(kind##_encode(&row_, &b_) == 0);                                              \
		save_row(name, column, &b_);                                                       \
	} while (0)

static void save_rows(void)
{
	_cleanup_buf_ struct buf bucket = BUF_INIT(LIMIT), two = BUF_INIT(LIMIT);
	const struct dentry a = { SPAN_LITERAL("a"), 5, S_IFREG, 0 },
			    b = { SPAN_LITERAL("b"), 6, S_IFDIR, 2 };

	SAVE_ROW("file", COL_INODE, inode_row, .mode = S_IFREG | 0644, .nlink = 1, .size = 300,
		 .bytes = 300, .mtime_ns = 1700000000000000000u);
	SAVE_ROW("directory", COL_INODE, inode_row, .mode = S_IFDIR | 0755, .nlink = 3, .parent = 1,
		 .children = 2, .subdirs = 1);
	SAVE_ROW("symlink", COL_INODE, inode_row, .mode = S_IFLNK | 0777, .nlink = 1,
		 .target = SPAN_LITERAL("../to"));
	SAVE_ROW("device", COL_INODE, inode_row, .mode = S_IFCHR | 0600, .nlink = 1, .rdev = 259);
	SAVE_ROW("fifo", COL_INODE, inode_row, .mode = S_IFIFO | 0600, .nlink = 1);
	for (size_t i = 0; i < ARRAY_SIZE(sample_extents); i++) {
		static const char *const names[] = { "inline", "in_chunk", "foreign" };
		_cleanup_buf_ struct buf e = BUF_INIT(LIMIT);

		MUST(extent_row_encode(&sample_extents[i].row, &e) == 0);
		save_row(names[i], COL_EXTENT, &e);
	}
	SAVE_ROW("chunk", COL_CHUNK, chunk_row, .length = 428, .key_epoch = 1, .live = 300,
		 .stores = 5, .want = 7, .born = 3);
	SAVE_ROW("orphan", COL_ORPHAN, orphan_row, .slot = 3, .time_ns = 4);
	SAVE_ROW("mount", COL_MOUNT, mount_row, .number = 1, .status = MOUNT_MOUNTED, .last = 9,
		 .slot = 1, .name = SPAN_LITERAL("host/17"));
	SAVE_ROW("store", COL_STORE, store_row, .roles = 3, .name = SPAN_LITERAL("one"),
		 .url = SPAN_LITERAL("s3://b/p"));
	SAVE_ROW("attach", COL_ATTACH, attach_row, .flags = ATTACH_READ_ONLY,
		 .ttl_ns = 60 * NS_PER_S, .n_urls = 2,
		 .urls = { SPAN_LITERAL("s3://b/p"), SPAN_LITERAL("gs://c") });
	SAVE_ROW("volume", COL_VOLUME, volume_row, .level = 1, .epoch = 1, .key_epoch = 1,
		 .next_mount = 2, .name = SPAN_LITERAL("demo"));
	SAVE_ROW("totals", COL_VOLUME, totals_row, .files = 1, .directories = 2, .bytes = 3);
	SAVE_ROW("checkpoint", COL_VOLUME, checkpoint_row, .slot = 300, .mount = 1,
		 .manifest = "the hash of a manifest");
	SAVE_ROW("grace", COL_VOLUME, grace_row, .seconds = 3600, .since_ns = 7);
	SAVE_ROW("source", COL_SOURCE, source_row, .url = SPAN_LITERAL("s3://raw"));
	SAVE_ROW("result", COL_RESULT, result_row, .error = -ENOENT, .value = 0);
	MUST(bucket_edit(SPAN_NULL, 0, &a, &bucket) == 0);
	MUST(bucket_edit(buf_span(&bucket), 2, &b, &two) == 0);
	save_row("bucket", COL_DENTRY, &two);
}

/* ---- the journal ---- */

static void sample_record(struct buf *ret)
{
	_cleanup_(record_freep) struct record *r = record_new();

	MUST(r);
	r->slot = 300;
	r->epoch = 1;
	memset(r->author, 1, sizeof(r->author));
	memset(r->prev, 2, sizeof(r->prev));
	memset(r->next, 1, sizeof(r->next));
	r->state_lo = 3;
	r->hold_ns = NS_PER_S;
	r->time_ns = 1700000000000000000u;
	r->seen[0] = 300;
	r->seen[2] = 299;
	r->authors = calloc(2, sizeof(*r->authors));
	r->ops = calloc(2, sizeof(*r->ops));
	MUST(r->authors && r->ops);
	memset(r->authors[0], 1, INCARNATION_BYTES);
	memset(r->authors[1], 4, INCARNATION_BYTES);
	r->n_authors = r->n_ops = 2;
	r->ops[0] = (struct record_op){ 0, SPAN_LITERAL("one operation") };
	r->ops[1] = (struct record_op){ 1, SPAN_LITERAL("another") };
	MUST(record_seal(r) == 0);
	MUST(buf_add_span(ret, buf_span(&r->bytes)) == 0);
}

static void save_link(const char *name, const struct link *l)
{
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

	MUST(link_encode(l, &b) == 0);
	save("link", name, buf_span(&b));
}

static void save_journal(void)
{
	static const uint8_t zeros[RECORD_HASH_SIZE], inc[INCARNATION_BYTES] = "incarnation";
	const struct ballot fast = ballot_of(0, inc), slow = ballot_of(3, inc);
	_cleanup_buf_ struct buf record = BUF_INIT(LIMIT);
	_cleanup_(blob_unrefp) struct blob *blob = NULL;
	_cleanup_link_ struct link promised = {}, accepted = {}, first = {};

	sample_record(&record);
	save("record", "two_operations", buf_span(&record));
	blob = blob_copy(buf_span(&record));
	MUST(blob);
	MUST(link_accept(NULL, &fast, blob, zeros, zeros, &first) == 0);
	save_link("fast", &first);
	MUST(link_promise(&first, &slow, zeros, &promised) == 0);
	promised.place.k = 1;
	save_link("promised", &promised);
	MUST(link_accept(&promised, &slow, blob, zeros, zeros, &accepted) == 0);
	accepted.place.k = 2;
	save_link("accepted", &accepted);
	accepted.decided = true;
	accepted.promised.round = BALLOT_ROUND_DECIDED;
	save_link("decided", &accepted);
}

/* ---- checkpoints ---- */

struct checkpoint {
	struct manifest manifest;
	unsigned parts;
};

static int save_part(struct part *takes, void *arg)
{
	_cleanup_(part_freep) struct part *p = takes;
	_cleanup_buf_ struct buf plain = BUF_INIT(LIMIT), b = BUF_INIT(LIMIT);
	struct checkpoint *c = arg;
	struct manifest_part m = { .place = { 300, 1, c->parts },
				   .rows = p->rows,
				   .size = p->size,
				   .stores = 3,
				   .first = BUF_INIT(PART_PLACE_MAX) };

	MUST(part_pack(p, &plain) == 0);
	m.length = plain.len;
	memcpy(m.hash, p->hash, sizeof(m.hash));
	MUST(buf_add_span(&m.first, buf_span(&p->first)) == 0);
	MUST(manifest_add(&c->manifest, &m) == 0);
	MUST(buf_add_byte(&b, 0) == 0 && buf_add_span(&b, buf_span(&plain)) == 0);
	save("part", "packed", buf_span(&b));
	buf_clear(&b);
	MUST(buf_add_byte(&b, 1) == 0);
	add_part(&b, buf_span(&p->raw));
	save("part", "frame", buf_span(&b));
	c->parts++;
	return 0;
}

static void save_checkpoint(void)
{
	_cleanup_(part_cutter_freep) struct part_cutter *cutter = NULL;
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);
	struct checkpoint c = { .manifest = { .mark = { .slot = 300 } } };
	uint8_t key[16];

	MUST(part_cutter_new(save_part, &c, &cutter) == 0);
	for (uint64_t i = 1; i < 6; i++) {
		key_ino_u64(i, 7, key);
		MUST(part_cutter_add(cutter, COL_DENTRY, span_of(key, 16), SPAN_LITERAL("row")) ==
		     0);
	}
	MUST(part_cutter_add(cutter, COL_VOLUME, VOLUME_KEY, SPAN_LITERAL("volume")) == 0);
	MUST(part_cutter_end(cutter, &c.manifest.totals) == 0);
	MUST(manifest_encode(&c.manifest, &b) == 0);
	save("manifest", "contents", buf_span(&b));
	save("manifest", "listed", SPAN_LITERAL("k/000000000000012c-0000000000000001/manifest"));
	save("manifest", "capitals", SPAN_LITERAL("k/000000000000012C-0000000000000001/manifest"));
	manifest_release(&c.manifest);
}

/* ---- seals, keys, superblocks ---- */

static struct sealer *open_sealer(const uint8_t id[16])
{
	struct sealer *s;

	MUST(sealer_new(id, &s) == 0 && sealer_add_key(s, 1, volume_key) == 0);
	return s;
}

/* way: of fuzz_seal.c */
static void save_way(const char *name, uint8_t way, struct span s)
{
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

	MUST(buf_add_byte(&b, way) == 0 && buf_add_span(&b, s) == 0);
	save("seal", name, buf_span(&b));
}

static void save_seals(void)
{
	_cleanup_(sealer_freep) struct sealer *s = open_sealer(volume_id);
	_cleanup_(blob_unrefp) struct blob *object = NULL, *chunk = NULL;
	struct chunk_seal c;

	MUST(seal_object(s, SEAL_LINK, volume_id, SPAN_LITERAL("a link"), &object) == 0);
	save_way("object", 0, blob_span(object));
	MUST(seal_chunk(s, volume_id, SPAN_LITERAL("a chunk"), &c, &chunk) == 0);
	save_way("chunk", 0, blob_span(chunk));
	save_way("forged", 1, SPAN_LITERAL("\1\1\0\0\0\0\0\0\0\1sixteen and more bytes"));
	save_way("changed_object", 2, SPAN_LITERAL("\2\0\0\200\1\7the plaintext"));
	save_way("same_object", 2, SPAN_LITERAL("\2\0\0\0\0\0"));
	save_way("changed_chunk", 3, SPAN_LITERAL("\0\0\200\1\7the plaintext"));
	save_way("same_chunk", 3, SPAN_LITERAL("\0\0\0\0\3the plaintext"));
}

static void save_keys(struct key_slot *ret)
{
	_cleanup_(secret_freep) struct secret *secret = secret_copy(span_of(volume_key, 32)),
					      *raw = NULL, *text = NULL;
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

	MUST(secret &&
	     key_slot_wrap(volume_id, 1, volume_key, 0, KEY_FILE, secret, NULL, ret) == 0);
	MUST(key_slot_encode(ret, &b) == 0);
	save("key", "slot", buf_span(&b));
	MUST(recovery_key_new(&raw, &text) == 0);
	save("key", "recovery", span_str((const char *)secret_bytes(text)));
}

/* The two parts of fuzz_super.c. */
static void save_parts(const char *name, struct span clear, struct span plain)
{
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

	add_part(&b, clear);
	add_part(&b, plain);
	save("super", name, buf_span(&b));
}

static void save_super(const struct key_slot *slot)
{
	_cleanup_(super_freep) struct super *s = super_new();
	_cleanup_(sealer_freep) struct sealer *sealer = open_sealer(volume_id);
	_cleanup_(blob_unrefp) struct blob *object = NULL;
	_cleanup_buf_ struct buf plain = BUF_INIT(LIMIT);
	struct span whole, sealed;
	size_t clear_len;

	MUST(s);
	memcpy(s->volume_id, volume_id, sizeof(volume_id));
	s->level = SUPER_LEVEL;
	s->slots[0] = *slot;
	s->n_slots = 1;
	s->epoch = 1;
	s->n_stores = 2;
	for (unsigned i = 0; i < 2; i++) {
		s->stores[i].roles = 3;
		s->stores[i].name = strdup(i ? "two" : "one");
		s->stores[i].url = strdup("file:///store");
	}
	s->name = strdup("demo");
	MUST(super_encode(s, sealer, 1, &object) == 0);
	whole = blob_span(object);
	save("super", "whole", whole);
	clear_len = (size_t)whole.data[12] << 8 | whole.data[13];
	sealed = span_sub(whole, 14 + clear_len + 32, SIZE_MAX);
	MUST(seal_object_open(sealer, SEAL_SUPER, volume_id, sealed, &plain, NULL) == 0);
	save_parts("parts", span_sub(whole, 14, clear_len),
		   span_sub(buf_span(&plain), 32, SIZE_MAX));
}

int main(int argc, char **argv)
{
	_cleanup_buf_ struct buf format = BUF_INIT(LIMIT);
	const struct volume_format f = sample_format();
	struct key_slot slot;

	MUST(argc == 2 && sodium_start() == 0);
	corpus = argv[1];
	save_operations();
	MUST(volume_format_encode(&f, &format) == 0);
	save("op", "value_of_format", buf_span(&format));
	save_rows();
	save_journal();
	save_checkpoint();
	save_seals();
	save_keys(&slot);
	save_super(&slot);
	return 0;
}
