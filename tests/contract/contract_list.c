/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: order, prefix, after, delimiter, pages. */
#include "tests/contract/contract.h"

#include <stdio.h>

/* In the order of bytes. "b0" after "b/2": a directory's order of names would say otherwise. */
static const char *const tree[] = {
	"tree/a", "tree/b/1", "tree/b/2", "tree/b0", "tree/c/x/1", "tree/c/x/2", "tree/d",
	"tree/z z",
	"tree/\xc3\xbc",
};

static void plant(struct target *t)
{
	/* not in the order in which they are listed */
	for (size_t i = ARRAY_SIZE(tree); i-- > 0;)
		want(t, put_seed(t, tree[i], (unsigned)i, i, PUT_ALWAYS, NULL), 0);
}

/* All pages of a listing, as names. */
struct names {
	char **name;
	size_t n;
	unsigned pages;
};

static void names_release(struct names *all)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->name[i]);
	free(all->name);
}

static size_t count_prefixes(const struct store_call *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_entries; i++)
		n += c->entries[i].is_prefix;
	return n;
}

static void add_page(struct target *t, const struct list_req *r, struct names *all)
{
	const struct store_call *c = t->last;

	if (r->max)
		assert_true(c->n_entries - (lacks(t, PREFIXES_IN_PAGES) ? count_prefixes(c) : 0) <=
			    r->max);
	all->name = reallocarray(all->name, all->n + c->n_entries + 1, sizeof(char *));
	assert_non_null(all->name);
	for (size_t i = 0; i < c->n_entries; i++) {
		const struct list_entry *e = &c->entries[i];

		assert_int_equal(e->is_prefix,
				 r->delimiter && e->name[strlen(e->name) - 1] == r->delimiter);
		all->name[all->n++] = strdup(e->name);
	}
	all->pages++;
}

static void read_all(struct target *t, struct list_req r, struct names *all)
{
	_cleanup_free_ char *token = NULL;

	do {
		r.token = token;
		want(t, list_req(t, &r), 0);
		add_page(t, &r, all);
		free(token);
		token = t->last->next_token ? strdup(t->last->next_token) : NULL;
		assert_true(all->pages < 5000);
	} while (token);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void expect_list(struct target *t, struct list_req r, const char *const *wanted, size_t n)
{
	_cleanup_(names_release) struct names all = {};

	read_all(t, r, &all);
	/* then they come with the first page, whatever their place */
	if (lacks(t, PREFIXES_IN_PAGES) && r.delimiter && r.max)
		qsort(all.name, all.n, sizeof(char *), by_bytes);
	for (size_t i = 0; i < all.n && i < n; i++)
		assert_string_equal(all.name[i], wanted[i]);
	assert_int_equal(all.n, n);
}

static void list_prefix(void **state)
{
	struct target *t = *state;

	plant(t);
	expect_list(t, (struct list_req){ .prefix = span_str("tree/") }, tree, ARRAY_SIZE(tree));
	expect_list(t, (struct list_req){ .prefix = span_str("tree/b/") }, tree + 1, 2);
	/* not only at slashes */
	expect_list(t, (struct list_req){ .prefix = span_str("tree/b") }, tree + 1, 3);
	expect_list(t, (struct list_req){ .prefix = span_str("tree/d") }, tree + 6, 1);
	expect_list(t, (struct list_req){ .prefix = span_str("tree/none") }, NULL, 0);
}

static void list_entries_say_sizes(void **state)
{
	struct target *t = *state;

	plant(t);
	want(t, list_req(t, &(struct list_req){ .prefix = span_str("tree/") }), 0);
	assert_int_equal(t->last->n_entries, ARRAY_SIZE(tree));
	for (size_t i = 0; i < ARRAY_SIZE(tree); i++) {
		assert_int_equal(t->last->entries[i].size, i);
		assert_int_not_equal(t->last->entries[i].modified_s, 0);
	}
}

static void list_after(void **state)
{
	struct target *t = *state;
	struct list_req r = { .prefix = span_str("tree/") };

	plant(t);
	for (size_t i = 0; i < ARRAY_SIZE(tree); i++) {
		r.after = span_str(tree[i]);
		expect_list(t, r, tree + i + 1, ARRAY_SIZE(tree) - i - 1);
	}
	r.after = span_str("tree/b/15"); /* need not exist */
	expect_list(t, r, tree + 2, ARRAY_SIZE(tree) - 2);
	r.after = span_str("aaa"); /* before the prefix */
	expect_list(t, r, tree, ARRAY_SIZE(tree));
	r.after = span_str("zzz"); /* behind it */
	expect_list(t, r, NULL, 0);
}

static void list_after_in_pages(void **state)
{
	struct target *t = *state;
	struct list_req r = { .prefix = span_str("tree/"), .after = span_str(tree[2]) };

	plant(t);
	for (r.max = 1; r.max <= 7; r.max++)
		expect_list(t, r, tree + 3, ARRAY_SIZE(tree) - 3);
}

static const char *const top[] = { "tree/a",  "tree/b/", "tree/b0", "tree/c/",
				   "tree/d", "tree/z z", "tree/\xc3\xbc" };

static void list_delimiter(void **state)
{
	static const char *const inside[] = { "tree/c/x/" };
	struct target *t = *state;
	struct list_req r = { .prefix = span_str("tree/"), .delimiter = '/' };

	plant(t);
	expect_list(t, r, top, ARRAY_SIZE(top));
	r.after = span_str("tree/b0");
	expect_list(t, r, top + 3, ARRAY_SIZE(top) - 3);
	r.after = SPAN_NULL;
	r.prefix = span_str("tree/c/");
	expect_list(t, r, inside, 1);
	r.prefix = span_str("tree/c/x/");
	expect_list(t, r, tree + 4, 2);
}

static void list_pages(void **state)
{
	static const unsigned sizes[] = { 1, 2, 5 };
	struct target *t = *state;

	plant(t);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct list_req r = { .prefix = span_str("tree/"), .max = sizes[i] };

		expect_list(t, r, tree, ARRAY_SIZE(tree));
		r.delimiter = '/'; /* each prefix comes once, whatever the pages */
		expect_list(t, r, top, ARRAY_SIZE(top));
	}
}

