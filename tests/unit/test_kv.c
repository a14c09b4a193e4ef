/* SPDX-License-Identifier: Apache-2.0 */
/* Both databases behind kv.h keep the same promises; RocksDB also those about its folder. */
#include "base/wait.h"
#include "cache/kv.h"
#include "tests/lib/cm.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <sys/wait.h>

static const char *const columns[] = { "names", "inodes", NULL };

struct fixture {
	char dir[TMPDIR_MAX];
	char db[TMPDIR_MAX + 8];
	bool on_disk;
	struct kv *kv;
};

static int open_disk(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	tmpdir_make(f->dir);
	snprintf(f->db, sizeof(f->db), "%s/db", f->dir);
	f->on_disk = true;
	*state = f;
	return kv_open(f->db, columns, &(struct kv_options){ .compact_on_deletion = true }, &f->kv);
}

static int open_memory(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->kv = kv_memory(2);
	*state = f;
	return f->kv ? 0 : -1;
}

static int close_all(void **state)
{
	struct fixture *f = *state;

	kv_close(f->kv);
	if (f->on_disk)
		tmpdir_remove(f->dir);
	free(f);
	return 0;
}

static void put(struct kv *kv, unsigned column, const char *key, const char *value)
{
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(kv);

	assert_non_null(b);
	assert_int_equal(kv_batch_put(b, column, span_str(key), span_str(value)), 0);
	assert_int_equal(kv_write(kv, b, false), 0);
}

static void check(struct kv *kv, unsigned column, const char *key, const char *expected)
{
	_cleanup_buf_ struct buf value = BUF_INIT(1000);
	int r;

	assert_int_equal(buf_add_str(&value, "what was there before"), 0);
	r = kv_get(kv, column, span_str(key), &value);
	assert_int_equal(r, expected ? 0 : KV_MISSING);
	if (expected)
		assert_string_equal(buf_str(&value), expected);
}

static int join(struct span key, struct span value, void *arg)
{
	return buf_addf(arg, "%.*s=%.*s ", SPAN_FMT(key), SPAN_FMT(value));
}

static void check_walk(struct kv *kv, const char *prefix, const char *from, const char *expected)
{
	_cleanup_buf_ struct buf seen = BUF_INIT(10000);

	assert_int_equal(kv_walk(kv, 0, span_str(prefix), span_str(from), join, &seen), 0);
	assert_string_equal(buf_str(&seen), expected);
}

static void gets_what_was_put(void **state)
{
	struct kv *kv = ((struct fixture *)*state)->kv;

	put(kv, 0, "a", "1");
	put(kv, 1, "a", "2");
	put(kv, 0, "empty", "");
	check(kv, 0, "a", "1");
	check(kv, 1, "a", "2");
	check(kv, 0, "empty", "");
	check(kv, 0, "b", NULL);
	put(kv, 0, "a", "one");
	check(kv, 0, "a", "one");
}

static void writes_a_batch_in_its_order(void **state)
{
	struct kv *kv = ((struct fixture *)*state)->kv;
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(kv);

	put(kv, 0, "old", "1");
	assert_int_equal(kv_batch_put(b, 0, span_str("k"), span_str("1")), 0);
	assert_int_equal(kv_batch_delete(b, 0, span_str("k")), 0);
	assert_int_equal(kv_batch_put(b, 1, span_str("k"), span_str("2")), 0);
	assert_int_equal(kv_batch_delete(b, 0, span_str("old")), 0);
	check(kv, 0, "old", "1");
	assert_int_equal(kv_write(kv, b, true), 0);
	check(kv, 0, "k", NULL);
	check(kv, 1, "k", "2");
	check(kv, 0, "old", NULL);
}

