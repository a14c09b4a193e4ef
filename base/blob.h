/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Shared bytes: they may change while they have one owner and never again once
 * shared. A sealed object on its way to three stores is one blob. The checksums of
 * the providers are computed once, on demand, whoever asks.
 */
#include "base/span.h"

struct blob;

/* A new blob of `len` bytes, content undefined, one reference; NULL: no memory. */
struct blob *blob_new(size_t len);
struct blob *blob_copy(struct span s);
/* Takes malloc'd memory (also on failure, then frees it). */
struct blob *blob_from(uint8_t *data, size_t len);
struct blob *blob_ref(struct blob *b);
struct blob *blob_unref(struct blob *b); /* takes NULL, answers NULL */
DEFINE_CLEANUP(struct blob *, blob_unref)

uint8_t *blob_bytes(struct blob *b); /* for filling; asserts that it is not shared */
struct span blob_span(const struct blob *b);
/* Cuts the length while it has one owner; len <= the present one. */
void blob_shrink(struct blob *b, size_t len);
/* CRC-32C, CRC-64/NVME of the content; cached. */
uint32_t blob_crc32c(struct blob *b);
uint64_t blob_crc64(struct blob *b);
/*
 * For who fills a blob in pieces and sums them while they are warm: the CRC-32C of the whole
 * content. One owner.
 */
void blob_crc32c_known(struct blob *b, uint32_t crc);
