/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/upkeep/scrub.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "fs/ns/lookup.h"
#include "fs/upkeep/repair.h"

#define WORKERS 4
#define PAGE_CHUNKS 32 /* one hold of the namespace's lock, and one line in the file */
#define PAGE_COPIES (PAGE_CHUNKS * REPLICAS_MAX)
#define BREATH_NS (100 * NS_PER_MS)

/* One copy to be read, and what came of it. */
struct look {
	struct scrub *s;
	struct chunk_seal seal;
	unsigned store;
	uint64_t bytes;
	int result;
};

struct scrub {
	const struct scrub_options *o;
	struct scrub_report rep;
	struct pool *pool;
	uint64_t begun_ns;
	uint64_t most; /* chunks of this run */
	uint8_t next[CHUNK_ID_SIZE];
	struct look looks[PAGE_COPIES];
	size_t n_looks, n_chunks;
	bool page_full;
};

/* ---- where to go on ---- */

static void place_read(struct scrub *s)
{
	FILE *f = fopen(s->o->file, "re");
	char line[2 * CHUNK_ID_SIZE + 2];

	if (!f)
		return;
	s->rep.resumed = fgets(line, sizeof(line), f) &&
			 hex_decode(line, strcspn(line, "\n"), s->next, CHUNK_ID_SIZE) >= 0;
	if (!s->rep.resumed)
		memset(s->next, 0, CHUNK_ID_SIZE);
	fclose(f);
}

/* A place that is lost costs reading again, nothing else. */
static void place_write(const struct scrub *s)
{
	char temp[4096], id[2 * CHUNK_ID_SIZE + 1];
	FILE *f;
	bool bad;

	if (s->rep.ended) {
		if (unlink(s->o->file) && errno != ENOENT)
			log_warn("scrub", "cannot forget the place", "file=%s error=%s", s->o->file,
				 strerror(errno));
		return;
	}
	snprintf(temp, sizeof(temp), "%s.new", s->o->file);
	hex_encode(span_of(s->next, CHUNK_ID_SIZE), id);
	f = fopen(temp, "we");
	bad = !f || fprintf(f, "%s\n", id) < 0;
	if (f)
		bad |= fclose(f) != 0;
	if (bad || rename(temp, s->o->file))
		log_warn("scrub", "cannot remember the place", "file=%s error=%s", s->o->file,
			 strerror(errno));
}

/* ---- one page ---- */

/* Of a snapshot: the namespace's lock is not for walks of this length. */
static int count_chunks(struct scrub *s, uint64_t *ret)
{
	struct commit_snapshot snap;
	struct chunk_row row;
	struct kv_iter *it;
	uint64_t n = 0;
	int r = commit_snapshot(s->o->commit, &snap);

	if (r)
		return r;
	it = snap.columns[COL_CHUNK];
	for (kv_iter_seek(it, SPAN_NULL); kv_iter_valid(it); kv_iter_next(it))
		n += !chunk_row_decode(kv_iter_value(it), &row) && !row.dead;
	r = kv_iter_error(it);
	commit_snapshot_release(&snap);
	*ret = n;
	return r;
}

static int add_chunk(const uint8_t id[CHUNK_ID_SIZE], const struct chunk_row *row, void *arg)
{
	struct scrub *s = arg;
	const uint64_t stores = row->stores & s->o->stores;

	memcpy(s->next, id, CHUNK_ID_SIZE);
	if (row->dead)
		return 0;
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		struct look *l = &s->looks[s->n_looks];

		if (!(stores >> i & 1))
			continue;
		*l = (struct look){ .s = s, .store = i };
		copy_seal(id, row, &l->seal);
		s->n_looks++;
	}
	s->page_full = ++s->n_chunks == PAGE_CHUNKS || s->rep.chunks + s->n_chunks >= s->most;
	return s->page_full;
}

static int fill_page(struct scrub *s)
{
	int r;

	s->n_looks = s->n_chunks = 0;
	s->page_full = false;
	r = ns_chunks(commit_lock(s->o->commit), s->next, add_chunk, s);
	commit_unlock(s->o->commit);
	return r;
}

