/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The door of inih: [section] and key = value, comments with ; or #, UTF-8. */
#include "base/span.h"

/* Called for each key; line counts from 1. A negative answer ends the parse and is returned. A section without keys is called once with name == NULL. */
typedef int ini_fn(const char *section, const char *name, const char *value, int line, void *arg);

/* 0; -errno of opening; -EBADMSG with *ret_line set: a line that is no INI; or what fn answered. */
must_check int ini_read(const char *file, ini_fn *fn, void *arg, int *ret_line);
must_check int ini_parse(struct span text, ini_fn *fn, void *arg, int *ret_line);
