/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wait.h"
#include "cache/disk_i.h"
#include "tests/lib/cm.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>

#define PATIENCE (30 * NS_PER_S)

struct fixture {
	char tmp[TMPDIR_MAX];
	char dir[TMPDIR_MAX + 8];
	struct disk *disk;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	tmpdir_make(f->tmp);
	snprintf(f->dir, sizeof(f->dir), "%s/pieces", f->tmp);
	*state = f;
	return disk_open(f->dir, 100 * MiB, 64 * MiB, &f->disk);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	disk_close(f->disk);
	tmpdir_remove(f->tmp);
	free(f);
	return 0;
}

static struct piece_id id_of(unsigned object, unsigned index)
{
	struct piece_id id = { .index = index };

	id.object[0] = 7;
	id.object[12] = (uint8_t)object;
	return id;
}

static void settle(struct fixture *f)
{
	assert_int_equal(disk_settle(f->disk, clock_now() + PATIENCE), 0);
}

static bool begin_piece(struct fixture *f, unsigned object, unsigned index, size_t len)
{
	struct piece_id id = id_of(object, index);
	struct blob *b = blob_new(len);
	bool taken;

	memset(blob_bytes(b), 'a' + (int)(object + index) % 26, len);
	taken = disk_write(f->disk, &id, b);
	blob_unref(b);
	return taken;
}

static void write_piece(struct fixture *f, unsigned object, unsigned index, size_t len)
{
	(void)begin_piece(f, object, index, len);
	settle(f);
}

static bool is_there(struct fixture *f, unsigned object, unsigned index)
{
	struct piece_id id = id_of(object, index);
	struct blob *b = NULL;
	struct span s;
	int r = disk_read(f->disk, &id, &b);

	if (r == DISK_MISSING)
		return false;
	assert_int_equal(r, 0);
	s = blob_span(b);
	for (size_t i = 0; i < s.len; i++)
		assert_int_equal(s.data[i], 'a' + (int)(object + index) % 26);
	blob_unref(b);
	return true;
}

static void path_of(struct fixture *f, unsigned object, unsigned index, char *ret, size_t size)
{
	struct piece_id id = id_of(object, index);
	char name[DISK_NAME_MAX];

	disk_name(&id, name);
	snprintf(ret, size, "%s/%s", f->dir, name);
}

static void names_are_read_back(void **state)
{
	struct piece_id id = id_of(3, 4000000000u), back;
	char name[DISK_NAME_MAX];

	disk_name(&id, name);
	assert_int_equal(name[2], '/');
	assert_int_equal(disk_name_parse(name + 3, &back), 0);
	assert_memory_equal(&back, &id, sizeof(id));
	assert_int_equal(disk_name_parse("tmp.1.2", &back), -EINVAL);
	assert_int_equal(disk_name_parse("", &back), -EINVAL);
	name[strlen(name) - 1] = 'x';
	assert_int_equal(disk_name_parse(name + 3, &back), -EINVAL);
}

static void keeps_what_was_written(void **state)
{
	struct fixture *f = *state;
	struct piece_id id = id_of(1, 2);

	assert_false(is_there(f, 1, 2));
	write_piece(f, 1, 2, 5000);
	assert_true(disk_has(f->disk, &id));
	assert_true(is_there(f, 1, 2));
	assert_false(is_there(f, 1, 3));
	assert_int_equal(disk_bytes(f->disk), 5000);
}

