/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/bucket_rig.h"

/* ---- listing and looking ---- */

static void test_listing_tells_all(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;

	rig_put(rig, "a", "12345");
	rig_put(rig, "b/x", "1");
	rig_put(rig, "b/y/z", "12");
	rig_put(rig, "c", "");
	assert_string_equal(rig_ls(rig, root(rig)), "a=5 b/ c=0 ");
	assert_int_equal(rig->side[0].lists, 1);
	assert_string_equal(rig_ls(rig, root(rig)), "a=5 b/ c=0 ");
	assert_int_equal(rig_lookup(rig, root(rig), "a", &e), 0);
	assert_int_equal(e.size, 5);
	assert_string_equal(e.key, "a");
	assert_true(e.version[0][0] && e.modified_s);
	assert_string_equal(e.version[1], "");
	assert_int_equal(e.parent, root(rig));
	assert_int_equal(rig_lookup(rig, root(rig), "none", &e), BUCKET_MISSING);
	assert_int_equal(rig_requests(rig), 1); /* (B1), (B2) */
	assert_int_equal(rig_lookup(rig, root(rig), "b", &e), 0);
	assert_true(e.is_dir);
	assert_string_equal(e.key, "b/");
	assert_string_equal(rig_ls(rig, e.ino), "x=1 y/ ");
	assert_int_equal(rig->side[0].heads, 0);
}

static void test_empty_bucket(void **state)
{
	struct rig *rig = *state;

	assert_string_equal(rig_ls(rig, root(rig)), "");
	assert_string_equal(rig_ls(rig, root(rig)), "");
	assert_int_equal(rig_requests(rig), 1);
}

static void test_no_wait(void **state)
{
	struct rig *rig = *state;
	struct listed l = { .batch = 9 };
	struct bucket_entry e;
	bool end;

	rig_put(rig, "a", "1");
	assert_int_equal(bucket_readdir(rig->bucket, root(rig), 0, BUCKET_NO_WAIT, rig_entry, &l,
					&end),
			 BUCKET_WOULD_WAIT);
	assert_int_equal(bucket_lookup(rig->bucket, root(rig), SPAN_LITERAL("a"), BUCKET_NO_WAIT,
				       &e),
			 BUCKET_WOULD_WAIT);
	assert_int_equal(rig_requests(rig), 0);
	rig_ls(rig, root(rig));
	assert_int_equal(bucket_lookup(rig->bucket, root(rig), SPAN_LITERAL("a"), BUCKET_NO_WAIT,
				       &e),
			 0);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_NO_WAIT, &e), 0);
	assert_int_equal(bucket_readdir(rig->bucket, root(rig), 0, BUCKET_NO_WAIT, rig_entry, &l,
					&end),
			 0);
	assert_true(end);
	assert_int_equal(l.n, 1);
	assert_int_equal(bucket_readdir(rig->bucket, e.ino, 0, BUCKET_NO_WAIT, rig_entry, &l, &end),
			 -ENOTDIR);
	assert_int_equal(bucket_get(rig->bucket, e.ino + 1, BUCKET_WAIT, &e), BUCKET_MISSING);
	listed_release(&l);
}

/* (B1): HEAD and LIST once, whatever the answer. */
static void test_lookup_in_what_is_not_listed(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e, again;

	rig_put(rig, "file", "123");
	rig_put(rig, "dir/x", "1");
	assert_int_equal(rig_lookup(rig, root(rig), "file", &e), 0);
	assert_int_equal(e.size, 3);
	assert_int_equal(rig->side[0].heads, 1);
	assert_int_equal(rig->side[0].lists, 1);
	assert_int_equal(rig_lookup(rig, root(rig), "dir", &e), 0);
	assert_true(e.is_dir);
	assert_int_equal(rig_lookup(rig, root(rig), "none", &e), BUCKET_MISSING);
	assert_int_equal(rig->side[0].heads, 3);
	/* all of it is remembered */
	assert_int_equal(rig_lookup(rig, root(rig), "none", &e), BUCKET_MISSING);
	assert_int_equal(rig_lookup(rig, root(rig), "file", &e), 0);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_WAIT, &again), 0);
	assert_int_equal(again.size, 3);
	assert_int_equal(rig_requests(rig), 6);
	/* and the numbers stay when it is listed */
	rig_ls(rig, root(rig));
	assert_int_equal(rig_lookup(rig, root(rig), "file", &again), 0);
	assert_int_equal(again.ino, e.ino);
}

