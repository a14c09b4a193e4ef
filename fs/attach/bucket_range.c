/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/bucket_job.h"

#include "backends/retry.h"
#include "base/log.h"

/* A cut may cost a page: never more than these, and one in so many. */
#define SPLITS_FREE 4
#define SPLITS_PER_PAGES 10
#define WORTH_PAGES 3     /* a range with less is not cut */
#define TOP_ROWS 200000   /* of a larger directory the last name is not looked for */

static void set_text(char *to, struct span s)
{
	assert(s.len <= STORE_NAME_MAX);
	memcpy(to, s.data ? (const void *)s.data : "", s.len);
	to[s.len] = '\0';
}

struct range *range_new(struct job *j, const struct span *lo, const struct span *hi)
{
	struct range *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->has_lo = lo != NULL;
	r->has_hi = hi != NULL;
	if (lo)
		set_text(r->lo, *lo);
	if (hi)
		set_text(r->hi, *hi);
	r->give_up_ns = clock_now() + j->bucket->o.deadline_ns;
	merge_init(&r->merge, j->bucket, j->dir, j->prefix, job_is_flat(j), lo, &j->cuts);
	return r;
}

struct range *range_free(struct range *r)
{
	if (!r)
		return NULL;
	merge_release(&r->merge);
	store_call_unref(r->call);
	free(r->token);
	free(r);
	return NULL;
}

/* ---- asking ---- */

/* Nobody is left to ask in this round. */
static void wait_a_while(struct job *j, struct range *r)
{
	/* nobody is up: what comes first need not be waited for, there may be an old listing */
	const bool never = r->tried ? !r->passing : !j->pages;

	if (never || clock_now() >= r->give_up_ns) {
		j->error = ask_error(r->error ? r->error : -EIO);
		return;
	}
	r->not_before_ns = clock_now() + retry_delay_ns(++r->failures, 0, random_u64());
	r->tried = 0;
	r->passing = false;
}

/* A cancel of all questions may have come just before. */
static void put_call(struct job *j, struct range *r, struct store_call *call)
{
	struct bucket *b = j->bucket;

	lock_take(&b->sync.lock);
	const bool stopping = b->sync.stopping || j->outdated;

	r->call = call;
	lock_give(&b->sync.lock);
	if (stopping)
		call_cancel(&call->call);
}

void range_ask(struct job *j, struct range *r)
{
	struct bucket *b = j->bucket;
	struct list_req q = { .prefix = j->prefix, .delimiter = job_is_flat(j) ? 0 : '/' };
	struct store_call *call;
	int x;

	if (r->done || r->call || clock_now() < r->not_before_ns)
		return;
	x = ask_choose(b, r->tried, r->give_up_ns, &r->mirror, &q.deadline_ns);
	if (x == ASK_NOBODY || clock_now() >= r->give_up_ns) {
		wait_a_while(j, r);
		return;
	}
	if (r->token && r->token_mirror == r->mirror)
		q.token = r->token;
	else if (r->begun || r->has_lo)
		q.after = range_lo(r);
	r->asked_ns = clock_wall();
	b->lists++;
	x = store_list(replicas_store(b->o.replicas, r->mirror), &q, &call);
	if (x < 0)
		j->error = ask_error(x);
	else
		put_call(j, r, call);
}

/* ---- a page ---- */

struct page {
	size_t n;      /* in the range */
	bool beyond;   /* what follows is not */
	size_t hidden; /* names that are too long */
};

/* In order, below the prefix, after what came before: else it is no listing. */
static bool page_is_good(const struct job *j, const struct range *r, const struct store_call *c)
{
	struct span last = range_lo(r);
	bool any = r->begun || r->has_lo;

	for (size_t i = 0; i < c->n_entries; i++) {
		const struct span name = span_str(c->entries[i].name);

		if (!span_starts(name, j->prefix) || (any && span_compare(name, last) <= 0))
			return false;
		last = name;
		any = true;
	}
	return true;
}

