/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of any size, of a store that makes up their bytes as they are asked for: terabytes, many
 * requests at one time, answers that are cut, objects that have no version.
 */
#include "base/sodium.h"
#include "backends/store_i.h"
#include "fs/attach/object.h"
#include "tests/lib/cm.h"

#include <stdio.h>

#define PATIENCE (60 * NS_PER_S)
#define TiB      (1024 * GiB)

struct vast {
	struct store store;
	struct {
		struct lock lock;
		struct cond wake;
		uint64_t size, modified_s;
		const char *version;
		bool cut;       /* bodies lack their last byte */
		unsigned gate;  /* gets from gate_off on wait until so many do */
		uint64_t gate_off;
		unsigned gets, waiting, most, running;
	} own;
};

struct job {
	struct vast *v;
	struct store_call *call;
	uint64_t off, len, deadline_ns;
};

static uint8_t byte_at(uint64_t off)
{
	return (uint8_t)(off * 0x9e3779b97f4a7c15ull >> 56);
}

static void wait_at_gate_locked(struct vast *v, const struct job *j)
{
	if (!v->own.gate || j->off < v->own.gate_off)
		return;
	v->own.waiting++;
	v->own.most = MAX(v->own.most, v->own.waiting);
	if (v->own.waiting >= v->own.gate)
		v->own.gate = 0;
	cond_broadcast(&v->own.wake);
	while (v->own.gate && clock_now() < j->deadline_ns)
		(void)cond_wait(&v->own.wake, &v->own.lock, j->deadline_ns);
	v->own.waiting--;
}

static int answer_locked(struct vast *v, const struct job *j)
{
	struct store_call *c = j->call;
	uint8_t *to;

	v->own.gets++;
	wait_at_gate_locked(v, j);
	c->size = v->own.size;
	c->modified_s = v->own.modified_s;
	snprintf(c->version, sizeof(c->version), "%s", v->own.version);
	if (c->op == STORE_HEAD)
		return 0;
	if (j->off >= v->own.size)
		return STORE_RANGE;

	const size_t len = MIN(j->len, v->own.size - j->off) - v->own.cut;

	to = buf_extend(&c->body, len);
	assert_non_null(to);
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(j->off + i);
	return 0;
}

static void run(void *arg)
{
	struct job *j = arg;
	struct vast *v = j->v;
	int r;

	lock_take(&v->own.lock);
	r = answer_locked(v, j);
	lock_give(&v->own.lock);
	store_call_finish(j->call, r);
	store_call_unref(j->call);
	free(j);
	LOCK_SCOPE(&v->own.lock);
	v->own.running--;
	cond_broadcast(&v->own.wake);
}

static void begin(struct store *s, uint64_t off, uint64_t len, uint64_t deadline_ns,
		  struct store_call *c)
{
	struct vast *v = container_of(s, struct vast, store);
	struct job *j = malloc(sizeof(*j));

	*j = (struct job){ v, c, off, len, deadline_ns };
	call_ref(&c->call);
	lock_take(&v->own.lock);
	v->own.running++;
	lock_give(&v->own.lock);
	task_detach(task_start("vast", run, j));
}

static void vast_get(struct store *s, const struct get_req *r, struct store_call *c)
{
	begin(s, r->offset, r->length, r->deadline_ns, c);
}

static void vast_head(struct store *s, const struct head_req *r, struct store_call *c)
{
	begin(s, 0, 0, r->deadline_ns, c);
}

static void vast_free(struct store *s)
{
	struct vast *v = container_of(s, struct vast, store);

	lock_take(&v->own.lock);
	while (v->own.running)
		(void)cond_wait(&v->own.wake, &v->own.lock, NEVER);
	lock_give(&v->own.lock);
	cond_release(&v->own.wake);
	lock_release(&v->own.lock);
	store_release(s);
	free(v);
}

static const struct store_ops vast_ops = { .get = vast_get, .head = vast_head, .free = vast_free };

struct rig {
	struct vast *v;
	struct replicas *replicas;
	struct sealer *sealer;
	struct pieces *pieces;
	struct objects *objects;
	struct bucket_entry e;
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	const struct pieces_options po = { .memory_bytes = 64 * MiB };
	const uint8_t volume[16] = { 0 }, key[32] = { 5 };

	rig->v = calloc(1, sizeof(*rig->v));
	rig->v->own.version = "";
	assert_int_equal(store_init(&rig->v->store, &vast_ops, "vast", "test://vast"), 0);
	lock_init(&rig->v->own.lock, RANK_STORE);
	cond_init(&rig->v->own.wake);
	assert_int_equal(replicas_new(NULL, &rig->replicas), 0);
	assert_int_equal(replicas_add(rig->replicas, &rig->v->store, NULL), 0);
	assert_int_equal(sealer_new(volume, &rig->sealer), 0);
	assert_int_equal(sealer_add_key(rig->sealer, 1, key), 0);
	assert_int_equal(pieces_new(&po, &rig->pieces), 0);

