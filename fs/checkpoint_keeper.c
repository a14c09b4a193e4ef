/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/checkpoint.h"

#include "base/log.h"
#include "fs/ns/lookup.h"

#define LOOK_NS	    (5 * NS_PER_S)
#define ANNOUNCE_NS (60 * NS_PER_S)
#define EVERY_SLOTS 10000u
#define EVERY_BYTES (256 * MiB)
/* Writing takes one part in so many of the time, and of the stores' patience. */
#define SHARE	 20u
#define RETRY_NS (60 * NS_PER_S)

struct checkpoint_keeper {
	struct checkpoint_keeper_options o;
	struct task *task;
	_Atomic bool stop;
	uint64_t not_before_ns; /* the task's, as the next one */
	uint64_t bytes_then;	/* applied when the last one was written */
	struct {
		struct lock lock; /* RANK_LEAF */
		struct cond cond;
		bool ending;
		uint64_t asked, done; /* by checkpoint_now */
		int result;	      /* of the last one that was asked for */
		struct checkpoint_report report;
	} sync;
};

static int last_announced(struct checkpoint_keeper *k, struct checkpoint_row *ret)
{
	const int r = ns_checkpoint(commit_lock(k->o.commit), ret);

	commit_unlock(k->o.commit);
	return r;
}

static int announce(struct checkpoint_keeper *k, const struct checkpoint_row *row)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX);
	struct op op = { .kind = OP_CHECKPOINT };
	struct result res;
	int r = checkpoint_row_encode(row, &value);

	if (r)
		return r;
	op.value = buf_span(&value);
	r = commit_op_wait(k->o.commit, &op, clock_now() + ANNOUNCE_NS, &res);
	return r == -ESTALE ? 0 : r; /* somebody announced a newer one: as good */
}

static void tell(const struct checkpoint_report *r)
{
	log_info("checkpoint", "a checkpoint was written",
		 "slot=%llu rows=%llu parts=%llu written=%llu bytes=%llu seconds=%.1f",
		 (unsigned long long)r->slot, (unsigned long long)r->rows,
		 (unsigned long long)r->parts, (unsigned long long)r->parts_written,
		 (unsigned long long)r->bytes_written, r->seconds);
}

static int write_now(struct checkpoint_keeper *k, struct checkpoint_report *ret)
{
	struct checkpoint_row last, row;
	struct commit_snapshot snap;
	int known = last_announced(k, &last);
	int r = known < 0 ? known : commit_snapshot(k->o.commit, &snap);

	if (r)
		return r;
	r = checkpoint_write(&k->o.stores, &snap, commit_mount_number(k->o.commit),
			     known ? NULL : &last, &k->stop, &row, ret);
	if (!r)
		r = announce(k, &row);
	if (!r)
		tell(ret);
	return r;
}

static bool is_due(struct checkpoint_keeper *k)
{
	struct checkpoint_row last;
	struct commit_status st;
	int r;

	if (clock_now() < k->not_before_ns)
		return false;
	commit_status_get(k->o.commit, &st);
	if (!st.owned || st.read_only || st.applied_slot == UINT64_MAX)
		return false;
	r = last_announced(k, &last);
	if (r < 0)
		return false;
	return st.applied_slot - (r ? 0 : last.slot) >= k->o.every_slots ||
	       st.applied_bytes - k->bytes_then >= k->o.every_bytes;
}

/* Writes one; who asked for it hears of it. */
static void keep(struct checkpoint_keeper *k, uint64_t asked)
{
	struct checkpoint_report report = { 0 };
	const uint64_t begun_ns = clock_now();
	struct commit_status st;
	int r;

	commit_status_get(k->o.commit, &st);
	r = write_now(k, &report);
	if (r && r != -ECANCELED)
		log_warn("checkpoint", "no checkpoint could be written", "error=\"%s\"",
			 strerror(-r));
	if (!r)
		k->bytes_then = st.applied_bytes;
	k->not_before_ns = clock_now() + MAX(SHARE * (clock_now() - begun_ns), RETRY_NS);
	LOCK_SCOPE(&k->sync.lock);
	k->sync.done = asked;
	k->sync.result = r;
	k->sync.report = report;
	cond_broadcast(&k->sync.cond);
}

static void keeper_task(void *arg)
{
	struct checkpoint_keeper *k = arg;

	task_background();
	for (;;) {
		uint64_t asked;
		bool wanted;

		lock_take(&k->sync.lock);
		if (!k->sync.ending && k->sync.asked == k->sync.done)
			cond_wait(&k->sync.cond, &k->sync.lock, clock_now() + LOOK_NS);
		asked = k->sync.asked;
		wanted = asked != k->sync.done;
		if (k->sync.ending)
			break;
		lock_give(&k->sync.lock);
		if (wanted || is_due(k))
			keep(k, asked);
	}
	lock_give(&k->sync.lock);
}

int checkpoint_keeper_new(const struct checkpoint_keeper_options *o, struct checkpoint_keeper **ret)
{
	struct checkpoint_keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return fail(-ENOMEM);
	k->o = *o;
	k->o.every_slots = o->every_slots ? o->every_slots : EVERY_SLOTS;
	k->o.every_bytes = o->every_bytes ? o->every_bytes : EVERY_BYTES;
	lock_init(&k->sync.lock, RANK_LEAF);
	cond_init(&k->sync.cond);
	k->task = task_start("checkpoint", keeper_task, k);
	if (!k->task) {
		checkpoint_keeper_free(k);
		return fail(-ENOMEM);
	}
	*ret = k;
	return 0;
}

struct checkpoint_keeper *checkpoint_keeper_free(struct checkpoint_keeper *k)
{
	if (!k)
		return NULL;
	k->stop = true;
	lock_take(&k->sync.lock);
	k->sync.ending = true;
	cond_broadcast(&k->sync.cond);
	lock_give(&k->sync.lock);
	if (k->task)
		task_join(k->task);
	cond_release(&k->sync.cond);
	lock_release(&k->sync.lock);
	free(k);
	return NULL;
}

int checkpoint_now(struct checkpoint_keeper *k, uint64_t deadline_ns, struct checkpoint_report *ret)
{
	uint64_t mine;
	LOCK_SCOPE(&k->sync.lock);

	mine = ++k->sync.asked;
	cond_broadcast(&k->sync.cond);
	while (k->sync.done < mine) {
		if (k->sync.ending)
			return fail(-ECANCELED);
		if (cond_wait(&k->sync.cond, &k->sync.lock, deadline_ns) == -ETIMEDOUT &&
		    k->sync.done < mine)
			return fail(-ETIMEDOUT);
	}
	if (!k->sync.result)
		*ret = k->sync.report;
	return k->sync.result;
}
