/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The dirty ranges of one inode: a sorted array of segments that never overlap, each a window into
 * a run of bytes. Pure but for memory; the inode's lock protects both.
 *
 * (G1) A run changes only while it is RUN_OPEN; afterwards new writes make new runs and cut the old
 *      one's segments.
 * (G2) A run's bytes are dropped once they are at their copies (RUN_SENT); its segments then read
 *      through the upload.
 */
#include "base/span.h"

enum run_state {
	RUN_OPEN,    /* dirty; may grow and change */
	RUN_SENDING, /* immutable, on its way */
	RUN_SENT,    /* at its acknowledged copies; bytes == NULL */
	RUN_INLINE,  /* immutable, travels in the operation itself */
};

struct upload;
struct run {
	unsigned refs; /* segments, and who sends it */
	enum run_state state;
	bool leaving;  /* in the WRITE that is being submitted */
	uint8_t *bytes;
	uint32_t len, cap;
	uint64_t charged; /* bytes taken from the write budget for it */
	/* RUN_SENDING, RUN_SENT: its chunk (the run is the chunk's whole plaintext) */
	struct upload *upload;
};
struct run *run_new(uint32_t cap); /* one reference; NULL: no memory */

struct segment {
	uint64_t off, len;
	struct run *run;
	uint32_t run_off;
};
struct segments {
	struct segment *v;
	size_t n, cap;
};
/* Called when a run's last reference goes. */
typedef void run_free_fn(struct run *r, void *arg);
void run_unref(struct run *r, run_free_fn *fn, void *arg);

void segments_release(struct segments *s, run_free_fn *fn, void *arg);
/* The first segment that ends after `off`; n if there is none. */
size_t segments_find(const struct segments *s, uint64_t off);
/* Removes what covers [off, off + len), splitting at the edges. 0, -ENOMEM (nothing changed). */
must_check int segments_cut(struct segments *s, uint64_t off, uint64_t len, run_free_fn *fn,
			    void *arg);
/*
 * Covers [off, off + len) with a window into the run (takes a reference of its own). 0, -ENOMEM
 * (nothing changed).
 */
must_check int segments_insert(struct segments *s, uint64_t off, uint64_t len, struct run *run,
			       uint32_t run_off, run_free_fn *fn, void *arg);
/* Removes every segment whose run is leaving. */
void segments_remove_leaving(struct segments *s, run_free_fn *fn, void *arg);
/* Where the last segment ends; 0 when empty. */
static inline uint64_t segments_end(const struct segments *s)
{
	return s->n ? s->v[s->n - 1].off + s->v[s->n - 1].len : 0;
}
uint64_t segments_bytes(const struct segments *s);
