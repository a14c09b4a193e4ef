/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/keys.h"

#include "base/sodium.h"
#include "base/text.h"

#define MARK "%~"
#define MARK_LEN (sizeof(MARK) - 1)
#define CUT_MAX 180  /* bytes of a long component that stay readable */
#define HASH_SIZE 16

static bool is_marked(struct span s)
{
	return span_starts(s, SPAN_LITERAL(MARK));
}

static bool is_dots(struct span s)
{
	return span_equal(s, SPAN_LITERAL(".")) || span_equal(s, SPAN_LITERAL(".."));
}

/* What stands between a component that fits and its name. */
static const char *lead_of(struct span component, enum key_kind kind)
{
	if (kind == KEY_IS_MARKER)
		return MARK "m";
	if (component.len == 0)
		return MARK "e";
	if (kind == KEY_IS_BESIDE)
		return MARK "f";
	if (is_marked(component))
		return MARK "%";
	return is_dots(component) ? MARK : "";
}

static bool is_hashed(struct span component, const char *lead)
{
	return component.len + strlen(lead) > KEY_NAME_MAX ||
	       (component.len && memchr(component.data, 0, component.len));
}

bool key_is_odd(struct span component, enum key_kind kind)
{
	const char *lead = lead_of(component, kind);

	return lead[0] || is_hashed(component, lead);
}

static void hash_text(struct span component, enum key_kind kind, char ret[2 * HASH_SIZE + 1])
{
	struct blake2b_state st;
	uint8_t hash[HASH_SIZE];

	blake2b_begin(&st, sizeof(hash));
	blake2b_add(&st, component);
	if (kind == KEY_IS_DIRECTORY)
		blake2b_add(&st, SPAN_LITERAL("/"));
	blake2b_end(&st, hash, sizeof(hash));
	hex_encode(span_of(hash, sizeof(hash)), ret);
}

/* Not in the middle of a character of UTF-8; of what is none, at most three bytes are lost. */
static size_t cut_length(struct span s)
{
	size_t n = MIN(s.len, (size_t)CUT_MAX);

	for (unsigned i = 0; i < 3 && n < s.len && n && (s.data[n] & 0xc0) == 0x80; i++)
		n--;
	return n;
}

static int add_hashed(struct span component, enum key_kind kind, struct buf *ret)
{
	const size_t cut = cut_length(component);
	char name[MARK_LEN + 1 + CUT_MAX + 1 + 2 * HASH_SIZE + 1] = MARK "x";
	char *at = name + MARK_LEN + 1;

	for (size_t i = 0; i < cut; i++)
		*at++ = component.data[i] ? (char)component.data[i] : '?';
	*at++ = '~';
	hash_text(component, kind, at);
	return buf_add_str(ret, name);
}

int key_to_name(struct span component, enum key_kind kind, struct buf *ret)
{
	const char *lead = lead_of(component, kind);
	int r;

	if (is_hashed(component, lead))
		return add_hashed(component, kind, ret);
	r = buf_reserve(ret, strlen(lead) + component.len);
	if (!r)
		r = buf_add_str(ret, lead);
	return r ? r : buf_add_span(ret, component);
}

static int found(struct span component, enum key_kind kind, struct buf *ret,
		 enum key_kind *ret_kind)
{
	int r = buf_add_span(ret, component);

	if (!r)
		*ret_kind = kind;
	return r;
}

/* What follows "%~". */
static int from_marked(struct span rest, struct buf *ret, enum key_kind *ret_kind)
{
	const struct span tail = span_sub(rest, 1, rest.len);

	if (is_dots(rest))
		return found(rest, KEY_IS_FILE, ret, ret_kind);
	switch (rest.len ? rest.data[0] : 0) {
	case 'e':
		return tail.len ? KEY_NO_NAME : found(tail, KEY_IS_DIRECTORY, ret, ret_kind);
	case 'm':
		return tail.len ? KEY_NO_NAME : found(tail, KEY_IS_MARKER, ret, ret_kind);
	case 'f':
		return tail.len ? found(tail, KEY_IS_BESIDE, ret, ret_kind) : KEY_NO_NAME;
	case '%':
		return is_marked(tail) ? found(tail, KEY_IS_FILE, ret, ret_kind) : KEY_NO_NAME;
	case 'x':
		return KEY_ASK_LISTING;
	default:
		return KEY_NO_NAME;
	}
}

int key_from_name(struct span name, struct buf *ret, enum key_kind *ret_kind)
{
	if (name.len == 0 || name.len > KEY_NAME_MAX || is_dots(name) ||
	    memchr(name.data, '/', name.len) || memchr(name.data, 0, name.len))
		return KEY_NO_NAME;
	if (is_marked(name))
		return from_marked(span_sub(name, MARK_LEN, name.len), ret, ret_kind);
	return found(name, KEY_IS_FILE, ret, ret_kind);
}
