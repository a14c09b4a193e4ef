/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/upkeep/upkeep.h"

#include <stdio.h>

#include "base/log.h"
#include "base/text.h"

#define FINDINGS_MAX 1000

struct finding {
	const char *code, *meaning; /* of static storage */
	char *text;
};

struct upkeep {
	struct upkeep_options o;
	struct upkeep_scrub scrub;
	struct progress progress;
	char *file; /* of scrub's place */
	struct {
		struct lock lock; /* RANK_LEAF */
		struct task *task; /* or NULL; joined by who starts the next one */
		enum upkeep_kind kind;
		bool any, running;
		int result;
		uint64_t begun_ns, ended_ns;
		struct finding findings[FINDINGS_MAX];
		uint64_t found;
		struct check_report check;
		struct scrub_report scrubbed;
	} sync;
};

static void note(struct upkeep *u, const char *code, const char *meaning, const char *text)
{
	LOCK_SCOPE(&u->sync.lock);

	if (u->sync.found < FINDINGS_MAX)
		u->sync.findings[u->sync.found] =
			(struct finding){ code, meaning, strdup(text) };
	u->sync.found++;
}

static void on_check(enum check_rule rule, const char *text, void *arg)
{
	log_warn("fsck", check_rule_meaning(rule), "rule=%s what=\"%s\"", check_rule_code(rule),
		  text);
	note(arg, check_rule_code(rule), check_rule_meaning(rule), text);
}

static int run_fsck(struct upkeep *u)
{
	const struct check_options o = { .progress = &u->progress, .found = on_check, .arg = u };
	struct commit_snapshot snap;
	struct check_report rep = { 0 };
	int r = commit_snapshot(u->o.commit, &snap);

	if (r)
		return r;
	r = check_namespace(&snap, &o, &rep);
	commit_snapshot_release(&snap);
	LOCK_SCOPE(&u->sync.lock);
	u->sync.check = rep;
	return r;
}

static void on_scrub(const uint8_t id[CHUNK_ID_SIZE], unsigned store, enum copy_cond what,
		     void *arg)
{
	struct upkeep *u = arg;
	const char *name = replicas_store(u->o.replicas, store)->name;
	const bool bad = what == COPY_BAD;
	char hex[2 * CHUNK_ID_SIZE + 1], text[160];

	hex_encode(span_of(id, CHUNK_ID_SIZE), hex);
	snprintf(text, sizeof(text), "store %s, chunk %s", name, hex);
	log_warn("scrub", "a copy is not what it should be", "store=%s chunk=%s why=%s", name, hex,
		 bad ? "damaged" : "missing");
	note(u, bad ? "C1" : "C2", bad ? "a copy is damaged" : "a copy is missing", text);
}

static int run_scrub(struct upkeep *u)
{
	const struct scrub_options o = {
		.replicas = u->o.replicas,
		.sealer = u->o.sealer,
		.commit = u->o.commit,
		.repair = u->o.repair,
		.file = u->file,
		.stores = u->scrub.store < 0 ? u->o.data_stores : 1ull << u->scrub.store,
		.share = u->scrub.share,
		.rate = u->scrub.rate,
		.progress = &u->progress,
		.found = on_scrub,
		.arg = u,
	};
	struct scrub_report rep = { 0 };
	const int r = scrub_run(&o, &rep);

	LOCK_SCOPE(&u->sync.lock);
	u->sync.scrubbed = rep;
	return r;
}

static void upkeep_task(void *arg)
{
	struct upkeep *u = arg;
	int r;

	task_background();
	r = u->sync.kind == UPKEEP_FSCK ? run_fsck(u) : run_scrub(u);
	LOCK_SCOPE(&u->sync.lock);
	u->sync.result = r;
	u->sync.ended_ns = clock_now();
	u->sync.running = false;
}

int upkeep_share_parse(const char *text, double *ret)
{
	char *end;
	const double percent = strtod(text, &end);

	if (end == text || strcmp(end, "%") || !(percent > 0 && percent <= 100))
		return -EINVAL;
	*ret = percent / 100;
	return 0;
}

static void forget_locked(struct upkeep *u)
{
	for (size_t i = 0; i < MIN(u->sync.found, (uint64_t)FINDINGS_MAX); i++)
		free(u->sync.findings[i].text);
	u->sync.found = 0;
}

/* The task of one that has ended, to be joined; *ret_busy: one goes on. */
static struct task *take_ended(struct upkeep *u, bool *ret_busy)
{
	LOCK_SCOPE(&u->sync.lock);

	*ret_busy = u->sync.running;
	return u->sync.running ? NULL : take_ptr(&u->sync.task);
}