/* ---- time ---- */

static void test_refresh_sees_changes(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry kept, e;

	rig_put(rig, "changes", "1");
	rig_put(rig, "goes", "1");
	rig_put(rig, "stays/x", "1");
	rig_ls(rig, root(rig));
	assert_int_equal(rig_lookup(rig, root(rig), "changes", &kept), 0);
	rig_put(rig, "changes", "123");
	rig_put(rig, "comes", "1");
	rig_remove(rig, "goes");
	assert_string_equal(rig_ls(rig, root(rig)), "changes=1 goes=1 stays/ ");
	bucket_refresh(rig->bucket, root(rig), false);
	assert_string_equal(rig_ls(rig, root(rig)), "changes=3 comes=1 stays/ ");
	assert_int_equal(rig_lookup(rig, root(rig), "changes", &e), 0);
	assert_int_equal(e.ino, kept.ino); /* (B3) */
	assert_string_not_equal(e.version[0], kept.version[0]);
	rig_put(rig, "goes", "12");
	bucket_refresh(rig->bucket, root(rig), true);
	assert_int_equal(rig_lookup(rig, root(rig), "goes", &e), 0);
	assert_int_equal(e.size, 2);
}

static void test_refresh_is_deep(void **state)
{
	struct rig *rig = *state;
	uint64_t dir;

	rig_put(rig, "d/e/x", "1");
	dir = rig_walk(rig, "d/e");
	assert_string_equal(rig_ls(rig, dir), "x=1 ");
	rig_put(rig, "d/e/y", "1");
	bucket_refresh(rig->bucket, root(rig), false);
	assert_string_equal(rig_ls(rig, dir), "x=1 ");
	bucket_refresh(rig->bucket, root(rig), true);
	assert_string_equal(rig_ls(rig, dir), "x=1 y=1 ");
}

/* Without any belief each look asks, and a listing still comes to its end. */
static void test_no_belief(void **state)
{
	struct rig *rig = *state;

	rig_close(rig);
	rig->ttl_ns = 0;
	rig_open(rig);
	rig_put(rig, "a", "1");
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 ");
	rig_put(rig, "b", "1");
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 b=1 ");
	assert_int_not_equal(rig_walk(rig, "b"), 0);
	rig_remove(rig, "b");
	assert_int_equal(rig_walk(rig, "b"), 0);
}

static void test_restart_finds_the_listing(void **state)
{
	struct rig *rig = *state;
	uint64_t before;

	rig_put(rig, "a", "1");
	rig_put(rig, "d/x", "1");
	rig_ls(rig, root(rig));
	before = rig_walk(rig, "d");
	rig_close(rig);
	rig_open(rig);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 d/ ");
	assert_int_equal(rig_walk(rig, "d"), before);
	assert_int_equal(rig_requests(rig), 1);
	/* (B3): another bucket under the same number */
	rig_close(rig);
	rig->identity = "mem://other";
	rig_open(rig);
	assert_int_equal(bucket_get(rig->bucket, before, BUCKET_WAIT, &(struct bucket_entry){ 0 }),
			 BUCKET_MISSING);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 d/ ");
	assert_int_equal(rig->side[0].lists, 2);
	assert_int_not_equal(rig_walk(rig, "d"), before);
}

