/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of what was written: as they were left, wherever they are; sealed where others look. */
#include "fs/attach/scratch.h"
#include "tests/lib/cm.h"
#include "tests/lib/tmpdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IN_MEMORY 4
#define BLOCKS 40

struct rig {
	char dir[TMPDIR_MAX];
	struct budget *memory, *disk;
	struct scratch *scratch;
};

static void start(struct rig *rig, uint64_t memory, uint64_t disk, bool with_dir)
{
	const struct scratch_options o = { .dir = with_dir ? rig->dir : NULL,
					   .memory_bytes = IN_MEMORY * SCRATCH_BLOCK };
	struct scratch_options all = o;

	rig->memory = budget_new("memory", memory);
	rig->disk = budget_new("disk", disk);
	all.memory = rig->memory;
	all.disk = rig->disk;
	all.deadline_ns = NS_PER_MS;
	assert_int_equal(scratch_new(&all, &rig->scratch), 0);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	tmpdir_make(rig->dir);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	scratch_free(rig->scratch);
	assert_int_equal(budget_used(rig->memory), 0);
	assert_int_equal(budget_used(rig->disk), 0);
	budget_free(rig->memory);
	budget_free(rig->disk);
	tmpdir_remove(rig->dir);
	free(rig);
	return 0;
}

static void write_at(struct rig *rig, uint8_t *model, uint64_t block, size_t at, uint8_t byte)
{
	uint8_t *p;
	bool is_new;

	assert_int_equal(scratch_block(rig->scratch, block, true, &p, &is_new), 0);
	p[at] = byte;
	model[block * SCRATCH_BLOCK + at] = byte;
}

static void blocks_are_as_they_were_left(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ uint8_t *model = calloc(BLOCKS, SCRATCH_BLOCK), *got = malloc(SCRATCH_BLOCK);
	bool there[BLOCKS] = { false };

	start(rig, 64 * MiB, 64 * MiB, true);
	srand(7);
	for (unsigned i = 0; i < 2000; i++) {
		const unsigned block = (unsigned)rand() % BLOCKS;
		const size_t at = (size_t)rand() % SCRATCH_BLOCK;

		if (rand() % 20 == 0) {
			scratch_forget(rig->scratch, block, block + 2);
			memset(model + block * SCRATCH_BLOCK, 0,
			       MIN(2u, BLOCKS - block) * SCRATCH_BLOCK);
			there[block] = there[MIN(block + 1, BLOCKS - 1u)] = false;
		} else {
			write_at(rig, model, block, at, (uint8_t)rand());
			there[block] = true;
		}
		assert_int_equal(scratch_has(rig->scratch, block), there[block]);
		if (!there[block])
			continue;
		assert_int_equal(scratch_read(rig->scratch, block, at, SCRATCH_BLOCK - at, got), 0);
		assert_memory_equal(got, model + block * SCRATCH_BLOCK + at, SCRATCH_BLOCK - at);
	}
	assert_true(budget_used(rig->memory) <= IN_MEMORY * SCRATCH_BLOCK);
	scratch_forget(rig->scratch, 0, UINT64_MAX);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_false(scratch_has(rig->scratch, i));
	assert_int_equal(budget_used(rig->memory), 0);
}

/* Whatever the process has open of the folder. Nobody else finds anything in it. */
static void nothing_lies_there_in_the_clear(void **state)
{
	static const char text[] = "a text that can be recognised";
	struct rig *rig = *state;
	_cleanup_free_ uint8_t *file = malloc(BLOCKS * 2 * SCRATCH_BLOCK);
	char path[64], target[TMPDIR_MAX + 64];
	size_t seen = 0;
	uint8_t *p;
	bool is_new;

	start(rig, 64 * MiB, 64 * MiB, true);
	for (unsigned i = 0; i < BLOCKS; i++) {
		assert_int_equal(scratch_block(rig->scratch, i, true, &p, &is_new), 0);
		assert_true(is_new);
		for (size_t at = 0; at + sizeof(text) < SCRATCH_BLOCK; at += sizeof(text))
			memcpy(p + at, text, sizeof(text));
	}
	for (int fd = 3; fd < 64; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		if (strncmp(target, rig->dir, strlen(rig->dir)) != 0)
			continue;
		n = pread(fd, file, BLOCKS * 2 * SCRATCH_BLOCK, 0);
		assert_true(n > 0);
		assert_null(memmem(file, (size_t)n, "recognised", 10));
		seen += (size_t)n;
	}
	assert_true(seen >= (BLOCKS - IN_MEMORY) * SCRATCH_BLOCK);
	assert_int_equal(rmdir(rig->dir), 0); /* it is empty */
	tmpdir_make(rig->dir);
}

static void a_full_disk_is_said(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ uint8_t *model = calloc(BLOCKS, SCRATCH_BLOCK);
	uint8_t *p, byte;
	bool is_new;

	start(rig, 64 * MiB, 2 * (SCRATCH_BLOCK + 16), true);
	for (unsigned i = 0; i < IN_MEMORY + 2; i++)
		write_at(rig, model, i, 5, (uint8_t)(i + 1));
	assert_int_equal(scratch_block(rig->scratch, 20, true, &p, &is_new), -ENOSPC);
	assert_false(scratch_has(rig->scratch, 20));
	for (unsigned i = 0; i < IN_MEMORY + 2; i++) {
		assert_int_equal(scratch_read(rig->scratch, i, 5, 1, &byte), 0);
		assert_int_equal(byte, i + 1);
	}
	scratch_forget(rig->scratch, 0, 2);
	assert_int_equal(scratch_block(rig->scratch, 20, true, &p, &is_new), 0);
}

/* Without waiting nothing goes to the disk or comes from it. */
static void who_may_not_wait_is_told(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ uint8_t *model = calloc(BLOCKS, SCRATCH_BLOCK);
	uint8_t *p;
	bool is_new;

	start(rig, 64 * MiB, 64 * MiB, true);
	for (unsigned i = 0; i < IN_MEMORY; i++)
		assert_int_equal(scratch_block(rig->scratch, i, false, &p, &is_new), 0);
	assert_int_equal(scratch_block(rig->scratch, 9, false, &p, &is_new), SCRATCH_WOULD_WAIT);
	write_at(rig, model, 9, 0, 1);
	assert_int_equal(scratch_block(rig->scratch, 0, false, &p, &is_new), SCRATCH_WOULD_WAIT);
	assert_int_equal(scratch_block(rig->scratch, 0, true, &p, &is_new), 0);
	assert_false(is_new);
}

/* Others have all the memory: an own block makes room; who has none is told. */
static void memory_that_others_have(void **state)
{
	struct rig *rig = *state;
	uint8_t *p;
	bool is_new;

	start(rig, 2 * SCRATCH_BLOCK, 64 * MiB, true);
	assert_int_equal(budget_try(rig->memory, SCRATCH_BLOCK), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(scratch_block(rig->scratch, i, true, &p, &is_new), 0);
	scratch_forget(rig->scratch, 0, UINT64_MAX);
	assert_int_equal(budget_try(rig->memory, SCRATCH_BLOCK), 0);
	assert_int_equal(scratch_block(rig->scratch, 9, true, &p, &is_new), -ENOMEM);
	budget_give(rig->memory, 2 * SCRATCH_BLOCK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(blocks_are_as_they_were_left, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_lies_there_in_the_clear, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(who_may_not_wait_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_that_others_have, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
