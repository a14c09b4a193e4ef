/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside an import: import.c (their table, progress), import_list.c (a bucket is listed),
 * import_place.c (keys become names), import_seal.c (contents become chunks).
 */
#include "fs/attach/flat.h"
#include "fs/import.h"
#include "fs/ns/lookup.h"

#define IMPORT_NAMES_MAX 20 /* of what was refused, shown to people */

enum import_state { IMPORT_RUNNING, IMPORT_DONE, IMPORT_STOPPED, IMPORT_FAILED };

struct import_counts {
	uint64_t listed;               /* keys */
	uint64_t files, directories;   /* made */
	uint64_t bytes;                /* of the files made */
	uint64_t present;              /* passed over: there already */
	uint64_t refused;              /* (I2), and names that cannot be */
	uint64_t sealed_files, sealed_bytes;
	uint64_t unverified;           /* sealed files whose store told no checksum */
	uint64_t failed;               /* files that could not be sealed */
};

struct import {
	struct volume *volume;
	unsigned id;
	enum import_mode mode;
	char *url, *path; /* url: NULL with IMPORT_SEAL */
	uint64_t ino;     /* that path leads to */
	bool is_dir;
	uint32_t uid, gid; /* of that directory: whose everything below it becomes */
	struct task *task;
	bool _Atomic stop;
	struct {
		struct lock lock; /* RANK_LEAF */
		struct cond room; /* an operation was answered */
		unsigned under_way; /* operations */
		enum import_state state;
		bool sealing;
		int error;
		char why[256];
		struct import_counts n;
		char *names[IMPORT_NAMES_MAX];
		unsigned n_names;
	} sync;
};

/* ---- import.c ---- */

static inline bool import_stopping(struct import *im)
{
	return im->stop;
}
/* The first failure ends it; answers the error. */
int import_fail(struct import *im, int error, const char *fmt, ...) printf_like(3, 4);
/* One more of `counter` (in im->sync.n), with `bytes` more in `sum` (or NULL). */
void import_count(struct import *im, uint64_t *counter, uint64_t *sum, uint64_t bytes);
/* Something stays as it is, or as it was: for the log, the report and the counter. */
void import_refuse(struct import *im, uint64_t *counter, struct span key, const char *why);

/* ---- import_list.c ---- */

/* Adopts everything below im->url. 0, -ECANCELED (stopped), or as import_fail. */
must_check int import_list(struct import *im);

/* ---- import_place.c ---- */

struct placing;
must_check int placing_new(struct import *im, uint32_t source, struct placing **ret);
struct placing *placing_free(struct placing *p);
DEFINE_CLEANUP(struct placing *, placing_free)
/* flat_fn; arg: the placing */
int placing_add(struct span key, enum key_kind kind, const struct list_entry *e, void *arg);
/* Everything that was submitted is answered. */
void placing_wait(struct placing *p);

/* ---- import_seal.c ---- */

/* Seals what is foreign below im->path. As import_list. */
must_check int import_seal(struct import *im);