static void test_doubt(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;

	rig_put(rig, "a", "1");
	rig_put(rig, "b", "1");
	rig_ls(rig, root(rig));
	assert_int_equal(rig_lookup(rig, root(rig), "a", &e), 0);
	rig_put(rig, "a", "12");
	bucket_doubt(rig->bucket, e.ino);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_WAIT, &e), 0);
	assert_int_equal(e.size, 2);
	assert_int_equal(rig_requests(rig), 2);
	rig_remove(rig, "a");
	bucket_doubt(rig->bucket, e.ino);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_WAIT, &e), BUCKET_MISSING);
	assert_string_equal(rig_ls(rig, root(rig)), "b=1 ");
}

/* ---- what this mount does ---- */

static void test_notes(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e = { .parent = root(rig), .size = 7, .key = "new" }, got;

	rig_put(rig, "a", "1");
	rig_ls(rig, root(rig));
	assert_int_equal(bucket_number(rig->bucket, root(rig), SPAN_LITERAL("new"), &e.ino), 0);
	assert_int_equal(rig_lookup(rig, root(rig), "new", &got), BUCKET_MISSING);
	assert_int_equal(bucket_note(rig->bucket, &e), 0);
	assert_int_equal(rig_lookup(rig, root(rig), "new", &got), 0);
	assert_int_equal(got.ino, e.ino);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 new=7 ");
	bucket_note_gone(rig->bucket, e.ino);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_WAIT, &got), BUCKET_MISSING);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 ");
	/* a directory that this mount made */
	e = (struct bucket_entry){ .parent = root(rig), .is_dir = true, .key = "d/" };
	assert_int_equal(bucket_number(rig->bucket, root(rig), SPAN_LITERAL("d"), &e.ino), 0);
	assert_int_equal(bucket_note(rig->bucket, &e), 0);
	assert_int_equal(rig_walk(rig, "d"), e.ino);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 d/ ");
}

/* A name that was looked for in vain is there once it was written. */
static void test_note_after_no(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e = { .parent = root(rig), .size = 7, .key = "new" };

	assert_int_equal(rig_walk(rig, "new"), 0);
	assert_int_equal(bucket_number(rig->bucket, root(rig), SPAN_LITERAL("new"), &e.ino), 0);
	assert_int_equal(bucket_note(rig->bucket, &e), 0);
	assert_int_equal(rig_walk(rig, "new"), e.ino);
}

/* ---- names ---- */

static void test_odd_keys(void **state)
{
	struct rig *rig = *state;
	uint64_t a;

	rig_put(rig, "a//b", "1");
	rig_put(rig, "/x", "1");
	rig_put(rig, "a/./b", "1");
	rig_put(rig, "a/../b", "1");
	rig_put(rig, "a", "12");
	rig_put(rig, "a/b", "123");
	rig_put(rig, "%~e", "1");
	rig_put(rig, "\xff\xfe", "1");
	assert_string_equal(rig_ls(rig, root(rig)), "%~%%~e=1 %~e/ %~fa=2 a/ \xff\xfe=1 ");
	a = rig_walk(rig, "a");
	assert_string_equal(rig_ls(rig, a), "%~../ %~./ %~e/ b=3 ");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "a/%~e")), "b=1 ");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "a/%~..")), "b=1 ");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "%~e")), "x=1 ");
	/* each by itself as well */
	bucket_refresh(rig->bucket, root(rig), true);
	assert_int_equal(rig_walk(rig, "a"), a);
	assert_int_not_equal(rig_walk(rig, "%~fa"), 0);
	assert_int_not_equal(rig_walk(rig, "%~%%~e"), 0);
	assert_int_equal(rig_walk(rig, "%~f\xff\xfe"), 0); /* no directory beside it */
	assert_int_equal(rig_walk(rig, "%~m"), 0);
	assert_int_not_equal(rig_walk(rig, "a/%~./b"), 0);
}

