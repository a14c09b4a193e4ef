/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The door of expat: events of a small document (listings, error bodies), with limits:
 * depth 32, no DTD, no entities beyond the five. Namespaces are dropped from names.
 */
#include "base/span.h"

struct xml_handler {
	/* path: the open elements, "/ListBucketResult/Contents/Key". */
	int (*begin)(const char *path, void *arg);
	/* One attribute of the element that has just begun. */
	int (*attribute)(const char *path, const char *name, const char *value, void *arg);
	/* At the end of an element: all character data directly in it; borrowed for the call. */
	int (*end)(const char *path, struct span text, void *arg);
};

/*
 * 0; -EBADMSG: malformed or over a limit; -ENOMEM; or what a handler answered (it ends the parse).
 * Handlers may be NULL.
 */
must_check int xml_parse(struct span text, const struct xml_handler *h, void *arg);
/* Appends text with & < > " ' and control characters escaped. */
struct buf;
must_check int xml_escape(struct span s, struct buf *ret);
