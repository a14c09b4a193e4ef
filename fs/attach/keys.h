/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keys of objects as names of files, and back. Pure.
 *
 * A key is read as a path: its components, separated by '/', are directories, the last one the
 * file. Nearly every component is its own name. The others begin with "%~", and so does nothing
 * else:
 *
 *   component                                       its name
 *   empty ("a//b")                                  %~e
 *   . and ..                                        %~. and %~..
 *   one that itself begins with "%~"                %~% and the component
 *   a file beside a directory of the same name      %~f and the component
 *   an object whose key ends in '/' and which is
 *   no empty marker, inside that directory          %~m
 *   longer than a name may be, or with a zero byte  %~x, the first 180 bytes or less (whole
 *                                                   characters, zero bytes as '?'), '~', and
 *                                                   BLAKE2b-128 of the component (a directory's
 *                                                   with its '/') as 32 hex digits
 *
 * (N1) Two components of one directory have two names. (N2) Every name but %~x gives its component
 * back; for %~x the listing is asked.
 */
#include "base/buf.h"

#define KEY_NAME_MAX 255

enum key_kind {
	KEY_IS_DIRECTORY, /* a component that others follow */
	KEY_IS_FILE,      /* the last one */
	KEY_IS_BESIDE,    /* the last one, and there is a directory of that name as well */
	KEY_IS_MARKER,    /* an object of the directory's own key, with content; no component */
};

/* Is the name another than the component? */
bool key_is_odd(struct span component, enum key_kind kind);
/* Appends the name; at most KEY_NAME_MAX bytes. 0, -ENOMEM, -EMSGSIZE. */
must_check int key_to_name(struct span component, enum key_kind kind, struct buf *ret);

enum key_name_cond {
	KEY_ASK_LISTING = 1, /* %~x: only the listing knows */
	KEY_NO_NAME,         /* begins with "%~" and is none of ours, or holds '/' or a zero byte */
};
/*
 * Appends the component. 0, KEY_*, -ENOMEM, -EMSGSIZE. *ret_kind: KEY_IS_FILE when it may be a
 * directory as well.
 */
must_check int key_from_name(struct span name, struct buf *ret, enum key_kind *ret_kind);
