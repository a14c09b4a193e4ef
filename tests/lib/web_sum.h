/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Checksums of a body, fed piece by piece while it arrives.
 */

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum web_sum {
	WEB_CRC32C = 1 << 0,
	WEB_CRC64 = 1 << 1,     /* CRC-64/NVME */
	WEB_MD5 = 1 << 2,
	WEB_SHA256 = 1 << 3,
};

struct web_sums {
	unsigned want;          /* of enum web_sum */
	uint32_t crc32c;
	uint64_t crc64;
	uint8_t md5[16], sha256[32];
	/* private */
	EVP_MD_CTX *md5_state, *sha256_state;
};

void web_sums_begin(struct web_sums *, unsigned want);
void web_sums_feed(struct web_sums *, const void *bytes, size_t n);
/* Afterwards the wanted fields hold the result. */
void web_sums_end(struct web_sums *);
void web_sums_release(struct web_sums *);

/* Both take and return finished values; 0 begins. */
uint32_t web_crc32c(uint32_t crc, const void *bytes, size_t n);
uint64_t web_crc64(uint64_t crc, const void *bytes, size_t n);

/* The wire forms: big-endian (S3, GCS), and Azure's little-endian CRC-64. */
void web_crc32c_bytes(uint32_t crc, uint8_t ret[4]);
void web_crc64_bytes(uint64_t crc, bool little_endian, uint8_t ret[8]);
