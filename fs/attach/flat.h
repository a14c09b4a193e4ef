/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A flat listing, in the order of keys, as files and directories: the same tree that an attached
 * bucket shows (keys.h). Pure.
 *
 * (T1) A file is told when it is certain whether there is a directory of its name: keys such as
 *      "a-b" sort between "a" and "a/". What waits are prefixes of each other, so they are few.
 * (T2) Whatever is told lies in directories that lie on the way of the keys: who follows with one
 *      stack of directories never enters one again after having left it, but for "_$folder$" marks.
 */
#include "backends/store.h"
#include "fs/attach/keys.h"

/*
 * key: of a directory without the '/' behind it. e: what was listed. 0 go on; negative: it ends,
 * and that is answered.
 */
typedef int flat_fn(struct span key, enum key_kind kind, const struct list_entry *e, void *arg);

struct flat {
	struct list_entry *held; /* (T1); each owns its name */
	size_t n, cap;
};
/* The next of a listing without a delimiter. 0, fn's answer, -EIO (out of order), -ENOMEM. */
must_check int flat_add(struct flat *f, const struct list_entry *e, flat_fn *fn, void *arg);
/* There are no more. */
must_check int flat_end(struct flat *f, flat_fn *fn, void *arg);
void flat_release(struct flat *f);