static void files_are_for_our_eyes_only(void **state)
{
	struct fixture *f = *state;
	char path[TMPDIR_MAX + 128];
	struct stat st;

	write_piece(f, 1, 2, 10);
	path_of(f, 1, 2, path, sizeof(path));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	*strrchr(path, '/') = 0;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(f->dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void finds_what_an_earlier_daemon_left(void **state)
{
	struct fixture *f = *state;
	char path[TMPDIR_MAX + 128];
	struct stat st;
	int fd;

	write_piece(f, 1, 2, 5000);
	write_piece(f, 3, 0, 100);
	f->disk = disk_close(f->disk);
	/* Beside them: a file in the making, an empty one, and one of somebody else. */
	path_of(f, 1, 2, path, sizeof(path));
	memcpy(strrchr(path, '/'), "/tmp.1.1", 9);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	path_of(f, 9, 9, path, sizeof(path));
	path[strlen(path) - 3 - 64] = 0;
	mkdir(path, 0700);
	path_of(f, 9, 9, path, sizeof(path));
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(disk_open(f->dir, 100 * MiB, 64 * MiB, &f->disk), 0);
	settle(f);
	assert_int_equal(disk_bytes(f->disk), 5100);
	assert_true(is_there(f, 1, 2));
	assert_true(is_there(f, 3, 0));
	assert_int_equal(stat(path, &st), -1);
	path_of(f, 1, 2, path, sizeof(path));
	memcpy(strrchr(path, '/'), "/tmp.1.1", 9);
	assert_int_equal(stat(path, &st), -1);
}

static void forgets(void **state)
{
	struct fixture *f = *state;
	char path[TMPDIR_MAX + 128];
	struct piece_id id = id_of(1, 1);
	struct stat st;

	for (unsigned i = 0; i < 100; i++)
		write_piece(f, 1, i, 10);
	write_piece(f, 2, 0, 10);
	disk_forget(f->disk, &id);
	assert_false(is_there(f, 1, 1));
	path_of(f, 1, 1, path, sizeof(path));
	assert_int_equal(stat(path, &st), -1);
	assert_true(is_there(f, 1, 99));
	disk_forget_object(f->disk, id.object);
	assert_false(is_there(f, 1, 0));
	assert_false(is_there(f, 1, 99));
	assert_true(is_there(f, 2, 0));
	assert_int_equal(disk_bytes(f->disk), 10);
}

/* Nobody waits for the writers here: whether it lies in a file yet makes no difference. */
static void what_waits_to_be_written_is_there(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 100; i++) {
		struct piece_id id = id_of(1, i);

		assert_true(begin_piece(f, 1, i, 10000));
		assert_true(disk_has(f->disk, &id));
		assert_true(is_there(f, 1, i));
		assert_true(begin_piece(f, 1, i, 10000));
	}
	settle(f);
	assert_int_equal(disk_bytes(f->disk), 100 * 10000);
}

static void what_waits_is_forgotten_too(void **state)
{
	struct fixture *f = *state;
	char path[TMPDIR_MAX + 128];
	struct stat st;

	for (unsigned i = 0; i < 100; i++) {
		struct piece_id id = id_of(i % 2, i);

		assert_true(begin_piece(f, i % 2, i, 10000));
		if (i % 2)
			disk_forget(f->disk, &id);
		else
			disk_forget_object(f->disk, id.object);
		assert_false(disk_has(f->disk, &id));
	}
	settle(f);
	assert_int_equal(disk_bytes(f->disk), 0);
	for (unsigned i = 0; i < 100; i++) {
		path_of(f, i % 2, i, path, sizeof(path));
		assert_int_equal(stat(path, &st), -1);
	}
}

static void the_longest_unused_make_room(void **state)
{
	struct fixture *f = *state;

	f->disk = disk_close(f->disk);
	assert_int_equal(disk_open(f->dir, 10000, 64 * MiB, &f->disk), 0);
	settle(f);
	for (unsigned i = 0; i < 9; i++)
		write_piece(f, 1, i, 1000);
	assert_true(is_there(f, 1, 0)); /* used just now */
	write_piece(f, 1, 9, 1000);
	assert_int_equal(disk_bytes(f->disk), 9000);
	assert_true(is_there(f, 1, 0));
	assert_false(is_there(f, 1, 1));
	assert_true(is_there(f, 1, 9));
}

static void a_lowered_limit_is_kept(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 10; i++)
		write_piece(f, 1, i, 1000);
	f->disk = disk_close(f->disk);
	assert_int_equal(disk_open(f->dir, 4000, 64 * MiB, &f->disk), 0);
	for (uint64_t until = clock_now() + PATIENCE;
	     (disk_settle(f->disk, until) || disk_bytes(f->disk) > 4000) && clock_now() < until;)
		sleep_for(NS_PER_MS);
	assert_true(disk_bytes(f->disk) <= 4000);
	assert_true(is_there(f, 1, 9));
	assert_false(is_there(f, 1, 0));
}

static void what_would_not_fit_is_not_cached(void **state)
{
	struct fixture *f = *state;

	f->disk = disk_close(f->disk);
	assert_int_equal(disk_open(f->dir, 1000, 64 * MiB, &f->disk), 0);
	settle(f);
	write_piece(f, 1, 0, 500);
	assert_false(is_there(f, 1, 0));
	write_piece(f, 1, 1, 200);
	assert_true(is_there(f, 1, 1));
}

static void a_lost_or_emptied_file_is_missing(void **state)
{
	struct fixture *f = *state;
	char path[TMPDIR_MAX + 128];

	write_piece(f, 1, 0, 10);
	write_piece(f, 1, 1, 10);
	path_of(f, 1, 0, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	path_of(f, 1, 1, path, sizeof(path));
	assert_int_equal(truncate(path, 0), 0);
	assert_false(is_there(f, 1, 0));
	assert_false(is_there(f, 1, 1));
	assert_int_equal(disk_bytes(f->disk), 0);
	write_piece(f, 1, 1, 10);
	assert_true(is_there(f, 1, 1));
}

static void a_second_daemon_is_refused(void **state)
{
	struct fixture *f = *state;
	struct disk *second = NULL;

	assert_int_equal(disk_open(f->dir, 1000, 64 * MiB, &second), -EBUSY);
	assert_null(second);
}

static void a_folder_that_cannot_be(void **state)
{
	struct fixture *f = *state;
	struct disk *d = NULL;
	char path[TMPDIR_MAX + 32];

	snprintf(path, sizeof(path), "%s/no/such", f->tmp);
	assert_int_equal(disk_open(path, 1000, 64 * MiB, &d), -EIO);
	snprintf(path, sizeof(path), "%s/pieces/lock", f->tmp);
	assert_int_equal(disk_open(path, 1000, 64 * MiB, &d), -EIO);
	assert_null(d);
}

/* No file may grow beyond a few bytes: writing fails as on a full disk. */
static void a_failing_disk_costs_no_error(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, tiny;

	write_piece(f, 1, 0, 1000);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	tiny = (struct rlimit){ .rlim_cur = 10, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
	write_piece(f, 1, 1, 1000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_false(is_there(f, 1, 1));
	assert_true(is_there(f, 1, 0));
	/* For a while it does not try. */
	write_piece(f, 1, 2, 1000);
	assert_false(is_there(f, 1, 2));
	assert_int_equal(disk_bytes(f->disk), 1000);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_back),
		T(keeps_what_was_written),
		T(files_are_for_our_eyes_only),
		T(finds_what_an_earlier_daemon_left),
		T(forgets),
		T(what_waits_to_be_written_is_there),
		T(what_waits_is_forgotten_too),
		T(the_longest_unused_make_room),
		T(a_lowered_limit_is_kept),
		T(what_would_not_fit_is_not_cached),
		T(a_lost_or_emptied_file_is_missing),
		T(a_second_daemon_is_refused),
		T(a_folder_that_cannot_be),
		T(a_failing_disk_costs_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
