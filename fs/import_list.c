/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket is listed, page by page; the next page is on its way while one becomes names. */
#include "backends/retry.h"
#include "fs/import_i.h"

#define PAGE_NS (60 * NS_PER_S)
#define ATTEMPTS 10u
#define COMMIT_NS (60 * NS_PER_S)

struct lister {
	struct import *im;
	struct store *store;
	char *token;             /* of the page that is asked for; NULL: the first */
	struct store_call *call; /* under way, or NULL: no more pages */
};

static void lister_release(struct lister *l)
{
	if (l->call) {
		call_cancel(&l->call->call);
		store_call_unref(l->call);
	}
	free(l->token);
}

static int ask(struct lister *l)
{
	const struct list_req q = { .token = l->token, .deadline_ns = clock_now() + PAGE_NS };

	return store_list(l->store, &q, &l->call);
}

static int give_up(struct lister *l, const struct store_call *call, int r)
{
	if (import_stopping(l->im))
		return -ECANCELED;
	return import_fail(l->im, r < 0 ? r : -EIO, "%s cannot be listed: %s", l->im->url,
			   *call->detail ? call->detail : store_condition_name(r));
}

/* The page that was asked for. What passes is asked again. */
static int take_page(struct lister *l, struct store_call **ret)
{
	for (unsigned attempt = 1;; attempt++) {
		struct store_call *call = l->call;
		int r = call_wait(&call->call, NEVER);

		l->call = NULL;
		if (r == 0) {
			*ret = call;
			return 0;
		}
		if (import_stopping(l->im) || retry_get_class(r) != RETRY_LATER ||
		    attempt == ATTEMPTS) {
			r = give_up(l, call, r);
			store_call_unref(call);
			return r;
		}
		sleep_for(retry_delay_ns(attempt, call->retry_after_ms, random_u64()));
		store_call_unref(call);
		r = ask(l);
		if (r)
			return r;
	}
}

static int place_page(struct import *im, const struct store_call *page, struct flat *flat,
		      struct placing *p)
{
	int r = 0;

	for (size_t i = 0; i < page->n_entries && r == 0; i++)
		r = import_stopping(im) ? -ECANCELED
					: flat_add(flat, &page->entries[i], placing_add, p);
	if (r == -EIO)
		import_fail(im, r, "%s: its listing is out of order", im->url);
	lock_take(&im->sync.lock);
	im->sync.n.listed += page->n_entries;
	lock_give(&im->sync.lock);
	return r;
}

static int place_all(struct lister *l, struct flat *flat, struct placing *p)
{
	int r = ask(l);

	while (r == 0 && l->call) {
		struct store_call *page = NULL;

		r = take_page(l, &page);
		if (r)
			return r;
		free(l->token);
		l->token = take_ptr(&page->next_token);
		if (l->token)
			r = ask(l);
		if (r == 0)
			r = place_page(l->im, page, flat, p);
		store_call_unref(page);
	}
	return r ? r : flat_end(flat, placing_add, p);
}

/* The number of the URL, in the namespace from now on. */
static int name_source(struct import *im, uint32_t *ret)
{
	const struct op op = { .kind = OP_SOURCE, .value = span_str(im->url) };
	struct result res;
	const int r = commit_op_wait(im->volume->commit, &op, clock_now() + COMMIT_NS, &res);

	if (r)
		return import_fail(im, r, "%s cannot be noted in the journal: %s", im->url,
				   strerror(-r));
	*ret = (uint32_t)res.value;
	return 0;
}

int import_list(struct import *im)
{
	_cleanup_(placing_freep) struct placing *p = NULL;
	_cleanup_(lister_release) struct lister l = { .im = im };
	_cleanup_(flat_release) struct flat flat = { 0 };
	uint32_t source = 0;
	char err[256];
	int r = name_source(im, &source);

	if (r)
		return r;
	r = sources_store(im->volume->sources, source, &l.store, err, sizeof(err));
	if (r)
		return import_fail(im, r, "%s", *err ? err : strerror(-r));
	r = placing_new(im, source, &p);
	if (r)
		return r;
	r = place_all(&l, &flat, p);
	placing_wait(p);
	return r;
}
