/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The door of jansson: reads the providers' answers and configuration-like files,
 * writes ours. A struct json is a reference to a value; borrowed values live as long
 * as the root that was parsed or built.
 */
#include "base/buf.h"

struct json; /* an opaque value */

/* Returns owned. 0, -EBADMSG (not JSON, a key twice, deeper than 64), -ENOMEM. */
must_check int json_parse(struct span text, struct json **ret);
struct json *json_free(struct json *j);
DEFINE_CLEANUP(struct json *, json_free)

/*
 * Lookups take NULL and wrong types and then answer NULL or the fallback: absent and malformed are
 * one.
 */
const struct json *json_get(const struct json *object, const char *key); /* borrowed */
const char *json_str(const struct json *object, const char *key);        /* borrowed, or NULL */
bool json_bool(const struct json *object, const char *key, bool otherwise);
double json_number(const struct json *object, const char *key, double otherwise);
/* Integers also as decimal strings (GCS writes int64 so). 0, -ENOENT (absent), -EBADMSG. */
must_check int json_uint(const struct json *object, const char *key, uint64_t *ret);
size_t json_count(const struct json *array);
const struct json *json_at(const struct json *array, size_t i);
const char *json_text(const struct json *value); /* of a string value itself, or NULL */
/* Calls fn for each member of an object in order. */
void json_each(const struct json *object,
	       void (*fn)(const char *key, const struct json *value, void *arg), void *arg);

/*
 * Building. The result needs no check before json_write(): what fails (memory, bad UTF-8, a real
 * that is no number) is remembered for the calling thread and reported by its next json_write().
 * The setters take NULL objects (of a failed json_object_new()) and ignore them. A number above
 * INT64_MAX becomes a decimal string.
 */
struct json *json_object_new(void); /* returns owned */
struct json *json_array_new(void);  /* returns owned */
void json_set(struct json *object, const char *key, struct json *takes_value);
void json_set_str(struct json *object, const char *key, const char *s); /* NULL: null */
void json_set_uint(struct json *object, const char *key, uint64_t v);
void json_set_int(struct json *object, const char *key, int64_t v);
void json_set_real(struct json *object, const char *key, double v);
void json_set_bool(struct json *object, const char *key, bool v);
void json_append(struct json *array, struct json *takes_value);
void json_append_str(struct json *array, const char *s);
/* Appends the text; indent 0 = one line. 0, -ENOMEM, -EINVAL, -EMSGSIZE. */
must_check int json_write(const struct json *j, int indent, struct buf *ret);
