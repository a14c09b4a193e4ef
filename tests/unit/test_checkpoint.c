/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints at three stores in memory: written, named again, loaded, and what damage does. */
#include "fs/checkpoint.h"
#include "tests/lib/cm.h"
#include "tests/lib/ns_random.h"
#include "tests/lib/store_mem.h"
#include "tests/lib/tmpdir.h"

#define STORES 3
#define ALL    ((1ull << STORES) - 1)
#define ROWS   20000u /* some four parts */

static const uint8_t volume_id[16] = "the test's volum";
static const uint8_t volume_key[32] = "the key of the volume of tests..";
static const _Atomic bool go_on;

struct fixture {
	struct mem_bucket *buckets[STORES];
	struct checkpoint_stores s;
	struct kv *kv;
};

static int open_stores(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->s = (struct checkpoint_stores){ .stores = ALL, .enough = 2 };
	assert_int_equal(sodium_start(), 0);
	assert_int_equal(replicas_new(&(struct replicas_options){ 0 }, &f->s.replicas), 0);
	for (unsigned i = 0; i < STORES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "store%u", i);
		f->buckets[i] = mem_bucket_new();
		assert_int_equal(replicas_add(f->s.replicas,
					      store_mem(f->buckets[i], name, NULL, NULL),
					      &(struct replica_options){ 0 }),
				 i);
	}
	assert_int_equal(sealer_new(volume_id, &f->s.sealer), 0);
	assert_int_equal(sealer_add_key(f->s.sealer, 1, volume_key), 0);
	f->kv = kv_memory(COL_COUNT);
	return f->kv ? 0 : -1;
}

static int close_stores(void **state)
{
	struct fixture *f = *state;

	kv_close(f->kv);
	replicas_free(f->s.replicas);
	for (unsigned i = 0; i < STORES; i++)
		mem_bucket_free(f->buckets[i]);
	sealer_free(f->s.sealer);
	free(f);
	return 0;
}

static void put(struct kv_batch *b, unsigned column, struct span key, struct span value)
{
	assert_int_equal(kv_batch_put(b, column, key, value), 0);
}

/* Row i of a column, as some seed has it. */
static void put_row(struct kv_batch *b, uint32_t seed, uint64_t i)
{
	struct random r = { .state = seed * 1000003ull + i };
	uint8_t key[16], value[400];
	const size_t len = 50 + draw(&r, sizeof(value) - 50);

	for (size_t at = 0; at < len; at++)
		value[at] = (uint8_t)draw(&r, 64);
	key_ino_u64(i, 1, key);
	put(b, 1 + (unsigned)(i * 4 / ROWS), span_of(key, sizeof(key)), span_of(value, len));
}

static void put_volume(struct kv_batch *b)
{
	_cleanup_buf_ struct buf row = BUF_INIT(ROW_MAX);
	struct volume_row v = { .level = 1 };

	memcpy(v.id, volume_id, sizeof(v.id));
	assert_int_equal(volume_row_encode(&v, &row), 0);
	put(b, COL_VOLUME, VOLUME_KEY, buf_span(&row));
}

/* The database becomes the state of a slot: rows [from, to) are of that seed. */
static void make_state(struct kv *kv, uint64_t slot, uint32_t seed, uint64_t from, uint64_t to)
{
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(kv);
	struct commit_mark m = { .slot = slot, .time_ns = 5, .hold_ns = 6 };

	for (uint64_t i = from; i < to; i++)
		put_row(b, seed, i);
	put_volume(b);
	assert_int_equal(kv_write(kv, b, false), 0);
	memset(m.record, (int)slot, sizeof(m.record));
	memset(m.owner, 0x55, sizeof(m.owner));
	assert_int_equal(state_hash_of(kv, &m.hash), 0);
	assert_int_equal(commit_mark_store(kv, &m), 0);
}

static int write_as(struct fixture *f, uint32_t mount, const struct checkpoint_row *base,
		    struct checkpoint_row *ret, struct checkpoint_report *ret_report)
{
	struct commit_snapshot snap;

	assert_int_equal(commit_snapshot_of(f->kv, &snap), 0);
	return checkpoint_write(&f->s, &snap, mount, base, &go_on, ret, ret_report);
}

static bool same_mark(const struct commit_mark *a, const struct commit_mark *b)
{
	return a->slot == b->slot && !memcmp(a->record, b->record, sizeof(a->record)) &&
	       !memcmp(a->owner, b->owner, sizeof(a->owner)) && a->hash.lo == b->hash.lo &&
	       a->hash.hi == b->hash.hi && a->time_ns == b->time_ns && a->hold_ns == b->hold_ns;
}

