/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who reads in sequence? Several streams per inode are told apart by where they read, not by who
 * they are, so that shared descriptors, interleaved readers and mmap count too. Pure.
 */
#include "base/defs.h"

#define AHEAD_STREAMS 16

struct ahead_stream {
	uint64_t next;   /* where the stream is expected to go on */
	uint64_t done;   /* read ahead was asked for up to here */
	uint64_t window; /* bytes to be ahead; 0: one read seen, not a stream yet */
	uint64_t used;   /* age */
};
struct ahead {
	struct ahead_stream streams[AHEAD_STREAMS];
	uint64_t clock;
};

/*
 * A read of [off, off + len) happened in a file of `size` bytes. Answers true with the range to
 * fetch now ([*ret_from, *ret_to)). The window begins at 2 MiB and doubles with each step up to
 * max_window.
 */
bool ahead_note(struct ahead *a, uint64_t off, uint64_t len, uint64_t size, uint64_t max_window,
		uint64_t *ret_from, uint64_t *ret_to);
