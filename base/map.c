/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AA tree: a binary tree balanced by levels, with two repairs (skew and split).
 *
 * (M1) A leaf has level 1; a left child is one level below its parent, a right child
 *      on the same or one below, a right grandchild below.
 * (M2) So the depth is at most twice the logarithm of the count, and recursion is safe.
 * (M3) Allocation comes before any change: a failure leaves the map as it was.
 */
#include "base/map.h"

struct node {
	struct node *left, *right;
	unsigned level;
	bool gone;
	size_t key_len, value_len;
	size_t room;       /* for values, behind the key */
	uint8_t *value;    /* there, or malloc'd apart */
	uint8_t bytes[];   /* the key, then `room` bytes */
};

struct map {
	struct node *root;
	size_t count;
	uint64_t bytes;
};

struct map *map_new(void)
{
	return calloc(1, sizeof(struct map));
}

static uint8_t *inner_value(struct node *n)
{
	return n->bytes + n->key_len;
}

static void drop_outer_value(struct node *n)
{
	if (n->value != inner_value(n))
		free(n->value);
}

static void free_node(struct node *n)
{
	drop_outer_value(n);
	free(n);
}

static void free_tree(struct node *n)
{
	if (!n)
		return;
	free_tree(n->left);
	free_tree(n->right);
	free_node(n);
}

struct map *map_free(struct map *m)
{
	if (m)
		free_tree(m->root);
	return free_null(m);
}

void map_clear(struct map *m)
{
	free_tree(m->root);
	*m = (struct map){ .root = NULL };
}

static struct span key_of(const struct node *n)
{
	return span_of(n->bytes, n->key_len);
}

static struct node *find(const struct map *m, struct span key)
{
	struct node *n = m->root;
	int c;

	while (n) {
		c = span_compare(key, key_of(n));
		if (c == 0)
			break;
		n = c < 0 ? n->left : n->right;
	}
	return n;
}

static struct node *node_new(struct span key, struct span value, bool gone)
{
	struct node *n;

	if (key.len > SIZE_MAX / 4 || value.len > SIZE_MAX / 4)
		return NULL;
	n = malloc(sizeof(*n) + key.len + value.len);
	if (!n)
		return NULL;
	*n = (struct node){ .level = 1, .gone = gone, .key_len = key.len, .value_len = value.len };
	n->room = value.len;
	n->value = inner_value(n);
	if (key.len)
		memcpy(n->bytes, key.data, key.len);
	if (value.len)
		memcpy(n->value, value.data, value.len);
	return n;
}

/* The value may be a part of the old one, so that is freed last. */
static int set_value(struct node *n, struct span value, bool gone)
{
	uint8_t *where = inner_value(n);

	if (value.len > n->room) {
		where = malloc(value.len);
		if (!where)
			return fail(-ENOMEM); /* (M3) */
	}
	if (value.len)
		memmove(where, value.data, value.len);
	if (n->value != where)
		drop_outer_value(n);
	n->value = where;
	n->value_len = value.len;
	n->gone = gone;
	return 0;
}

static unsigned level(const struct node *n)
{
	return n ? n->level : 0;
}

/* A left child on the same level: turns right. */
static struct node *skew(struct node *n)
{
	struct node *left = n->left;

	if (level(left) != n->level)
		return n;
	n->left = left->right;
	left->right = n;
	return left;
}

/* A right grandchild on the same level: turns left and lifts the middle. */
static struct node *split(struct node *n)
{
	struct node *right = n->right;

	if (!right || level(right->right) != n->level)
		return n;
	n->right = right->left;
	right->left = n;
	right->level++;
	return right;
}

static struct node *insert(struct node *n, struct node *added)
{
	if (!n)
		return added;
	if (span_compare(key_of(added), key_of(n)) < 0)
		n->left = insert(n->left, added);
	else
		n->right = insert(n->right, added);
	return split(skew(n));
}

int map_put(struct map *m, struct span key, struct span value, bool gone)
{
	struct node *n = find(m, key);
	uint64_t before;
	int r;

	if (gone)
		value = SPAN_NULL;
	if (n) {
		before = n->value_len;
		r = set_value(n, value, gone);
		if (r)
			return r;
		m->bytes += value.len - before;
		return 0;
	}
	n = node_new(key, value, gone);
	if (!n)
		return fail(-ENOMEM);
	m->root = insert(m->root, n);
	m->count++;
	m->bytes += key.len + value.len;
	return 0;
}

bool map_get(const struct map *m, struct span key, struct span *ret_value, bool *ret_gone)
{
	const struct node *n = find(m, key);

	if (!n)
		return false;
	*ret_value = span_of(n->value, n->value_len);
	*ret_gone = n->gone;
	return true;
}

/* A subtree that lost a node below n: lowers n where a child is too deep, then repairs (M1). */
static struct node *lower(struct node *n)
{
	unsigned most = MIN(level(n->left), level(n->right)) + 1;

	if (most < n->level) {
		n->level = most;
		if (level(n->right) > most)
			n->right->level = most;
	}
	n = skew(n);
	if (n->right) {
		n->right = skew(n->right);
		if (n->right->right)
			n->right->right = skew(n->right->right);
	}
	n = split(n);
	if (n->right)
		n->right = split(n->right);
	return n;
}

/* Takes the first node out of the tree; answers the rest. */
static struct node *take_first(struct node *n, struct node **ret)
{
	if (!n->left) {
		*ret = n;
		return n->right;
	}
	n->left = take_first(n->left, ret);
	return lower(n);
}

/* Takes the key's node, which is there, out of the tree; answers the rest. */
static struct node *take(struct node *n, struct span key, struct node **ret)
{
	int c = span_compare(key, key_of(n));
	struct node *next, *rest;

	if (c < 0) {
		n->left = take(n->left, key, ret);
	} else if (c > 0) {
		n->right = take(n->right, key, ret);
	} else {
		*ret = n;
		if (!n->right)
			return n->left; /* level 1: none either (M1) */
		rest = take_first(n->right, &next);
		next->left = n->left;
		next->right = rest;
		next->level = n->level;
		n = next;
	}
	return lower(n);
}

void map_erase(struct map *m, struct span key)
{
	struct node *n = find(m, key);

	if (!n)
		return;
	m->root = take(m->root, key, &n);
	m->count--;
	m->bytes -= n->key_len + n->value_len;
	free_node(n);
}

size_t map_count(const struct map *m)
{
	return m->count;
}

uint64_t map_bytes(const struct map *m)
{
	return m->bytes;
}

bool map_seek(const struct map *m, struct span from, bool after, struct map_entry *ret)
{
	const struct node *best = NULL, *n = m->root;
	int c;

	while (n) {
		c = span_compare(key_of(n), from);
		if (c > 0 || (c == 0 && !after)) {
			best = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	if (!best)
		return false;
	*ret = (struct map_entry){
		.key = key_of(best),
		.value = span_of(best->value, best->value_len),
		.gone = best->gone,
	};
	return true;
}
