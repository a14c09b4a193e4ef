/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/cluster.h"

#include <stdio.h>

const uint8_t cluster_volume_id[16] = "cluster's volume";
static const uint8_t volume_key[32] = "the key of the volume of tests..";

int cluster_open(struct cluster *c)
{
	if (sodium_start())
		return -EIO;
	for (unsigned i = 0; i < CLUSTER_STORES; i++) {
		c->buckets[i] = mem_bucket_new();
		if (!c->buckets[i])
			return -ENOMEM;
	}
	return 0;
}

void cluster_close(struct cluster *c)
{
	for (unsigned i = 0; i < CLUSTER_STORES; i++)
		c->buckets[i] = mem_bucket_free(c->buckets[i]);
}

void cluster_store_id(unsigned i, uint8_t ret[16])
{
	memset(ret, (int)(0xa0 + i), 16);
}

static int add_stores(struct member *m)
{
	for (unsigned i = 0; i < CLUSTER_STORES; i++) {
		char name[16];
		struct store *s;
		int r;

		snprintf(name, sizeof(name), "store%u", i);
		m->ways[i] = (struct member_store){ .cluster = m->cluster,
						    .member = m->number,
						    .store = i };
		s = store_mem(m->cluster->buckets[i], name, m->cluster->plan, &m->ways[i]);
		if (!s)
			return -ENOMEM;
		r = replicas_add(m->replicas, s, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

int member_open(struct member *m, struct cluster *c, unsigned number, bool read_only)
{
	struct journal_options o = { .stores = (1ull << CLUSTER_STORES) - 1,
				     .epoch = 1,
				     .read_only = read_only };
	int r;

	*m = (struct member){ .cluster = c, .number = number };
	r = replicas_new(NULL, &m->replicas);
	if (r == 0)
		r = add_stores(m);
	if (r == 0)
		r = sealer_new(cluster_volume_id, &m->sealer);
	if (r == 0)
		r = sealer_add_key(m->sealer, 1, volume_key);
	if (r)
		return r;
	o.replicas = m->replicas;
	o.sealer = m->sealer;
	for (unsigned i = 0; i < CLUSTER_STORES; i++)
		cluster_store_id(i, o.store_ids[i]);
	return journal_new(&o, &m->journal);
}

int member_mount(struct member *m, struct kv *kv, const struct commit_options *o,
		 const struct commit_events *ev, uint64_t deadline_ns)
{
	struct commit_options mine = *o;
	char err[200] = "";
	int r;

	m->kv = kv;
	mine.host = "tests";
	mine.volume_id = cluster_volume_id;
	r = commit_new(&mine, m->journal, kv, ev, &m->commit);
	if (r)
		return r;
	return commit_start(m->commit, deadline_ns, err, sizeof(err));
}

void member_close(struct member *m)
{
	m->commit = commit_free(m->commit);
	m->journal = journal_free(m->journal);
	m->replicas = replicas_free(m->replicas);
	m->sealer = sealer_free(m->sealer);
}

static int format_value(struct buf *ret)
{
	struct volume_format f = {
		.level = 1, .epoch = 1, .key_epoch = 1, .name = SPAN_LITERAL("cluster")
	};

	memcpy(f.id, cluster_volume_id, sizeof(f.id));
	memset(f.name_key, 0x77, sizeof(f.name_key));
	f.n_stores = CLUSTER_STORES;
	for (unsigned i = 0; i < CLUSTER_STORES; i++) {
		cluster_store_id(i, f.stores[i].id);
		f.stores[i].roles = STORE_ROLE_DATA | STORE_ROLE_JOURNAL;
		f.stores[i].name = SPAN_LITERAL("store");
		f.stores[i].url = SPAN_LITERAL("mem://");
	}
	return volume_format_encode(&f, ret);
}

static int format_record(struct member *m, struct buf *op_bytes, struct record **ret)
{
	_cleanup_buf_ struct buf value = BUF_INIT(64 * KiB);
	_cleanup_(record_freep) struct record *rec = record_new();
	struct op op = { .kind = OP_FORMAT, .number = 1, .time_ns = clock_wall(), .mode = 0755 };
	int r = format_value(&value);

	if (r || !rec)
		return r ? r : -ENOMEM;
	op.value = buf_span(&value);
	r = op_encode(&op, op_bytes);
	if (r)
		return r;
	rec->authors = calloc(1, sizeof(*rec->authors));
	rec->ops = calloc(1, sizeof(*rec->ops));
	if (!rec->authors || !rec->ops)
		return -ENOMEM;
	memcpy(rec->authors[0], journal_incarnation(m->journal), INCARNATION_BYTES);
	rec->n_authors = 1;
	rec->ops[0].bytes = buf_span(op_bytes);
	rec->n_ops = 1;
	rec->time_ns = clock_wall();
	*ret = take_ptr(&rec);
	return 0;
}

int cluster_format(struct cluster *c)
{
	_cleanup_buf_ struct buf op_bytes = BUF_INIT(64 * KiB);
	_cleanup_(record_freep) struct record *rec = NULL;
	_cleanup_(record_freep) struct record *other = NULL;
	struct member m;
	int r = member_open(&m, c, 0, false);

	if (r == 0)
		r = format_record(&m, &op_bytes, &rec);
	if (r == 0)
		r = journal_propose(m.journal, rec, clock_now() + 60 * NS_PER_S, &other);
	member_close(&m);
	return r;
}