static void test_markers(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	uint64_t number;

	rig_put(rig, "empty/", "");
	rig_put(rig, "full/", "content");
	rig_put(rig, "full/x", "1");
	rig_put(rig, "hadoop_$folder$", "");
	rig_put(rig, "both/x", "1");
	rig_put(rig, "both_$folder$", "");
	rig_put(rig, "no_$folder$", "content");
	assert_string_equal(rig_ls(rig, root(rig)),
			    "both/ empty/ full/ hadoop/ no_$folder$=7 ");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "empty")), "");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "full")), "%~m=7 x=1 ");
	assert_int_equal(rig_lookup(rig, rig_walk(rig, "full"), "%~m", &e), 0);
	assert_string_equal(e.key, "full/");
	assert_false(e.is_dir);
	number = rig_walk(rig, "hadoop");
	assert_int_equal(bucket_get(rig->bucket, number, BUCKET_WAIT, &e), 0);
	assert_string_equal(e.key, "hadoop/");
	assert_true(e.is_dir);
	assert_string_equal(rig_ls(rig, number), "");
	assert_int_equal(rig_walk(rig, "hadoop_$folder$"), 0);
	/* it keeps its number when something comes into it, and when that goes (R4) */
	rig_put(rig, "hadoop/x", "1");
	bucket_refresh(rig->bucket, root(rig), true);
	assert_string_equal(rig_ls(rig, root(rig)),
			    "both/ empty/ full/ hadoop/ no_$folder$=7 ");
	assert_int_equal(rig_walk(rig, "hadoop"), number);
	assert_string_equal(rig_ls(rig, number), "x=1 ");
	rig_remove(rig, "hadoop/x");
	bucket_refresh(rig->bucket, root(rig), true);
	assert_int_equal(rig_walk(rig, "hadoop"), number);
	assert_string_equal(rig_ls(rig, number), "");
}

static void test_long_names(void **state)
{
	struct rig *rig = *state;
	_cleanup_listed_ struct listed l = { 0 };
	struct bucket_entry e;
	char key[901];

	memset(key, 'k', 900);
	key[900] = '\0';
	rig_put(rig, key, "1");
	strcpy(key + 300, "/x");
	rig_put(rig, key, "1");
	key[300] = '\0';
	rig_put(rig, key, "12");
	assert_int_equal(rig_read(rig, root(rig), &l), 0);
	assert_int_equal(l.n, 3);
	for (size_t i = 0; i < l.n; i++) {
		bucket_refresh(rig->bucket, root(rig), true);
		assert_int_equal(rig_lookup(rig, root(rig), l.name[i], &e), 0);
		assert_int_equal(e.ino, l.e[i].ino);
		assert_string_equal(e.key, l.e[i].key);
	}
	assert_string_not_equal(l.name[0], l.name[1]);
	assert_int_equal(rig_walk(rig, "%~xkkk~00"), 0);
}

struct odd_list {
	char text[4096];
};

static int on_odd(const char *path, const char *key, void *arg)
{
	struct odd_list *l = arg;
	const size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "%s:%s ", path, key);
	return 0;
}

static void test_odd_names(void **state)
{
	struct rig *rig = *state;
	struct odd_list l = { 0 };

	rig_put(rig, "plain/x", "1");
	rig_put(rig, "a//b", "1");
	rig_put(rig, "c", "1");
	rig_put(rig, "c/./d", "1");
	assert_int_equal(bucket_odd_names(rig->bucket, root(rig), on_odd, &l), 0);
	assert_non_null(strstr(l.text, "%~fc:c "));
	assert_non_null(strstr(l.text, "a/%~e:a// "));
	assert_non_null(strstr(l.text, "c/%~.:c/./ "));
	assert_null(strstr(l.text, "plain"));
	assert_int_equal(rig_requests(rig), 1);
}

/* ---- failures ---- */

static void test_nothing_remembered(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;

	rig_put(rig, "a", "1");
	mem_bucket_vanish(rig->side[0].bucket, true);
	assert_string_equal(rig_ls(rig, root(rig)), "error -5 ");
	assert_int_equal(rig_lookup(rig, root(rig), "a", &e), -EIO);
	mem_bucket_vanish(rig->side[0].bucket, false);
	bucket_refresh(rig->bucket, root(rig), false);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 ");
}

