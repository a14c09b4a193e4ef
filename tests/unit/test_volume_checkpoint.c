/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume's folder holds when it is opened decides whether a checkpoint is loaded: into an
 * empty database, beside one that lost its way, and not at all where one is young.
 */
#include "fs/volume.h"
#include "tests/lib/cm.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <sys/stat.h>

#define LIVE_NS (60 * NS_PER_S)

/* Fails the test with the sentence. */
static void check(int r, const char *err)
{
	if (r)
		fprintf(stderr, "%s\n", err);
	assert_int_equal(r, 0);
}

static char top[TMPDIR_MAX];
static struct mount_options options;

static char *below(const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", top, name) < 0 ? NULL : path;
}

static struct config *make_config(void)
{
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);
	struct config *cfg;
	char err[512];

	assert_int_equal(
	    buf_addf(&text, "[volume]\nname = test\nkey_file = %s/key\n[cache]\ndir = %s/cache\n",
		     top, top),
	    0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(buf_addf(&text, "[store s%u]\nurl = file://%s/s%u\n", i, top, i),
				 0);
	check(config_parse(buf_span(&text), "test.conf", &cfg, err, sizeof(err)), err);
	return cfg;
}

static void make_key(void)
{
	_cleanup_free_ char *path = below("key");
	_cleanup_close_ int fd = open(path, O_CREAT | O_WRONLY, 0600);
	uint8_t key[32];

	random_fill(key, sizeof(key));
	assert_int_equal(write(fd, key, sizeof(key)), sizeof(key));
}

static int format(void **state)
{
	_cleanup_(config_freep) struct config *cfg = NULL;
	_cleanup_(secret_freep) struct secret *recovery = NULL;
	struct format_options o;
	struct key_source key;
	uint8_t id[16];
	char err[512];

	tmpdir_make(top);
	if (sodium_start())
		return -1;
	make_key();
	for (unsigned i = 0; i < 3; i++) {
		char name[8];
		_cleanup_free_ char *dir = (snprintf(name, sizeof(name), "s%u", i), below(name));

		assert_int_equal(mkdir(dir, 0700), 0);
	}
	cfg = make_config();
	key = config_key_source(cfg);
	o = (struct format_options){ .config = cfg,
				     .key = &key,
				     .kdf_memory = KDF_MEMORY_MIN,
				     .kdf_passes = KDF_PASSES_MIN };
	check(volume_format(&o, id, &recovery, err, sizeof(err)), err);
	mount_options_init(&options);
	return 0;
}

static int clean(void **state)
{
	mount_options_release(&options);
	tmpdir_remove(top);
	return 0;
}

static struct volume *open_volume(void)
{
	struct volume *v;
	char err[512];

	check(volume_open(make_config(), &options, &v, err, sizeof(err)), err);
	return v;
}

static struct commit_mark close_volume(struct volume *v)
{
	_cleanup_free_ char *dir = below("cache/ns");
	struct commit_mark m;
	struct kv *kv;

	assert_int_equal(volume_close(v, clock_now() + LIVE_NS), 0);
	assert_int_equal(kv_open(dir, column_names, NULL, &kv), 0);
	assert_int_equal(commit_mark_load(kv, NULL, &m), 0);
	kv_close(kv);
	return m;
}

static void make_dir(struct volume *v, const char *name)
{
	struct op op = {
		.kind = OP_MKDIR, .parent = ROOT_INO, .name = span_str(name), .mode = 0755
	};
	struct result res;

	assert_int_equal(commit_new_ino(v->commit, &op.ino), 0);
	assert_int_equal(commit_op_wait(v->commit, &op, clock_now() + LIVE_NS, &res), 0);
}

/* Of how many slots this mount had to read the records. */
static bool followed_all(struct volume *v)
{
	struct commit_status st;

	commit_status_get(v->commit, &st);
	return st.applied_bytes > 20000;
}

static void check_folders(void)
{
	static const char *const gone[] = { "cache/ns.new", "cache/ns.old", "cache/ns/runs" };

	for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
		_cleanup_free_ char *path = below(gone[i]);

		assert_int_equal(access(path, F_OK), -1);
	}
}

/* A volume with some history, a checkpoint, and a little more. */
static void make_history(void)
{
	struct volume *v = open_volume();
	struct checkpoint_report rep;

	for (unsigned i = 0; i < 100; i++) {
		char name[200];

		snprintf(name, sizeof(name), "a-directory-with-a-long-name-%0150u", i);
		make_dir(v, name);
	}
	assert_int_equal(checkpoint_now(v->checkpoints, clock_now() + LIVE_NS, &rep), 0);
	make_dir(v, "after");
	close_volume(v);
}

static void remove_mark(void)
{
	_cleanup_free_ char *dir = below("cache/ns");
	struct kv *kv;
	struct kv_batch *b;

	assert_int_equal(kv_open(dir, column_names, NULL, &kv), 0);
	b = kv_batch_new(kv);
	assert_int_equal(kv_batch_delete(b, COL_META, SPAN_LITERAL("applied")), 0);
	assert_int_equal(kv_write(kv, b, true), 0);
	kv_batch_free(b);
	kv_close(kv);
}

static void opens_with_what_there_is(void **state)
{
	_cleanup_free_ char *ns = below("cache/ns"), *store = below("s0/k"),
			    *aside = below("s0/kk");
	struct state_hash hash;
	struct volume *v;

	make_history();
	/* warm: nothing is read again */
	v = open_volume();
	assert_false(followed_all(v));
	hash = close_volume(v).hash;
	/* cold */
	tmpdir_remove(ns);
	v = open_volume();
	assert_false(followed_all(v));
	close_volume(v);
	check_folders();
	/* with rows that nobody vouches for */
	remove_mark();
	v = open_volume();
	assert_false(followed_all(v));
	close_volume(v);
	check_folders();
	/* without a checkpoint */
	for (unsigned i = 0; i < 3; i++) {
		store[strlen(top) + 2] = aside[strlen(top) + 2] = (char)('0' + i);
		assert_int_equal(rename(store, aside), 0);
	}
	remove_mark();
	v = open_volume();
	assert_true(followed_all(v));
	assert_true(close_volume(v).hash.lo != hash.lo); /* mounts came and went */
	check_folders();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(opens_with_what_there_is, format, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