#define MANY 1200
#define AT_ONCE 16

static void many_name(unsigned i, char ret[32])
{
	snprintf(ret, 32, "many/%04u", i);
}

static void put_many(struct target *t)
{
	_cleanup_(blob_unrefp) struct blob *body = pattern(1, 1);
	struct store_call *calls[AT_ONCE];
	char name[32];

	for (unsigned from = 0; from < MANY; from += AT_ONCE) {
		for (unsigned i = 0; i < AT_ONCE; i++) {
			many_name(from + i, name);
			assert_int_equal(
				store_put(t->store,
					  &(struct put_req){ .name = span_str(name),
							     .body = body,
							     .deadline_ns = in_ms(LONG_MS) },
					  &calls[i]),
				0);
		}
		for (unsigned i = 0; i < AT_ONCE; i++) {
			assert_int_equal(call_wait(&calls[i]->call, in_ms(LONG_MS)), 0);
			store_call_unref(calls[i]);
		}
	}
}

static void expect_many(struct target *t, unsigned max, unsigned from)
{
	_cleanup_(names_release) struct names all = {};
	char name[32], after[32];
	struct list_req r = { .prefix = span_str("many/"), .max = max };

	many_name(from - 1, after);
	if (from)
		r.after = span_str(after);
	read_all(t, r, &all);
	assert_int_equal(all.n, MANY - from);
	for (unsigned i = 0; i < all.n; i++) {
		many_name(from + i, name);
		assert_string_equal(all.name[i], name);
	}
	if (max)
		assert_true(all.pages >= (MANY - from) / max);
}

static void list_many(void **state)
{
	struct target *t = *state;

	put_many(t);
	expect_many(t, 0, 0);
	expect_many(t, 0, 1000);
	expect_many(t, 300, 0);
	expect_many(t, 700, 150);
	expect_many(t, 5000, 0); /* more than a provider gives */
}

size_t checks_list(struct CMUnitTest *to, const struct target *t)
{
	size_t n = 0;

	ADD(to, n, list_prefix);
	ADD(to, n, list_entries_say_sizes);
	ADD(to, n, list_after);
	ADD(to, n, list_after_in_pages);
	ADD(to, n, list_delimiter);
	ADD(to, n, list_pages);
	ADD(to, n, list_many);
	return n;
}