int upkeep_start(struct upkeep *u, enum upkeep_kind kind, const struct upkeep_scrub *scrub)
{
	struct task *ended;
	bool busy;

	ended = take_ended(u, &busy);
	if (ended)
		task_join(ended);
	LOCK_SCOPE(&u->sync.lock);
	if (u->sync.running)
		return fail(-EBUSY);
	forget_locked(u);
	u->progress = (struct progress){ .stop = false };
	if (kind == UPKEEP_SCRUB)
		u->scrub = *scrub;
	u->sync.kind = kind;
	u->sync.result = 0;
	u->sync.begun_ns = clock_now();
	u->sync.running = u->sync.any = true;
	u->sync.task = task_start(kind == UPKEEP_FSCK ? "fsck" : "scrub", upkeep_task, u);
	if (!u->sync.task)
		u->sync.running = u->sync.any = false;
	return u->sync.task ? 0 : fail(-ENOMEM);
}

void upkeep_stop(struct upkeep *u)
{
	u->progress.stop = true;
}

int upkeep_new(const struct upkeep_options *o, struct upkeep **ret)
{
	struct upkeep *u = calloc(1, sizeof(*u));

	if (!u)
		return fail(-ENOMEM);
	u->o = *o;
	lock_init(&u->sync.lock, RANK_LEAF);
	if (asprintf(&u->file, "%s/scrub", o->dir) < 0) {
		u->file = NULL;
		upkeep_free(u);
		return fail(-ENOMEM);
	}
	*ret = u;
	return 0;
}

struct upkeep *upkeep_free(struct upkeep *u)
{
	if (!u)
		return NULL;
	upkeep_stop(u);
	if (u->sync.task)
		task_join(u->sync.task);
	forget_locked(u);
	lock_release(&u->sync.lock);
	free(u->file);
	free(u);
	return NULL;
}

/* ---- how it stands ---- */

static void json_check(struct json *j, const struct check_report *rep)
{
	char hash[40];

	snprintf(hash, sizeof(hash), "%016llx%016llx", (unsigned long long)rep->hash.hi,
		 (unsigned long long)rep->hash.lo);
	json_set_uint(j, "slot", rep->slot);
	json_set_str(j, "state_hash", hash);
	json_set_uint(j, "rows", rep->rows);
	json_set_uint(j, "inodes", rep->inodes);
	json_set_uint(j, "chunks", rep->chunks);
}

static void json_scrub(struct json *j, const struct scrub_report *rep)
{
	json_set_uint(j, "chunks", rep->chunks);
	json_set_uint(j, "copies", rep->copies);
	json_set_uint(j, "damaged", rep->bad);
	json_set_uint(j, "missing", rep->missing);
	json_set_uint(j, "unread", rep->unread);
	json_set_bool(j, "resumed", rep->resumed);
	json_set_bool(j, "ended", rep->ended);
}

static struct json *findings_locked(const struct upkeep *u)
{
	struct json *all = json_array_new();

	for (size_t i = 0; i < MIN(u->sync.found, (uint64_t)FINDINGS_MAX); i++) {
		const struct finding *f = &u->sync.findings[i];
		struct json *one = json_object_new();

		json_set_str(one, "code", f->code);
		json_set_str(one, "meaning", f->meaning);
		json_set_str(one, "text", f->text);
		json_append(all, one);
	}
	return all;
}

static const char *error_of(int r)
{
	if (!r)
		return NULL;
	return r == -ECANCELED ? "stopped" : strerror(-r);
}

struct json *upkeep_json(struct upkeep *u)
{
	struct json *j = json_object_new();
	LOCK_SCOPE(&u->sync.lock);
	const uint64_t until_ns = u->sync.running ? clock_now() : u->sync.ended_ns;

	json_set_str(j, "job",
		     !u->sync.any		   ? NULL
		     : u->sync.kind == UPKEEP_FSCK ? "fsck"
						   : "scrub");
	json_set_bool(j, "running", u->sync.running);
	json_set_str(j, "error", u->sync.running ? NULL : error_of(u->sync.result));
	json_set_uint(j, "done", u->progress.done);
	json_set_uint(j, "total", u->progress.total);
	json_set_uint(j, "bytes", u->progress.bytes);
	json_set_real(j, "seconds", (double)(until_ns - u->sync.begun_ns) / NS_PER_S);
	json_set_uint(j, "found", u->sync.found);
	json_set(j, "findings", findings_locked(u));
	if (u->sync.any && !u->sync.running && u->sync.kind == UPKEEP_FSCK)
		json_check(j, &u->sync.check);
	if (u->sync.any && !u->sync.running && u->sync.kind == UPKEEP_SCRUB)
		json_scrub(j, &u->sync.scrubbed);
	return j;
}
