/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign objects as contents: of the version that was named, or not at all. */
#include "base/sodium.h"
#include "fs/attach/source.h"
#include "tests/unit/object_rig.h"

struct world {
	struct rig *rig;
	struct sources *sources;
	unsigned opened; /* how often a bucket was asked for */
	int refuse;      /* what opening it answers */
};

static int url_of(uint32_t number, struct buf *ret, void *arg)
{
	return number == 1 ? buf_add_str(ret, "mem://a") : 1;
}

static int open_store(const char *url, struct store **ret, char *err, size_t err_size, void *arg)
{
	struct world *w = arg;

	assert_string_equal(url, "mem://a");
	w->opened++;
	if (w->refuse) {
		snprintf(err, err_size, "not this one");
		return w->refuse;
	}
	*ret = store_mem(w->rig->of[0].bucket, "a", rig_plan, &w->rig->of[0]);
	return 0;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sources_options o = { .memory_bytes = 256 * MiB,
				     .deadline_ns = PATIENCE,
				     .url = url_of,
				     .open = open_store,
				     .arg = w };

	w->rig = rig_new(1, false);
	o.pieces = w->rig->pieces;
	o.sealer = w->rig->sealer;
	assert_int_equal(sources_new(&o, &w->sources), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	void *rig = w->rig;

	sources_free(w->sources);
	free(w);
	return rig_free(&rig);
}

/* The object as it is there now. */
static void refer(struct world *w, uint32_t source, const char *key, struct buf *ret)
{
	const struct bucket_entry e = rig_list(w->rig, 0, key);
	const struct foreign f = { .source = source,
				   .key = span_str(key),
				   .size = e.size,
				   .version = span_str(e.version[0]) };

	assert_int_equal(foreign_encode(&f, ret), 0);
}

static int read_byte(struct world *w, const struct buf *reference, uint64_t off,
		     enum object_wait wait)
{
	uint8_t byte;

	return sources_read(w->sources, buf_span(reference), off, 1, wait, &byte);
}

static void reads(void **state)
{
	_cleanup_buf_ struct buf ref = BUF_INIT(FOREIGN_REFERENCE_MAX), got = BUF_INIT(4 * MiB);
	_cleanup_free_ uint8_t *want = content(3, 3 * MiB), *near = malloc(MiB);
	struct world *w = *state;

	rig_put(w->rig, 0, "x", 3, 3 * MiB);
	refer(w, 1, "x", &ref);
	assert_int_equal(read_byte(w, &ref, 0, OBJECT_NO_WAIT), OBJECT_WOULD_WAIT);
	assert_int_equal(w->opened, 0); /* (G2): not by who may not wait */
	assert_int_equal(sources_read(w->sources, buf_span(&ref), MiB + 7, MiB, OBJECT_WAIT, near),
			 0);
	assert_memory_equal(near, want + MiB + 7, MiB);
	assert_int_equal(read_byte(w, &ref, MiB + 7, OBJECT_NO_WAIT), 0); /* it is near now */
	assert_int_equal(sources_fetch(w->sources, buf_span(&ref), 5, 3 * MiB - 5, &got), 0);
	assert_memory_equal(got.data, want + 5, 3 * MiB - 5);
	assert_int_equal(w->opened, 1);
}

/* (G1) */
static void another_one_is_no_contents(void **state)
{
	_cleanup_buf_ struct buf ref = BUF_INIT(FOREIGN_REFERENCE_MAX), got = BUF_INIT(MiB);
	struct world *w = *state;
	unsigned gets;

	rig_put(w->rig, 0, "x", 1, 1000);
	refer(w, 1, "x", &ref);
	rig_put(w->rig, 0, "x", 2, 1000);
	assert_int_equal(read_byte(w, &ref, 0, OBJECT_WAIT), -EIO);
	gets = rig_gets(w->rig, 0);
	assert_int_equal(read_byte(w, &ref, 0, OBJECT_WAIT), -EIO);
	assert_int_equal(read_byte(w, &ref, 0, OBJECT_NO_WAIT), -EIO);
	assert_int_equal(sources_fetch(w->sources, buf_span(&ref), 0, 10, &got), -EIO);
	assert_int_equal(rig_gets(w->rig, 0), gets); /* (G2) */
	assert_true(mem_bucket_remove(w->rig->of[0].bucket, "x"));
	buf_clear(&ref);
	rig_put(w->rig, 0, "y", 1, 1000);
	refer(w, 1, "y", &ref);
	assert_true(mem_bucket_remove(w->rig->of[0].bucket, "y"));
	assert_int_equal(read_byte(w, &ref, 0, OBJECT_WAIT), -EIO);
}

/* (G2) */
static void bucket_that_cannot_be_opened(void **state)
{
	_cleanup_buf_ struct buf ref = BUF_INIT(FOREIGN_REFERENCE_MAX);
	struct world *w = *state;
	struct store *store;
	char err[64];

	w->refuse = -EACCES;
	rig_put(w->rig, 0, "x", 1, 1000);
	refer(w, 1, "x", &ref);
	assert_int_equal(read_byte(w, &ref, 0, OBJECT_WAIT), -EACCES);
	assert_int_equal(read_byte(w, &ref, 0, OBJECT_WAIT), -EACCES);
	assert_int_equal(read_byte(w, &ref, 0, OBJECT_NO_WAIT), -EACCES);
	assert_int_equal(sources_store(w->sources, 1, &store, err, sizeof(err)), -EACCES);
	assert_string_equal(err, "not this one");
	assert_int_equal(w->opened, 1);
	assert_int_equal(sources_store(w->sources, 7, &store, err, sizeof(err)), -EIO);
	assert_string_equal(err, "the volume knows no source 7");
}

static void nonsense(void **state)
{
	_cleanup_buf_ struct buf ref = BUF_INIT(FOREIGN_REFERENCE_MAX), got = BUF_INIT(MiB);
	struct world *w = *state;

	assert_int_equal(buf_add_str(&ref, "s3:k"), 0);
	assert_int_equal(read_byte(w, &ref, 0, OBJECT_WAIT), -EIO);
	buf_clear(&ref);
	rig_put(w->rig, 0, "x", 1, 1000);
	refer(w, 1, "x", &ref);
	assert_int_equal(sources_fetch(w->sources, buf_span(&ref), 999, 2, &got), -EIO);
}

/* More objects than are kept open. */
static void many(void **state)
{
	struct world *w = *state;

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 300; i++) {
			_cleanup_buf_ struct buf ref = BUF_INIT(FOREIGN_REFERENCE_MAX);
			char key[16];

			snprintf(key, sizeof(key), "k%u", i);
			if (!round)
				rig_put(w->rig, 0, key, i, 10);
			refer(w, 1, key, &ref);
			assert_int_equal(read_byte(w, &ref, 9, OBJECT_WAIT), 0);
		}
	}
	assert_int_equal(rig_gets(w->rig, 0), 300); /* closed ones are near all the same */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads),
		TEST(another_one_is_no_contents),
		TEST(bucket_that_cannot_be_opened),
		TEST(nonsense),
		TEST(many),
	};

	return sodium_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