	const struct objects_options oo = { .pieces = rig->pieces,
					    .sealer = rig->sealer,
					    .memory_bytes = 256 * MiB,
					    .deadline_ns = PATIENCE };

	assert_int_equal(objects_new(&oo, &rig->objects), 0);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	objects_free(rig->objects);
	pieces_free(rig->pieces);
	replicas_free(rig->replicas);
	sealer_free(rig->sealer);
	free(rig);
	return 0;
}

static void set(struct rig *rig, uint64_t size, uint64_t modified_s, const char *version)
{
	LOCK_SCOPE(&rig->v->own.lock);
	rig->v->own.size = size;
	rig->v->own.modified_s = modified_s;
	rig->v->own.version = version;
}

static struct object *open_as(struct rig *rig, uint64_t size, uint64_t modified_s,
			      const char *version)
{
	struct bucket_entry e = { .size = size, .modified_s = modified_s, .key = "x" };
	struct object *o;

	snprintf(e.version[0], sizeof(e.version[0]), "%s", version);
	assert_int_equal(object_open(rig->objects, "vast", rig->replicas, &e, &o), 0);
	return o;
}

static int read_at(struct object *o, uint64_t off, size_t len)
{
	_cleanup_free_ uint8_t *got = malloc(len);
	size_t n = 0;
	int r = object_read(o, off, len, OBJECT_WAIT, got, &n);

	if (r != 0)
		return r;
	assert_int_equal(n, MIN(len, object_size(o) - off));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[i], byte_at(off + i));
	return 0;
}

static void terabytes(void **state)
{
	struct rig *rig = *state;
	const uint64_t size = 5 * TiB - 3;
	struct object *o;

	set(rig, size, 0, "v");
	o = open_as(rig, size, 0, "v");
	assert_int_equal(read_at(o, size - 1, 100), 0);
	assert_int_equal(read_at(o, size - 2 * MiB - 1, 2 * MiB + 100), 0);
	assert_int_equal(read_at(o, 4 * GiB - 10, 20), 0);
	assert_int_equal(read_at(o, 4 * TiB + 5, 1000), 0);
	object_close(o);
}

/* Who reads on gets more and more ahead of him, all at one time. */
static void many_requests_at_one_time(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	set(rig, GiB, 0, "v");
	o = open_as(rig, GiB, 0, "v");
	rig->v->own.gate = 12;
	rig->v->own.gate_off = 8 * MiB;
	for (uint64_t off = 0; off < 24 * MiB; off += 256 * KiB)
		assert_int_equal(read_at(o, off, 256 * KiB), 0);
	assert_true(rig->v->own.most >= 12);
	object_close(o);
}

/* One big read is not one piece after the other. */
static void the_pieces_of_one_read_come_together(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	set(rig, GiB, 0, "v");
	o = open_as(rig, GiB, 0, "v");
	rig->v->own.gate = 5;
	assert_int_equal(read_at(o, 100 * MiB + 5, 4 * MiB), 0);
	assert_true(rig->v->own.most == 5);
	assert_int_equal(rig->v->own.gets, 5);
	object_close(o);
}

static void reads_here_and_there_bring_no_more_than_they_need(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	set(rig, GiB, 0, "v");
	o = open_as(rig, GiB, 0, "v");
	for (uint64_t i = 1; i <= 20; i++)
		assert_int_equal(read_at(o, i * 379 % 1021 * MiB, 4096), 0);
	object_close(o);
	assert_int_equal(rig->v->own.gets, 20);
}

/* Never a part of what was asked for, nor anything made up. */
static void a_cut_answer(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	set(rig, 4 * MiB, 0, "v");
	o = open_as(rig, 4 * MiB, 0, "v");
	rig->v->own.cut = true;
	assert_int_equal(read_at(o, MiB, 100), -EIO);
	assert_int_equal(read_at(o, 4 * MiB - 1, 1), -EIO);
	rig->v->own.cut = false;
	assert_int_equal(read_at(o, MiB, 100), 0);
	assert_false(object_changed(o));
	object_close(o);
}

/* Without versions anywhere, size and time are what tells one object from another. */
static void objects_without_a_version(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	set(rig, 8 * MiB, 1000, "");
	o = open_as(rig, 8 * MiB, 1000, "");
	assert_int_equal(read_at(o, 2 * MiB, 100), 0);
	set(rig, 8 * MiB, 1001, "");
	assert_int_equal(read_at(o, 6 * MiB, 100), -ESTALE);
	assert_true(object_changed(o));
	assert_int_equal(read_at(o, 2 * MiB + 5, 100), 0);
	object_close(o);
	o = open_as(rig, 8 * MiB, 1001, "");
	assert_int_equal(read_at(o, 6 * MiB, 100), 0);
	set(rig, 8 * MiB - 1, 1001, "");
	assert_int_equal(read_at(o, 2 * MiB, 100), -ESTALE);
	object_close(o);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(terabytes),
		T(many_requests_at_one_time),
		T(the_pieces_of_one_read_come_together),
		T(reads_here_and_there_bring_no_more_than_they_need),
		T(a_cut_answer),
		T(objects_without_a_version),
	};

	return sodium_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
