/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing a folder as a store lists: by the order of whole names, which is not the order of a walk
 * ("a/b" stands behind "a-b"), so everything under the prefix is gathered, sorted and then cut to a
 * page.
 */
#include "backends/dir_i.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_DEFAULT 1000

struct gather {
	struct dir_op *op;
	struct list_entry *v;
	size_t n, cap;
};

static int add(struct gather *g, const char *name, bool is_prefix, const struct stat *st)
{
	struct list_entry *e;

	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 64;
		struct list_entry *v = realloc(g->v, cap * sizeof(*v));

		if (!v)
			return fail(-ENOMEM);
		g->v = v;
		g->cap = cap;
	}
	e = &g->v[g->n];
	*e = (struct list_entry){ .name = strdup(name), .is_prefix = is_prefix };
	if (!e->name)
		return fail(-ENOMEM);
	if (!is_prefix) {
		e->size = (uint64_t)st->st_size;
		e->modified_s = (uint64_t)st->st_mtim.tv_sec;
		dir_version(st, e->version);
	}
	g->n++;
	return 0;
}

/* Could anything below this folder ("a/b/") begin with the prefix? */
static bool leads_to(const char *folder, const char *prefix)
{
	const size_t n = MIN(strlen(folder), strlen(prefix));

	return memcmp(folder, prefix, n) == 0;
}

static int walk(struct gather *g, int dir, const char *base);

static int visit(struct gather *g, int dir, const char *base, const char *leaf)
{
	struct dir_op *op = g->op;
	char name[STORE_NAME_MAX + 1];
	struct stat st;
	int sub;

	size_t len = (size_t)snprintf(name, sizeof(name), "%s%s", base, leaf);

	if (len >= sizeof(name) - 1)
		return 0; /* longer than any name of ours */
	if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : dir_error(op, "stat");
	if (S_ISREG(st.st_mode))
		return strncmp(name, op->name, strlen(op->name)) == 0 ? add(g, name, false, &st)
								      : 0;
	if (!S_ISDIR(st.st_mode))
		return 0;
	name[len++] = '/';
	name[len] = 0;
	if (!leads_to(name, op->name))
		return 0;
	if (op->delimiter == '/' && len > strlen(op->name))
		return add(g, name, true, NULL);
	sub = openat(dir, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (sub < 0)
		return errno == ENOENT ? 0 : dir_error(op, "open folder");
	return walk(g, sub, name);
}

/* Takes the descriptor. */
static int walk(struct gather *g, int dir, const char *base)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d) {
		close(dir);
		return dir_error(g->op, "open folder");
	}
	while (r == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		    strncmp(e->d_name, DIR_TMP_PREFIX, strlen(DIR_TMP_PREFIX)))
			r = visit(g, dir, base, e->d_name);
	closedir(d);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct list_entry *)a)->name, ((const struct list_entry *)b)->name);
}

static void free_entries(struct list_entry *v, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		free(v[i].name);
}

/* Cuts what was gathered to one page after op->after. */
static int page(struct gather *g)
{
	struct dir_op *op = g->op;
	const size_t max = op->max ? op->max : PAGE_DEFAULT;
	size_t first = 0, n;

	if (g->n == 0)
		return 0;
	qsort(g->v, g->n, sizeof(*g->v), by_name);
	while (first < g->n && op->after[0] && strcmp(g->v[first].name, op->after) <= 0)
		first++;
	n = MIN(max, g->n - first);
	if (first + n < g->n) {
		op->next_token = strdup(g->v[first + n - 1].name);
		if (!op->next_token)
			return fail(-ENOMEM);
	}
	free_entries(g->v, 0, first);
	free_entries(g->v, first + n, g->n);
	if (first)
		memmove(g->v, g->v + first, n * sizeof(*g->v));
	g->n = 0;
	op->entries = take_ptr(&g->v);
	op->n_entries = n;
	return 0;
}

int dir_list(struct dir_op *op)
{
	struct gather g = { .op = op };
	int root = dir_root(op);
	int r;

	if (root < 0)
		return root;
	r = walk(&g, root, "");
	if (r == 0)
		r = page(&g);
	if (r < 0) {
		free_entries(g.v, 0, g.n);
		free(g.v);
	}
	return r;
}