/* (B2): the old listing stands. */
static void test_store_goes_away(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;

	rig_put(rig, "a", "1");
	rig_put(rig, "d/x", "1");
	rig_ls(rig, root(rig));
	mem_bucket_vanish(rig->side[0].bucket, true);
	bucket_refresh(rig->bucket, root(rig), true);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 d/ ");
	assert_int_equal(rig_lookup(rig, root(rig), "a", &e), 0);
	assert_int_equal(rig_lookup(rig, root(rig), "none", &e), BUCKET_MISSING);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_WAIT, &e), 0);
	assert_string_equal(rig_ls(rig, rig_walk(rig, "d")), "error -5 ");
}

static void test_refused(void **state)
{
	struct rig *rig = *state;

	rig->side[0].fail_result = -EACCES;
	rig->side[0].fail_times = 1;
	assert_string_equal(rig_ls(rig, root(rig)), "error -13 ");
}

static void test_page_fails_in_the_middle(void **state)
{
	struct rig *rig = *state;
	_cleanup_listed_ struct listed l = { 0 };

	rig_put_many(rig, "same-%04u", 5000);
	rig->side[0].fail_after = 2;
	rig->side[0].fail_result = -EAGAIN;
	rig->side[0].fail_times = 3;
	assert_int_equal(rig_read(rig, root(rig), &l), 0);
	check_order(&l, 5000);
	assert_int_equal(rig->side[0].fail_times, 0);
}

static void test_page_fails_for_good(void **state)
{
	struct rig *rig = *state;
	_cleanup_listed_ struct listed l = { 0 };

	rig_put_many(rig, "same-%04u", 5000);
	rig->side[0].fail_after = 2;
	rig->side[0].fail_result = -EIO;
	rig->side[0].fail_times = 1000;
	assert_int_equal(rig_read(rig, root(rig), &l), -EIO);
	rig->side[0].fail_times = 0;
	bucket_refresh(rig->bucket, root(rig), false);
	listed_release(&l);
	assert_int_equal(rig_read(rig, root(rig), &l), 0);
	check_order(&l, 5000);
}

/* ---- a store that answers nonsense ---- */

struct nonsense {
	struct store store;
	const char *const *names; /* in pages of two; NULL ends; '!': is_folder */
	unsigned lists;
};

static void nonsense_done(void *arg)
{
	struct store_call *c = arg;

	call_finish(&c->call, 0);
	store_call_unref(c);
}

static void nonsense_list(struct store *s, const struct list_req *r, struct store_call *c)
{
	struct nonsense *n = container_of(s, struct nonsense, store);
	const char *const *at = n->names + 2 * (r->token ? (size_t)(r->token[0] - '0') : 0);

	n->lists++;
	c->entries = calloc(2, sizeof(*c->entries));
	for (; *at && c->n_entries < 2; at++)
		c->entries[c->n_entries++] = (struct list_entry){
			.name = strdup(*at + (**at == '!')),
			.is_folder = **at == '!',
			.is_prefix = (*at)[strlen(*at) - 1] == '/',
		};
	c->next_token = *at ? strdup((const char[]){ (char)('0' + (at - n->names) / 2), 0 }) : NULL;
	call_ref(&c->call);
	task_detach(task_start("nonsense", nonsense_done, c));
}

static void nonsense_free(struct store *s)
{
	store_release(s);
	free(container_of(s, struct nonsense, store));
}

static const struct store_ops nonsense_ops = { .list = nonsense_list, .free = nonsense_free };

/* The root as the store lists it, after a good listing of x and y. */
static const char *list_nonsense(struct rig *rig, const char *const *names)
{
	struct nonsense *n = calloc(1, sizeof(*n));
	struct bucket_options o = { .number = 3, .identity = rig->identity, .local = rig->local,
				    .ttl_ns = LONG_TTL, .deadline_ns = PATIENCE };
	const char *text;

	rig_close(rig);
	assert_int_equal(store_init(&n->store, &nonsense_ops, "nonsense", "mem://"), 0);
	n->names = names;
	assert_int_equal(replicas_new(NULL, &rig->replicas), 0);
	assert_int_equal(replicas_add(rig->replicas, &n->store, NULL), 0);
	o.replicas = rig->replicas;
	assert_int_equal(bucket_new(&o, &rig->bucket), 0);
	bucket_refresh(rig->bucket, root(rig), true);
	text = rig_ls(rig, root(rig));
	return text;
}

