/* SPDX-License-Identifier: Apache-2.0 */
/* What a crash leaves of a file: cut at every byte, zeroed, damaged in the middle. */
#include "base/buf.h"
#include "cache/stage_segment.h"
#include "tests/lib/cm.h"
#include "tests/lib/disk_fault.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <sys/stat.h>

#define RECORDS 6u
#define NAME "file"

static char folder[TMPDIR_MAX];
static int dir;

static int make_folder(void **state)
{
	tmpdir_make(folder);
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	disk_fault_sync(0, 0, 0);
	disk_fault_write(0, 0, 0);
	return dir < 0;
}

static int remove_folder(void **state)
{
	close(dir);
	tmpdir_remove(folder);
	return 0;
}

/* Record n: recognisable, of a length of its own. */
static struct span body_of(unsigned n, uint8_t space[512])
{
	memset(space, (int)('a' + n), 512);
	return span_of(space, 7 + 32 * n);
}

static void append(struct stage_segment *s, unsigned n)
{
	uint8_t space[512], head = (uint8_t)n;

	assert_int_equal(stage_segment_append(s, 100 + n, span_of(&head, 1), body_of(n, space),
					      NULL),
			 0);
}

struct seen {
	bool record[RECORDS];
	unsigned n;
};

static int see(const struct stage_record *r, void *arg)
{
	struct seen *seen = arg;
	uint8_t space[512];
	const unsigned n = r->kind - 100;

	assert_true(n < RECORDS && !seen->record[n]);
	assert_true(r->head.len == 1 && r->head.data[0] == n);
	assert_true(span_equal(r->body, body_of(n, space)));
	seen->record[n] = true;
	seen->n++;
	return 0;
}

static struct stage_damage scan(struct seen *ret)
{
	struct stage_damage damage;

	*ret = (struct seen){ 0 };
	assert_int_equal(stage_segment_scan(dir, NAME, see, ret, &damage), 0);
	return damage;
}

static void overwrite(uint64_t off, const void *bytes, size_t len)
{
	const int fd = openat(dir, NAME, O_WRONLY);

	assert_int_equal(pwrite(fd, bytes, len, (off_t)off), len);
	close(fd);
}

static void cut(uint64_t length)
{
	const int fd = openat(dir, NAME, O_WRONLY);

	assert_int_equal(ftruncate(fd, (off_t)length), 0);
	close(fd);
}

/* RECORDS records, synced after each; ends[n]: the file's length after record n. */
static void write_all(uint64_t ends[RECORDS])
{
	struct stage_segment *s;

	unlinkat(dir, NAME, 0);
	assert_int_equal(stage_segment_create(dir, NAME, &s), 0);
	for (unsigned n = 0; n < RECORDS; n++) {
		append(s, n);
		ends[n] = stage_segment_length(s);
		assert_int_equal(stage_segment_sync(s), 0);
	}
	stage_segment_close(s);
}

static unsigned whole_at(const uint64_t ends[RECORDS], uint64_t length)
{
	unsigned n = 0;

	while (n < RECORDS && ends[n] <= length)
		n++;
	return n;
}

static void cut_at_every_byte(void **state)
{
	uint64_t ends[RECORDS];
	struct seen seen;

	write_all(ends);
	for (uint64_t length = ends[RECORDS - 1]; length-- > 0;) {
		const struct stage_damage damage = (cut(length), scan(&seen));
		const unsigned whole = whole_at(ends, length);

		assert_int_equal(seen.n, whole);
		assert_int_equal(damage.lost_bytes, 0);
		if (length > 8)
			assert_int_equal(damage.torn_bytes, length - (whole ? ends[whole - 1] : 8));
	}
}

/* The length reached the disk before the bytes did. */
static void zeros_at_the_end(void **state)
{
	static const uint8_t zeros[4096];
	uint64_t ends[RECORDS];
	struct seen seen;

	for (unsigned back = 1; back < 200; back += 13) {
		write_all(ends);
		overwrite(ends[RECORDS - 1] - back, zeros, back);
		assert_int_equal(scan(&seen).lost_bytes, 0);
		assert_int_equal(seen.n, whole_at(ends, ends[RECORDS - 1] - back));
	}
}

static void damage_in_the_middle_costs_what_it_hits(void **state)
{
	uint64_t ends[RECORDS];
	struct seen seen;

	for (uint64_t at = 8;; at += 5) {
		struct stage_damage damage;
		unsigned hit;

		write_all(ends);
		if (at >= ends[RECORDS - 2])
			break;
		overwrite(at, "\xff\x00\xff", 3);
		damage = scan(&seen);
		hit = whole_at(ends, at);
		assert_false(seen.record[hit]);
		assert_true(seen.n >= RECORDS - 2); /* three bytes touch two records at most */
		assert_true(damage.lost_bytes >= ends[hit] - (hit ? ends[hit - 1] : 8));
		assert_int_equal(damage.torn_bytes, 0);
	}
}

/* Pages reach the disk in any order: a hole before a whole record was not promised either. */
static void a_hole_that_was_never_synced_is_no_loss(void **state)
{
	static const uint8_t zeros[64];
	struct stage_segment *s;
	uint64_t synced, end;
	struct seen seen;
	struct stage_damage damage;

	assert_int_equal(stage_segment_create(dir, NAME, &s), 0);
	append(s, 0);
	assert_int_equal(stage_segment_sync(s), 0);
	synced = stage_segment_length(s);
	append(s, 1);
	end = stage_segment_length(s);
	append(s, 2);
	stage_segment_close(s);
	overwrite(synced, zeros, sizeof(zeros));
	damage = scan(&seen);
	assert_true(seen.record[0] && !seen.record[1] && seen.record[2]);
	assert_int_equal(damage.lost_bytes, 0);
	assert_int_equal(damage.torn_bytes, end - synced);
}

static void a_failed_sync_ends_the_file(void **state)
{
	struct stage_segment *s;
	uint8_t byte = 0;

	assert_int_equal(stage_segment_create(dir, NAME, &s), 0);
	append(s, 0);
	disk_fault_sync(1, 0, EIO);
	assert_int_equal(stage_segment_sync(s), -EIO);
	assert_true(stage_segment_failed(s));
	assert_int_equal(stage_segment_sync(s), -EIO); /* though the disk would say yes now */
	assert_int_equal(stage_segment_append(s, 1, SPAN_NULL, span_of(&byte, 1), NULL), -EIO);
	stage_segment_close(s);
}

static void a_full_disk_cuts_the_record_off(void **state)
{
	for (unsigned bytes = 0; bytes < 40; bytes += 3) {
		struct stage_segment *s;
		uint8_t space[512];
		struct seen seen;

		unlinkat(dir, NAME, 0);
		assert_int_equal(stage_segment_create(dir, NAME, &s), 0);
		append(s, 0);
		disk_fault_write(1, bytes, ENOSPC);
		assert_int_equal(stage_segment_append(s, 101, SPAN_NULL, body_of(1, space), NULL),
				 -ENOSPC);
		disk_fault_write(0, 0, 0);
		stage_segment_close(s);
		assert_int_equal(scan(&seen).torn_bytes, 0);
		assert_int_equal(seen.n, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(cut_at_every_byte, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(zeros_at_the_end, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(damage_in_the_middle_costs_what_it_hits,
						make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_hole_that_was_never_synced_is_no_loss,
						make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_failed_sync_ends_the_file, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(a_full_disk_cuts_the_record_off, make_folder,
						remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
