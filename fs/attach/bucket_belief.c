/* SPDX-License-Identifier: Apache-2.0 */
/* What is believed of what is remembered (B2): by age, unless somebody said that it is old. */
#include "fs/attach/bucket_i.h"

#include "base/codec.h"
#include "base/log.h"

#include <utlist.h>

#define REFRESHES_MAX 64
#define NEGATIVES_MAX 65536
#define FAILED_NS (2 * NS_PER_S)

static bool covers(const struct refresh *f, struct span prefix)
{
	const struct span own = span_str(f->prefix);

	return f->deep ? span_starts(prefix, own) : span_equal(prefix, own);
}

uint64_t belief_refreshed(struct bucket *b, struct span prefix)
{
	const struct refresh *f;
	uint64_t at = 0;

	LOCK_SCOPE(&b->sync.lock);
	DL_FOREACH(b->sync.refreshes, f)
		if (covers(f, prefix))
			at = MAX(at, f->at_ns);
	return at;
}

/* A time that is yet to come is of a clock that was wrong. */
static bool is_recent(uint64_t at_ns, uint64_t ttl_ns)
{
	const uint64_t now = clock_wall();

	return at_ns <= now && now - at_ns < ttl_ns;
}

bool belief_dir(struct bucket *b, struct span prefix, const struct dir_row *row, uint64_t ttl_ns)
{
	return row->flags & DIR_COMPLETE && is_recent(row->listed_ns, ttl_ns) &&
	       row->asked_ns > belief_refreshed(b, prefix);
}

bool belief_row(struct bucket *b, struct span prefix, const struct row *row)
{
	return !(row->flags & ROW_DOUBT) && is_recent(row->seen_ns, b->o.ttl_ns) &&
	       row->seen_ns > belief_refreshed(b, prefix);
}

static void forget_refresh_locked(struct bucket *b, struct refresh *f)
{
	DL_DELETE(b->sync.refreshes, f);
	b->sync.n_refreshes--;
	free(f);
}

/* Those that say nothing more; and all of them when they are too many. */
static void tidy_refreshes_locked(struct bucket *b, bool all)
{
	const uint64_t now = clock_wall();
	struct refresh *f, *next;

	DL_FOREACH_SAFE(b->sync.refreshes, f, next)
		if (all || now - f->at_ns > b->o.ttl_ns)
			forget_refresh_locked(b, f);
}

void belief_refresh(struct bucket *b, struct span prefix, bool deep)
{
	struct refresh *f;

	lock_take(&b->sync.lock);
	tidy_refreshes_locked(b, false);
	if (b->sync.n_refreshes >= REFRESHES_MAX) {
		tidy_refreshes_locked(b, true);
		prefix = SPAN_NULL;
		deep = true;
	}
	f = calloc(1, sizeof(*f) + prefix.len + 1);
	if (f) {
		f->at_ns = clock_wall();
		f->deep = deep;
		if (prefix.len)
			memcpy(f->prefix, prefix.data, prefix.len);
		DL_APPEND(b->sync.refreshes, f);
		b->sync.n_refreshes++;
	}
	map_clear(b->sync.negatives);
	memset(b->sync.failures, 0, sizeof(b->sync.failures));
	lock_give(&b->sync.lock);
	if (!f)
		log_warn("attach", "no memory to note that a listing is old");
}

/* ---- names that are not there ---- */

static int negative_key(uint64_t dir, struct span component, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_be64(&w, dir);
	write_raw(&w, component);
	return w.error;
}

void belief_negative(struct bucket *b, uint64_t dir, struct span component, bool add)
{
	_cleanup_buf_ struct buf key = BUF_INIT(KEY_NAME_MAX + STORE_NAME_MAX);
	const uint64_t now = clock_wall();

	if (negative_key(dir, component, &key) < 0)
		return; /* it is asked again */
	LOCK_SCOPE(&b->sync.lock);
	if (!add) {
		map_erase(b->sync.negatives, buf_span(&key));
		return;
	}
	if (map_count(b->sync.negatives) >= NEGATIVES_MAX)
		map_clear(b->sync.negatives);
	if (map_put(b->sync.negatives, buf_span(&key), span_of(&now, sizeof(now)), false) < 0)
		map_clear(b->sync.negatives); /* it is asked again */
}

bool belief_is_negative(struct bucket *b, uint64_t dir, struct span component)
{
	_cleanup_buf_ struct buf key = BUF_INIT(KEY_NAME_MAX + STORE_NAME_MAX);
	const uint64_t now = clock_wall();
	struct span value;
	uint64_t at;
	bool gone;

	if (negative_key(dir, component, &key) < 0)
		return false;
	LOCK_SCOPE(&b->sync.lock);
	if (!map_get(b->sync.negatives, buf_span(&key), &value, &gone))
		return false;
	memcpy(&at, value.data, sizeof(at));
	if (at <= now && now - at < b->o.ttl_ns)
		return true;
	map_erase(b->sync.negatives, buf_span(&key));
	return false;
}

/* ---- what could not be asked ---- */

static struct failure *failure_locked(struct bucket *b, uint64_t dir)
{
	for (unsigned i = 0; i < FAILURES; i++)
		if (b->sync.failures[i].dir == dir)
			return &b->sync.failures[i];
	return NULL;
}

void belief_failed(struct bucket *b, uint64_t dir, int error)
{
	LOCK_SCOPE(&b->sync.lock);
	struct failure *f = failure_locked(b, dir);

	if (!error) {
		b->sync.told_stale = false;
		if (f)
			*f = (struct failure){ 0 };
		return;
	}
	if (!f)
		f = &b->sync.failures[b->sync.next_failure++ % FAILURES];
	*f = (struct failure){ dir, clock_now() + FAILED_NS, error };
}

int belief_failure(struct bucket *b, uint64_t dir)
{
	if (b->o.refused)
		return -EACCES;
	LOCK_SCOPE(&b->sync.lock);
	const struct failure *f = failure_locked(b, dir);

	return f && clock_now() < f->until_ns ? f->error : 0;
}

void belief_served_stale(struct bucket *b)
{
	lock_take(&b->sync.lock);
	const bool told = b->sync.told_stale;

	b->sync.told_stale = true;
	lock_give(&b->sync.lock);
	if (!told)
		log_warn("attach", "a bucket does not answer: what was listed before is shown",
			 "stores=%s", b->identity);
}
