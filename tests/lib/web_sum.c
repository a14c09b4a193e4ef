/* SPDX-License-Identifier: Apache-2.0 */
#include "web_sum.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <nmmintrin.h>
#endif

static pthread_once_t tables_once = PTHREAD_ONCE_INIT;
static uint32_t crc32c_table[8][256];
static uint64_t crc64_table[8][256];

/* Row k advances a byte over k zero bytes, so eight bytes take eight independent look-ups. */
static void tables_fill(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint32_t a = i;
		uint64_t b = i;
		for (int bit = 0; bit < 8; bit++) {
			a = a >> 1 ^ (a & 1 ? 0x82F63B78u : 0);
			b = b >> 1 ^ (b & 1 ? 0x9A6C9329AC4BC9B5u : 0);
		}
		crc32c_table[0][i] = a;
		crc64_table[0][i] = b;
	}
	for (unsigned k = 1; k < 8; k++) {
		for (unsigned i = 0; i < 256; i++) {
			uint32_t a = crc32c_table[k - 1][i];
			uint64_t b = crc64_table[k - 1][i];
			crc32c_table[k][i] = a >> 8 ^ crc32c_table[0][a & 255];
			crc64_table[k][i] = b >> 8 ^ crc64_table[0][b & 255];
		}
	}
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static uint32_t crc32c_by_table(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t v = load64(p) ^ crc;
		crc = 0;
		for (int k = 0; k < 8; k++)
			crc ^= crc32c_table[7 - k][v >> 8 * k & 255];
	}
	for (; n; n--)
		crc = crc >> 8 ^ crc32c_table[0][(crc ^ *p++) & 255];
	return crc;
}

#ifdef __x86_64__
/*
 * The instruction has a latency of three cycles and a throughput of one, so three lanes run beside
 * each other. They are joined by advancing a lane over the LANE zero bytes that follow it, a linear
 * map that is kept as four tables of 256 entries.
 */
enum { LANE = 4096 };
static uint32_t lane_shift[4][256];

__attribute__((target("sse4.2")))
static void lane_shift_fill(void)
{
	uint32_t bit[32];
	for (int i = 0; i < 32; i++) {
		uint64_t crc = 1u << i;
		for (int k = 0; k < LANE; k += 8)
			crc = _mm_crc32_u64(crc, 0);
		bit[i] = (uint32_t)crc;
	}
	for (int k = 0; k < 4; k++)
		for (int v = 0; v < 256; v++)
			for (int i = 0; i < 8; i++)
				if (v >> i & 1)
					lane_shift[k][v] ^= bit[8 * k + i];
}

static uint32_t lane_over_zeros(uint32_t crc)
{
	return lane_shift[0][crc & 255] ^ lane_shift[1][crc >> 8 & 255] ^
	       lane_shift[2][crc >> 16 & 255] ^ lane_shift[3][crc >> 24];
}

__attribute__((target("sse4.2")))
static uint32_t crc32c_by_lanes(uint32_t crc, const uint8_t *p)
{
	uint64_t a = crc, b = 0, c = 0;
	for (size_t i = 0; i < LANE; i += 8) {
		uint64_t x, y, z;
		memcpy(&x, p + i, 8);
		memcpy(&y, p + LANE + i, 8);
		memcpy(&z, p + 2 * LANE + i, 8);
		a = _mm_crc32_u64(a, x);
		b = _mm_crc32_u64(b, y);
		c = _mm_crc32_u64(c, z);
	}
	uint32_t ab = lane_over_zeros((uint32_t)a) ^ (uint32_t)b;
	return lane_over_zeros(ab) ^ (uint32_t)c;
}

__attribute__((target("sse4.2")))
static uint32_t crc32c_by_instruction(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= 3 * LANE; n -= 3 * LANE, p += 3 * LANE)
		crc = crc32c_by_lanes(crc, p);
	uint64_t wide = crc;
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t v;
		memcpy(&v, p, 8);
		wide = _mm_crc32_u64(wide, v);
	}
	crc = (uint32_t)wide;
	for (; n; n--)
		crc = _mm_crc32_u8(crc, *p++);
	return crc;
}
#endif

static bool have_instruction;

static void prepare(void)
{
	tables_fill();
#ifdef __x86_64__
	have_instruction = __builtin_cpu_supports("sse4.2");
	if (have_instruction)
		lane_shift_fill();
#endif
}

uint32_t web_crc32c(uint32_t crc, const void *bytes, size_t n)
{
	pthread_once(&tables_once, prepare);
#ifdef __x86_64__
	if (have_instruction)
		return ~crc32c_by_instruction(~crc, bytes, n);
#endif
	return ~crc32c_by_table(~crc, bytes, n);
}

uint64_t web_crc64(uint64_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	pthread_once(&tables_once, prepare);
	crc = ~crc;
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t v = load64(p) ^ crc;
		crc = 0;
		for (int k = 0; k < 8; k++)
			crc ^= crc64_table[7 - k][v >> 8 * k & 255];
	}
	for (; n; n--)
		crc = crc >> 8 ^ crc64_table[0][(crc ^ *p++) & 255];
	return ~crc;
}

/* Fetched once: a fetch for each body costs more than the digest of a small one. */
static pthread_once_t digests_once = PTHREAD_ONCE_INIT;
static EVP_MD *md5_kind, *sha256_kind;

static void digests_fetch(void)
{
	md5_kind = EVP_MD_fetch(NULL, "MD5", NULL);
	sha256_kind = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!md5_kind || !sha256_kind)
		abort();
}

static EVP_MD_CTX *digest_begin(const EVP_MD *kind)
{
	EVP_MD_CTX *state = EVP_MD_CTX_new();
	if (!state || !EVP_DigestInit_ex(state, kind, NULL))
		abort();
	return state;
}

void web_sums_begin(struct web_sums *sums, unsigned want)
{
	pthread_once(&digests_once, digests_fetch);
	*sums = (struct web_sums){ .want = want };
	if (want & WEB_MD5)
		sums->md5_state = digest_begin(md5_kind);
	if (want & WEB_SHA256)
		sums->sha256_state = digest_begin(sha256_kind);
}

void web_sums_feed(struct web_sums *sums, const void *bytes, size_t n)
{
	if (sums->want & WEB_CRC32C)
		sums->crc32c = web_crc32c(sums->crc32c, bytes, n);
	if (sums->want & WEB_CRC64)
		sums->crc64 = web_crc64(sums->crc64, bytes, n);
	if (sums->md5_state)
		EVP_DigestUpdate(sums->md5_state, bytes, n);
	if (sums->sha256_state)
		EVP_DigestUpdate(sums->sha256_state, bytes, n);
}

void web_sums_end(struct web_sums *sums)
{
	if (sums->md5_state)
		EVP_DigestFinal_ex(sums->md5_state, sums->md5, NULL);
	if (sums->sha256_state)
		EVP_DigestFinal_ex(sums->sha256_state, sums->sha256, NULL);
}

void web_sums_release(struct web_sums *sums)
{
	EVP_MD_CTX_free(sums->md5_state);
	EVP_MD_CTX_free(sums->sha256_state);
	sums->md5_state = sums->sha256_state = NULL;
}

void web_crc32c_bytes(uint32_t crc, uint8_t ret[4])
{
	for (int i = 0; i < 4; i++)
		ret[i] = (uint8_t)(crc >> (24 - 8 * i));
}

void web_crc64_bytes(uint64_t crc, bool little_endian, uint8_t ret[8])
{
	for (int i = 0; i < 8; i++)
		ret[i] = (uint8_t)(crc >> (little_endian ? 8 * i : 56 - 8 * i));
}
