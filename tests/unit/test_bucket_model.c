/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random keys, small pages, changes behind the mount's back: what the bucket shows is compared with
 * what the keys say, and numbers must stay.
 */
#include "base/map.h"
#include "tests/unit/bucket_rig.h"

#define FOLDER "_$folder$"

enum { ROUNDS = 12, CHANGES = 150, PAGE = 7 };

static uint64_t seed;
static bool with_marks;

static unsigned draw(unsigned n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % n;
}

/* A key of a few components, of which many are shared and some are odd. */
static void draw_key(char *ret, size_t size)
{
	static const char *const parts[] = { "a",   "b",  "a0",	 "b-b", "c.txt", "x1", "x2", "x35",
					     "x40", "y9", "%~e", ".",	"..",	 "",   "z",  "a!" };
	const unsigned depth = 1 + draw(4);
	size_t at = 0;

	ret[0] = '\0';
	for (unsigned i = 0; i < depth; i++)
		at += (size_t)snprintf(ret + at, size - at, "%s%s", i ? "/" : "",
				       parts[draw(ARRAY_SIZE(parts))]);
	if (draw(12) == 0)
		snprintf(ret + at, size - at, "/");
	else if (with_marks && draw(12) == 0)
		snprintf(ret + at, size - at, FOLDER);
	if (!ret[0])
		snprintf(ret, size, "q");
}

static void change_keys(struct rig *rig, unsigned n)
{
	char key[128];

	while (n--) {
		draw_key(key, sizeof(key));
		if (draw(3) && draw(3))
			rig_put(rig, key, draw(3) ? "content" : "");
		else
			(void)mem_bucket_remove(rig->side[0].bucket, key);
	}
}

/* ---- what the keys say ---- */

/* Keys of directories, and objects with their sizes. */
struct model {
	struct map *dirs, *files;
	unsigned marks;
};

static void add(struct map *m, const char *key, size_t len, size_t size)
{
	assert_int_equal(map_put(m, span_of(key, len), span_of(&size, sizeof(size)), false), 0);
}

static void on_object(const char *name, struct span body, void *arg)
{
	struct model *m = arg;
	const size_t len = strlen(name), suffix = strlen(FOLDER);
	char dir[256];

	for (size_t i = 0; i < len; i++)
		if (name[i] == '/')
			add(m->dirs, name, i + 1, 0);
	if (body.len == 0 && name[len - 1] == '/')
		return;
	if (body.len == 0 && len > suffix && !strcmp(name + len - suffix, FOLDER) &&
	    name[len - suffix - 1] != '/') {
		snprintf(dir, sizeof(dir), "%.*s/", (int)(len - suffix), name);
		add(m->dirs, dir, len - suffix + 1, 0);
		m->marks++;
		return;
	}
	add(m->files, name, len, body.len);
}

static bool has(const struct map *m, const char *key)
{
	struct span value;
	bool gone;

	return map_get(m, span_str(key), &value, &gone);
}

/* ---- what the bucket shows ---- */

struct seen {
	struct rig *rig;
	const struct model *model;
	struct map *numbers; /* of this round: key -> number */
	struct map *owners;  /* number -> key, for ever */
	size_t dirs, files;
};

static void check_number(struct seen *s, const struct bucket_entry *e)
{
	const struct span number = span_of(&e->ino, sizeof(e->ino));
	char text[STORE_NAME_MAX + 8];
	struct span key, value;
	bool gone;

	/* a directory and the object of its own key are two */
	snprintf(text, sizeof(text), "%s %s", e->is_dir ? "dir" : "file", e->key);
	key = span_str(text);
	/* (B3): never another's, and not two in one round */
	if (map_get(s->owners, number, &value, &gone))
		assert_true(span_equal(value, key));
	else
		assert_int_equal(map_put(s->owners, number, key, false), 0);
	assert_false(map_get(s->numbers, key, &value, &gone));
	assert_int_equal(map_put(s->numbers, key, number, false), 0);
}

