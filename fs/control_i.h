/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What control.c (the server) and control_act.c (what it does) share. */
#include "fs/control.h"
#include "fs/import.h"
#include "fs/status.h"
#include "fs/upkeep/upkeep.h"

struct control {
	struct volume *volume;
	struct status *status;
	struct imports *imports; /* NULL: there is no volume */
	char *socket;     /* path */
	char listen[96];  /* "127.0.0.1:9464", or "" */
	struct {
		struct lock lock; /* RANK_LEAF */
		struct task *drill; /* or NULL */
		bool beginning;     /* somebody is about to set it */
	} sync;
	struct upkeep *upkeep;    /* or NULL: of a mount of buckets */
	struct event stop;        /* ends a drill */
	unsigned drill_store;
};

/* One request: what was asked, and the answer. */
struct request_line {
	/* of the query, or NULL */
	const char *(*param)(const struct request_line *r, const char *name);
	void *connection;
};
/* Each answers an HTTP status with its body in *ret; of JSON unless told otherwise. */
typedef unsigned act_fn(struct control *c, const struct request_line *r, struct buf *ret);
act_fn act_status, act_metrics, act_page, act_where, act_sync, act_drill, act_loglevel,
	act_checkpoint, act_log;
act_fn act_attach, act_detach, act_names, act_refresh; /* control_attach.c */
act_fn act_import, act_import_progress, act_import_stop; /* control_import.c */
act_fn act_upkeep, act_upkeep_stop, act_fsck, act_scrub; /* control_upkeep.c */
act_fn act_changes; /* control_history.c */
act_fn act_keys, act_key_add, act_key_remove; /* control_keys.c */
/* page.html, as the build found it */
extern const char status_page[];
extern const size_t status_page_size;
/* {"error": ...} */
unsigned act_refuse(unsigned status, struct buf *ret, const char *fmt, ...) printf_like(3, 4);
/* {"done": true} */
unsigned act_done(struct buf *ret);
/* true: absent (ret stays) or well-formed. */
bool act_duration(const struct request_line *r, const char *name, uint64_t *ret_ns);
/* control_drill.c: at the end, no drill goes on. */
void act_end(struct control *c);
