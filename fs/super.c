/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/super.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/text.h"

/*
 * "mangrsup", be16 version, be32 length of the clear part, the clear part, BLAKE2b-256 of all
 * before, and a sealed object of type super whose id is the volume's and whose plaintext begins
 * with that hash. Magic, version and length stand at the same place in every version.
 */
#define SUPER_VERSION 1u
#define HEAD_SIZE 14u
#define HASH_SIZE 32u
#define TEXT_MAX 4096u

static_assert(KEY_SLOT_SIZE_MAX <= KEYSLOT_SIZE_MAX, "a slot fits into its row");

static const char magic[8] = { 'm', 'a', 'n', 'g', 'r', 's', 'u', 'p' };

struct super *super_new(void)
{
	return calloc(1, sizeof(struct super));
}

static void forget_sealed(struct super *s)
{
	s->name = free_null(s->name);
	for (size_t i = 0; i < s->n_stores; i++) {
		free(s->stores[i].name);
		free(s->stores[i].url);
		s->stores[i] = (struct super_store){ 0 };
	}
	s->n_stores = 0;
}

struct super *super_free(struct super *s)
{
	if (!s)
		return NULL;
	forget_sealed(s);
	free(s);
	return NULL;
}

void super_object_name(uint64_t slot, char ret[SUPER_NAME_SIZE])
{
	snprintf(ret, SUPER_NAME_SIZE, SUPER_PREFIX "%016" PRIx64, slot);
}

bool super_object_parse(struct span name, uint64_t *ret_slot)
{
	const size_t skip = strlen(SUPER_PREFIX);
	char only[SUPER_NAME_SIZE];
	uint8_t bytes[8];
	struct reader r = READER(span_of(bytes, sizeof(bytes)));
	uint64_t slot;

	if (name.len != SUPER_NAME_SIZE - 1 ||
	    hex_decode((const char *)name.data + skip, name.len - skip, bytes, sizeof(bytes)))
		return false;
	slot = read_be64(&r);
	super_object_name(slot, only);
	if (!span_equal(name, span_str(only)))
		return false; /* capital digits: a name that we would not ask for */
	*ret_slot = slot;
	return true;
}

static int encode_slots(const struct super *s, struct writer *w)
{
	write_varint(w, s->n_slots);
	for (size_t i = 0; !w->error && i < s->n_slots; i++) {
		_cleanup_buf_ struct buf slot = BUF_INIT(KEY_SLOT_SIZE_MAX);
		int r = key_slot_encode(&s->slots[i], &slot);

		if (r)
			return r;
		write_bytes(w, buf_span(&slot));
	}
	return w->error;
}

static int encode_clear(const struct super *s, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_raw(&w, span_of(s->volume_id, 16));
	write_varint(&w, s->level);
	write_varint(&w, s->slot);
	return encode_slots(s, &w);
}

int super_keys_hash(const struct super *s, uint8_t ret[SUPER_KEYS_HASH_SIZE])
{
	_cleanup_buf_ struct buf slots = BUF_INIT(SUPER_SIZE_MAX);
	struct writer w = WRITER(&slots);
	int r = encode_slots(s, &w);

	if (!r)
		blake2b(SPAN_NULL, buf_span(&slots), ret, SUPER_KEYS_HASH_SIZE);
	return r;
}

static int encode_sealed(const struct super *s, const uint8_t hash[HASH_SIZE], unsigned self,
			 struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_raw(&w, span_of(hash, HASH_SIZE));
	write_bytes(&w, span_str(s->name));
	write_varint(&w, s->epoch);
	write_varint(&w, self);
	write_varint(&w, s->n_stores);
	for (size_t i = 0; i < s->n_stores; i++) {
		write_raw(&w, span_of(s->stores[i].id, 16));
		write_varint(&w, s->stores[i].roles);
		write_bytes(&w, span_str(s->stores[i].name));
		write_bytes(&w, span_str(s->stores[i].url));
	}
	return w.error;
}

