/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A folder for one test, gone when the test is. */
#include "base/defs.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#define TMPDIR_MAX 256

/*
 * Makes a new folder below $TMPDIR (or /tmp); its path in ret. Ends the test program when it can't.
 */
static inline void tmpdir_make(char ret[TMPDIR_MAX])
{
	const char *base = getenv("TMPDIR");

	snprintf(ret, TMPDIR_MAX, "%s/mangrove-test-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(ret)) {
		perror(ret);
		abort();
	}
}

static inline int tmpdir_unlink_(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	return remove(path);
}

static inline void tmpdir_remove(const char *path)
{
	nftw(path, tmpdir_unlink_, 16, FTW_DEPTH | FTW_PHYS);
}