static void check_equal(struct kv *kv, struct kv *other)
{
	struct commit_mark a, b;
	struct state_hash hash;

	assert_int_equal(commit_mark_load(kv, volume_id, &a), 0);
	assert_int_equal(commit_mark_load(other, volume_id, &b), 0);
	assert_true(same_mark(&a, &b));
	assert_int_equal(state_hash_of(other, &hash), 0);
	assert_true(hash.lo == a.hash.lo && hash.hi == a.hash.hi);
}

/* Loads into an empty database: of which slot? UINT64_MAX: none can be had. */
static uint64_t load_slot(struct fixture *f, uint64_t above)
{
	_cleanup_(kv_closep) struct kv *kv = kv_memory(COL_COUNT);
	struct checkpoint_report rep;
	struct commit_mark m;
	int r = checkpoint_load(&f->s, above, kv, &rep);

	if (r == CHECKPOINT_NONE) {
		assert_int_equal(commit_mark_load(kv, volume_id, &m), KV_MISSING);
		return UINT64_MAX;
	}
	assert_int_equal(r, 0);
	assert_int_equal(commit_mark_load(kv, volume_id, &m), 0);
	assert_int_equal(m.slot, rep.slot);
	return m.slot;
}

static void comes_back(void **state)
{
	struct fixture *f = *state;
	_cleanup_(kv_closep) struct kv *kv = kv_memory(COL_COUNT);
	struct checkpoint_report rep, loaded;
	struct checkpoint_row row;

	assert_int_equal(load_slot(f, UINT64_MAX), UINT64_MAX);
	make_state(f->kv, 100, 1, 0, ROWS);
	assert_int_equal(write_as(f, 7, NULL, &row, &rep), 0);
	assert_int_equal(row.slot, 100);
	assert_int_equal(row.mount, 7);
	assert_int_equal(rep.rows, ROWS + 1);
	assert_in_range(rep.parts, 2, 30);
	assert_int_equal(rep.parts_written, rep.parts);
	assert_int_equal(mem_bucket_count(f->buckets[0]), rep.parts + 1);
	assert_int_equal(checkpoint_load(&f->s, UINT64_MAX, kv, &loaded), 0);
	assert_int_equal(loaded.rows, rep.rows);
	assert_int_equal(loaded.bytes, rep.bytes);
	check_equal(f->kv, kv);
	assert_int_equal(load_slot(f, 99), 100);
	assert_int_equal(load_slot(f, 100), UINT64_MAX); /* (C4) */
}

static void comes_back_on_disk(void **state)
{
	struct fixture *f = *state;
	char dir[TMPDIR_MAX], db[TMPDIR_MAX + 8];
	struct checkpoint_report rep;
	struct checkpoint_row row;
	struct kv *kv;

	make_state(f->kv, 100, 1, 0, ROWS);
	assert_int_equal(write_as(f, 7, NULL, &row, &rep), 0);
	tmpdir_make(dir);
	snprintf(db, sizeof(db), "%s/ns", dir);
	assert_int_equal(kv_open(db, column_names, NULL, &kv), 0);
	assert_int_equal(checkpoint_load(&f->s, UINT64_MAX, kv, &rep), 0);
	kv_close(kv);
	assert_int_equal(kv_open(db, column_names, NULL, &kv), 0);
	check_equal(f->kv, kv);
	kv_close(kv);
	tmpdir_remove(dir);
}

/* The plaintext of a part. */
static void open_part(struct fixture *f, uint64_t slot, uint32_t mount, uint32_t n, struct buf *ret)
{
	const struct checkpoint_place p = { .slot = slot, .mount = mount, .number = n };
	_cleanup_buf_ struct buf sealed = BUF_INIT(PART_PLAIN_MAX);
	char name[PLACE_NAME_MAX];
	uint8_t id[OBJECT_ID_SIZE];

	checkpoint_place_name(&p, name);
	checkpoint_place_id(&p, id);
	assert_true(mem_bucket_get(f->buckets[n % STORES], name, &sealed));
	assert_int_equal(seal_object_open(f->s.sealer, SEAL_CKPT, id, buf_span(&sealed), ret, NULL),
			 0);
}

static void two_mounts_write_the_same(void **state)
{
	struct fixture *f = *state;
	struct checkpoint_report a, b;
	struct checkpoint_row row;

	make_state(f->kv, 100, 1, 0, ROWS);
	assert_int_equal(write_as(f, 7, NULL, &row, &a), 0);
	assert_int_equal(write_as(f, 8, NULL, &row, &b), 0);
	assert_int_equal(a.parts, b.parts);
	for (uint32_t i = 0; i < a.parts; i++) {
		_cleanup_buf_ struct buf x = BUF_INIT(PART_PLAIN_MAX), y = BUF_INIT(PART_PLAIN_MAX);

		open_part(f, 100, 7, i, &x);
		open_part(f, 100, 8, i, &y);
		assert_true(span_equal(buf_span(&x), buf_span(&y)));
	}
}