static void walks_a_prefix_in_order(void **state)
{
	struct kv *kv = ((struct fixture *)*state)->kv;

	put(kv, 0, "b2", "4");
	put(kv, 0, "a", "1");
	put(kv, 0, "b", "2");
	put(kv, 0, "b1", "3");
	put(kv, 0, "c", "5");
	put(kv, 1, "b3", "other");
	check_walk(kv, "", "", "a=1 b=2 b1=3 b2=4 c=5 ");
	check_walk(kv, "b", "", "b=2 b1=3 b2=4 ");
	check_walk(kv, "b", "b1", "b1=3 b2=4 ");
	check_walk(kv, "b", "b11", "b2=4 ");
	check_walk(kv, "b", "c", "");
	check_walk(kv, "x", "", "");
}

static int stop_at_second(struct span key, struct span value, void *arg)
{
	return ++*(int *)arg == 2;
}

static int fail_at_second(struct span key, struct span value, void *arg)
{
	return ++*(int *)arg == 2 ? -EXFULL : 0;
}

static void a_walk_ends_when_told(void **state)
{
	struct kv *kv = ((struct fixture *)*state)->kv;
	int seen = 0;

	put(kv, 0, "a", "1");
	put(kv, 0, "b", "1");
	put(kv, 0, "c", "1");
	assert_int_equal(kv_walk(kv, 0, SPAN_NULL, SPAN_NULL, stop_at_second, &seen), 0);
	assert_int_equal(seen, 2);
	seen = 0;
	assert_int_equal(kv_walk(kv, 0, SPAN_NULL, SPAN_NULL, fail_at_second, &seen), -EXFULL);
	assert_int_equal(seen, 2);
}

static void prefixes_may_end_in_ff(void **state)
{
	struct kv *kv = ((struct fixture *)*state)->kv;

	put(kv, 0, "a\xff", "1");
	put(kv, 0, "a\xff\xff", "2");
	put(kv, 0, "\xff\xff", "3");
	put(kv, 0, "b", "4");
	check_walk(kv, "a\xff", "", "a\xff=1 a\xff\xff=2 ");
	check_walk(kv, "\xff", "", "\xff\xff=3 ");
}

static void an_iterator_sees_its_birth(void **state)
{
	struct kv *kv = ((struct fixture *)*state)->kv;
	_cleanup_(kv_iter_freep) struct kv_iter *it = NULL;

	put(kv, 0, "a", "1");
	put(kv, 0, "b", "1");
	it = kv_iter_new(kv, 0, SPAN_NULL);
	kv_iter_seek(it, SPAN_NULL);
	put(kv, 0, "a", "2");
	put(kv, 0, "aa", "2");
	put(kv, 0, "b", "2");
	assert_true(kv_iter_valid(it));
	assert_true(span_equal(kv_iter_value(it), span_str("1")));
	kv_iter_next(it);
	assert_true(kv_iter_valid(it));
	assert_true(span_equal(kv_iter_key(it), span_str("b")));
	assert_true(span_equal(kv_iter_value(it), span_str("1")));
	kv_iter_next(it);
	assert_false(kv_iter_valid(it));
	assert_int_equal(kv_iter_error(it), 0);
	check(kv, 0, "aa", "2");
}

/* A directory of 20,000 names is emptied: what walks see is what is left. */
static void many_deletions(void **state)
{
	struct kv *kv = ((struct fixture *)*state)->kv;
	char key[16];

	for (int round = 0; round < 2; round++) {
		_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(kv);

		for (int i = 0; i < 20000; i++) {
			snprintf(key, sizeof(key), "n%06d", i);
			if (round == 0)
				assert_int_equal(kv_batch_put(b, 0, span_str(key), SPAN_NULL), 0);
			else if (i != 12345)
				assert_int_equal(kv_batch_delete(b, 0, span_str(key)), 0);
		}
		assert_int_equal(kv_write(kv, b, false), 0);
	}
	check_walk(kv, "n", "", "n012345= ");
}

static void reopen(struct fixture *f)
{
	f->kv = kv_close(f->kv);
	assert_int_equal(kv_open(f->db, columns, NULL, &f->kv), 0);
}