static void look_run(void *arg)
{
	struct look *l = arg;
	const struct scrub_options *o = l->s->o;

	if (o->progress->stop) {
		l->result = -ECANCELED;
		return;
	}
	l->result = copy_check(o->replicas, o->sealer, &l->seal, l->store, &l->bytes);
	o->progress->bytes += l->bytes;
	o->progress->done++;
}

/* It may have died while it was read: then nobody needs it. */
static bool is_alive(struct scrub *s, const uint8_t id[CHUNK_ID_SIZE])
{
	struct chunk_row row;
	const int r = ns_chunk(commit_lock(s->o->commit), id, &row);

	commit_unlock(s->o->commit);
	return r == 0 && !row.dead;
}

static void judge(struct scrub *s, const struct look *l)
{
	s->rep.copies++;
	s->rep.bytes += l->bytes;
	if (l->result < 0)
		s->rep.unread++;
	if (l->result <= 0 || !is_alive(s, l->seal.id))
		return;
	s->rep.bad += l->result == COPY_BAD;
	s->rep.missing += l->result == COPY_MISSING;
	if (s->o->repair)
		repair_bad(s->o->repair, &l->seal, l->store);
	s->o->found(l->seal.id, l->store, (enum copy_cond)l->result, s->o->arg);
}

/* Not faster than asked for. 0, -ECANCELED. */
static int keep_pace(struct scrub *s)
{
	const uint64_t rate = s->o->rate;
	const uint64_t due = rate ? (uint64_t)((double)s->rep.bytes / (double)rate * NS_PER_S) : 0;

	while (!s->o->progress->stop && clock_now() < s->begun_ns + due)
		sleep_for(BREATH_NS);
	return s->o->progress->stop ? -ECANCELED : 0;
}

/* Reads a page. The place moves on only when all of it was read (U3). */
static int run_page(struct scrub *s)
{
	uint8_t here[CHUNK_ID_SIZE];
	int r;

	memcpy(here, s->next, CHUNK_ID_SIZE);
	r = fill_page(s);
	if (r)
		return r;
	pool_each(s->pool, look_run, s->looks, sizeof(*s->looks), s->n_looks);
	if (s->o->progress->stop) {
		memcpy(s->next, here, CHUNK_ID_SIZE);
		return -ECANCELED;
	}
	for (size_t i = 0; i < s->n_looks; i++)
		judge(s, &s->looks[i]);
	s->rep.chunks += s->n_chunks;
	s->rep.ended = !s->page_full || !copy_step_past(s->next);
	place_write(s);
	return keep_pace(s);
}

static int scrub_all(struct scrub *s)
{
	bool may_turn = s->o->share < 1; /* a share that comes to the end begins anew */
	uint64_t n;
	int r = count_chunks(s, &n);

	if (r)
		return r;
	s->most = may_turn ? (uint64_t)((double)n * s->o->share) + 1 : UINT64_MAX;
	s->o->progress->total = MIN(s->most, n) * (uint64_t)__builtin_popcountll(s->o->stores);
	place_read(s);
	may_turn &= s->rep.resumed;
	do {
		r = run_page(s);
		if (!r && s->rep.ended && may_turn && s->rep.chunks < s->most) {
			may_turn = s->rep.ended = false;
			memset(s->next, 0, CHUNK_ID_SIZE);
		}
	} while (!r && !s->rep.ended && s->rep.chunks < s->most);
	return r;
}

int scrub_run(const struct scrub_options *o, struct scrub_report *ret)
{
	struct scrub *s = calloc(1, sizeof(*s));
	int r = s ? 0 : fail(-ENOMEM);

	if (r)
		return r;
	s->o = o;
	s->begun_ns = clock_now();
	s->pool = pool_new("scrub", WORKERS, PAGE_COPIES);
	r = s->pool ? scrub_all(s) : fail(-ENOMEM);
	*ret = s->rep;
	pool_free(s->pool);
	free(s);
	return r;
}
