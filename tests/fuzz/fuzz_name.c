/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of objects as names of files: each name is one that a file can have, gives its component
 * back, and no other component has it. The input: two kinds and two components, and the rest as a
 * name.
 */
#include "tests/fuzz/fuzz.h"

#include "fs/attach/keys.h"

struct one {
	enum key_kind kind;
	struct span component;
	struct buf name;
};

/* A marker has no component, and between two slashes there may be nothing. */
static bool is_component(const struct one *o)
{
	if (o->component.len && memchr(o->component.data, '/', o->component.len))
		return false;
	return o->kind == KEY_IS_MARKER ? o->component.len == 0
	       : o->component.len == 0	? o->kind == KEY_IS_DIRECTORY
					: true;
}

static void make_name(struct one *o)
{
	_cleanup_buf_ struct buf back = BUF_INIT(KEY_NAME_MAX);
	struct span name;
	enum key_kind kind;
	int r;

	o->name = BUF_INIT(KEY_NAME_MAX);
	MUST(key_to_name(o->component, o->kind, &o->name) == 0);
	name = buf_span(&o->name);
	MUST(name.len && name.len <= KEY_NAME_MAX);
	MUST(!memchr(name.data, '/', name.len) && !memchr(name.data, 0, name.len));
	MUST(!span_equal(name, SPAN_LITERAL(".")) && !span_equal(name, SPAN_LITERAL("..")));
	MUST(key_is_odd(o->component, o->kind) == !span_equal(o->component, name));
	r = key_from_name(name, &back, &kind);
	MUST(r == 0 || r == KEY_ASK_LISTING);
	if (r)
		return;
	MUST(span_equal(o->component, buf_span(&back)));
	MUST(kind == o->kind || (kind == KEY_IS_FILE && o->kind == KEY_IS_DIRECTORY));
}

/*
 * May both be in one directory at once? A file that has a directory of its name beside it is a
 * KEY_IS_BESIDE; and without one it is a KEY_IS_FILE.
 */
static bool live_together(const struct one *a, const struct one *b)
{
	const bool file = a->kind == KEY_IS_FILE || b->kind == KEY_IS_FILE;

	return !span_equal(a->component, b->component) || !file;
}

/* (N1) */
static void differ(const struct one *a, const struct one *b)
{
	if (a->kind == b->kind && span_equal(a->component, b->component))
		MUST(span_equal(buf_span(&a->name), buf_span(&b->name)));
	else if (live_together(a, b))
		MUST(!span_equal(buf_span(&a->name), buf_span(&b->name)));
}

/* A name that somebody asks for is the name of what it gives. */
static void asked(struct span name)
{
	_cleanup_buf_ struct buf component = BUF_INIT(KEY_NAME_MAX), again = BUF_INIT(KEY_NAME_MAX);
	enum key_kind kind;
	const int r = key_from_name(name, &component, &kind);

	MUST(r == 0 || ((r == KEY_ASK_LISTING || r == KEY_NO_NAME) && component.len == 0));
	if (r)
		return;
	MUST(key_to_name(buf_span(&component), kind, &again) == 0);
	MUST(span_equal(name, buf_span(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct one a, b;

	a.kind = take_byte(&in) % (KEY_IS_MARKER + 1);
	b.kind = take_byte(&in) % (KEY_IS_MARKER + 1);
	a.component = take_part(&in);
	b.component = take_part(&in);
	asked(in);
	if (!is_component(&a) || !is_component(&b))
		return 0;
	make_name(&a);
	make_name(&b);
	differ(&a, &b);
	buf_release(&a.name);
	buf_release(&b.name);
	return 0;
}