static struct kv_run *run_of(struct kv *kv, unsigned column, char first, unsigned n)
{
	struct kv_run *run;
	char key[16];

	assert_int_equal(kv_run_new(kv, column, &run), 0);
	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%c%05u", first, i);
		assert_int_equal(kv_run_put(run, span_str(key), span_str(key)), 0);
	}
	assert_int_equal(kv_run_end(run), 0);
	return run;
}

static int count_row(struct span key, struct span value, void *arg)
{
	assert_true(span_equal(key, value));
	++*(unsigned *)arg;
	return 0;
}

/* Runs appear when they are taken in, of all columns, in any order, and behave like other rows. */
static void takes_runs_in(void **state)
{
	struct fixture *f = *state;
	struct kv_run *runs[3] = { run_of(f->kv, 0, 'm', 5000), run_of(f->kv, 1, 'a', 10),
				   run_of(f->kv, 0, 'b', 2000) };
	unsigned n = 0;

	check(f->kv, 0, "b00000", NULL);
	assert_int_equal(kv_ingest(f->kv, runs, 3), 0);
	for (unsigned i = 0; i < 3; i++)
		kv_run_free(runs[i]);
	check(f->kv, 0, "b00000", "b00000");
	check(f->kv, 0, "m04999", "m04999");
	check(f->kv, 1, "a00009", "a00009");
	check(f->kv, 1, "b00000", NULL);
	put(f->kv, 0, "b00000", "b00000");
	if (f->on_disk)
		reopen(f);
	assert_int_equal(kv_walk(f->kv, 0, SPAN_NULL, SPAN_NULL, count_row, &n), 0);
	assert_int_equal(n, 7000);
}

static void runs_are_sorted(void **state)
{
	struct fixture *f = *state;
	_cleanup_(kv_run_freep) struct kv_run *run = NULL;

	assert_int_equal(kv_run_new(f->kv, 0, &run), 0);
	assert_int_equal(kv_run_put(run, SPAN_NULL, SPAN_LITERAL("an empty key comes first")), 0);
	assert_int_equal(kv_run_put(run, SPAN_NULL, SPAN_NULL), -EINVAL);
	assert_int_equal(kv_run_put(run, SPAN_LITERAL("b"), SPAN_NULL), 0);
	assert_int_equal(kv_run_put(run, SPAN_LITERAL("b"), SPAN_NULL), -EINVAL);
	assert_int_equal(kv_run_put(run, SPAN_LITERAL("a"), SPAN_NULL), -EINVAL);
	assert_int_equal(kv_run_put(run, SPAN_LITERAL("ba"), SPAN_NULL), 0);
	assert_int_equal(kv_run_end(run), 0);
	assert_int_equal(kv_ingest(f->kv, &run, 1), 0);
	check(f->kv, 0, "", "an empty key comes first");
	check(f->kv, 0, "ba", "");
}

static void runs_that_nobody_wants_leave_nothing(void **state)
{
	struct fixture *f = *state;
	char path[TMPDIR_MAX + 32];

	kv_run_free(run_of(f->kv, 0, 'x', 100));
	snprintf(path, sizeof(path), "%s/runs/0-0", f->db);
	assert_int_equal(access(path, F_OK), -1);
	/* a crash would leave one */
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	reopen(f);
	assert_int_equal(access(path, F_OK), -1);
}

static void survives_reopening(void **state)
{
	struct fixture *f = *state;

	put(f->kv, 0, "a", "1");
	put(f->kv, 1, "b", "2");
	reopen(f);
	check(f->kv, 0, "a", "1");
	check(f->kv, 1, "b", "2");
	check_walk(f->kv, "", "", "a=1 ");
}

