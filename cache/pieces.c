/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces in memory, the disk behind them, and one fetch for all who ask.
 *
 * (E1) An entry is `listed` (found by its id) or forgotten; who holds one keeps it either way (P3).
 * (E2) Listed entries that nobody holds are in the order of their last use, and only they
 *      count against the limit.
 * (E3) A flight is one fetch under way (P1). It is found by its id until it lands; those who waited
 *      get the entry from it, so that nothing evicts what they waited for.
 * (E4) The disk is read and written, and memory is freed, without the lock.
 * (E5) A large piece that was used from end to end leaves memory if the disk has it: the kernel has
 *      those bytes now. Its memory is warm for the next one; a stream needs no more of it than it
 *      is ahead.
 */
#include "base/wait.h"
#include "cache/disk.h"

#define HASH_NONFATAL_OOM 1 /* what found no memory has hh.tbl == NULL */
#include <uthash.h>
#include <utlist.h>

#define DISK_QUEUE_MIN (16 * (uint64_t)MiB)
#define LARGE          (256 * KiB) /* cheaper to read again than to keep */

struct entry {
	struct piece piece;
	struct pieces *owner;
	unsigned refs;
	bool listed;
	bool on_disk;  /* or on its way there */
	uint64_t used; /* bytes that were put back as used (E5) */
	UT_hash_handle hh;
	struct entry *prev, *next; /* (E2), the longest unused first; or in a list to free */
};

struct flight {
	struct piece_id id;
	unsigned refs; /* the pilot and the waiters */
	bool landed;
	int result;
	struct entry *entry; /* landed well: holds a reference */
	struct cond wake;
	UT_hash_handle hh;
};

struct pieces {
	struct pieces_options options;
	struct disk *disk; /* or NULL */
	struct {
		struct lock lock;
		struct entry *entries;  /* (E1) by id */
		struct flight *flights; /* (E3) by id */
		struct entry *unused;   /* (E2) */
		uint64_t unused_bytes;
		struct pieces_stats stats;
	} sync;
};

static struct entry *entry_of(struct piece *piece)
{
	return container_of(piece, struct entry, piece);
}

static uint64_t bytes_of(const struct entry *e)
{
	return blob_span(e->piece.blob).len;
}

static struct entry *entry_new(struct pieces *p, const struct piece_id *id, struct blob *takes,
			       bool from_disk, bool on_disk)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e) {
		blob_unref(takes);
		return NULL;
	}
	e->owner = p;
	e->on_disk = on_disk;
	e->piece = (struct piece){ .id = *id, .blob = takes, .from_disk = from_disk };
	return e;
}

/* (E4) */
static void free_dead(struct entry *dead)
{
	struct entry *e, *next;

	DL_FOREACH_SAFE(dead, e, next) {
		blob_unref(e->piece.blob);
		free(e);
	}
}

static struct entry *find_locked(struct pieces *p, const struct piece_id *id)
{
	struct entry *e;

	HASH_FIND(hh, p->sync.entries, id, sizeof(*id), e);
	return e;
}

static void hold_locked(struct pieces *p, struct entry *e)
{
	if (e->refs++ == 0 && e->listed) {
		DL_DELETE(p->sync.unused, e);
		p->sync.unused_bytes -= bytes_of(e);
		e->prev = e->next = NULL;
	}
}

/* Forgets it: nobody finds it from here on. What nobody holds goes to `dead`. */
static void unlist_locked(struct pieces *p, struct entry *e, struct entry **dead)
{
	if (!e->listed)
		return;
	HASH_DEL(p->sync.entries, e);
	e->listed = false;
	if (e->refs > 0)
		return;
	DL_DELETE(p->sync.unused, e);
	p->sync.unused_bytes -= bytes_of(e);
	DL_APPEND(*dead, e);
}

