/* SPDX-License-Identifier: Apache-2.0 */
/* The view against a model that keeps the three layers as plain arrays, over both databases. */
#include "cache/view.h"
#include "tests/lib/cm.h"
#include "tests/lib/tmpdir.h"

enum { COLUMNS = 2, KEYS = 48, STEPS = 6000 };

static const char *const columns[] = { "names", "inodes", NULL };

struct fixture {
	char dir[TMPDIR_MAX];
	bool on_disk;
	struct kv *kv;
	struct view *view;
};

static int open_view(struct fixture *f, void **state)
{
	f->view = f->kv ? view_new(f->kv, COLUMNS) : NULL;
	*state = f;
	return f->view ? 0 : -1;
}

static int open_disk(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char db[TMPDIR_MAX + 8];

	tmpdir_make(f->dir);
	f->on_disk = true;
	snprintf(db, sizeof(db), "%s/db", f->dir);
	if (kv_open(db, columns, NULL, &f->kv) < 0)
		return -1;
	return open_view(f, state);
}

static int open_memory(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->kv = kv_memory(COLUMNS);
	return open_view(f, state);
}

static int close_all(void **state)
{
	struct fixture *f = *state;

	view_free(f->view);
	kv_close(f->kv);
	if (f->on_disk)
		tmpdir_remove(f->dir);
	free(f);
	return 0;
}

/* A cell of a layer: no entry, a deletion, or a value. */
enum { NOTHING = 0, GONE = -1 };

struct model {
	int base[COLUMNS][KEYS], flying[COLUMNS][KEYS], open[COLUMNS][KEYS];
	bool cut;
	uint64_t seed;
};

static unsigned draw(struct model *m, unsigned below)
{
	m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(m->seed >> 33) % below;
}

/* 0 when absent. */
static int model_value(const struct model *m, unsigned c, unsigned k)
{
	int v = m->open[c][k] ?: m->flying[c][k] ?: m->base[c][k];

	return v == GONE ? 0 : v;
}

static struct span key_of(unsigned k, char buf[8])
{
	/* Four prefixes of twelve keys each. */
	snprintf(buf, 8, "%c/%02u", 'a' + k / 12, k % 12);
	return span_str(buf);
}

static struct span value_of(int v, char buf[16])
{
	snprintf(buf, 16, "v%d", v);
	return span_str(buf);
}

static int collect(struct span key, struct span value, void *arg)
{
	return buf_addf(arg, "%.*s=%.*s ", SPAN_FMT(key), SPAN_FMT(value));
}

static void check_get(struct view *v, const struct model *m, unsigned c, unsigned k)
{
	_cleanup_buf_ struct buf value = BUF_INIT(100);
	int expected = model_value(m, c, k), r;
	char key[8], text[16];

	r = view_get(v, c, key_of(k, key), &value);
	assert_int_equal(r, expected ? 0 : VIEW_MISSING);
	if (expected)
		assert_true(span_equal(buf_span(&value), value_of(expected, text)));
}

static void check_walk(struct view *v, const struct model *m, unsigned c, const char *prefix,
		       unsigned from)
{
	_cleanup_buf_ struct buf seen = BUF_INIT(100000), expected = BUF_INIT(100000);
	char key[8], text[16];

	for (unsigned k = from; k < KEYS; k++)
		if (model_value(m, c, k) && span_starts(key_of(k, key), span_str(prefix)))
			assert_int_equal(collect(key_of(k, key),
						 value_of(model_value(m, c, k), text), &expected),
					 0);
	assert_int_equal(view_walk(v, c, span_str(prefix), key_of(from, key), collect, &seen), 0);
	assert_string_equal(buf_str(&seen), buf_str(&expected));
}

static int collect_change(unsigned column, struct span key, struct span old, struct span new,
			  void *arg)
{
	return buf_addf(arg, "%u:%.*s %.*s>%.*s ", column, SPAN_FMT(key),
			old.data ? (int)old.len : 1, old.data ? (const char *)old.data : "-",
			new.data ? (int)new.len : 1, new.data ? (const char *)new.data : "-");
}

static void check_changes(struct view *v, const struct model *m)
{
	_cleanup_buf_ struct buf seen = BUF_INIT(100000), expected = BUF_INIT(100000);
	char key[8], old[16] = "-", new[16] = "-";

	for (unsigned c = 0; c < COLUMNS; c++)
		for (unsigned k = 0; k < KEYS; k++) {
			int before = m->base[c][k], after = m->flying[c][k];

			if (!after || after == before || (after == GONE && !before))
				continue;
			snprintf(old, sizeof(old), before ? "v%d" : "-", before);
			snprintf(new, sizeof(new), after == GONE ? "-" : "v%d", after);
			assert_int_equal(buf_addf(&expected, "%u:%s %s>%s ", c,
						  (const char *)key_of(k, key).data, old, new), 0);
		}
	assert_int_equal(view_changes(v, collect_change, &seen), 0);
	assert_string_equal(buf_str(&seen), buf_str(&expected));
}

