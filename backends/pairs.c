/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/pairs.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

void pairs_release(struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].name);
		free(p->items[i].value);
	}
	free(p->items);
	*p = (struct pairs){};
}

static void add_owned(struct pairs *p, const char *name, char *takes_value)
{
	char *copy = strdup(name);

	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 12;
		struct pair *items = reallocarray(p->items, room, sizeof(*items));

		if (items) {
			p->items = items;
			p->room = room;
		}
	}
	if (!copy || !takes_value || p->n == p->room) {
		p->no_memory = true;
		free(copy);
		free(takes_value);
		return;
	}
	p->items[p->n++] = (struct pair){ copy, takes_value };
}

void pairs_add(struct pairs *p, const char *name, const char *value)
{
	add_owned(p, name, strdup(value ? value : ""));
}

void pairs_addf(struct pairs *p, const char *name, const char *fmt, ...)
{
	char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&value, fmt, ap) < 0)
		value = NULL;
	va_end(ap);
	add_owned(p, name, value);
}

static struct pair *find(const struct pairs *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcasecmp(p->items[i].name, name) == 0)
			return &p->items[i];
	return NULL;
}

void pairs_set(struct pairs *p, const char *name, const char *value)
{
	struct pair *there = find(p, name);
	char *copy;

	if (!there) {
		pairs_add(p, name, value);
		return;
	}
	copy = strdup(value ? value : "");
	if (!copy) {
		p->no_memory = true;
		return;
	}
	free(there->value);
	there->value = copy;
}

void pairs_remove(struct pairs *p, const char *name)
{
	struct pair *there = find(p, name);

	if (!there)
		return;
	free(there->name);
	free(there->value);
	p->n--;
	memmove(there, there + 1, (size_t)(p->items + p->n - there) * sizeof(*there));
}

const char *pairs_get(const struct pairs *p, const char *name)
{
	const struct pair *there = find(p, name);

	return there ? there->value : NULL;
}

int pairs_error(const struct pairs *p)
{
	return p->no_memory ? fail(-ENOMEM) : 0;
}

static int by_name_and_value(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->value, y->value);
}

static char *encoded(const char *s)
{
	_cleanup_buf_ struct buf b = BUF_INIT(64 * KiB);

	if (percent_encode(span_str(s), false, &b) < 0 || !buf_str(&b))
		return NULL;
	return (char *)buf_take(&b, &(size_t){ 0 });
}

int pairs_query(const struct pairs *p, struct buf *ret)
{
	_cleanup_pairs_ struct pairs e = {};

	for (size_t i = 0; i < p->n; i++) {
		_cleanup_free_ char *name = encoded(p->items[i].name);

		if (!name)
			return fail(-ENOMEM);
		add_owned(&e, name, encoded(p->items[i].value));
	}
	if (pairs_error(&e) < 0)
		return -ENOMEM;
	if (e.n)
		qsort(e.items, e.n, sizeof(*e.items), by_name_and_value);
	for (size_t i = 0; i < e.n; i++) {
		int error = buf_addf(ret, "%s%s=%s", i ? "&" : "", e.items[i].name,
				     e.items[i].value);

		if (error < 0)
			return error;
	}
	return 0;
}