static void test_nonsense(void **state)
{
	static const char *const disorder[] = { "x", "c", NULL },
				 *const twice[] = { "x", "x", NULL },
				 *const repeats[] = { "x", "y", "y", "z", NULL },
				 *const back[] = { "x", "y", "a", NULL },
				 *const good[] = { "a", "b", "c", NULL };
	struct rig *rig = *state;

	rig_put(rig, "x", "1");
	rig_put(rig, "y", "1");
	rig_ls(rig, root(rig));
	/* the old rows stay */
	assert_string_equal(list_nonsense(rig, disorder), "x=1 y=1 ");
	assert_string_equal(list_nonsense(rig, twice), "x=1 y=1 ");
	assert_string_equal(list_nonsense(rig, good), "a=0 b=0 c=0 ");
	/* of what came before it was nonsense, pages are kept; the listing is not complete */
	assert_string_equal(list_nonsense(rig, repeats), "x=0 y=0 ");
	assert_string_equal(list_nonsense(rig, back), "x=0 y=0 ");
}

/* Azure's directories: objects that stand for them, with and without something in them. */
static void test_folders(void **state)
{
	static const char *const names[] = { "!d", "d/", "!e", "f", "f/", NULL };
	struct rig *rig = *state;
	struct bucket_entry e;

	assert_string_equal(list_nonsense(rig, names), "d/ e/ %~ff=0 f/ ");
	assert_int_equal(rig_lookup(rig, root(rig), "e", &e), 0);
	assert_true(e.is_dir);
	assert_string_equal(e.key, "e/");
}

static void test_nonsense_is_no_listing(void **state)
{
	static const char *const disorder[] = { "x", "c", NULL };

	assert_string_equal(list_nonsense(*state, disorder), "error -5 ");
}

/* ---- listings under way ---- */

/* The first page is told before the last one has come. */
static void test_streams(void **state)
{
	struct rig *rig = *state;
	struct listed l = { .batch = 5000 };
	bool end = true;

	rig_put_many(rig, "same-%04u", 3000);
	rig->side[0].fail_after = 1;
	rig->side[0].fail_result = -EAGAIN;
	rig->side[0].fail_times = 1000000;
	assert_int_equal(bucket_readdir(rig->bucket, root(rig), 0, BUCKET_WAIT, rig_entry, &l,
					&end),
			 0);
	assert_false(end);
	assert_true(l.n > 900 && l.n <= 1000);
	/* what was told needs no question */
	assert_int_not_equal(rig_walk(rig, "same-0000"), 0);
	assert_int_equal(rig->side[0].heads, 0);
	rig->side[0].fail_times = 0;
	assert_int_equal(rig_read(rig, root(rig), &l), 0);
	check_order(&l, 3000);
	listed_release(&l);
}

/* ---- mirrors ---- */

static int setup_mirrors(void **state)
{
	struct rig *rig = rig_new(2);

	/* the second is the nearer one */
	replicas_observe(rig->replicas, 0, 0, 30 * NS_PER_MS, 0);
	replicas_observe(rig->replicas, 1, 0, 10 * NS_PER_MS, 0);
	*state = rig;
	return 0;
}

static void test_nearest_mirror(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;

	rig_put(rig, "a", "1");
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 ");
	assert_int_equal(rig->side[0].lists, 0);
	assert_int_equal(rig->side[1].lists, 1);
	assert_int_equal(rig_lookup(rig, root(rig), "a", &e), 0);
	assert_string_equal(e.version[0], "");
	assert_string_not_equal(e.version[1], "");
}

