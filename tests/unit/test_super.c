/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "fs/seen.h"
#include "fs/super.h"
#include "tests/lib/cm.h"

static const uint8_t volume_key[32] = "the key of the volume, 32 bytes.";
#define SECRET "0123456789abcdef0123456789abcdef"

struct made {
	struct super *super;
	struct sealer *sealer;
	struct blob *object;
};

static void make(struct made *m, uint64_t slot, enum key_type type)
{
	_cleanup_(secret_freep) struct secret *secret = secret_copy(SPAN_LITERAL(SECRET));
	struct super *s = m->super = super_new();

	memcpy(s->volume_id, "a volume of test", 16);
	s->slot = slot;
	s->level = SUPER_LEVEL;
	s->epoch = 7;
	s->name = strdup("demo");
	s->n_stores = 3;
	for (unsigned i = 0; i < 3; i++) {
		memset(s->stores[i].id, 'a' + (int)i, 16);
		s->stores[i].roles = 3;
		assert_true(asprintf(&s->stores[i].name, "store%u", i) > 0);
		assert_true(asprintf(&s->stores[i].url, "file:///stores/%u", i) > 0);
	}
	assert_int_equal(key_slot_wrap(s->volume_id, 1, volume_key, 0, type, secret, NULL,
				       &s->slots[0]),
			 0);
	s->n_slots = 1;
	assert_int_equal(sealer_new(s->volume_id, &m->sealer), 0);
	assert_int_equal(sealer_add_key(m->sealer, 1, volume_key), 0);
	assert_int_equal(super_encode(s, m->sealer, 2, &m->object), 0);
}

static void made_release(struct made *m)
{
	super_free(m->super);
	sealer_free(m->sealer);
	blob_unref(m->object);
}

static int unlock(const struct super *s, enum key_type type, const char *text, struct sealer **ret)
{
	_cleanup_(secret_freep) struct secret *secret = secret_copy(span_str(text));

	return super_unlock(s, type, secret, ret);
}

static void test_comes_back(void **state)
{
	_cleanup_(made_release) struct made m = { 0 };
	_cleanup_(super_freep) struct super *s = NULL;
	_cleanup_(sealer_freep) struct sealer *sealer = NULL;

	make(&m, 12, KEY_FILE);
	assert_int_equal(super_parse(blob_span(m.object), &s), 0);
	assert_int_equal(s->slot, 12);
	assert_null(s->name); /* not before the key is known */
	assert_int_equal(unlock(s, KEY_FILE, SECRET, &sealer), 0);
	assert_int_equal(super_open(s, sealer, blob_span(m.object)), 0);
	assert_string_equal(s->name, "demo");
	assert_int_equal(s->epoch, 7);
	assert_int_equal(s->self, 2);
	assert_int_equal(s->n_stores, 3);
	assert_string_equal(s->stores[1].url, "file:///stores/1");
	assert_memory_equal(s->stores[1].id, "bbbbbbbbbbbbbbbb", 16);
	/* Twice is harmless. */
	assert_int_equal(super_open(s, sealer, blob_span(m.object)), 0);
	assert_int_equal(s->n_stores, 3);
}

static void test_keys(void **state)
{
	_cleanup_(made_release) struct made m = { 0 };
	_cleanup_(sealer_freep) struct sealer *sealer = NULL;

	make(&m, 0, KEY_FILE);
	assert_int_equal(unlock(m.super, KEY_FILE, "another secret of 32 bytes or so", &sealer),
			 SUPER_WRONG_KEY);
	assert_int_equal(unlock(m.super, KEY_PASSPHRASE, SECRET, &sealer), SUPER_WRONG_KEY);
	assert_int_equal(unlock(m.super, KEY_COMMAND, SECRET, &sealer),
			 0); /* it moved into a vault */
	sealer = sealer_free(sealer);
	assert_int_equal(unlock(m.super, KEY_NONE, SECRET, &sealer), 0);
	sealer = sealer_free(sealer);
	m.super->slots[0].type = KEY_PASSPHRASE;
	assert_int_equal(unlock(m.super, KEY_PASSPHRASE, SECRET, &sealer), SUPER_WEAK);
	m.super->slots[0].type = KEY_COMMAND;
	assert_int_equal(unlock(m.super, KEY_COMMAND, SECRET, &sealer), SUPER_DAMAGED);
	assert_null(sealer);
}

/* Damage anywhere is found, in the clear part without a key. */
static void test_every_byte_counts(void **state)
{
	_cleanup_(made_release) struct made m = { 0 };
	struct span whole;

	make(&m, 0, KEY_FILE);
	whole = blob_span(m.object);
	for (size_t i = 0; i < whole.len; i++) {
		_cleanup_(super_freep) struct super *s = NULL;
		int r;

		blob_bytes(m.object)[i] ^= 0x40;
		r = super_parse(whole, &s);
		if (!r)
			r = super_open(s, m.sealer, whole);
		assert_int_equal(r, SUPER_DAMAGED);
		blob_bytes(m.object)[i] ^= 0x40;
	}
	for (size_t n = 0; n < whole.len; n++) {
		_cleanup_(super_freep) struct super *s = NULL;
		int r = super_parse(span_sub(whole, 0, n), &s);

		if (!r)
			r = super_open(s, m.sealer, span_sub(whole, 0, n));
		assert_int_equal(r, SUPER_DAMAGED);
	}
}

