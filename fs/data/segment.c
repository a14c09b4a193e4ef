/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/segment.h"

struct run *run_new(uint32_t cap)
{
	struct run *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->bytes = malloc(cap);
	if (!r->bytes)
		return free_null(r);
	r->refs = 1;
	r->cap = cap;
	return r;
}

void run_unref(struct run *r, run_free_fn *fn, void *arg)
{
	if (--r->refs == 0)
		fn(r, arg);
}

void segments_release(struct segments *s, run_free_fn *fn, void *arg)
{
	for (size_t i = 0; i < s->n; i++)
		run_unref(s->v[i].run, fn, arg);
	free(s->v);
	*s = (struct segments){ 0 };
}

size_t segments_find(const struct segments *s, uint64_t off)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->v[mid].off + s->v[mid].len > off)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int reserve(struct segments *s, size_t extra)
{
	if (s->n + extra <= s->cap)
		return 0;

	size_t cap = MAX(s->n + extra, s->cap * 2);
	struct segment *v = realloc(s->v, cap * sizeof(*v));

	if (!v)
		return fail(-ENOMEM);
	s->v = v;
	s->cap = cap;
	return 0;
}

static void open_gap(struct segments *s, size_t at)
{
	memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof(*s->v));
	s->n++;
}

/* Room for one more must have been reserved. */
static void cut_reserved(struct segments *s, uint64_t off, uint64_t len, run_free_fn *fn, void *arg)
{
	const uint64_t end = off + len;
	size_t i = segments_find(s, off), gone;

	if (i == s->n || s->v[i].off >= end)
		return;
	if (s->v[i].off < off) {
		struct segment *g = &s->v[i];
		const uint64_t keep = off - g->off;

		if (g->off + g->len > end) { /* the hole is inside one segment */
			open_gap(s, i + 1);
			g = &s->v[i];
			s->v[i + 1] = (struct segment){ end, g->off + g->len - end, g->run,
							g->run_off + (uint32_t)(end - g->off) };
			g->run->refs++;
			g->len = keep;
			return;
		}
		g->len = keep;
		i++;
	}
	for (gone = 0; i + gone < s->n && s->v[i + gone].off + s->v[i + gone].len <= end; gone++)
		run_unref(s->v[i + gone].run, fn, arg);
	memmove(&s->v[i], &s->v[i + gone], (s->n - i - gone) * sizeof(*s->v));
	s->n -= gone;
	if (i < s->n && s->v[i].off < end) {
		const uint64_t cut = end - s->v[i].off;

		s->v[i].off += cut;
		s->v[i].len -= cut;
		s->v[i].run_off += (uint32_t)cut;
	}
}

int segments_cut(struct segments *s, uint64_t off, uint64_t len, run_free_fn *fn, void *arg)
{
	int r = reserve(s, 1);

	if (r < 0)
		return r;
	cut_reserved(s, off, len, fn, arg);
	return 0;
}

int segments_insert(struct segments *s, uint64_t off, uint64_t len, struct run *run,
		    uint32_t run_off, run_free_fn *fn, void *arg)
{
	int r = reserve(s, 2);
	size_t i;

	if (r < 0)
		return r;
	run->refs++; /* before the cut, which may drop this very run's other window */
	cut_reserved(s, off, len, fn, arg);
	i = segments_find(s, off);
	open_gap(s, i);
	s->v[i] = (struct segment){ off, len, run, run_off };
	return 0;
}

void segments_remove_leaving(struct segments *s, run_free_fn *fn, void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].run->leaving)
			run_unref(s->v[i].run, fn, arg);
		else
			s->v[kept++] = s->v[i];
	}
	s->n = kept;
}

uint64_t segments_bytes(const struct segments *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n; i++)
		sum += s->v[i].len;
	return sum;
}
