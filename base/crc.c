/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both checksums by tables, sixteen bytes a step: for processors without a better way
 * (crc_x86.c), which is chosen once, before main().
 *
 * (K1) The running value is kept inverted, as the register of the definition; the
 *      inversion happens at the entrance and exit only.
 * (K2) CRC-32C is computed in a register of 64 bits whose upper half is zero: reflected
 *      CRCs of every width up to the register's take the same steps.
 */
#include "base/crc.h"
#include "base/crc_i.h"

#include <endian.h>

#define CASTAGNOLI 0x82F63B78u
#define NVME 0x9A6C9329AC4BC9B5u
#define STEP 16

struct crc_table {
	uint64_t of[STEP][256]; /* of[k][b]: the effect of byte b with k bytes behind it */
};

static struct crc_table table32, table64;

static uint64_t tabled32(uint64_t crc, struct span s);
static crc_fn *update32, *update64;

static void fill(struct crc_table *t, uint64_t polynomial)
{
	for (unsigned b = 0; b < 256; b++) {
		uint64_t crc = b;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
		t->of[0][b] = crc;
	}
	for (unsigned k = 1; k < STEP; k++)
		for (unsigned b = 0; b < 256; b++)
			t->of[k][b] = t->of[k - 1][b] >> 8 ^ t->of[0][t->of[k - 1][b] & 255];
}

static __attribute__((constructor)) void choose(void)
{
	fill(&table32, CASTAGNOLI);
	fill(&table64, NVME);
	update32 = crc_x86_crc32c() ?: tabled32;
	update64 = crc_x86_crc64nvme() ?: crc_tabled64;
}

static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* The effect of eight bytes with `behind` bytes behind them. */
static uint64_t eight(const struct crc_table *t, uint64_t v, unsigned behind)
{
	uint64_t crc = 0;

	for (unsigned i = 0; i < 8; i++)
		crc ^= t->of[behind + 7 - i][v >> 8 * i & 255];
	return crc;
}

static uint64_t tabled(const struct crc_table *t, uint64_t crc, struct span s)
{
	for (; s.len >= STEP; s = span_sub(s, STEP, SIZE_MAX))
		crc = eight(t, load(s.data) ^ crc, 8) ^ eight(t, load(s.data + 8), 0);
	for (size_t i = 0; i < s.len; i++)
		crc = crc >> 8 ^ t->of[0][(crc ^ s.data[i]) & 255];
	return crc;
}

static uint64_t tabled32(uint64_t crc, struct span s)
{
	return tabled(&table32, crc, s);
}

uint64_t crc_tabled64(uint64_t crc, struct span s)
{
	return tabled(&table64, crc, s);
}

uint32_t crc32c(uint32_t crc_so_far, struct span s)
{
	return ~(uint32_t)update32((uint32_t)~crc_so_far, s);
}

uint64_t crc64nvme(uint64_t crc_so_far, struct span s)
{
	return ~update64(~crc_so_far, s);
}

uint32_t crc32c_by_table(uint32_t crc_so_far, struct span s)
{
	return ~(uint32_t)tabled32((uint32_t)~crc_so_far, s);
}

uint64_t crc64nvme_by_table(uint64_t crc_so_far, struct span s)
{
	return ~crc_tabled64(~crc_so_far, s);
}

/* Product of two polynomials, reflected: the highest bit is x^0. */
static uint32_t times(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b >> 1 ^ (b & 1 ? CASTAGNOLI : 0);
	}
	return product;
}

/*
 * What follows a text moves it by eight powers of x for each byte; the inversions at both ends
 * cancel out.
 */
uint32_t crc32c_join(uint32_t first, uint32_t second, uint64_t second_len)
{
	uint32_t square = 1u << 23; /* x^8 */

	for (; second_len; second_len >>= 1, square = times(square, square))
		if (second_len & 1)
			first = times(first, square);
	return first ^ second;
}