/* The clear part of one superblock and the sealed part of another are no superblock. */
static void test_parts_belong_together(void **state)
{
	_cleanup_(made_release) struct made a = { 0 }, b = { 0 };
	_cleanup_(super_freep) struct super *s = NULL;
	_cleanup_buf_ struct buf mixed = BUF_INIT(SUPER_SIZE_MAX);
	size_t front;

	make(&a, 1, KEY_FILE);
	make(&b, 2, KEY_FILE);
	front = 14 + ((size_t)blob_span(a.object).data[12] << 8 | blob_span(a.object).data[13]) +
		32;
	assert_int_equal(buf_add_span(&mixed, span_sub(blob_span(a.object), 0, front)), 0);
	assert_int_equal(buf_add_span(&mixed, span_sub(blob_span(b.object), front, SIZE_MAX)), 0);
	assert_int_equal(super_parse(buf_span(&mixed), &s), 0);
	assert_int_equal(super_open(s, a.sealer, buf_span(&mixed)), SUPER_DAMAGED);
}

static void test_newer_ones_are_told(void **state)
{
	_cleanup_(made_release) struct made m = { 0 };
	_cleanup_(super_freep) struct super *s = NULL;
	struct blob *later;
	uint8_t *p;
	size_t front;

	make(&m, 0, KEY_FILE);
	m.super->level = SUPER_LEVEL + 1;
	assert_int_equal(super_encode(m.super, m.sealer, 0, &later), 0);
	assert_int_equal(super_parse(blob_span(later), &s), SUPER_NEW_FORMAT);
	blob_unref(later);
	p = blob_bytes(m.object);
	p[9]++;
	front = 14 + ((size_t)p[12] << 8 | p[13]);
	blake2b(SPAN_NULL, span_of(p, front), p + front, 32);
	assert_int_equal(super_parse(blob_span(m.object), &s), SUPER_NEW_FORMAT);
}

static void test_names(void **state)
{
	char name[SUPER_NAME_SIZE];

	super_object_name(0x1f, name);
	assert_string_equal(name, "volume.000000000000001f");
}

static void test_names_are_read_back(void **state)
{
	static const char *const others[] = { "volume.",
					      "volume.000000000000000A",
					      "volume.00000000000000001",
					      "volumes0000000000000001",
					      "volume.000000000000000g" };
	char name[SUPER_NAME_SIZE];
	uint64_t slot;

	super_object_name(0xfedcba9876543210, name);
	assert_true(super_object_parse(span_str(name), &slot));
	assert_true(slot == 0xfedcba9876543210);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(super_object_parse(span_str(others[i]), &slot));
}

static void test_hash_of_keys(void **state)
{
	uint8_t one[SUPER_KEYS_HASH_SIZE], same[SUPER_KEYS_HASH_SIZE], other[SUPER_KEYS_HASH_SIZE];
	struct super s = { .n_slots = 1, .slots = { { .type = KEY_FILE, .number = 0 } } };

	assert_int_equal(super_keys_hash(&s, one), 0);
	s.slot = 7; /* is not of the keys */
	assert_int_equal(super_keys_hash(&s, same), 0);
	assert_memory_equal(one, same, sizeof(one));
	s.slots[0].salt[3] = 1;
	assert_int_equal(super_keys_hash(&s, other), 0);
	assert_memory_not_equal(one, other, sizeof(one));
}

static void test_rollback_is_remembered(void **state)
{
	char file[] = "/tmp/mangrove-seen-XXXXXX";
	uint8_t a[16] = "store a.........", b[16] = "store b.........", h1[32] = { 1 },
		h2[32] = { 2 };
	int fd = mkstemp(file);

	assert_true(fd >= 0);
	close(fd);
	unlink(file);
	assert_int_equal(seen_check(file, a, 0, h1), 0);
	seen_note(file, a, 3, h1);
	seen_note(file, b, 9, h2);
	assert_int_equal(seen_check(file, a, 3, h1), 0);
	assert_int_equal(seen_check(file, a, 4, h2), 0);
	assert_int_equal(seen_check(file, a, 3, h2), SEEN_ROLLBACK);
	assert_int_equal(seen_check(file, a, 2, h1), SEEN_ROLLBACK);
	assert_int_equal(seen_check(file, b, 8, h2), SEEN_ROLLBACK);
	seen_note(file, a, 2, h2); /* accepted by a person */
	assert_int_equal(seen_check(file, a, 2, h2), 0);
	assert_int_equal(seen_check(file, b, 9, h2), 0);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_back),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_parts_belong_together),
		cmocka_unit_test(test_newer_ones_are_told),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_are_read_back),
		cmocka_unit_test(test_hash_of_keys),
		cmocka_unit_test(test_rollback_is_remembered),
	};

	return sodium_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
