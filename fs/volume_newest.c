/* SPDX-License-Identifier: Apache-2.0 */
/* The opening of a volume: superblocks that are newer than the one of the format. */
#include "fs/volume_i.h"

#include "base/log.h"

/* How long one store may take to list while the others are done. */
#define SILENCE_NS (2 * NS_PER_S)

static struct list_req request(const char *token, uint64_t deadline_ns)
{
	return (struct list_req){ .prefix = SPAN_LITERAL(SUPER_PREFIX),
				  .token = token,
				  .deadline_ns = deadline_ns };
}

static void newest_of_page(const struct store_call *page, uint64_t *newest)
{
	for (size_t i = 0; i < page->n_entries; i++) {
		uint64_t slot;

		if (super_object_parse(span_str(page->entries[i].name), &slot))
			*newest = MAX(*newest, slot);
	}
}

static int newest_of_rest(struct store *store, const char *token, uint64_t deadline_ns,
			  uint64_t *newest)
{
	_cleanup_(store_call_unrefp) struct store_call *page = NULL;
	int r = 0;

	while (token && !r) {
		const struct list_req req = request(token, deadline_ns);
		struct store_call *next = NULL;

		r = store_list_wait(store, &req, &next);
		if (!r)
			newest_of_page(next, newest);
		store_call_unrefp(&page); /* the token was of it */
		page = next;
		token = !r ? page->next_token : NULL;
	}
	return r;
}

/* A newer one that does not open leaves the one that was there: another store has it, too. */
static int take(struct candidate *one, uint64_t slot, uint64_t deadline_ns)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	_cleanup_(super_freep) struct super *s = NULL;
	struct get_req req = { .limit = SUPER_SIZE_MAX, .deadline_ns = deadline_ns };
	char name[SUPER_NAME_SIZE];
	int r;

	super_object_name(slot, name);
	req.name = span_str(name);
	r = store_get_wait(one->store, &req, &call);
	if (r)
		return r;
	r = super_parse(buf_span(&call->body), &s);
	if (r < 0)
		return r;
	if (r || s->slot != slot) {
		log_error("super", "damaged superblock", "store=%s object=%s", one->cfg->name,
			  name);
		return 0;
	}
	store_call_unrefp(&one->call);
	super_free(one->super);
	one->call = take_ptr(&call);
	one->super = take_ptr(&s);
	return 0;
}

static int renew(struct candidate *one, struct store_call *page, uint64_t deadline_ns)
{
	uint64_t newest = one->super->slot;
	int r = call_finished(&page->call) ? page->call.result : -ETIMEDOUT;

	if (!r) {
		newest_of_page(page, &newest);
		r = newest_of_rest(one->store, page->next_token, deadline_ns, &newest);
	}
	if (!r && newest > one->super->slot)
		r = take(one, newest, deadline_ns);
	one->unlisted = r != 0;
	if (r && r != -ENOMEM)
		log_info("super", "a store does not tell its newest superblock",
			 "store=%s detail=\"%s\"", one->cfg->name, page->detail);
	return r == -ENOMEM ? r : 0;
}

int candidates_renew(struct candidates *c, uint64_t deadline_ns)
{
	const struct list_req req = request(NULL, deadline_ns);
	struct store_call *pages[CONFIG_STORES_MAX] = { NULL };
	struct call *calls[CONFIG_STORES_MAX];
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < c->n && !r; i++) {
		if (!c->all[i].super)
			continue;
		r = store_list(c->all[i].store, &req, &pages[i]);
		if (!r)
			calls[n++] = &pages[i]->call;
	}
	if (!r && n)
		calls_wait(calls, n, n, MIN(deadline_ns, clock_now() + SILENCE_NS));
	for (size_t i = 0; i < c->n; i++) {
		if (!pages[i])
			continue;
		call_cancel(&pages[i]->call);
		if (!r)
			r = renew(&c->all[i], pages[i], deadline_ns);
		store_call_unrefp(&pages[i]);
	}
	return r;
}
