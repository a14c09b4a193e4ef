/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Growable bytes with a hard limit that is given at creation, so that no answer of
 * a server can eat the memory. After a failure (limit or memory) nothing was added.
 */
#include "base/span.h"

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;   /* private */
	size_t limit; /* private: never grows beyond */
};

#define BUF_INIT(max) ((struct buf){ .limit = (max) })

void buf_init(struct buf *b, size_t limit);
void buf_release(struct buf *b); /* frees; b is empty and usable again with the same limit */
static inline void buf_clear(struct buf *b)
{
	b->len = 0; /* keeps the memory */
}
static inline struct span buf_span(const struct buf *b)
{
	return (struct span){ b->data, b->len };
}
/* Makes room for `extra` more bytes. 0, -ENOMEM, -EMSGSIZE (beyond the limit). */
must_check int buf_reserve(struct buf *b, size_t extra);
/* data is not part of b itself */
must_check int buf_add(struct buf *b, const void *data, size_t len);
must_check int buf_add_span(struct buf *b, struct span s);
must_check int buf_add_str(struct buf *b, const char *s);
must_check int buf_add_byte(struct buf *b, uint8_t byte);
must_check int buf_addf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
/* Grows by `len` bytes of unknown content and answers where they begin, or NULL. */
uint8_t *buf_extend(struct buf *b, size_t len);
/*
 * The content as a C string (a NUL is kept behind the end, not counted); borrowed until the next
 * change. NULL: no memory.
 */
const char *buf_str(struct buf *b);
/*
 * Appends the content of `from`, which is empty afterwards; no byte is copied when b is empty and
 * may hold it.
 */
must_check int buf_move(struct buf *b, struct buf *from);
/*
 * Hands the memory over to the caller, who frees it with free(); b becomes empty. NULL when b never
 * had any.
 */
uint8_t *buf_take(struct buf *b, size_t *ret_len);

#define _cleanup_buf_ _cleanup_(buf_release)
