/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A folder for the staging log's files, on a disk that does not fail yet. */
#include "tests/lib/cm.h"
#include "tests/lib/disk_fault.h"
#include "tests/lib/tmpdir.h"

static char folder[TMPDIR_MAX];

static int make_folder(void **state)
{
	tmpdir_make(folder);
	disk_fault_sync(0, 0, 0);
	disk_fault_write(0, 0, 0);
	return 0;
}

static int remove_folder(void **state)
{
	tmpdir_remove(folder);
	return 0;
}