static void check_name(struct seen *s, const struct bucket_entry *e, const char *name)
{
	_cleanup_buf_ struct buf want = BUF_INIT(KEY_NAME_MAX);
	const size_t len = strlen(e->key) - e->is_dir;
	enum key_kind kind = KEY_IS_DIRECTORY;
	char beside[STORE_NAME_MAX + 2];
	size_t at = len;

	while (at && e->key[at - 1] != '/')
		at--;
	snprintf(beside, sizeof(beside), "%s/", e->key);
	if (!e->is_dir)
		kind = at == len		       ? KEY_IS_MARKER
		       : has(s->model->dirs, beside) ? KEY_IS_BESIDE
						     : KEY_IS_FILE;
	assert_int_equal(key_to_name(span_of(e->key + at, len - at), kind, &want), 0);
	assert_span_str(buf_span(&want), name);
}

static void check_dir(struct seen *s, uint64_t dir)
{
	_cleanup_listed_ struct listed l = { 0 };
	struct bucket_entry again;

	assert_int_equal(rig_read(s->rig, dir, &l), 0);
	for (size_t i = 0; i < l.n; i++) {
		const struct bucket_entry *e = &l.e[i];

		assert_true(has(e->is_dir ? s->model->dirs : s->model->files, e->key));
		check_number(s, e);
		check_name(s, e, l.name[i]);
		assert_int_equal(rig_lookup(s->rig, dir, l.name[i], &again), 0);
		assert_int_equal(again.ino, e->ino);
		assert_int_equal(bucket_get(s->rig->bucket, e->ino, BUCKET_WAIT, &again), 0);
		assert_string_equal(again.key, e->key);
		s->dirs += e->is_dir;
		s->files += !e->is_dir;
		if (e->is_dir)
			check_dir(s, e->ino);
	}
}

static int on_odd(const char *path, const char *key, void *arg)
{
	return 0;
}

static void check_round(struct rig *rig, struct map *owners, bool flat)
{
	struct model m = { .dirs = map_new(), .files = map_new() };
	struct seen s = { .rig = rig, .model = &m, .owners = owners, .numbers = map_new() };
	unsigned requests;

	mem_bucket_each(rig->side[0].bucket, on_object, &m);
	if (flat)
		assert_int_equal(bucket_odd_names(rig->bucket, bucket_root(rig->bucket), on_odd,
						  NULL),
				 0);
	requests = rig_requests(rig);
	check_dir(&s, bucket_root(rig->bucket));
	if (flat && !m.marks) /* all directories are complete; not those that are only marked */
		assert_int_equal(rig_requests(rig), requests);
	assert_int_equal(s.dirs, map_count(m.dirs));
	assert_int_equal(s.files, map_count(m.files));
	map_free(s.numbers);
	map_free(m.dirs);
	map_free(m.files);
}

static void run(struct rig *rig, uint64_t with_seed)
{
	struct map *owners = map_new();

	seed = with_seed;
	with_marks = with_seed % 2;
	mem_bucket_page(rig->side[0].bucket, PAGE);
	change_keys(rig, 600);
	for (unsigned i = 0; i < ROUNDS; i++) {
		check_round(rig, owners, draw(2));
		change_keys(rig, CHANGES);
		if (draw(4) == 0) { /* a page now and then comes at the second time */
			rig->side[0].fail_after = rig->side[0].lists + draw(20);
			rig->side[0].fail_result = -EAGAIN;
			rig->side[0].fail_times = 2;
		}
		if (draw(4) == 0) {
			rig_close(rig);
			rig_open(rig);
		}
		bucket_refresh(rig->bucket, bucket_root(rig->bucket), true);
	}
	map_free(owners);
}

static void test_model(void **state)
{
	for (uint64_t i = 1; i <= 6; i++) {
		struct rig *rig = rig_new(1);

		print_message("seed %u\n", (unsigned)i);
		run(rig, i);
		rig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