static void let_go_locked(struct pieces *p, struct entry *e, struct entry **dead)
{
	assert(e->refs > 0);
	if (--e->refs > 0)
		return;
	if (!e->listed) {
		DL_APPEND(*dead, e);
		return;
	}
	DL_APPEND(p->sync.unused, e);
	p->sync.unused_bytes += bytes_of(e);
	while (p->sync.unused_bytes > p->options.memory_bytes)
		unlist_locked(p, p->sync.unused, dead);
}

/*
 * Lists a new entry that the caller holds, or answers the one (held instead) that was there first.
 */
static struct entry *list_locked(struct pieces *p, struct entry *e, struct entry **dead)
{
	struct entry *other = find_locked(p, &e->piece.id);

	e->refs = 1;
	if (other) {
		hold_locked(p, other);
		let_go_locked(p, e, dead);
		return other;
	}
	/*
	 * Without memory for the table it stays unlisted: its holder has it, nobody else finds it.
	 */
	HASH_ADD(hh, p->sync.entries, piece.id, sizeof(e->piece.id), e);
	e->listed = e->hh.tbl != NULL;
	return e;
}

int pieces_new(const struct pieces_options *opts, struct pieces **ret)
{
	_cleanup_(pieces_freep) struct pieces *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return fail(-ENOMEM);
	lock_init(&p->sync.lock, RANK_PIECES);
	p->options = *opts;
	p->options.dir = NULL; /* borrowed for the call */
	if (opts->dir) {
		r = disk_open(opts->dir, opts->disk_bytes,
			      MAX(opts->memory_bytes / 4, DISK_QUEUE_MIN), &p->disk);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(&p);
	return 0;
}

struct pieces *pieces_free(struct pieces *p)
{
	struct entry *e, *next, *dead = NULL;

	if (!p)
		return NULL;
	lock_take(&p->sync.lock);
	assert(!p->sync.flights);
	HASH_ITER(hh, p->sync.entries, e, next) {
		assert(e->refs == 0);
		unlist_locked(p, e, &dead);
	}
	lock_give(&p->sync.lock);
	free_dead(dead);
	disk_close(p->disk);
	lock_release(&p->sync.lock);
	free(p);
	return NULL;
}

/* ---- flights ---- */

static struct flight *find_flight_locked(struct pieces *p, const struct piece_id *id)
{
	struct flight *f;

	HASH_FIND(hh, p->sync.flights, id, sizeof(*id), f);
	return f;
}

/* The caller is its pilot. NULL: no memory. */
static struct flight *take_off_locked(struct pieces *p, const struct piece_id *id)
{
	struct flight *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->id = *id;
	f->refs = 1;
	HASH_ADD(hh, p->sync.flights, id, sizeof(f->id), f);
	if (!f->hh.tbl) {
		free(f);
		return NULL;
	}
	cond_init(&f->wake);
	return f;
}

static void leave_flight_locked(struct pieces *p, struct flight *f, struct entry **dead)
{
	if (--f->refs > 0)
		return;
	if (f->entry)
		let_go_locked(p, f->entry, dead);
	cond_release(&f->wake);
	free(f);
}

/*
 * Those who waited learn the result; the pilot leaves. e: held by the flight from here on, or NULL.
 */
static void land_locked(struct pieces *p, struct flight *f, int result, struct entry *e,
			struct entry **dead)
{
	HASH_DEL(p->sync.flights, f);
	f->landed = true;
	f->result = result;
	f->entry = e;
	cond_broadcast(&f->wake);
	leave_flight_locked(p, f, dead);
}

/* The pilot's own trouble is not that of those who waited: one of them tries next. */
static bool is_personal(int result)
{
	return result == -ETIMEDOUT || result == -ECANCELED;
}

/* Waits for somebody's flight. 0 with a held entry; 1: ask anew; else its error or -ETIMEDOUT. */
static int wait_for_locked(struct pieces *p, struct flight *f, uint64_t deadline_ns,
			   struct entry **ret, struct entry **dead)
{
	bool in_time = true;
	int r = -ETIMEDOUT;

	f->refs++;
	while (!f->landed && in_time)
		in_time = cond_wait(&f->wake, &p->sync.lock, deadline_ns) == 0;
	if (f->landed && f->result == 0) {
		hold_locked(p, f->entry);
		*ret = f->entry;
		r = 0;
	} else if (f->landed) {
		r = is_personal(f->result) ? 1 : f->result;
	}
	leave_flight_locked(p, f, dead);
	return r;
}

static void count(struct pieces *p, uint64_t *counter)
{
	LOCK_SCOPE(&p->sync.lock);
	++*counter;
}

static bool write_to_disk(struct pieces *p, const struct piece_id *id, struct blob *blob)
{
	return p->disk && disk_write(p->disk, id, blob);
}

/* From the disk or from the fetcher, which gets it onto the disk. Blocks; no lock is held. */
static int bring(struct pieces *p, const struct piece_id *id, piece_fetch_fn *fetch, void *arg,
		 struct entry **ret)
{
	struct blob *blob = NULL;
	bool from_disk = p->disk && disk_read(p->disk, id, &blob) == 0;
	int r = from_disk ? 0 : fetch(id, arg, &blob);

	count(p, from_disk ? &p->sync.stats.disk_hits : &p->sync.stats.misses);
	if (r < 0)
		return r;
	*ret = entry_new(p, id, blob, from_disk, from_disk || write_to_disk(p, id, blob));
	return *ret ? 0 : fail(-ENOMEM);
}

static int fly(struct pieces *p, struct flight *f, piece_fetch_fn *fetch, void *arg,
	       struct entry **ret)
{
	struct entry *e = NULL, *dead = NULL;
	int r = bring(p, &f->id, fetch, arg, &e);

	lock_take(&p->sync.lock);
	if (r == 0) {
		e = list_locked(p, e, &dead);
		hold_locked(p, e); /* the flight's; ours is the other */
		*ret = e;
	}
	land_locked(p, f, r, r == 0 ? e : NULL, &dead);
	lock_give(&p->sync.lock);
	free_dead(dead);
	return r;
}

/*
 * What can be had without flying: 0 with a held entry; 1 with *ret_flight (ours to fly) or to ask
 * anew; negative errno.
 */
static int get_near(struct pieces *p, const struct piece_id *id, uint64_t deadline_ns,
		    struct entry **ret, struct flight **ret_flight)
{
	struct entry *e, *dead = NULL;
	struct flight *f;
	int r = 0;

	lock_take(&p->sync.lock);
	e = find_locked(p, id);
	f = e ? NULL : find_flight_locked(p, id);
	if (e) {
		hold_locked(p, e);
		p->sync.stats.hits++;
		*ret = e;
	} else if (f) {
		r = wait_for_locked(p, f, deadline_ns, ret, &dead);
	} else {
		*ret_flight = take_off_locked(p, id);
		r = *ret_flight ? 1 : fail(-ENOMEM);
	}
	lock_give(&p->sync.lock);
	free_dead(dead);
	return r;
}

int pieces_get(struct pieces *p, const struct piece_id *id, piece_fetch_fn *fetch, void *arg,
	       uint64_t deadline_ns, struct piece **ret)
{
	struct flight *flight = NULL;
	struct entry *e = NULL;
	int r;

	do
		r = get_near(p, id, deadline_ns, &e, &flight);
	while (r == 1 && !flight);
	if (flight)
		r = fly(p, flight, fetch, arg, &e);
	if (r < 0)
		return r;
	*ret = &e->piece;
	return 0;
}

/* ---- without fetching ---- */

static struct entry *peek_memory(struct pieces *p, const struct piece_id *id)
{
	struct entry *e;

	LOCK_SCOPE(&p->sync.lock);
	e = find_locked(p, id);
	if (e) {
		hold_locked(p, e);
		p->sync.stats.hits++;
	}
	return e;
}

static struct entry *peek_disk(struct pieces *p, const struct piece_id *id)
{
	struct entry *e, *dead = NULL;
	struct blob *blob;

	if (disk_read(p->disk, id, &blob) != 0)
		return NULL;
	e = entry_new(p, id, blob, true, true);
	if (!e)
		return NULL; /* (P4) */
	lock_take(&p->sync.lock);
	e = list_locked(p, e, &dead);
	p->sync.stats.disk_hits++;
	lock_give(&p->sync.lock);
	free_dead(dead);
	return e;
}

int pieces_peek(struct pieces *p, const struct piece_id *id, bool disk, struct piece **ret)
{
	struct entry *e = peek_memory(p, id);

	if (!e && disk && p->disk)
		e = peek_disk(p, id);
	if (!e)
		return PIECES_MISSING;
	*ret = &e->piece;
	return 0;
}

bool pieces_has(struct pieces *p, const struct piece_id *id)
{
	bool has;

	lock_take(&p->sync.lock);
	has = find_locked(p, id) || find_flight_locked(p, id);
	lock_give(&p->sync.lock);
	return has || (p->disk && disk_has(p->disk, id));
}

static bool is_used_up(const struct entry *e, uint64_t of)
{
	return e->used >= of && e->on_disk && bytes_of(e) >= LARGE;
}

void pieces_put_back_used(struct piece *piece, uint64_t bytes, uint64_t of)
{
	struct entry *e = entry_of(piece), *dead = NULL;
	struct pieces *p = e->owner;

	lock_take(&p->sync.lock);
	e->used += bytes;
	if (is_used_up(e, of))
		unlist_locked(p, e, &dead); /* (E5) */
	let_go_locked(p, e, &dead);
	lock_give(&p->sync.lock);
	free_dead(dead);
}

void pieces_put_back(struct piece *piece)
{
	if (piece)
		pieces_put_back_used(piece, 0, UINT64_MAX);
}

void pieces_bad(struct piece *piece)
{
	struct pieces *p = entry_of(piece)->owner;
	struct entry *dead = NULL;

	lock_take(&p->sync.lock);
	unlist_locked(p, entry_of(piece), &dead);
	lock_give(&p->sync.lock);
	assert(!dead); /* the caller holds it */
	if (p->disk)
		disk_forget(p->disk, &piece->id);
}

void pieces_offer(struct pieces *p, const struct piece_id *id, struct blob *blob)
{
	const bool on_disk = write_to_disk(p, id, blob);
	struct entry *e = entry_new(p, id, blob_ref(blob), false, on_disk), *dead = NULL;

	if (!e)
		return; /* (P4) */
	lock_take(&p->sync.lock);
	e = list_locked(p, e, &dead);
	let_go_locked(p, e, &dead);
	lock_give(&p->sync.lock);
	free_dead(dead);
}

void pieces_forget_object(struct pieces *p, const uint8_t object[32])
{
	struct entry *e, *next, *dead = NULL;

	lock_take(&p->sync.lock);
	HASH_ITER(hh, p->sync.entries, e, next)
		if (memcmp(e->piece.id.object, object, sizeof(e->piece.id.object)) == 0)
			unlist_locked(p, e, &dead);
	lock_give(&p->sync.lock);
	free_dead(dead);
	if (p->disk)
		disk_forget_object(p->disk, object);
}

void pieces_stats_get(struct pieces *p, struct pieces_stats *ret)
{
	struct pieces_stats stats;

	lock_take(&p->sync.lock);
	stats = p->sync.stats;
	stats.memory_bytes = p->sync.unused_bytes;
	lock_give(&p->sync.lock);
	stats.disk_bytes = p->disk ? disk_bytes(p->disk) : 0;
	stats.disk_limit = p->disk ? p->options.disk_bytes : 0;
	*ret = stats;
}