/* Moves what is in the range, and can be kept, to the front. */
static struct page page_cut(const struct range *r, struct store_call *c)
{
	struct page p = { 0 };

	for (size_t i = 0; i < c->n_entries; i++) {
		struct list_entry e = c->entries[i];
		const struct span name = span_str(e.name);

		const int x = r->has_hi ? span_compare(name, span_str(r->hi)) : -1;

		p.beyond = x >= 0;
		if (x > 0)
			break;
		if (name.len > STORE_NAME_MAX) {
			p.hidden++;
			continue;
		}
		c->entries[i] = c->entries[p.n];
		c->entries[p.n++] = e;
	}
	return p;
}

static void learn_space(struct job *j, const struct store_call *c, size_t n)
{
	const size_t stride = n / 64 + 1;

	for (size_t i = 0; i < n; i += stride)
		key_space_add(&j->space, span_sub(span_str(c->entries[i].name), j->prefix.len,
						  STORE_NAME_MAX));
	if (n)
		key_space_add(&j->space, span_sub(span_str(c->entries[n - 1].name), j->prefix.len,
						  STORE_NAME_MAX));
	j->page_keys = MAX(j->page_keys, (uint64_t)n);
}

static void note_page(struct job *j, struct range *r, struct store_call *c, const struct page *p,
		      bool last)
{
	struct bucket *b = j->bucket;

	r->tried = r->failures = 0;
	r->passing = false;
	r->not_before_ns = 0;
	r->give_up_ns = clock_now() + b->o.deadline_ns;
	free(r->token);
	r->token = take_ptr(&c->next_token);
	r->token_mirror = r->mirror;
	r->keys += p->n;
	LOCK_SCOPE(&b->sync.lock);
	if (p->n) {
		set_text(r->last, span_str(c->entries[p->n - 1].name));
		r->begun = true;
	}
	r->done = last;
	j->pages++;
	j->unwanted++;
	cond_broadcast(&b->sync.changed);
}

static void take_page(struct job *j, struct range *r, struct store_call *c)
{
	const struct span hi = span_str(r->hi);
	struct page p;
	bool last;
	int x;

	if (!page_is_good(j, r, c)) {
		log_warn("attach", "a listing is out of order, or names twice what it lists",
			 "store=%s", replicas_store(j->bucket->o.replicas, r->mirror)->name);
		j->error = fail(-EIO);
		return;
	}
	p = page_cut(r, c);
	if (p.hidden)
		log_warn("attach", "names are too long to be shown", "store=%s count=%zu",
			 replicas_store(j->bucket->o.replicas, r->mirror)->name, p.hidden);
	last = p.beyond || !c->next_token;
	learn_space(j, c, p.n);
	x = merge_page(&r->merge, &(struct merge_page){ .entries = c->entries,
							.n = p.n,
							.mirror = r->mirror,
							.asked_ns = r->asked_ns,
							.last = last,
							.hi = r->has_hi ? &hi : NULL });
	if (x)
		j->error = x;
	else
		note_page(j, r, c, &p, last);
}

void range_take(struct job *j, struct range *r)
{
	_cleanup_(store_call_unrefp) struct store_call *c = r->call;
	const int result = ask_ended(j->bucket, r->mirror, c);

	lock_take(&j->bucket->sync.lock);
	r->call = NULL;
	lock_give(&j->bucket->sync.lock);
	if (result == 0) {
		take_page(j, r, c);
		return;
	}
	r->error = result;
	r->tried |= 1u << r->mirror;
	r->passing |= retry_get_class(result) == RETRY_LATER;
	if (c->retry_after_ms)
		r->not_before_ns = clock_now() + retry_delay_ns(1, c->retry_after_ms, random_u64());
}

/* ---- cutting ---- */

static struct span in_space(const struct job *j, const char *key)
{
	return span_sub(span_str(key), j->prefix.len, STORE_NAME_MAX);
}

