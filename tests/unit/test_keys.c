/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/wait.h"
#include "fs/command.h"
#include "fs/keys.h"
#include "tests/lib/cm.h"

static const uint8_t volume_id[16] = "a volume of test";
static const uint8_t other_volume[16] = "another volume..";
static const uint8_t volume_key[32] = "the key of the volume, 32 bytes.";
static const struct kdf_options least = { KDF_MEMORY_MIN, KDF_PASSES_MIN };
static char err[512];

static struct secret *secret_of(const char *s)
{
	return secret_copy(span_str(s));
}
#define LONG_SECRET "0123456789abcdef0123456789abcdef0123456789abcdef"

static void wrap(enum key_type type, const char *text, struct key_slot *ret)
{
	_cleanup_(secret_freep) struct secret *s = secret_of(text);

	assert_int_equal(key_slot_wrap(volume_id, 4, volume_key, 1, type, s, &least, ret), 0);
}

static int unwrap(const struct key_slot *k, const uint8_t *volume, const char *text)
{
	_cleanup_(secret_freep) struct secret *s = secret_of(text);
	uint8_t key[32] = { 0 };
	int r = key_slot_unwrap(k, volume, s, key);

	if (!r)
		assert_memory_equal(key, volume_key, 32);
	else
		assert_memory_not_equal(key, volume_key, 32);
	return r;
}

static void test_passphrase(void **state)
{
	struct key_slot k;

	wrap(KEY_PASSPHRASE, "correct horse battery staple, and more words", &k);
	assert_int_equal(k.memory, KDF_MEMORY_MIN); /* stretched, however long */
	assert_int_equal(unwrap(&k, volume_id, "correct horse battery staple, and more words"), 0);
	assert_int_equal(unwrap(&k, volume_id, "correct horse battery staple, and more word"),
			 KEY_WRONG);
}

static void test_random_secrets_need_no_stretching(void **state)
{
	struct key_slot k;

	wrap(KEY_FILE, LONG_SECRET, &k);
	assert_int_equal(k.memory, 0);
	assert_int_equal(unwrap(&k, volume_id, LONG_SECRET), 0);
	assert_int_equal(unwrap(&k, volume_id, LONG_SECRET "x"), KEY_WRONG);
	assert_int_equal(unwrap(&k, volume_id, "short"), KEY_WRONG);
}

static void test_short_secrets_are_stretched_whatever_their_source(void **state)
{
	struct key_slot k;

	wrap(KEY_COMMAND, "hunter2", &k);
	assert_int_equal(k.memory, KDF_MEMORY_MIN);
	assert_int_equal(unwrap(&k, volume_id, "hunter2"), 0);
}

static void test_weak_parameters_are_refused(void **state)
{
	_cleanup_(secret_freep) struct secret *s = secret_of("words");
	static const struct kdf_options weak[] = { { KDF_MEMORY_MIN - 1, 2 },
						   { KDF_MEMORY_MIN, 1 },
						   { KDF_MEMORY_MAX + 1, 2 },
						   { KDF_MEMORY_MIN, 65 } };
	struct key_slot k;

	for (size_t i = 0; i < ARRAY_SIZE(weak); i++)
		assert_int_equal(key_slot_wrap(volume_id, 1, volume_key, 0, KEY_PASSPHRASE, s,
					       &weak[i], &k),
				 KEY_WEAK);
	wrap(KEY_PASSPHRASE, "words", &k);
	k.memory = 1024 * 1024;
	assert_int_equal(unwrap(&k, volume_id, "words"), KEY_WEAK);
	k.memory = k.passes = 0; /* as if it needed no stretching */
	assert_int_equal(unwrap(&k, volume_id, "words"), KEY_WEAK);
	assert_int_equal(unwrap(&k, volume_id, LONG_SECRET), KEY_WEAK);
}

/*
 * Whatever is changed in a slot, it does not open; a wrapping that was touched is damage, not a
 * wrong key.
 */
static void test_every_field_is_authenticated(void **state)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(KEY_SLOT_SIZE_MAX);
	struct key_slot k, bad;

	wrap(KEY_FILE, LONG_SECRET, &k);
	assert_int_equal(unwrap(&k, other_volume, LONG_SECRET), KEY_DAMAGED);
	bad = k;
	bad.epoch++;
	assert_int_equal(unwrap(&bad, volume_id, LONG_SECRET), KEY_DAMAGED);
	bad = k;
	bad.wrapped[0] ^= 1;
	assert_int_equal(unwrap(&bad, volume_id, LONG_SECRET), KEY_DAMAGED);
	assert_int_equal(key_slot_encode(&k, &bytes), 0);
	for (size_t i = 0; i < bytes.len; i++) {
		bytes.data[i] ^= 0x10;
		if (!key_slot_decode(buf_span(&bytes), &bad))
			assert_int_not_equal(unwrap(&bad, volume_id, LONG_SECRET), 0);
		bytes.data[i] ^= 0x10;
	}
}