static void test_mirror_fails(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;

	rig_put(rig, "a", "1");
	rig_put(rig, "d/x", "1");
	rig->side[1].mute = true;
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 d/ ");
	assert_int_equal(rig_lookup(rig, root(rig), "a", &e), 0);
	assert_string_not_equal(e.version[0], "");
	assert_int_equal(rig_lookup(rig, rig_walk(rig, "d"), "x", &e), 0);
	assert_int_equal(e.size, 1);
	/* a refusal is no answer either, if another one answers */
	rig->side[1].mute = false;
	mem_bucket_vanish(rig->side[1].bucket, true);
	bucket_refresh(rig->bucket, root(rig), true);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 d/ ");
}

/* One mirror's token says nothing to the other: it goes on after the last name. */
static void test_mirror_fails_in_the_middle(void **state)
{
	struct rig *rig = *state;
	_cleanup_listed_ struct listed l = { 0 };

	rig_put_many(rig, "same-%04u", 5000);
	rig->side[1].fail_after = 2;
	rig->side[1].fail_result = -EIO;
	rig->side[1].fail_times = 1000;
	assert_int_equal(rig_read(rig, root(rig), &l), 0);
	check_order(&l, 5000);
	assert_true(rig->side[0].lists > 0);
}

/* ---- ends ---- */

struct reader {
	struct rig *rig;
	int result;
};

static void read_root(void *arg)
{
	struct reader *r = arg;
	_cleanup_listed_ struct listed l = { 0 };

	r->result = rig_read(r->rig, bucket_root(r->rig->bucket), &l);
	if (!r->result && l.n != 3000)
		r->result = 1;
}

/* However many ask, it is listed once. */
static void test_many_readers(void **state)
{
	struct rig *rig = *state;
	struct reader r[8];
	struct task *t[8];

	rig_put_many(rig, "same-%04u", 3000);
	rig->side[0].delay_ns = 20 * NS_PER_MS;
	for (unsigned i = 0; i < 8; i++) {
		r[i] = (struct reader){ .rig = rig };
		t[i] = task_start("reader", read_root, &r[i]);
	}
	for (unsigned i = 0; i < 8; i++) {
		task_join(t[i]);
		assert_int_equal(r[i].result, 0);
	}
	assert_true(rig->side[0].lists <= 6);
}

static void start_listing(void *arg)
{
	struct rig *rig = arg;
	struct listed l = { .batch = 1 };
	bool end;

	(void)!bucket_readdir(rig->bucket, bucket_root(rig->bucket), 0, BUCKET_WAIT, rig_entry, &l,
			      &end);
	listed_release(&l);
}

/* A listing that hangs does not keep the bucket from ending. */
static void test_end_in_the_middle(void **state)
{
	struct rig *rig = *state;
	struct task *t;

	rig_close(rig);
	rig->deadline_ns = 200 * NS_PER_MS;
	rig_open(rig);
	rig->side[0].mute = true;
	t = task_start("reader", start_listing, rig);
	task_join(t); /* by its deadline */
	rig_close(rig);
	rig_open(rig);
}

int main(void)
{
#define test(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		test(test_listing_tells_all),
		test(test_empty_bucket),
		test(test_no_wait),
		test(test_lookup_in_what_is_not_listed),
		test(test_refresh_sees_changes),
		test(test_refresh_is_deep),
		test(test_no_belief),
		test(test_restart_finds_the_listing),
		test(test_doubt),
		test(test_notes),
		test(test_note_after_no),
		test(test_odd_keys),
		test(test_markers),
		test(test_long_names),
		test(test_odd_names),
		test(test_nothing_remembered),
		test(test_store_goes_away),
		test(test_refused),
		test(test_page_fails_in_the_middle),
		test(test_page_fails_for_good),
		test(test_nonsense),
		test(test_folders),
		test(test_nonsense_is_no_listing),
		test(test_streams),
		cmocka_unit_test_setup_teardown(test_nearest_mirror, setup_mirrors, rig_teardown),
		cmocka_unit_test_setup_teardown(test_mirror_fails, setup_mirrors, rig_teardown),
		cmocka_unit_test_setup_teardown(test_mirror_fails_in_the_middle, setup_mirrors,
						rig_teardown),
		test(test_many_readers),
		test(test_end_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
