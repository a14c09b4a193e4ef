/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A struct json is jansson's json_t under another name: they are never looked into
 * elsewhere, so that no other file needs the library.
 *
 * (J1) What fails while building is remembered for the thread until its next json_write(),
 *      so a document with a hole is never written.
 */
#include "base/json.h"
#include "base/text.h"

#include <jansson.h>
#include <math.h>

#define DEPTH_MAX 64
#define INDENT_MAX 8

static _Thread_local int build_error; /* (J1) */

static json_t *inner(const struct json *j)
{
	return (json_t *)j;
}

static struct json *outer(json_t *j)
{
	return (struct json *)j;
}

/* Brackets outside of strings: the parser would recurse to this depth. */
static bool is_too_deep(struct span text)
{
	bool in_string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '[' || c == '{') && ++depth > DEPTH_MAX)
			return true;
		else if (!in_string && (c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return false;
}

int json_parse(struct span text, struct json **ret)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
	json_error_t error;
	json_t *j;

	if (text.len == 0 || is_too_deep(text))
		return fail(-EBADMSG);
	j = json_loadb((const char *)text.data, text.len, flags, &error);
	if (!j)
		return fail(json_error_code(&error) == json_error_out_of_memory ? -ENOMEM
										: -EBADMSG);
	*ret = outer(j);
	return 0;
}

struct json *json_free(struct json *j)
{
	json_decref(inner(j));
	return NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
	return outer(json_object_get(inner(object), key));
}

const char *json_text(const struct json *value)
{
	return json_string_value(inner(value));
}

const char *json_str(const struct json *object, const char *key)
{
	return json_text(json_get(object, key));
}

bool json_bool(const struct json *object, const char *key, bool otherwise)
{
	const json_t *value = inner(json_get(object, key));

	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

double json_number(const struct json *object, const char *key, double otherwise)
{
	const json_t *value = inner(json_get(object, key));

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

int json_uint(const struct json *object, const char *key, uint64_t *ret)
{
	const json_t *value = inner(json_get(object, key));

	if (!value)
		return -ENOENT;
	if (json_is_string(value))
		return uint_parse(json_string_value(value), ret) ? fail(-EBADMSG) : 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return fail(-EBADMSG);
	*ret = json_integer_value(value);
	return 0;
}

size_t json_count(const struct json *array)
{
	return json_array_size(inner(array));
}

const struct json *json_at(const struct json *array, size_t i)
{
	return outer(json_array_get(inner(array), i));
}

void json_each(const struct json *object,
	       void (*fn)(const char *key, const struct json *value, void *arg), void *arg)
{
	json_t *j = inner(object);

	for (void *at = json_object_iter(j); at; at = json_object_iter_next(j, at))
		fn(json_object_iter_key(at), outer(json_object_iter_value(at)), arg);
}

/* (J1) */
static void note(int error)
{
	if (!build_error)
		build_error = error;
}

struct json *json_object_new(void)
{
	json_t *j = json_object();

	if (!j)
		note(-ENOMEM);
	return outer(j);
}

struct json *json_array_new(void)
{
	json_t *j = json_array();

	if (!j)
		note(-ENOMEM);
	return outer(j);
}

/* Takes value, which is NULL where making it failed with `error`. */
static void put(struct json *object, const char *key, json_t *value, int error)
{
	if (!value)
		note(error);
	else if (json_object_set_new(inner(object), key, value))
		note(-ENOMEM);
}

static json_t *string(const char *s)
{
	return s ? json_string(s) : json_null();
}

/*
 * JSON's integers end at 2^63 here; what is beyond becomes a decimal string, which json_uint()
 * reads.
 */
static json_t *uint_value(uint64_t v)
{
	return v <= INT64_MAX ? json_integer(v) : json_sprintf("%ju", (uintmax_t)v);
}

void json_set(struct json *object, const char *key, struct json *takes_value)
{
	put(object, key, inner(takes_value), -ENOMEM);
}

void json_set_str(struct json *object, const char *key, const char *s)
{
	put(object, key, string(s), -EINVAL);
}

void json_set_uint(struct json *object, const char *key, uint64_t v)
{
	put(object, key, uint_value(v), -ENOMEM);
}

void json_set_int(struct json *object, const char *key, int64_t v)
{
	put(object, key, json_integer(v), -ENOMEM);
}

void json_set_real(struct json *object, const char *key, double v)
{
	put(object, key, json_real(v), isfinite(v) ? -ENOMEM : -EINVAL);
}

void json_set_bool(struct json *object, const char *key, bool v)
{
	put(object, key, json_boolean(v), -ENOMEM);
}

static void append(struct json *array, json_t *value, int error)
{
	if (!value)
		note(error);
	else if (json_array_append_new(inner(array), value))
		note(-ENOMEM);
}

void json_append(struct json *array, struct json *takes_value)
{
	append(array, inner(takes_value), -ENOMEM);
}

void json_append_str(struct json *array, const char *s)
{
	append(array, string(s), -EINVAL);
}

struct output {
	struct buf *buf;
	int error;
};

static int write_part(const char *data, size_t len, void *arg)
{
	struct output *out = arg;

	out->error = buf_add(out->buf, data, len);
	return out->error ? -1 : 0;
}

int json_write(const struct json *j, int indent, struct buf *ret)
{
	const size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) |
			     JSON_INDENT(MIN(indent, INDENT_MAX));
	struct output out = { .buf = ret };
	const size_t start = ret->len;
	const int failed = build_error;

	build_error = 0; /* (J1) */
	if (failed)
		return fail(failed);
	if (!j || json_dump_callback(inner(j), write_part, &out, flags)) {
		ret->len = start;
		return out.error ? out.error : fail(-EINVAL);
	}
	return 0;
}
