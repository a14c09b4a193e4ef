/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Options and words of a command line: --name=value, --name value, -x value, -xyz, and -- before
 * plain words. */
#include "base/defs.h"

#define WORDS_MAX 32

struct text_list {
	const char *all[WORDS_MAX];
	size_t n;
};
enum arg_kind {
	ARG_FLAG, /* to: bool */
	ARG_TEXT, /* to: const char * */
	ARG_MANY, /* to: struct text_list */
};
struct arg {
	char letter;      /* or 0 */
	const char *name; /* without dashes, or NULL */
	enum arg_kind kind;
	void *to;
};
enum args_cond { ARGS_HELP = 1 };
/*
 * Fills in what the table (ended by an entry of zeros) points to, and the words. All borrow from
 * argv. 0; ARGS_HELP: --help was asked for; -EINVAL after a line on stderr.
 */
must_check int args_parse(int argc, char **argv, const struct arg *table,
			  struct text_list *ret_words);
/* An absolute path, also of a file that is not there yet. NULL: no memory, or no folder. */
char *absolute_path(const char *path);
/* --kdf-memory, --kdf-passes; NULL: 0, the default. -EINVAL after a line on stderr. */
must_check int kdf_parse(const char *memory, const char *passes, uint64_t *ret_memory,
			 uint64_t *ret_passes);
