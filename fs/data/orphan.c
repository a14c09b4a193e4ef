/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes that lost their last name.
 *
 * (N1) Nobody else is in the volume: one that is not open here is reaped at once.
 * (N2) Otherwise it may be open elsewhere: it is reaped after a grace, unless its row was renewed
 *      meanwhile. The REAP names the slot of the row that was seen, so that a renewal wins.
 * (N3) Who has one open renews its row, by HOLD, several times in a grace: this one, or that of
 *      gc, which frees what was not renewed as well.
 * (N4) The list has a limit and ends with the mount: what is left over is an old orphan, which
 *      whoever collects garbage finds in the name space.
 *
 * A read-only mount writes nothing, so it holds nothing.
 */
#include "fs/data/data_i.h"

#include "base/log.h"
#include "fs/ns/lookup.h"

#define HOLDS_PER_GRACE 3
#define HOLD_LOOK_NS NS_PER_S
#define ORPHANS_MAX ((size_t)100000)

/*
 * It is told of before its UNLINK has a slot; the row is looked at later, when it has one, and
 * before the second HOLD of the grace.
 */
struct orphan {
	uint64_t ino, slot; /* slot 0: not looked at yet */
	uint64_t look_ns, due_ns;
};

static bool add_locked(struct data *d, const struct orphan *o)
{
	if (d->sync.n_orphans == d->sync.cap_orphans) {
		const size_t cap = MIN(MAX(d->sync.cap_orphans * 2, (size_t)64), ORPHANS_MAX);
		struct orphan *v = NULL;

		if (cap > d->sync.cap_orphans)
			v = realloc(d->sync.orphans, cap * sizeof(*v));
		if (!v)
			return false; /* (N4) */
		d->sync.orphans = v;
		d->sync.cap_orphans = cap;
	}
	d->sync.orphans[d->sync.n_orphans++] = *o;
	return true;
}

void data_reap_later(struct data *d, uint64_t ino)
{
	const uint64_t now = clock_now(), grace = d->o.orphan_grace_ns;
	const struct orphan o = { .ino = ino,
				  .look_ns = now + grace / HOLDS_PER_GRACE,
				  .due_ns = now + grace };

	if (d->o.read_only)
		return;
	LOCK_SCOPE(&d->sync.lock);
	(void)!add_locked(d, &o);
}

struct others {
	uint32_t me;
	bool any;
};

static int look_for_other(const uint8_t incarnation[INCARNATION_SIZE], const struct mount_row *row,
			  void *arg)
{
	struct others *o = arg;

	o->any = row->status == MOUNT_MOUNTED && row->number != o->me;
	return o->any;
}

static bool is_alone(struct data *d)
{
	struct others o = { .me = commit_mount_number(d->o.commit) };
	int r = ns_mounts(commit_lock(d->o.commit), look_for_other, &o);

	commit_unlock(d->o.commit);
	return r == 0 && !o.any;
}

struct wanted {
	uint64_t ino, slot;
};

static int take_slot(uint64_t ino, const struct orphan_row *row, void *arg)
{
	struct wanted *w = arg;

	w->slot = ino == w->ino ? row->slot : 0;
	return 1;
}

/* The slot of its row; 0: there is none. */
static uint64_t slot_of(struct data *d, uint64_t ino)
{
	struct wanted w = { .ino = ino };
	int r = ns_orphans(commit_lock(d->o.commit), ino - 1, take_slot, &w);

	commit_unlock(d->o.commit);
	return r < 0 ? 0 : w.slot;
}

static void ignore_result(const struct result *res, void *arg)
{
}

static void submit(struct data *d, enum op_kind kind, uint64_t ino, uint64_t saw)
{
	const struct op op = { .kind = kind, .ino = ino, .saw = saw };
	struct result res;
	uint64_t no;

	if (commit_submit(d->o.commit, &op, COMMIT_EARLY, ignore_result, NULL, &res, &no) < 0)
		log_debug("data", "an orphan is left for later", "inode=%llu",
			  (unsigned long long)ino);
}

/* (N2) for one; true: it stays in the list. */
static bool keep_waiting(struct data *d, struct orphan *o, uint64_t now)
{
	uint64_t slot;

	if (now < (o->slot ? o->due_ns : o->look_ns))
		return true;
	slot = slot_of(d, o->ino);
	if (slot == 0)
		return false; /* somebody else was earlier */
	if (o->slot == 0) {
		o->slot = slot;
		return true;
	}
	if (o->slot != slot) {
		o->slot = slot;
		o->due_ns = now + d->o.orphan_grace_ns;
		return true;
	}
	submit(d, OP_REAP, o->ino, slot);
	return false;
}

/* Behind what came meanwhile. */
static void put_back(struct data *d, const struct orphan *list, size_t n)
{
	LOCK_SCOPE(&d->sync.lock);
	for (size_t i = 0; i < n; i++) {
		if (!add_locked(d, &list[i]))
			return;
	}
}

void data_reap_orphans(struct data *d)
{
	_cleanup_free_ struct orphan *list = NULL;
	const uint64_t now = clock_now();
	size_t n, left = 0;
	bool alone;

	lock_take(&d->sync.lock);
	list = take_ptr(&d->sync.orphans);
	n = d->sync.n_orphans;
	d->sync.n_orphans = d->sync.cap_orphans = 0;
	lock_give(&d->sync.lock);
	if (n == 0)
		return;
	alone = is_alone(d);
	for (size_t i = 0; i < n; i++) {
		if (alone)
			submit(d, OP_REAP, list[i].ino, 0);
		else if (keep_waiting(d, &list[i], now))
			list[left++] = list[i];
	}
	put_back(d, list, left);
}

static bool is_open_orphan(struct data *d, struct file *f)
{
	struct inode_row row;
	unsigned handles;

	lock_take(&f->lock);
	handles = f->handles;
	lock_give(&f->lock);
	return handles > 0 && data_inode(d, f->ino, &row) == 0 && row.nlink == 0;
}

static uint64_t hold_every_ns(struct data *d)
{
	struct grace_row grace;
	const int r = ns_grace(commit_lock(d->o.commit), &grace);

	commit_unlock(d->o.commit);
	if (r)
		return 0;
	return MIN(d->o.orphan_grace_ns, grace.seconds * NS_PER_S) / HOLDS_PER_GRACE;
}

void data_hold_orphans(struct data *d)
{
	_cleanup_free_ struct file **list = NULL;
	const uint64_t now = clock_now();

	if (d->o.read_only || now < d->hold_look_ns)
		return;
	d->hold_look_ns = now + HOLD_LOOK_NS;
	if (now < d->held_ns + hold_every_ns(d) || is_alone(d))
		return;
	d->held_ns = now;
	list = data_files(d);
	for (struct file **f = list; f && *f; f++) {
		if (is_open_orphan(d, *f))
			submit(d, OP_HOLD, (*f)->ino, 0);
		file_unref(*f);
	}
}