/* All that stands before the sealed part. */
static int encode_front(const struct super *s, struct buf *ret, uint8_t ret_hash[HASH_SIZE])
{
	_cleanup_buf_ struct buf clear = BUF_INIT(SUPER_SIZE_MAX);
	struct writer w = WRITER(ret);
	int r = encode_clear(s, &clear);

	if (r)
		return r;
	write_raw(&w, span_of(magic, sizeof(magic)));
	write_be16(&w, SUPER_VERSION);
	write_be32(&w, (uint32_t)clear.len);
	write_raw(&w, buf_span(&clear));
	if (w.error)
		return w.error;
	blake2b(SPAN_NULL, buf_span(ret), ret_hash, HASH_SIZE);
	return buf_add(ret, ret_hash, HASH_SIZE);
}

int super_encode(const struct super *s, struct sealer *sealer, unsigned self, struct blob **ret)
{
	_cleanup_buf_ struct buf object = BUF_INIT(SUPER_SIZE_MAX),
				 plain = BUF_INIT(SUPER_SIZE_MAX);
	_cleanup_(blob_unrefp) struct blob *sealed = NULL;
	uint8_t hash[HASH_SIZE];
	int r = encode_front(s, &object, hash);

	if (!r)
		r = encode_sealed(s, hash, self, &plain);
	if (!r)
		r = seal_object(sealer, SEAL_SUPER, s->volume_id, buf_span(&plain), &sealed);
	if (!r)
		r = buf_add_span(&object, blob_span(sealed));
	if (r)
		return r;
	*ret = blob_copy(buf_span(&object));
	return *ret ? 0 : fail(-ENOMEM);
}

/* Cuts the object into its parts by its own length field. */
static int split(struct span object, struct span *ret_clear, struct span *ret_sealed,
		 uint8_t ret_hash[HASH_SIZE])
{
	struct reader r = READER(object);
	struct span found = read_raw(&r, sizeof(magic)), hash;
	uint16_t version = read_be16(&r);
	uint32_t len = read_be32(&r);

	if (!span_equal(found, span_of(magic, sizeof(magic))))
		return SUPER_DAMAGED;
	*ret_clear = read_raw(&r, len);
	hash = read_raw(&r, HASH_SIZE);
	if (read_error(&r))
		return SUPER_DAMAGED;
	blake2b(SPAN_NULL, span_sub(object, 0, HEAD_SIZE + len), ret_hash, HASH_SIZE);
	if (!span_equal(hash, span_of(ret_hash, HASH_SIZE)))
		return SUPER_DAMAGED;
	*ret_sealed = r.rest;
	return version == SUPER_VERSION ? 0 : SUPER_NEW_FORMAT;
}

static int parse_clear(struct span clear, struct super *s)
{
	struct reader r = READER(clear);
	uint64_t level, n;

	read_copy(&r, s->volume_id, 16);
	level = read_varint(&r);
	s->slot = read_varint(&r);
	n = read_varint(&r);
	if (n > KEYSLOTS_MAX || level > UINT32_MAX)
		return SUPER_DAMAGED;
	s->level = (uint32_t)level;
	for (uint64_t i = 0; i < n && !read_error(&r); i++) {
		struct span slot = read_bytes(&r, KEY_SLOT_SIZE_MAX);

		/* A slot of a later kind is not ours to judge: others may open. */
		if (!key_slot_decode(slot, &s->slots[s->n_slots]))
			s->n_slots++;
	}
	return read_end(&r) ? SUPER_DAMAGED : 0;
}

int super_parse(struct span object, struct super **ret)
{
	_cleanup_(super_freep) struct super *s = super_new();
	struct span clear, sealed;
	int r;

	if (!s)
		return fail(-ENOMEM);
	r = split(object, &clear, &sealed, s->hash);
	if (!r)
		r = parse_clear(clear, s);
	if (!r && s->level > SUPER_LEVEL)
		r = SUPER_NEW_FORMAT;
	if (!r)
		*ret = take_ptr(&s);
	return r;
}

/* A key may move from a file into a vault; words and recovery keys are of their own kinds. */
bool super_may_open(enum key_type slot, enum key_type secret)
{
	bool slot_is_bytes = slot == KEY_FILE || slot == KEY_COMMAND;
	bool secret_is_bytes = secret == KEY_FILE || secret == KEY_COMMAND;

	return secret == KEY_NONE || slot == secret || (slot_is_bytes && secret_is_bytes);
}

