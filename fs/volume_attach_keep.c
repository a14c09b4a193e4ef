/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets that the volume itself names (OP_ATTACH): this task makes the mount show what the
 * namespace says, whoever changed it. It looks at the whole list each time, so that it does not
 * matter how many changes one look covers.
 *
 * A section [attach NAME] of this machine's configuration stands in front of the volume's NAME.
 */
#include "fs/volume_i.h"

#include <stdio.h>

#include "base/log.h"
#include "fs/ns/lookup.h"

struct attach_keeper {
	struct volume *v;
	struct task *task;
	struct event *changed; /* the volume's */
	struct {
		struct lock lock; /* RANK_QUEUE */
		struct cond looked;
		uint64_t asked, done; /* looks */
		bool stopping;
	} sync;
};

/* One row as a section would say it. */
static int row_copy(struct span name, const struct attach_row *row, struct config_attach *ret)
{
	*ret = (struct config_attach){ .name = strndup((const char *)name.data, name.len),
				       .read_only = row->flags & ATTACH_READ_ONLY,
				       .ttl_ns = row->ttl_ns };
	if (!ret->name)
		return fail(-ENOMEM);
	for (; ret->n_urls < row->n_urls; ret->n_urls++) {
		const struct span url = row->urls[ret->n_urls];

		ret->urls[ret->n_urls] = strndup((const char *)url.data, url.len);
		if (!ret->urls[ret->n_urls])
			return fail(-ENOMEM);
	}
	return 0;
}

/* What the namespace names. */
struct wanted {
	struct config_attach *all;
	size_t n;
};

static void wanted_release(struct wanted *w)
{
	for (size_t i = 0; i < w->n; i++)
		config_attach_release(&w->all[i]);
	free(w->all);
}

static int on_row(struct span name, const struct attach_row *row, void *arg)
{
	struct wanted *w = arg;
	struct config_attach *more = reallocarray(w->all, w->n + 1, sizeof(*more));

	if (!more)
		return fail(-ENOMEM);
	w->all = more;
	return row_copy(name, row, &w->all[w->n++]);
}

static int wanted_read(struct volume *v, struct wanted *ret)
{
	int r = ns_attached(commit_lock(v->commit), on_row, ret);

	commit_unlock(v->commit);
	return r;
}

static void tell_kernel(struct volume *v, const char *name)
{
	const struct volume_hooks *h = volume_hooks_enter(v);

	if (h && h->attached)
		h->attached(name, h->events.arg);
	volume_hooks_leave(v);
}

static bool is_wanted(const struct volume *v, const struct wanted *w, const struct attached *one)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct attach_spec spec = volume_attach_spec(v, &w->all[i], true);

		if (attached_is(one, &spec))
			return true;
	}
	return false;
}

static void remove_others(struct volume *v, const struct wanted *w)
{
	struct attached *one = NULL;

	while ((one = attach_next(v->attach, one ? one->number : 0))) {
		if (!one->of_volume || is_wanted(v, w, one))
			continue;
		attach_remove(v->attach, one);
		log_info("attach", "a bucket was detached", "name=%s", one->name);
		tell_kernel(v, one->name);
	}
}

static void add_missing(struct volume *v, const struct wanted *w)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct config_attach *a = &w->all[i];
		int r;

		if (attach_find(v->attach, span_str(a->name)))
			continue;
		r = volume_attach_row(v, a);
		if (r)
			log_error("attach", "a bucket of the volume cannot be shown",
				  "name=%s error=\"%s\"", a->name, strerror(-r));
		else
			tell_kernel(v, a->name);
	}
}

static void look(struct volume *v)
{
	_cleanup_(wanted_release) struct wanted w = { .n = 0 };
	int r = wanted_read(v, &w);

	if (r) {
		log_error("attach", "the volume's list of buckets cannot be read", "error=\"%s\"",
			  strerror(-r));
		return;
	}
	remove_others(v, &w);
	add_missing(v, &w);
}

static bool is_stopping(struct attach_keeper *k, uint64_t *ret_asked)
{
	LOCK_SCOPE(&k->sync.lock);
	*ret_asked = k->sync.asked;
	return k->sync.stopping;
}

static void keep(void *arg)
{
	struct attach_keeper *k = arg;
	uint64_t asked;

	while (event_take(k->changed, NEVER) == 0 && !is_stopping(k, &asked)) {
		look(k->v);
		lock_take(&k->sync.lock);
		k->sync.done = asked;
		cond_broadcast(&k->sync.looked);
		lock_give(&k->sync.lock);
	}
}

int attach_keeper_new(struct volume *v, struct attach_keeper **ret)
{
	struct attach_keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return fail(-ENOMEM);
	k->v = v;
	k->changed = &v->attach_changed;
	lock_init(&k->sync.lock, RANK_QUEUE);
	cond_init(&k->sync.looked);
	look(v); /* before the mount answers */
	k->task = task_start("attach", keep, k);
	if (!k->task) {
		attach_keeper_free(k);
		return fail(-ENOMEM);
	}
	*ret = k;
	return 0;
}

struct attach_keeper *attach_keeper_free(struct attach_keeper *k)
{
	if (!k)
		return NULL;
	lock_take(&k->sync.lock);
	k->sync.stopping = true;
	lock_give(&k->sync.lock);
	event_set(k->changed);
	if (k->task)
		task_join(k->task);
	cond_release(&k->sync.looked);
	lock_release(&k->sync.lock);
	free(k);
	return NULL;
}

int attach_keeper_settle(struct attach_keeper *k, uint64_t deadline_ns)
{
	uint64_t mine;
	int r = 0;

	lock_take(&k->sync.lock);
	mine = ++k->sync.asked;
	lock_give(&k->sync.lock);
	event_set(k->changed);
	LOCK_SCOPE(&k->sync.lock);
	while (!r && k->sync.done < mine)
		r = cond_wait(&k->sync.looked, &k->sync.lock, deadline_ns);
	return r;
}
