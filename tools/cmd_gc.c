/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "base/wait.h"
#include "fs/ns/rows.h"
#include "tools/commands.h"
#include "tools/own.h"

/*
 * gc is a mount of its own with credentials of its own: no other mount of a volume may remove
 * anything, so whoever takes one over cannot destroy the volume.
 */
#define LOOK_NS (200 * NS_PER_MS)

struct collection {
	const struct volume *v;
	struct gc_options o;
	struct progress progress;
	struct gc_report rep;
	int result;
	_Atomic bool ended;
};

static void collect(void *arg)
{
	struct collection *c = arg;

	c->result = volume_gc(c->v, &c->o, &c->rep);
	c->ended = true;
}

static int run_to_the_end(struct collection *c)
{
	struct task *t;

	c->o.progress = &c->progress;
	t = task_start("gc", collect, c);
	if (!t)
		return -ENOMEM;
	while (!c->ended) {
		ui_progress("%llu looked at", (unsigned long long)c->progress.done);
		c->progress.stop = own_interrupted();
		sleep_for(LOOK_NS);
	}
	ui_progress_end();
	task_join(t);
	return c->result;
}

static void count_text(const struct gc_count *n, char ret[40])
{
	char size[16];

	size_format(n->bytes, size);
	snprintf(ret, 40, "%llu (%s)", (unsigned long long)n->n, size);
}

static void print_table(const struct collection *c)
{
	struct ui_table t;

	ui_table_init(&t, c->o.dry_run ?
				  "STORE|>TO REMOVE|>CHECKPOINTS|>PROBES|>NOT YET|>KEPT|NOTE" :
				  "STORE|>REMOVED|>CHECKPOINTS|>PROBES|>NOT YET|>KEPT|NOTE");
	for (unsigned i = 0; i < c->v->n_stores; i++) {
		const struct gc_store *s = &c->rep.stores[i];
		const struct gc_count *const counts[] = { &s->chunks, &s->checkpoints, &s->probes,
							  &s->waiting, &s->kept };

		ui_table_add(&t, "%s", replicas_store(c->v->replicas, i)->name);
		for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
			char text[40];

			count_text(counts[k], text);
			ui_table_add(&t, "%s", text);
		}
		if (s->unread)
			ui_table_add(&t, "not all was listed");
		else
			ui_table_add(&t, s->failed ? "%llu could not be removed" : "",
				     (unsigned long long)s->failed);
	}
	ui_table_print(&t);
}

static void print_text(const struct collection *c)
{
	const struct gc_report *r = &c->rep;
	char grace[16], orphans[40], dead[40];

	duration_format(r->grace_s * NS_PER_S, grace);
	if (!r->any_slot) {
		printf("nothing is older than the grace (%s)\n", grace);
	} else {
		count_text(&r->orphans, orphans);
		count_text(&r->dead, dead);
		printf("grace %s, that is slot %llu: %s files without a name, %s dead chunks%s\n",
		       grace, (unsigned long long)r->slot, orphans, dead,
		       c->o.dry_run ? ", nothing was changed" : " forgotten");
	}
	print_table(c);
	if (r->mounted)
		printf("%llu mounts have not ended: what they wrote and nothing refers to is not "
		       "judged\n",
		       (unsigned long long)r->mounted);
}

static void set_count(struct json *j, const char *what, const struct gc_count *n)
{
	struct json *one = json_object_new();

	json_set_uint(one, "objects", n->n);
	json_set_uint(one, "bytes", n->bytes);
	json_set(j, what, one);
}

