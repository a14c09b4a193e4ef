/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sodium.h"
#include "base/text.h"
#include "tests/lib/cm.h"

#include <sys/resource.h>

static int start(void **state)
{
	return sodium_start();
}

static void assert_hex(const uint8_t *bytes, size_t len, const char *want)
{
	char text[200];

	assert_true(2 * len < sizeof(text));
	hex_encode(span_of(bytes, len), text);
	assert_string_equal(text, want);
}

static void test_no_core_dumps(void **state)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
	assert_int_equal(limit.rlim_max, 0);
}

/* RFC 7693 appendix A, and the reference's known answers with a key. */
static void test_blake2b(void **state)
{
	uint8_t hash[64], bytes[64];

	for (int i = 0; i < 64; i++)
		bytes[i] = i;
	blake2b(SPAN_NULL, span_str("abc"), hash, 64);
	assert_hex(hash, 64, "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
			     "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
	blake2b(span_of(bytes, 64), span_of(bytes, 16), hash, 64);
	assert_hex(hash, 64, "a0c65bddde8adef57282b04b11e7bc8aab105b99231b750c021f4a735cb1bcfa"
			     "b87553bba3abb0c3e64a0b6955285185a0bd35fb8cfde557329bebb1f629ee93");
	blake2b(SPAN_NULL, span_str("abc"), hash, 32);
	assert_hex(hash, 32, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
	blake2b(SPAN_NULL, span_str("abc"), hash, 16);
	assert_hex(hash, 16, "cf4ab791c62b8d2b2109c90275287816");
}

/* The expected value is of Python's hashlib.blake2b(key, salt, person). */
static void test_derive(void **state)
{
	uint8_t key[32], salt[16], out[32];

	for (int i = 0; i < 32; i++)
		key[i] = i;
	memcpy(salt, key, 16);
	blake2b_derive(key, salt, (const uint8_t *)"mangrove-chunk\0", out);
	assert_hex(out, 32, "374e6a6f1a446f19e986bd5c4c651cac735760bf7593bd320ac2e08839977c1a");
	salt[15] ^= 1;
	blake2b_derive(key, salt, (const uint8_t *)"mangrove-chunk\0", out);
	assert_int_not_equal(out[0], 0x37);
}

static void test_running_blake2b(void **state)
{
	struct blake2b_state st;
	uint8_t hash[16];

	blake2b_begin(&st, 16);
	blake2b_add(&st, span_str("a"));
	blake2b_add(&st, SPAN_NULL);
	blake2b_add(&st, span_str("bc"));
	blake2b_end(&st, hash, 16);
	assert_hex(hash, 16, "cf4ab791c62b8d2b2109c90275287816");
}

/*
 * The expected value is of the reference's command: argon2 sixteen-bytesalt -id -t 3 -k 8192 -p 1
 * -l 32.
 */
static void test_argon2id(void **state)
{
	const uint8_t *salt = (const uint8_t *)"sixteen-bytesalt";
	uint8_t key[32];

	assert_int_equal(argon2id(span_str("password"), salt, 8 * MiB, 3, key), 0);
	assert_hex(key, 32, "8fa19cd8cdb5a58001cd6e4483f337c860d49eb70882e05a46055553d230b6e3");
	assert_int_equal(argon2id(span_str("password"), salt, 100, 3, key), -EINVAL);
	assert_int_equal(argon2id(span_str("password"), salt, 8 * MiB, 0, key), -EINVAL);
	assert_int_equal(argon2id(SPAN_NULL, salt, 8 * MiB, 1, key), 0);
}

static void test_secret(void **state)
{
	_cleanup_(secret_freep) struct secret *s = secret_copy(span_str("passphrase")),
					      *empty = secret_new(0);
	uint8_t bytes[10] = "0123456789";

	assert_non_null(s);
	assert_span_str(secret_span(s), "passphrase");
	secret_bytes(s)[0] = 'P';
	assert_span_str(secret_span(s), "Passphrase");
	assert_non_null(empty);
	assert_int_equal(secret_span(empty).len, 0);
	assert_null(secret_free(NULL));
	wipe(bytes, 10);
	assert_memory_equal(bytes, "\0\0\0\0\0\0\0\0\0\0", 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_core_dumps),
		cmocka_unit_test(test_blake2b),
		cmocka_unit_test(test_derive),
		cmocka_unit_test(test_running_blake2b),
		cmocka_unit_test(test_argon2id),
		cmocka_unit_test(test_secret),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