static void test_slots_come_back(void **state)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(KEY_SLOT_SIZE_MAX);
	struct key_slot k, back;

	wrap(KEY_FILE, LONG_SECRET, &k);
	assert_int_equal(key_slot_encode(&k, &bytes), 0);
	assert_int_equal(key_slot_decode(buf_span(&bytes), &back), 0);
	assert_int_equal(back.epoch, 4);
	assert_int_equal(back.number, 1);
	assert_int_equal(unwrap(&back, volume_id, LONG_SECRET), 0);
	for (size_t n = 0; n < bytes.len; n++)
		assert_int_equal(key_slot_decode(span_sub(buf_span(&bytes), 0, n), &back),
				 KEY_DAMAGED);
}

static void test_recovery_key(void **state)
{
	_cleanup_(secret_freep) struct secret *raw = NULL, *text = NULL, *back = NULL;
	char typed[80], *p;

	assert_int_equal(recovery_key_new(&raw, &text), 0);
	snprintf(typed, sizeof(typed), "%s", (const char *)secret_bytes(text));
	assert_int_equal(strlen(typed), 63);
	assert_int_equal(recovery_key_parse(span_str(typed), &back), 0);
	assert_true(span_equal(secret_span(raw), secret_span(back)));
	back = secret_free(back);
	for (p = typed; *p; p++) /* as people type */
		*p = *p == '-' ? ' ' : *p == '0' ? 'o' : *p == '1' ? 'L' : (char)(*p | 0x20);
	assert_int_equal(recovery_key_parse(span_str(typed), &back), 0);
	assert_true(span_equal(secret_span(raw), secret_span(back)));
	back = secret_free(back);
	typed[10] = typed[10] == 'a' ? 'b' : 'a';
	assert_int_equal(recovery_key_parse(span_str(typed), &back), -EINVAL);
	assert_int_equal(recovery_key_parse(span_of(typed, 50), &back), -EINVAL);
	assert_int_equal(recovery_key_parse(SPAN_LITERAL("not a key!"), &back), -EINVAL);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	chmod(path, 0600);
}

static int read_source(enum key_type type, const char *where, struct secret **ret)
{
	const struct key_source src = { type, where };

	*err = '\0';
	return key_source_read(&src, ret, err, sizeof(err));
}

static void test_sources(void **state)
{
	_cleanup_(secret_freep) struct secret *s = NULL;
	char path[] = "/tmp/mangrove-key-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	write_file(path, "some words\n");
	assert_int_equal(read_source(KEY_PASSPHRASE, path, &s), 0);
	assert_true(span_equal(secret_span(s), SPAN_LITERAL("some words")));
	s = secret_free(s);
	write_file(path, "");
	assert_int_equal(read_source(KEY_FILE, path, &s), -EINVAL);
	assert_non_null(strstr(err, "empty"));
	unlink(path);
	assert_int_equal(read_source(KEY_FILE, path, &s), -ENOENT);
	assert_non_null(strstr(err, path));
	assert_int_equal(read_source(KEY_NONE, NULL, &s), -EINVAL);
	assert_int_equal(read_source(KEY_COMMAND, "printf 'from a vault\\n'", &s), 0);
	assert_true(span_equal(secret_span(s), SPAN_LITERAL("from a vault")));
	s = secret_free(s);
	assert_int_equal(read_source(KEY_COMMAND, "echo partly; exit 3", &s), -EACCES);
	assert_non_null(strstr(err, "status 3"));
	assert_null(s);
}

static void test_key_files_are_made_once(void **state)
{
	_cleanup_(secret_freep) struct secret *s = NULL;
	char path[] = "/tmp/mangrove-key-XXXXXX";
	struct stat st;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(key_file_create(path), -EEXIST);
	unlink(path);
	assert_int_equal(key_file_create(path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(read_source(KEY_FILE, path, &s), 0);
	assert_int_equal(secret_span(s).len, 64);
	unlink(path);
}

static void test_commands_end_at_the_deadline(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT(100);
	int status;

	assert_int_equal(command_run("sleep 60 & sleep 60", clock_now() + NS_PER_S / 5, &out,
				     &status),
			 -ETIMEDOUT);
	assert_int_equal(command_run("head -c 1000 /dev/zero", clock_now() + 20 * NS_PER_S, &out,
				     &status),
			 -EMSGSIZE);
	buf_clear(&out);
	assert_int_equal(command_run("echo hello", clock_now() + 20 * NS_PER_S, &out, &status), 0);
	assert_true(span_equal(buf_span(&out), SPAN_LITERAL("hello\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passphrase),
		cmocka_unit_test(test_random_secrets_need_no_stretching),
		cmocka_unit_test(test_short_secrets_are_stretched_whatever_their_source),
		cmocka_unit_test(test_weak_parameters_are_refused),
		cmocka_unit_test(test_every_field_is_authenticated),
		cmocka_unit_test(test_slots_come_back),
		cmocka_unit_test(test_recovery_key),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_key_files_are_made_once),
		cmocka_unit_test(test_commands_end_at_the_deadline),
	};

	return sodium_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
