/* SPDX-License-Identifier: Apache-2.0 */
/* Attached buckets: stores that fail or answer nonsense, and mirrors. */
#include "tests/unit/bucket_rig.h"

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
	/* in pages of two; NULL ends; '!': is_folder; "": no name */
	const char *const *names;
	unsigned lists, heads;
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
	for (const char *const *end = at + 2; *at && at < end; at++) {
		if (!**at)
			continue;
		c->entries[c->n_entries++] = (struct list_entry){
			.name = strdup(*at + (**at == '!')),
			.is_folder = **at == '!',
			.is_prefix = (*at)[strlen(*at) - 1] == '/',
		};
	}
	c->next_token = *at ? strdup((const char[]){ (char)('0' + (at - n->names) / 2), 0 }) : NULL;
	call_ref(&c->call);
	task_detach(task_start("nonsense", nonsense_done, c));
}

static void nonsense_head(struct store *s, const struct head_req *r, struct store_call *c)
{
	container_of(s, struct nonsense, store)->heads++;
	c->size = 7;
	call_ref(&c->call);
	task_detach(task_start("nonsense", nonsense_done, c));
}

static void nonsense_free(struct store *s)
{
	store_release(s);
	free(container_of(s, struct nonsense, store));
}

static const struct store_ops nonsense_ops = { .list = nonsense_list,
					       .head = nonsense_head,
					       .free = nonsense_free };

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

/* A store may send pages without a name; after some of them the object is asked for by itself. */
static void test_pages_without_names(void **state)
{
	static const char *const few[] = { "", "", "", "", "f", NULL },
				 *const many[] = { "", "", "", "", "", "", "", "", "f", NULL };
	struct rig *rig = *state;
	struct nonsense *n;
	struct bucket_entry e;

	assert_string_equal(list_nonsense(rig, few), "f=0 ");
	bucket_refresh(rig->bucket, root(rig), true);
	assert_int_equal(rig_lookup(rig, root(rig), "f", &e), 0);
	assert_int_equal(e.size, 0);
	assert_string_equal(list_nonsense(rig, many), "f=0 ");
	n = container_of(replicas_store(rig->replicas, 0), struct nonsense, store);
	assert_int_equal(n->heads, 0);
	bucket_refresh(rig->bucket, root(rig), true);
	assert_int_equal(rig_lookup(rig, root(rig), "%~ff", &e), 0);
	assert_int_equal(e.size, 7);
	assert_int_equal(n->heads, 1);
}

static void test_nonsense_is_no_listing(void **state)
{
	static const char *const disorder[] = { "x", "c", NULL };

	assert_string_equal(list_nonsense(*state, disorder), "error -5 ");
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

int main(void)
{
#define test(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		test(test_nothing_remembered),
		test(test_store_goes_away),
		test(test_refused),
		test(test_page_fails_in_the_middle),
		test(test_page_fails_for_good),
		test(test_nonsense),
		test(test_folders),
		test(test_pages_without_names),
		test(test_nonsense_is_no_listing),
		cmocka_unit_test_setup_teardown(test_nearest_mirror, setup_mirrors, rig_teardown),
		cmocka_unit_test_setup_teardown(test_mirror_fails, setup_mirrors, rig_teardown),
		cmocka_unit_test_setup_teardown(test_mirror_fails_in_the_middle, setup_mirrors,
						rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