/* Every slot that this secret opens adds its epoch's key. */
static int add_keys(const struct super *s, enum key_type type, const struct secret *secret,
		    struct sealer *sealer)
{
	int verdict = SUPER_WRONG_KEY;

	for (size_t i = 0; i < s->n_slots; i++) {
		const struct key_slot *k = &s->slots[i];
		uint8_t key[32];
		int r;

		if (!super_may_open(k->type, type))
			continue;
		r = key_slot_unwrap(k, s->volume_id, secret, key);
		if (!r) {
			r = sealer_add_key(sealer, k->epoch, key);
			wipe(key, sizeof(key));
			verdict = r ? r : 0;
		}
		if (r < 0)
			return r;
		if (r == KEY_WEAK && verdict)
			verdict = SUPER_WEAK;
		if (r == KEY_DAMAGED && verdict)
			verdict = SUPER_DAMAGED;
	}
	return verdict;
}

int super_unlock(const struct super *s, enum key_type type, const struct secret *secret,
		 struct sealer **ret)
{
	_cleanup_(sealer_freep) struct sealer *sealer = NULL;
	int r = sealer_new(s->volume_id, &sealer);

	if (!r)
		r = add_keys(s, type, secret, sealer);
	if (!r)
		*ret = take_ptr(&sealer);
	return r;
}

/* A number that has 32 bits here: a larger one would be another one. */
static uint32_t read_number(struct reader *r)
{
	uint64_t v = read_varint(r);

	if (v > UINT32_MAX)
		read_fail(r);
	return (uint32_t)v;
}

/* Text that is there, and whole as a C string. */
static struct span read_text(struct reader *r)
{
	struct span s = read_bytes(r, TEXT_MAX);

	if (!s.len || memchr(s.data, '\0', s.len))
		read_fail(r);
	return s;
}

static char *text_of(struct span s)
{
	return strndup((const char *)s.data, s.len);
}

static int parse_store(struct reader *r, struct super *s)
{
	struct super_store *st = &s->stores[s->n_stores];
	struct span name, url;

	read_copy(r, st->id, 16);
	st->roles = read_number(r);
	name = read_text(r);
	url = read_text(r);
	if (read_error(r))
		return SUPER_DAMAGED;
	s->n_stores++;
	st->name = text_of(name);
	st->url = text_of(url);
	return st->name && st->url ? 0 : fail(-ENOMEM);
}

static int parse_sealed(struct span plain, struct super *s)
{
	struct reader r = READER(plain);
	struct span hash = read_raw(&r, HASH_SIZE), name = read_text(&r);
	uint64_t n;
	int e = 0;

	s->epoch = read_number(&r);
	s->self = read_number(&r);
	n = read_varint(&r);
	if (read_error(&r) || !span_equal(hash, span_of(s->hash, HASH_SIZE)))
		return SUPER_DAMAGED;
	if (!n || n > SUPER_STORES_MAX || s->self >= n)
		return SUPER_DAMAGED;
	s->name = text_of(name);
	if (!s->name)
		return fail(-ENOMEM);
	while (n-- && !e)
		e = parse_store(&r, s);
	if (e)
		return e;
	return read_end(&r) ? SUPER_DAMAGED : 0;
}

int super_open(struct super *s, struct sealer *sealer, struct span object)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(SUPER_SIZE_MAX);
	struct span clear, sealed;
	uint8_t hash[HASH_SIZE];
	int r = split(object, &clear, &sealed, hash);

	if (r)
		return r;
	if (memcmp(hash, s->hash, HASH_SIZE))
		return SUPER_DAMAGED;
	r = seal_object_open(sealer, SEAL_SUPER, s->volume_id, sealed, &plain, NULL);
	if (r)
		return r == SEAL_NEW_FORMAT ? SUPER_NEW_FORMAT : r > 0 ? SUPER_DAMAGED : r;
	forget_sealed(s);
	return parse_sealed(buf_span(&plain), s);
}
