/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/probe.h"

#include "base/text.h"

#include <stdio.h>

#define PROBE_BYTES 64

struct probe {
	struct store *store;
	uint64_t deadline_ns;
	char name[64];
	struct blob *body;
	int64_t skew_s;
	char *err;
	size_t err_size;
};

/* One sentence for people: which store, what failed, how the store put it. */
static int complain(struct probe *p, int r, const char *what, const struct store_call *c)
{
	snprintf(p->err, p->err_size, "store %s (%s): %s: %s", p->store->name, p->store->url, what,
		 c && c->detail[0] ? c->detail : store_condition_name(r));
	return r < 0 ? r : fail(-EIO);
}

static void note_clock(struct probe *p, const struct store_call *c)
{
	if (c && c->date_s)
		p->skew_s = (int64_t)c->date_s - (int64_t)(clock_wall() / NS_PER_S);
}

/*
 * The second of two creates of one name must be refused. A lost answer makes the first one
 * uncertain: a new name then.
 */
static int create_twice(struct probe *p)
{
	const struct put_req req = { .name = span_str(p->name),
				     .body = p->body,
				     .cond = PUT_IF_ABSENT,
				     .deadline_ns = p->deadline_ns };
	_cleanup_(store_call_unrefp) struct store_call *first = NULL, *second = NULL;
	int r = store_put_wait(p->store, &req, &first);

	note_clock(p, first);
	if (r == STORE_UNKNOWN)
		return complain(p, -EIO, "no clear answer to a write", first);
	if (r != 0)
		return complain(p, r, "cannot write", first);
	r = store_put_wait(p->store, &req, &second);
	if (r == STORE_EXISTS)
		return 0;
	if (r == 0) {
		snprintf(p->err, p->err_size,
			 "store %s (%s): it does not refuse to create an object that exists "
			 "(put-if-absent is ignored), so it cannot keep a volume",
			 p->store->name, p->store->url);
		return fail(-EIO);
	}
	return complain(p, r, "cannot write", second);
}

static int read_back(struct probe *p)
{
	const struct get_req req = { .name = span_str(p->name),
				     .limit = 4 * PROBE_BYTES,
				     .deadline_ns = p->deadline_ns };
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	int r = store_get_wait(p->store, &req, &c);

	if (r != 0)
		return complain(p, r, "cannot read what was just written", c);
	if (!span_equal(buf_span(&c->body), blob_span(p->body)))
		return complain(p, -EIO, "what was written is not what is read", NULL);
	return 0;
}

static void random_name(struct probe *p)
{
	uint8_t id[16];
	char hex[33];

	random_fill(id, sizeof(id));
	hex_encode(span_of(id, sizeof(id)), hex);
	snprintf(p->name, sizeof(p->name), "probe/%s", hex);
}

int store_probe(struct store *s, uint64_t deadline_ns, int64_t *ret_skew_s, char *err,
		size_t err_size)
{
	struct probe p = {
		.store = s, .deadline_ns = deadline_ns, .err = err, .err_size = err_size
	};
	_cleanup_(blob_unrefp) struct blob *body = blob_new(PROBE_BYTES);
	int r;

	if (!body)
		return fail(-ENOMEM);
	random_fill(blob_bytes(body), PROBE_BYTES);
	p.body = body;
	random_name(&p);
	r = create_twice(&p);
	if (r == 0)
		r = read_back(&p);
	if (r == 0)
		*ret_skew_s = p.skew_s;
	return r;
}

int store_check_read(struct store *s, uint64_t deadline_ns, int64_t *ret_skew_s, char *err,
		     size_t err_size)
{
	struct probe p = {
		.store = s, .deadline_ns = deadline_ns, .err = err, .err_size = err_size
	};
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	int r;

	random_name(&p);

	const struct get_req req = { .name = span_str(p.name),
				     .limit = PROBE_BYTES,
				     .deadline_ns = deadline_ns };

	r = store_get_wait(s, &req, &c);
	note_clock(&p, c);
	if (r != STORE_MISSING && r != 0)
		return complain(&p, r, "cannot read", c);
	*ret_skew_s = p.skew_s;
	return 0;
}
