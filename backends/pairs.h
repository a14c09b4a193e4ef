/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A short list of names and values: the query of a URL, the headers of a request. Keeps
 * its order; a failed addition is remembered and told once at the end (like base/codec.h).
 */
#include "base/buf.h"

struct pair {
	char *name;
	char *value;
};
struct pairs {
	struct pair *items;
	size_t n;
	size_t room; /* private */
	bool no_memory;
};

void pairs_release(struct pairs *p); /* empty and usable again */
/* Copies both; a value of NULL is an empty one. */
void pairs_add(struct pairs *p, const char *name, const char *value);
void pairs_addf(struct pairs *p, const char *name, const char *fmt, ...) printf_like(3, 4);
/* Adds, or replaces the first of this name (whatever its case). */
void pairs_set(struct pairs *p, const char *name, const char *value);
void pairs_remove(struct pairs *p, const char *name);
/* The first of this name, whatever its case; NULL: none. Borrowed until the next change. */
const char *pairs_get(const struct pairs *p, const char *name);
/* 0, or -ENOMEM when an addition failed. */
must_check int pairs_error(const struct pairs *p);
/*
 * Appends "a=1&b=2", percent-encoded and sorted by encoded name, then value: the form that
 * SigV4 signs, so what is signed is what is sent.
 */
must_check int pairs_query(const struct pairs *p, struct buf *ret);
#define _cleanup_pairs_ _cleanup_(pairs_release)