static void model_commit(struct model *m)
{
	for (unsigned c = 0; c < COLUMNS; c++)
		for (unsigned k = 0; k < KEYS; k++)
			if (m->flying[c][k])
				m->base[c][k] = m->flying[c][k] == GONE ? 0 : m->flying[c][k];
	memset(m->flying, 0, sizeof(m->flying));
	m->cut = false;
}

static void step_commit(struct view *v, struct model *m)
{
	unsigned k = draw(m, KEYS);
	char key[8], text[16];
	struct view_row extra = { 1, key_of(k, key), value_of(7, text) };

	check_changes(v, m);
	assert_int_equal(view_commit(v, &extra, 1, draw(m, 4) == 0), 0);
	model_commit(m);
	m->base[1][k] = 7;
}

static void step(struct view *v, struct model *m)
{
	unsigned what = draw(m, 100), c = draw(m, COLUMNS), k = draw(m, KEYS);
	static const char *const prefixes[] = { "", "a/", "b/", "c/", "d/", "d/1", "e" };
	char key[8], text[16];

	if (what < 40) {
		m->open[c][k] = 1 + (int)draw(m, 5);
		assert_int_equal(view_put(v, c, key_of(k, key), value_of(m->open[c][k], text)), 0);
	} else if (what < 60) {
		m->open[c][k] = GONE;
		assert_int_equal(view_delete(v, c, key_of(k, key)), 0);
	} else if (what < 80) {
		check_get(v, m, c, k);
	} else if (what < 92) {
		check_walk(v, m, c, prefixes[draw(m, ARRAY_SIZE(prefixes))], draw(m, KEYS));
	} else if (what < 94 && !m->cut) {
		view_cut(v);
		memcpy(m->flying, m->open, sizeof(m->open));
		memset(m->open, 0, sizeof(m->open));
		m->cut = true;
	} else if (what < 97 && m->cut) {
		step_commit(v, m);
	} else if (what == 98) {
		view_drop_open(v);
		memset(m->open, 0, sizeof(m->open));
	} else if (what == 99) {
		view_drop(v);
		memset(m->open, 0, sizeof(m->open));
		memset(m->flying, 0, sizeof(m->flying));
		m->cut = false;
	}
}

static void follows_the_model(void **state)
{
	struct fixture *f = *state;
	struct model m = { .seed = 20261124 };

	for (int i = 0; i < STEPS; i++) {
		size_t rows = 0;

		step(f->view, &m);
		for (unsigned c = 0; c < COLUMNS; c++)
			for (unsigned k = 0; k < KEYS; k++)
				rows += m.open[c][k] != 0;
		assert_int_equal(view_open_rows(f->view), rows);
		assert_int_equal(view_is_flying(f->view), m.cut);
	}
	for (unsigned c = 0; c < COLUMNS; c++)
		check_walk(f->view, &m, c, "", 0);
}

static int stop_after(struct span key, struct span value, void *arg)
{
	return --*(int *)arg == 0;
}

static int refuse(struct span key, struct span value, void *arg)
{
	return -EXFULL;
}

static void a_walk_ends_when_told(void **state)
{
	struct view *v = ((struct fixture *)*state)->view;
	int left = 2;

	assert_int_equal(view_put(v, 0, span_str("a"), span_str("1")), 0);
	assert_int_equal(view_put(v, 0, span_str("b"), span_str("1")), 0);
	view_cut(v);
	assert_int_equal(view_put(v, 0, span_str("c"), span_str("1")), 0);
	assert_int_equal(view_walk(v, 0, SPAN_NULL, SPAN_NULL, stop_after, &left), 0);
	assert_int_equal(left, 0);
	assert_int_equal(view_walk(v, 0, SPAN_NULL, SPAN_NULL, refuse, NULL), -EXFULL);
}

/* The base is only what was committed: another view on the same database sees nothing else. */
static void only_a_commit_reaches_the_base(void **state)
{
	struct fixture *f = *state;
	_cleanup_(view_freep) struct view *other = view_new(f->kv, COLUMNS);
	_cleanup_buf_ struct buf value = BUF_INIT(100);

	assert_int_equal(view_put(f->view, 0, span_str("a"), span_str("1")), 0);
	assert_int_equal(view_get(other, 0, span_str("a"), &value), VIEW_MISSING);
	view_cut(f->view);
	assert_int_equal(view_put(f->view, 0, span_str("a"), span_str("2")), 0);
	assert_int_equal(view_get(other, 0, span_str("a"), &value), VIEW_MISSING);
	assert_int_equal(view_commit(f->view, NULL, 0, true), 0);
	assert_int_equal(view_get(other, 0, span_str("a"), &value), 0);
	assert_string_equal(buf_str(&value), "1");
	assert_int_equal(view_get(f->view, 0, span_str("a"), &value), 0);
	assert_string_equal(buf_str(&value), "2");
}

#define ON_BOTH(test)                                                                              \
	{ #test " (disk)", test, open_disk, close_all, NULL },                                     \
		{ #test " (memory)", test, open_memory, close_all, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(follows_the_model),
		ON_BOTH(a_walk_ends_when_told),
		ON_BOTH(only_a_commit_reaches_the_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
