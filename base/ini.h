/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Configuration files: [section] and key = value; comments with ; or #, behind a value with a blank
 * before them; "values in quotes" as they stand. Lines of any length. Pure but for ini_read().
 */
#include "base/span.h"

/*
 * Called for each key; line counts from 1. A negative answer ends the parse and is returned. A
 * section without keys is called once with name == NULL; the keys before the first section have
 * section "". Strings are borrowed for the call.
 */
typedef int ini_fn(const char *section, const char *name, const char *value, int line, void *arg);

/*
 * 0; -errno of opening and reading (*ret_line = 0), -EMSGSIZE (beyond 1 MiB), -ENOMEM; -EBADMSG
 * with *ret_line set: a line that is no INI; or what fn answered, with its *ret_line.
 */
must_check int ini_read(const char *file, ini_fn *fn, void *arg, int *ret_line);
must_check int ini_parse(struct span text, ini_fn *fn, void *arg, int *ret_line);