static int print_json(const struct collection *c)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	_cleanup_buf_ struct buf text = BUF_INIT(MiB);
	struct json *stores = json_array_new();

	json_set_bool(j, "dry_run", c->o.dry_run);
	json_set_uint(j, "grace_seconds", c->rep.grace_s);
	json_set_uint(j, "slot", c->rep.slot);
	json_set_uint(j, "mounted", c->rep.mounted);
	set_count(j, "orphans", &c->rep.orphans);
	set_count(j, "dead", &c->rep.dead);
	for (unsigned i = 0; i < c->v->n_stores; i++) {
		const struct gc_store *s = &c->rep.stores[i];
		struct json *one = json_object_new();

		json_set_str(one, "name", replicas_store(c->v->replicas, i)->name);
		set_count(one, "chunks", &s->chunks);
		set_count(one, "checkpoints", &s->checkpoints);
		set_count(one, "probes", &s->probes);
		set_count(one, "waiting", &s->waiting);
		set_count(one, "kept", &s->kept);
		json_set_uint(one, "failed", s->failed);
		json_set_bool(one, "unread", s->unread);
		json_append(stores, one);
	}
	json_set(j, "stores", stores);
	if (json_write(j, 1, &text))
		return EXIT_FAILED;
	printf("%s\n", buf_str(&text));
	return EXIT_DONE;
}

static int report(const struct collection *c, bool as_json)
{
	int status = EXIT_DONE;

	if (as_json)
		status = print_json(c);
	else
		print_text(c);
	for (unsigned i = 0; i < c->v->n_stores && !status; i++)
		if (c->rep.stores[i].unread || c->rep.stores[i].failed)
			status = EXIT_DEGRADED;
	return status;
}

static int run_gc(const struct command *cmd, int argc, char **argv)
{
	struct text_list credentials = { .n = 0 }, words;
	struct own_ask ask = { .credentials = &credentials };
	struct own own = { .v = NULL };
	struct collection c = { .ended = false };
	const char *grace = NULL;
	bool as_json = false;
	const struct arg table[] = { { 0, "grace", ARG_TEXT, &grace },
				     { 0, "dry-run", ARG_FLAG, &c.o.dry_run },
				     { 0, "credentials", ARG_MANY, &credentials },
				     { 0, "config", ARG_TEXT, &ask.config },
				     { 0, "cache-dir", ARG_TEXT, &ask.cache_dir },
				     { 0, "json", ARG_FLAG, &as_json },
				     { 0, NULL, 0, NULL } };
	uint64_t grace_ns = 0;
	int status, r;

	if (!command_args(cmd, argc, argv, table, 1, 1, &words, &status))
		return status;
	if (grace && (duration_parse(grace, &grace_ns) || grace_ns < GRACE_LEAST_S * NS_PER_S)) {
		ui_error("--grace %s: expected a duration of a minute or more, such as 24h", grace);
		return EXIT_USAGE;
	}
	c.o.grace_s = grace_ns / NS_PER_S;
	ask.volume = words.all[0];
	ask.read_only = c.o.dry_run;
	status = own_open(&ask, &own);
	if (status)
		return status;
	c.v = own.v;
	r = run_to_the_end(&c);
	if (r)
		ui_error("gc: %s", r == -ECANCELED ? "stopped" : strerror(-r));
	status = report(&c, as_json);
	if (r)
		status = EXIT_FAILED;
	return MAX(status, own_close(&own));
}

const struct command cmd_gc = {
	.name = "gc",
	.usage = "VOLUME [--grace 24h] [--dry-run] [--credentials [STORE=]FILE] [OPTIONS]",
	.summary = "remove what nothing refers to from the stores",
	.help = "The only command that removes objects of a volume, with credentials of its own. "
		"Works while\n"
		"the volume is mounted elsewhere; stopped anywhere, it goes on with the next run.\n"
		"\n"
		"  --grace 24h      how long something must have been garbage; the volume's\n"
		"                   mounts go by it from then on\n"
		"  --dry-run        say what would go; changes nothing, needs no right to remove\n"
		"  --credentials [STORE=]FILE   instead of those that mounts use\n"
		"  --config FILE    of the volume\n"
		"  --cache-dir DIR  for this command, beside the volume's cache otherwise\n"
		"  --json\n"
		"\n"
		"Exit status 3 when a store was away or an object could not be removed.\n"
		"\n"
		"Example:\n"
		"  mangrove gc demo --credentials /etc/mangrove/demo-gc.credentials\n",
	.run = run_gc,
};
