/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The namespace as this mount sees it: `open` over `flying` over `base`.
 *
 * Base is the database and holds exactly the state at one slot. `flying` holds the changes
 * of the one record under way; `open` those answered since and not proposed yet. There
 * is no undo: a lost slot drops both overlays, and the operations are applied again.
 *
 * (V1) view_put and view_delete write to `open` only; reads see open, then flying, then base.
 * (V2) Only view_commit writes the base, in one atomic batch with the caller's extra rows.
 * (V3) No lock of its own: the caller holds one around it (readers too).
 */
#include "cache/kv.h"

enum view_cond { VIEW_MISSING = 1 };

struct view;
/* The kv is borrowed. NULL: no memory. */
struct view *view_new(struct kv *base, unsigned n_columns);
struct view *view_free(struct view *v);
DEFINE_CLEANUP(struct view *, view_free)

/* Replaces *ret's content. 0, VIEW_MISSING, negative errno. */
must_check int view_get(struct view *v, unsigned column, struct span key, struct buf *ret);
must_check int view_put(struct view *v, unsigned column, struct span key, struct span value);
must_check int view_delete(struct view *v, unsigned column, struct span key);
/*
 * Keys that begin with prefix, from `from` on, in order. fn: 0 go on, 1 stop, negative: error,
 * returned. fn must not write to the view.
 */
must_check int view_walk(struct view *v, unsigned column, struct span prefix, struct span from,
			 kv_walk_fn *fn, void *arg);

/* open becomes flying (which must be empty); a new open starts. */
void view_cut(struct view *v);
bool view_is_flying(const struct view *v);
size_t view_open_rows(const struct view *v);
/*
 * The rows that flying changes against base: old or new may have data == NULL (absent). In order of
 * (column, key). fn as above.
 */
typedef int view_change_fn(unsigned column, struct span key, struct span old_value,
			   struct span new_value, void *arg);
must_check int view_changes(struct view *v, view_change_fn *fn, void *arg);
struct view_row {
	unsigned column;
	struct span key, value;
};
/*
 * Writes flying and the extra rows to the base in one batch; flying is empty then. On failure
 * nothing has changed.
 */
must_check int view_commit(struct view *v, const struct view_row *extra, size_t n_extra, bool sync);
/* Forgets flying and open. */
void view_drop(struct view *v);
/* Forgets open only. */
void view_drop_open(struct view *v);