static void keeps_columns_that_nobody_asks_for(void **state)
{
	static const char *const fewer[] = { "inodes", NULL };
	struct fixture *f = *state;

	put(f->kv, 0, "a", "1");
	put(f->kv, 1, "b", "2");
	f->kv = kv_close(f->kv);
	assert_int_equal(kv_open(f->db, fewer, NULL, &f->kv), 0);
	check(f->kv, 0, "b", "2");
	reopen(f);
	check(f->kv, 0, "a", "1");
}

static void a_second_opener_is_refused(void **state)
{
	struct fixture *f = *state;
	struct kv *second = NULL;
	int status;
	pid_t pid;

	assert_int_equal(kv_open(f->db, columns, NULL, &second), -EBUSY);
	assert_null(second);
	pid = fork();
	if (pid == 0) {
		char db[TMPDIR_MAX + 8];

		memcpy(db, f->db, sizeof(db));
		execl("/proc/self/exe", "test_kv", "--open", db, (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EBUSY);
}

/* What was written with sync is there after the process was killed without closing. */
static void survives_a_kill(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	f->kv = kv_close(f->kv);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "test_kv", "--write", f->db, (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(kv_open(f->db, columns, NULL, &f->kv), 0);
	check(f->kv, 0, "killed", "after this");
}

static void overwrite(const struct fixture *f, const char *name)
{
	char path[TMPDIR_MAX + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->db, name);
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "nonsense", 8), 8);
	close(fd);
}

static void a_damaged_folder_is_told_and_can_be_destroyed(void **state)
{
	struct fixture *f = *state;

	put(f->kv, 0, "a", "1");
	f->kv = kv_close(f->kv);
	overwrite(f, "CURRENT");
	assert_int_equal(kv_open(f->db, columns, NULL, &f->kv), -EBADMSG);
	assert_null(f->kv);
	assert_int_equal(kv_destroy(f->db), 0);
	assert_int_equal(kv_open(f->db, columns, NULL, &f->kv), 0);
	check(f->kv, 0, "a", NULL);
}

static void a_missing_manifest_is_damage(void **state)
{
	struct fixture *f = *state;
	char path[TMPDIR_MAX + 64], line[32] = "";
	FILE *current;

	f->kv = kv_close(f->kv);
	snprintf(path, sizeof(path), "%s/CURRENT", f->db);
	current = fopen(path, "r");
	assert_non_null(current);
	assert_non_null(fgets(line, sizeof(line), current));
	fclose(current);
	line[strcspn(line, "\n")] = 0;
	snprintf(path, sizeof(path), "%s/%s", f->db, line);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(kv_open(f->db, columns, NULL, &f->kv), -EBADMSG);
}

static void a_folder_that_cannot_be_made(void **state)
{
	struct fixture *f = *state;
	struct kv *kv = NULL;
	char path[TMPDIR_MAX + 32];

	snprintf(path, sizeof(path), "%s/no/such/folder", f->dir);
	assert_int_equal(kv_open(path, columns, NULL, &kv), -EIO);
	assert_null(kv);
}

static void tells_its_size(void **state)
{
	struct fixture *f = *state;

	put(f->kv, 0, "a", "1");
	reopen(f); /* the log becomes a table */
	assert_true(kv_disk_bytes(f->kv) > 0);
}

/* Two write a row each and one together; others read behind them. */
struct race {
	struct kv *kv;
	uint64_t written[2]; /* atomic: the last write of each that has returned */
	bool over;           /* atomic */
};

struct racer {
	struct race *race;
	unsigned i;
};

static uint64_t number_of(struct kv *kv, const char *key)
{
	_cleanup_buf_ struct buf value = BUF_INIT(100);
	int r = kv_get(kv, 0, span_str(key), &value);

	assert_true(r == 0 || r == KV_MISSING);
	return r ? 0 : strtoull(buf_str(&value), NULL, 10);
}

static void write_numbers(void *arg)
{
	struct racer *w = arg;
	const char *key = w->i ? "second" : "first";

	for (uint64_t n = 1; n <= 3000; n++) {
		char number[24];

		snprintf(number, sizeof(number), "%llu", (unsigned long long)n);
		put(w->race->kv, 0, key, number);
		__atomic_store_n(&w->race->written[w->i], n, __ATOMIC_SEQ_CST);
		put(w->race->kv, 0, "common", number);
	}
}

static void read_numbers(void *arg)
{
	struct race *r = arg;

	while (!__atomic_load_n(&r->over, __ATOMIC_SEQ_CST))
		for (unsigned i = 0; i < 2; i++) {
			const uint64_t least = __atomic_load_n(&r->written[i], __ATOMIC_SEQ_CST);

			assert_true(number_of(r->kv, i ? "second" : "first") >= least);
			(void)number_of(r->kv, "common");
		}
}

static void nobody_reads_what_was_before_a_write(void **state)
{
	struct race race = { .kv = ((struct fixture *)*state)->kv };
	struct racer racers[2] = { { &race, 0 }, { &race, 1 } };
	struct task *writers[2], *readers[2];
	_cleanup_buf_ struct buf seen = BUF_INIT(1000), expected = BUF_INIT(1000);

	for (unsigned i = 0; i < 2; i++) {
		writers[i] = task_start("write", write_numbers, &racers[i]);
		readers[i] = task_start("read", read_numbers, &race);
	}
	for (unsigned i = 0; i < 2; i++)
		task_join(writers[i]);
	__atomic_store_n(&race.over, true, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 2; i++)
		task_join(readers[i]);
	/* A walk reads the database itself. */
	assert_int_equal(kv_walk(race.kv, 0, SPAN_NULL, SPAN_NULL, join, &seen), 0);
	assert_int_equal(buf_addf(&expected, "common=%llu first=%llu second=%llu ",
				  (unsigned long long)number_of(race.kv, "common"),
				  (unsigned long long)number_of(race.kv, "first"),
				  (unsigned long long)number_of(race.kv, "second")), 0);
	assert_string_equal(buf_str(&seen), buf_str(&expected));
}

/*
 * The parts of other processes: `--open DIR` answers with the errno, `--write DIR` dies after a
 * synced write.
 */
static int other_process(const char *what, const char *dir)
{
	struct kv *kv = NULL;
	int r = kv_open(dir, columns, NULL, &kv);

	if (r < 0 || strcmp(what, "--open") == 0) {
		kv_close(kv);
		return -r;
	}
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(kv);
	if (kv_batch_put(b, 0, span_str("killed"), span_str("after this")) == 0 &&
	    kv_write(kv, b, true) == 0)
		raise(SIGKILL);
	return 98;
}

#define ON_BOTH(test)                                                                              \
	{ #test " (disk)", test, open_disk, close_all, NULL },                                     \
		{ #test " (memory)", test, open_memory, close_all, NULL }
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, open_disk, close_all)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(gets_what_was_put),
		ON_BOTH(writes_a_batch_in_its_order),
		ON_BOTH(walks_a_prefix_in_order),
		ON_BOTH(a_walk_ends_when_told),
		ON_BOTH(prefixes_may_end_in_ff),
		ON_BOTH(an_iterator_sees_its_birth),
		ON_BOTH(many_deletions),
		ON_BOTH(takes_runs_in),
		ON_BOTH(runs_are_sorted),
		ON_DISK(runs_that_nobody_wants_leave_nothing),
		ON_DISK(nobody_reads_what_was_before_a_write),
		ON_DISK(survives_reopening),
		ON_DISK(keeps_columns_that_nobody_asks_for),
		ON_DISK(a_second_opener_is_refused),
		ON_DISK(survives_a_kill),
		ON_DISK(a_damaged_folder_is_told_and_can_be_destroyed),
		ON_DISK(a_missing_manifest_is_damage),
		ON_DISK(a_folder_that_cannot_be_made),
		ON_DISK(tells_its_size),
	};

	if (argc == 3)
		return other_process(argv[1], argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
