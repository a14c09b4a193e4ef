/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Pieces of objects near at hand: in memory, on disk, or fetched once however many ask. A piece is
 * opaque sealed bytes here; who asks opens and verifies it.
 *
 * (P1) One fetch per missing piece at a time; others wait for it (to their own deadline).
 * (P2) Nothing here is trusted: who opens a piece verifies it, whether it was fetched just now or
 *      lay on disk. A bad one is reported with pieces_bad() and asked for again.
 * (P3) A piece in use is never evicted or changed.
 * (P4) A full or failing cache disk costs speed, never an error.
 */
#include "base/blob.h"
#include "base/budget.h"

struct piece_id {
	uint8_t object[32]; /* a chunk's id, zero-padded; or a hash of a foreign object's version */
	uint32_t index;
};
struct piece {
	struct piece_id id; /* the rest is private but for: */
	struct blob *blob;  /* borrowed while the piece is held */
	bool from_disk;     /* not verified yet in this process (P2) */
};

struct pieces;
struct pieces_options {
	const char *dir;        /* piece files (0700), or NULL: memory only */
	uint64_t disk_bytes;    /* limit on disk */
	uint64_t memory_bytes;  /* limit in memory of pieces that nobody holds */
};
must_check int pieces_new(const struct pieces_options *opts, struct pieces **ret);
struct pieces *pieces_free(struct pieces *p);
DEFINE_CLEANUP(struct pieces *, pieces_free)

/* Fetches; runs on the asking thread. 0 with an owned blob, or negative errno. */
typedef int piece_fetch_fn(const struct piece_id *id, void *arg, struct blob **ret);
/*
 * 0 with a held piece (pieces_put_back); negative errno of the fetch; -ETIMEDOUT waiting for
 * another's fetch.
 */
must_check int pieces_get(struct pieces *p, const struct piece_id *id, piece_fetch_fn *fetch,
			  void *arg, uint64_t deadline_ns, struct piece **ret);
/*
 * Only if it is at hand (memory; with `disk` also from disk). 0 or PIECES_MISSING. Never fetches,
 * never waits for a fetch.
 */
enum pieces_cond { PIECES_MISSING = 1 };
must_check int pieces_peek(struct pieces *p, const struct piece_id *id, bool disk,
			   struct piece **ret);
/* Is it at hand or being fetched? For read-ahead. */
bool pieces_has(struct pieces *p, const struct piece_id *id);
void pieces_put_back(struct piece *piece); /* takes NULL */
/*
 * The same, by who has handed `bytes` of its content, which has `of`, to a program. A large piece
 * that was used up like this needs no memory as long as the disk has it.
 */
void pieces_put_back_used(struct piece *piece, uint64_t bytes, uint64_t of);
/* Its bytes did not verify: forgets it everywhere; the holder still puts it back. */
void pieces_bad(struct piece *piece);
/* Puts a piece that one has already (just written data): shares the blob. */
void pieces_offer(struct pieces *p, const struct piece_id *id, struct blob *blob);
void pieces_forget_object(struct pieces *p, const uint8_t object[32]);

struct pieces_stats {
	uint64_t memory_bytes, disk_bytes, disk_limit, hits, disk_hits, misses;
};
void pieces_stats_get(struct pieces *p, struct pieces_stats *ret);