static void names_unchanged_parts_again(void **state)
{
	struct fixture *f = *state;
	struct checkpoint_report a, b, c;
	struct checkpoint_row first, second, third;

	make_state(f->kv, 100, 1, 0, ROWS);
	assert_int_equal(write_as(f, 7, NULL, &first, &a), 0);
	make_state(f->kv, 200, 2, 10, 20);
	assert_int_equal(write_as(f, 8, &first, &second, &b), 0); /* by whom does not matter */
	assert_in_range(b.parts_written, 1, 3);
	assert_in_range(b.parts, a.parts - 1, a.parts + 1);
	assert_int_equal(load_slot(f, 100), 200);
	/* one that was not announced so is not believed */
	make_state(f->kv, 300, 2, 20, 21);
	second.manifest[0]++;
	assert_int_equal(write_as(f, 7, &second, &third, &c), 0);
	assert_int_equal(c.parts_written, c.parts);
}

static void place_name(uint64_t slot, uint32_t number, char ret[PLACE_NAME_MAX])
{
	const struct checkpoint_place p = { .slot = slot, .mount = 7, .number = number };

	checkpoint_place_name(&p, ret);
}

static void damage(struct fixture *f, unsigned store, const char *name)
{
	_cleanup_buf_ struct buf b = BUF_INIT(PART_PLAIN_MAX);

	assert_true(mem_bucket_get(f->buckets[store], name, &b));
	b.data[b.len / 2] ^= 1;
	assert_int_equal(mem_bucket_put(f->buckets[store], name, buf_span(&b)), 0);
}

static void truncate_object(struct fixture *f, unsigned store, const char *name)
{
	_cleanup_buf_ struct buf b = BUF_INIT(PART_PLAIN_MAX);

	assert_true(mem_bucket_get(f->buckets[store], name, &b));
	assert_int_equal(
	    mem_bucket_put(f->buckets[store], name, span_sub(buf_span(&b), 0, b.len / 2)), 0);
}

static void damage_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct checkpoint_report rep;
	struct checkpoint_row first, row;
	char part[PLACE_NAME_MAX], other[PLACE_NAME_MAX];
	_cleanup_buf_ struct buf b = BUF_INIT(PART_PLAIN_MAX);

	make_state(f->kv, 100, 1, 0, ROWS);
	assert_int_equal(write_as(f, 7, NULL, &first, &rep), 0);
	make_state(f->kv, 200, 2, 0, ROWS); /* shares nothing with it */
	assert_int_equal(write_as(f, 7, &first, &row, &rep), 0);
	assert_in_range(rep.parts, 3, 30);
	/* each store has something else that is wrong: the next one has it whole */
	place_name(200, 0, part);
	damage(f, 0, part);
	truncate_object(f, 1, part);
	place_name(200, 1, part);
	assert_true(mem_bucket_remove(f->buckets[1], part));
	/* another part's bytes, which open there and not here */
	place_name(200, 2, other);
	assert_true(mem_bucket_get(f->buckets[0], other, &b));
	assert_int_equal(mem_bucket_put(f->buckets[2], part, buf_span(&b)), 0);
	place_name(200, PLACE_MANIFEST, other);
	damage(f, 2, other);
	assert_int_equal(load_slot(f, UINT64_MAX), 200);
	/* one that nobody has whole: an older checkpoint */
	damage(f, 0, part);
	assert_int_equal(load_slot(f, UINT64_MAX), 100);
	assert_int_equal(load_slot(f, 100), UINT64_MAX);
	for (unsigned i = 0; i < STORES; i++) {
		place_name(100, PLACE_MANIFEST, part);
		assert_true(mem_bucket_remove(f->buckets[i], part));
	}
	assert_int_equal(load_slot(f, UINT64_MAX), UINT64_MAX);
}