/* The last name that an earlier listing knew: nobody need guess beyond it. */
static void find_top(struct job *j)
{
	_cleanup_(kv_iter_freep) struct kv_iter *it = rows_iter(j->bucket, j->dir, SPAN_NULL);
	struct span rel;

	j->looked_for_top = true;
	for (unsigned n = 0; it && n < TOP_ROWS && kv_iter_valid(it); n++, kv_iter_next(it)) {
		rel = rows_rel(it);
		memcpy(j->top, rel.data ? (const void *)rel.data : "", rel.len);
		j->top[rel.len] = '\0';
	}
	if (!it || kv_iter_valid(it))
		j->top[0] = '\0';
	key_space_add(&j->space, span_str(j->top));
}

/* Where the keys of a range end, as far as is known. False: no end is. */
static bool end_of(const struct job *j, const struct range *r, struct span *ret)
{
	*ret = r->has_hi ? in_space(j, r->hi) : span_str(j->top);
	return r->has_hi || span_compare(in_space(j, r->last), *ret) < 0;
}

/* How many keys the range still has, if they are spread as those that came. */
static double keys_left(const struct job *j, const struct range *r)
{
	const double at = key_space_value(&j->space, in_space(j, r->last));
	const double lo = r->has_lo ? key_space_value(&j->space, in_space(j, r->lo)) : 0;
	struct span end;
	const double hi = end_of(j, r, &end) ? key_space_value(&j->space, end) : 1;

	return at > lo && hi > at ? (double)r->keys * (hi - at) / (at - lo) : 0;
}

/* The open range with most to do; answers how many are open. */
static unsigned choose_range(const struct job *j, unsigned *ret)
{
	double most = (double)(WORTH_PAGES * j->page_keys), left;
	unsigned open = 0;

	*ret = j->n;
	for (unsigned i = 0; i < j->n; i++) {
		const struct range *r = j->range[i];

		open += !r->done;
		if (r->done || !r->begun || r->tried ||
		    !replicas_store(j->bucket->o.replicas, r->token_mirror)->starts_after)
			continue;
		left = keys_left(j, r);
		if (left > most) {
			most = left;
			*ret = i;
		}
	}
	return open;
}

/* A key that cuts the range. 0: there is none to be seen. */
static size_t find_cut_key(const struct job *j, const struct range *r,
			   char ret[STORE_NAME_MAX + 1])
{
	struct span end;
	const bool has_end = end_of(j, r, &end);
	const size_t n = key_space_cut(&j->space, in_space(j, r->last), has_end ? &end : NULL,
				       job_is_flat(j) ? 0 : '/', (uint8_t *)ret + j->prefix.len,
				       STORE_NAME_MAX - j->prefix.len);

	memcpy(ret, j->path, j->prefix.len);
	return n ? j->prefix.len + n : 0;
}

static bool cut_range(struct job *j, unsigned i)
{
	struct range *r = j->range[i], *right;
	char key[STORE_NAME_MAX + 1];
	const struct span cut = span_of(key, find_cut_key(j, r, key)), hi = span_str(r->hi);

	if (!cut.len)
		return false;
	right = range_new(j, &cut, r->has_hi ? &hi : NULL);
	if (!right || (job_is_flat(j) &&
		       cuts_add(&j->cuts, j->prefix, cut, span_str(r->last)) < 0)) {
		range_free(right);
		return false;
	}
	LOCK_SCOPE(&j->bucket->sync.lock);
	memmove(&j->range[i + 2], &j->range[i + 1], (j->n - i - 1) * sizeof(j->range[0]));
	j->range[i + 1] = right;
	j->n++;
	set_text(r->hi, cut);
	r->has_hi = true;
	return true;
}

void ranges_split(struct job *j)
{
	unsigned at;

	if (!j->pages || (j->n == 1 && j->range[0]->done))
		return;
	if (!j->looked_for_top)
		find_top(j);
	while (j->n < JOB_RANGES && j->splits < SPLITS_FREE + j->pages / SPLITS_PER_PAGES) {
		if (choose_range(j, &at) >= JOB_QUESTIONS || at == j->n || !cut_range(j, at))
			break;
		j->splits++;
	}
}
