/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checksums by instructions of x86.
 *
 * CRC-32C: `crc32` takes three cycles but one can start in each, so three neighbouring
 * blocks are computed side by side and joined.
 * CRC-64: eight 16-byte lanes are folded 128 bytes ahead with carry-less products, until
 * 16 bytes are left, whose checksum is that of all.
 *
 * In reflected form the first bit of a byte string is its highest power, and the
 * carry-less product of two reflected words comes out multiplied by x once more. So
 *
 * (X1) crc32(0, a * k) moves the register a ahead by n bytes for k = x^(8n - 33) mod P: the
 *      instruction itself multiplies by x^32.
 * (X2) the halves of a lane, moved ahead by n bytes, are first * x^(8n + 63) and second *
 *      x^(8n - 1) mod P.
 */
#include "base/crc_i.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define CASTAGNOLI 0x82F63B78u
#define NVME 0x9A6C9329AC4BC9B5u

#define INSTRUCTIONS __attribute__((target("sse4.2,pclmul")))

/* Of three: the long ones lose little time with joining, the short ones serve small inputs. */
#define LONG_BLOCK 1360
#define SHORT_BLOCK 120
#define LANE 16
#define LANES 8

static struct {
	uint64_t once, twice; /* (X1): one and two blocks ahead */
} long_ahead, short_ahead;

static struct {
	uint64_t halves[2]; /* (X2) */
} lane_ahead, lanes_ahead;

/* x^n mod P, reflected; `one` is the bit of x^0. */
static uint64_t power(unsigned n, uint64_t one, uint64_t polynomial)
{
	uint64_t v = one;

	while (n--)
		v = v >> 1 ^ (v & 1 ? polynomial : 0);
	return v;
}

static uint64_t power32(unsigned n)
{
	return power(n, 1ull << 31, CASTAGNOLI);
}

static uint64_t power64(unsigned n)
{
	return power(n, 1ull << 63, NVME);
}

static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static INSTRUCTIONS uint64_t move_ahead(uint64_t crc, uint64_t k)
{
	__m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(crc), _mm_cvtsi64_si128(k), 0);

	return _mm_crc32_u64(0, _mm_cvtsi128_si64(product));
}

static INSTRUCTIONS uint64_t three_blocks(uint64_t crc, const uint8_t *p, size_t block,
					  uint64_t once, uint64_t twice)
{
	uint64_t second = 0, third = 0;

	for (size_t i = 0; i < block; i += 8) {
		crc = _mm_crc32_u64(crc, load(p + i));
		second = _mm_crc32_u64(second, load(p + block + i));
		third = _mm_crc32_u64(third, load(p + 2 * block + i));
	}
	return move_ahead(crc, twice) ^ move_ahead(second, once) ^ third;
}

static INSTRUCTIONS uint64_t update32(uint64_t crc, struct span s)
{
	const uint8_t *p = s.data, *end = p + s.len;

	for (; end - p >= 3 * LONG_BLOCK; p += 3 * LONG_BLOCK)
		crc = three_blocks(crc, p, LONG_BLOCK, long_ahead.once, long_ahead.twice);
	for (; end - p >= 3 * SHORT_BLOCK; p += 3 * SHORT_BLOCK)
		crc = three_blocks(crc, p, SHORT_BLOCK, short_ahead.once, short_ahead.twice);
	for (; end - p >= 8; p += 8)
		crc = _mm_crc32_u64(crc, load(p));
	for (; p < end; p++)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}

static INSTRUCTIONS __m128i load_lane(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

/* The lane moved ahead, onto what is there. */
static INSTRUCTIONS __m128i fold(__m128i lane, __m128i halves, __m128i there)
{
	__m128i first = _mm_clmulepi64_si128(lane, halves, 0x00);
	__m128i second = _mm_clmulepi64_si128(lane, halves, 0x11);

	return _mm_xor_si128(_mm_xor_si128(first, second), there);
}

/* All whole groups of LANES lanes of [p, end), at least one, folded into one lane. */
static INSTRUCTIONS __m128i fold_groups(uint64_t crc, const uint8_t **p, const uint8_t *end)
{
	const __m128i far = load_lane((const uint8_t *)lanes_ahead.halves);
	const __m128i near = load_lane((const uint8_t *)lane_ahead.halves);
	__m128i lanes[LANES];

	for (unsigned i = 0; i < LANES; i++)
		lanes[i] = load_lane(*p + LANE * i);
	lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi64_si128(crc));
	for (*p += LANE * LANES; end - *p >= LANE * LANES; *p += LANE * LANES)
		for (unsigned i = 0; i < LANES; i++)
			lanes[i] = fold(lanes[i], far, load_lane(*p + LANE * i));
	for (unsigned i = 1; i < LANES; i++)
		lanes[i] = fold(lanes[i - 1], near, lanes[i]);
	return lanes[LANES - 1];
}

static INSTRUCTIONS uint64_t update64(uint64_t crc, struct span s)
{
	const __m128i near = load_lane((const uint8_t *)lane_ahead.halves);
	const uint8_t *p = s.data, *end = p + s.len;
	uint8_t last[LANE];
	__m128i lane;

	if (s.len < LANE * LANES)
		return crc_tabled64(crc, s);
	lane = fold_groups(crc, &p, end);
	for (; end - p >= LANE; p += LANE)
		lane = fold(lane, near, load_lane(p));
	_mm_storeu_si128((__m128i *)last, lane);
	return crc_tabled64(crc_tabled64(0, span_of(last, LANE)), span_of(p, end - p));
}

static bool has_instructions(void)
{
	return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

crc_fn *crc_x86_crc32c(void)
{
	long_ahead.once = power32(8 * LONG_BLOCK - 33);
	long_ahead.twice = power32(16 * LONG_BLOCK - 33);
	short_ahead.once = power32(8 * SHORT_BLOCK - 33);
	short_ahead.twice = power32(16 * SHORT_BLOCK - 33);
	return has_instructions() ? update32 : NULL;
}

crc_fn *crc_x86_crc64nvme(void)
{
	lane_ahead.halves[0] = power64(8 * LANE + 63);
	lane_ahead.halves[1] = power64(8 * LANE - 1);
	lanes_ahead.halves[0] = power64(8 * LANE * LANES + 63);
	lanes_ahead.halves[1] = power64(8 * LANE * LANES - 1);
	return has_instructions() ? update64 : NULL;
}

#else

crc_fn *crc_x86_crc32c(void)
{
	return NULL;
}

crc_fn *crc_x86_crc64nvme(void)
{
	return NULL;
}

#endif