static void a_store_is_away(void **state)
{
	struct fixture *f = *state;
	struct checkpoint_report rep;
	struct checkpoint_row first, second, third;

	make_state(f->kv, 100, 1, 0, ROWS);
	mem_bucket_vanish(f->buckets[1], true);
	assert_int_equal(write_as(f, 7, NULL, &first, &rep), 0);
	assert_int_equal(load_slot(f, UINT64_MAX), 100);
	make_state(f->kv, 200, 2, 0, 10);
	assert_int_equal(write_as(f, 7, &first, &second, &rep), 0);
	mem_bucket_vanish(f->buckets[1], false);
	mem_bucket_vanish(f->buckets[2], true);
	assert_int_equal(load_slot(f, UINT64_MAX), 200); /* store 0 is enough to read */
	mem_bucket_vanish(f->buckets[0], true);
	assert_int_equal(load_slot(f, UINT64_MAX), UINT64_MAX);
	make_state(f->kv, 300, 3, 0, 10);
	assert_true(write_as(f, 7, NULL, &third, &rep) < 0);
}

static void a_state_that_is_not_its_hash(void **state)
{
	struct fixture *f = *state;
	struct checkpoint_report rep;
	struct commit_mark m;
	struct checkpoint_row row;

	make_state(f->kv, 100, 1, 0, ROWS);
	assert_int_equal(commit_mark_load(f->kv, volume_id, &m), 0);
	m.hash.lo++;
	assert_int_equal(commit_mark_store(f->kv, &m), 0);
	assert_int_equal(write_as(f, 7, NULL, &row, &rep), -EBADMSG);
	assert_int_equal(load_slot(f, UINT64_MAX), UINT64_MAX);
}

/* Its manifest says another state than its rows amount to. */
static void rows_that_do_not_amount_to_it(void **state)
{
	struct fixture *f = *state;
	const struct checkpoint_place p = { .slot = 100, .mount = 7, .number = PLACE_MANIFEST };
	_cleanup_buf_ struct buf plain = BUF_INIT(MANIFEST_MAX), forged = BUF_INIT(MANIFEST_MAX),
				 sealed = BUF_INIT(MANIFEST_MAX);
	_cleanup_(blob_unrefp) struct blob *body = NULL;
	struct checkpoint_report rep;
	struct checkpoint_row row;
	uint8_t id[OBJECT_ID_SIZE];
	char name[PLACE_NAME_MAX];
	struct manifest m;

	make_state(f->kv, 100, 1, 0, ROWS);
	assert_int_equal(write_as(f, 7, NULL, &row, &rep), 0);
	checkpoint_place_name(&p, name);
	checkpoint_place_id(&p, id);
	assert_true(mem_bucket_get(f->buckets[0], name, &sealed));
	assert_int_equal(
	    seal_object_open(f->s.sealer, SEAL_CKPT, id, buf_span(&sealed), &plain, NULL), 0);
	assert_int_equal(manifest_decode(buf_span(&plain), &m), 0);
	m.mark.hash.hi ^= 1;
	assert_int_equal(manifest_encode(&m, &forged), 0);
	manifest_release(&m);
	assert_int_equal(seal_object(f->s.sealer, SEAL_CKPT, id, buf_span(&forged), &body), 0);
	for (unsigned i = 0; i < STORES; i++)
		assert_int_equal(mem_bucket_put(f->buckets[i], name, blob_span(body)), 0);
	assert_int_equal(load_slot(f, UINT64_MAX), UINT64_MAX);
}

static void stops_when_told(void **state)
{
	struct fixture *f = *state;
	const _Atomic bool stop = true;
	struct commit_snapshot snap;
	struct checkpoint_report rep;
	struct checkpoint_row row;

	make_state(f->kv, 100, 1, 0, ROWS);
	assert_int_equal(commit_snapshot_of(f->kv, &snap), 0);
	assert_int_equal(checkpoint_write(&f->s, &snap, 7, NULL, &stop, &row, &rep), -ECANCELED);
}

/* Rows that come and go while it is written are not its own. */
static void is_of_one_moment(void **state)
{
	struct fixture *f = *state;
	struct commit_snapshot snap;
	struct checkpoint_report rep;
	struct checkpoint_row row;

	make_state(f->kv, 100, 1, 0, ROWS);
	assert_int_equal(commit_snapshot_of(f->kv, &snap), 0);
	make_state(f->kv, 200, 2, 0, ROWS / 2);
	assert_int_equal(checkpoint_write(&f->s, &snap, 7, NULL, &go_on, &row, &rep), 0);
	assert_int_equal(row.slot, 100);
	assert_int_equal(load_slot(f, UINT64_MAX), 100);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_stores, close_stores)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(comes_back),
		TEST(comes_back_on_disk),
		TEST(two_mounts_write_the_same),
		TEST(names_unchanged_parts_again),
		TEST(damage_is_passed_over),
		TEST(a_store_is_away),
		TEST(a_state_that_is_not_its_hash),
		TEST(rows_that_do_not_amount_to_it),
		TEST(stops_when_told),
		TEST(is_of_one_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
