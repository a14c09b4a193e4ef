/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Objects that were there before the volume, and to which extents refer: where they are (sources),
 * and which one in which version (references).
 *
 * (R1) A reference has one form: what it means is found by comparing its bytes.
 * (R2) It names one version of an object. Where the store has no versions, the time stands in.
 */
#include "fs/ns/rows.h"

#define FOREIGN_KEY_MAX 1024
#define FOREIGN_VERSION_MAX 255

/* The reference of an EXTENT_FOREIGN. Borrows from what it was decoded from. */
struct foreign {
	uint32_t source;     /* number, from 1 */
	struct span key;     /* of the object, below the source's URL; 1 to 1024 bytes */
	uint64_t size;       /* of the whole object */
	struct span version; /* as its store calls it; empty: it has none */
	uint64_t modified_s; /* 0 where there is a version */
};
/* Appends. 0, -EINVAL (no reference), -ENOMEM. */
must_check int foreign_encode(const struct foreign *f, struct buf *ret);
/* 0, -EBADMSG. */
must_check int foreign_decode(struct span s, struct foreign *ret);

/* A bucket or a part of one: what the volume knows of it. Whose credentials: each machine's own. */
#define SOURCES_MAX 4096
#define SOURCE_URL_MAX 4096
struct source_row {
	struct span url; /* without credentials */
};
must_check int source_row_encode(const struct source_row *r, struct buf *ret);
must_check int source_row_decode(struct span s, struct source_row *ret);
void key_source(uint32_t number, uint8_t ret[4]);
