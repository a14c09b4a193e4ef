/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (B1) A checksum is valid once its flag is set; two threads that compute it at the
 *      same time store the same value, so neither waits for the other.
 */
#include "base/blob.h"
#include "base/crc.h"

#include <stdatomic.h>

struct blob {
	atomic_uint refs;
	atomic_bool has_crc32c, has_crc64;
	_Atomic uint32_t crc32c;
	_Atomic uint64_t crc64;
	size_t len;
	uint8_t *data; /* behind this struct, or malloc'd apart */
	_Alignas(16) uint8_t inside[];
};

struct blob *blob_new(size_t len)
{
	struct blob *b;

	if (len > SIZE_MAX - sizeof(*b))
		return NULL;
	b = malloc(sizeof(*b) + len);
	if (!b)
		return NULL;
	*b = (struct blob){ .refs = 1, .len = len };
	b->data = b->inside;
	return b;
}

struct blob *blob_copy(struct span s)
{
	struct blob *b = blob_new(s.len);

	if (b && s.len)
		memcpy(b->data, s.data, s.len);
	return b;
}

struct blob *blob_from(uint8_t *data, size_t len)
{
	struct blob *b = blob_new(0);

	if (!b) {
		free(data);
		return NULL;
	}
	b->data = data;
	b->len = len;
	return b;
}

struct blob *blob_ref(struct blob *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

struct blob *blob_unref(struct blob *b)
{
	if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
		return NULL;
	if (b->data != b->inside)
		free(b->data);
	free(b);
	return NULL;
}

static void assert_one_owner(const struct blob *b)
{
	assert(atomic_load_explicit(&b->refs, memory_order_relaxed) == 1);
}

uint8_t *blob_bytes(struct blob *b)
{
	assert_one_owner(b);
	atomic_store(&b->has_crc32c, false);
	atomic_store(&b->has_crc64, false);
	return b->data;
}

struct span blob_span(const struct blob *b)
{
	return span_of(b->data, b->len);
}

void blob_shrink(struct blob *b, size_t len)
{
	assert_one_owner(b);
	assert(len <= b->len);
	b->len = len;
	atomic_store(&b->has_crc32c, false);
	atomic_store(&b->has_crc64, false);
}

uint32_t blob_crc32c(struct blob *b)
{
	if (!atomic_load(&b->has_crc32c)) {
		atomic_store(&b->crc32c, crc32c(0, blob_span(b)));
		atomic_store(&b->has_crc32c, true); /* (B1) */
	}
	return atomic_load(&b->crc32c);
}

void blob_crc32c_known(struct blob *b, uint32_t crc)
{
	assert_one_owner(b);
	atomic_store(&b->crc32c, crc);
	atomic_store(&b->has_crc32c, true);
}

uint64_t blob_crc64(struct blob *b)
{
	if (!atomic_load(&b->has_crc64)) {
		atomic_store(&b->crc64, crc64nvme(0, blob_span(b)));
		atomic_store(&b->has_crc64, true); /* (B1) */
	}
	return atomic_load(&b->crc64);
}
