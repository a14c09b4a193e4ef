/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_contract mem|URL [OPTION]...: runs all checks that apply to this store.
 *
 *	--lacks NAME[,NAME]...  features that this server is known not to have
 *	--absent URL            a bucket that does not exist
 *	--wrong FILE            credentials that the server must refuse
 *	--control ORIGIN        where the stand-in server takes orders: faults are checked too
 *	--server PID            may be frozen for a moment
 *	--only PATTERN          these checks
 */
#include "tests/contract/contract.h"

#include "backends/http.h"
#include "backends/open.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>

uint64_t in_ms(uint64_t ms)
{
	return clock_now() + ms * NS_PER_MS;
}

struct blob *pattern(unsigned seed, size_t len)
{
	struct blob *b = blob_new(len);
	uint64_t x = 0x9e3779b97f4a7c15ull * (seed + 1);

	assert_non_null(b);
	for (size_t i = 0; i < len; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		blob_bytes(b)[i] = (uint8_t)(x >> 56);
	}
	return b;
}

/* ---- operations ---- */

int ended(struct target *t, int result, struct store_call *c)
{
	store_call_unref(t->last);
	t->last = c;
	assert_non_null(c);
	return result;
}

int put_blob(struct target *t, const char *name, struct blob *body, enum put_cond cond,
	     const char *match)
{
	const struct put_req r = { .name = span_str(name),
				   .body = body,
				   .cond = cond,
				   .if_match = match,
				   .deadline_ns = in_ms(LONG_MS) };
	struct store_call *c = NULL;
	int result = store_put_wait(t->store, &r, &c);

	return ended(t, result, c);
}

int put_seed(struct target *t, const char *name, unsigned seed, size_t len, enum put_cond cond,
	     const char *match)
{
	_cleanup_(blob_unrefp) struct blob *body = pattern(seed, len);

	return put_blob(t, name, body, cond, match);
}

int get_req(struct target *t, const struct get_req *r)
{
	struct store_call *c = NULL;
	int result = store_get_wait(t->store, r, &c);

	return ended(t, result, c);
}

int get(struct target *t, const char *name)
{
	return get_range(t, name, 0, 0);
}

int get_range(struct target *t, const char *name, uint64_t offset, uint64_t length)
{
	return get_req(t, &(struct get_req){ .name = span_str(name),
					     .offset = offset,
					     .length = length,
					     .limit = 16 * MiB,
					     .deadline_ns = in_ms(LONG_MS) });
}

int head(struct target *t, const char *name)
{
	const struct head_req r = { .name = span_str(name), .deadline_ns = in_ms(LONG_MS) };
	struct store_call *c = NULL;
	int result = store_head_wait(t->store, &r, &c);

	return ended(t, result, c);
}

int remove_it(struct target *t, const char *name, const char *match)
{
	const struct remove_req r = { .name = span_str(name),
				      .if_match = match,
				      .deadline_ns = in_ms(LONG_MS) };
	struct store_call *c = NULL;
	int result = store_remove_wait(t->store, &r, &c);

	return ended(t, result, c);
}

int list_req(struct target *t, const struct list_req *r)
{
	struct list_req with_deadline = *r;
	struct store_call *c = NULL;
	int result;

	with_deadline.deadline_ns = in_ms(LONG_MS);
	result = store_list_wait(t->store, &with_deadline, &c);
	return ended(t, result, c);
}

int copy_req(struct target *t, const struct copy_req *r)
{
	struct copy_req with_deadline = *r;
	struct store_call *c = NULL;
	int result;

	with_deadline.deadline_ns = in_ms(LONG_MS);
	result = store_copy_wait(t->store, &with_deadline, &c);
	return ended(t, result, c);
}

void want_at(struct target *t, int result, int wanted, const char *what, const char *file, int line)
{
	if (result == wanted)
		return;
	print_error("%s: wanted %s, got %s: %s\n", what, store_condition_name(wanted),
		    store_condition_name(result), t->last ? t->last->detail : "");
	_fail(file, line);
}

void want_content(struct target *t, const char *name, unsigned seed, size_t len)
{
	_cleanup_(blob_unrefp) struct blob *body = pattern(seed, len);

	want(t, get(t, name), 0);
	assert_int_equal(t->last->size, len);
	assert_true(span_equal(buf_span(&t->last->body), blob_span(body)));
}

void want_sentence(struct target *t, const char *part)
{
	if (!strstr(t->last->detail, part))
		print_error("'%s' does not say '%s'\n", t->last->detail, part);
	assert_non_null(strstr(t->last->detail, part));
}

/* ---- the target ---- */

struct store *target_open(const struct target *t, const char *url, const char *credentials)
{
	struct store *s = NULL;
	char err[512] = "";
	const struct store_config cfg = { .name = "t", .url = url, .credentials = credentials };
	int error = store_open(&cfg, &s, err, sizeof(err));

	if (error < 0)
		print_error("%s\n", err);
	assert_int_equal(error, 0);
	return s;
}

static enum dialect dialect_of(const char *url)
{
	return !url			       ? DIALECT_NONE :
	       strncmp(url, "s3:", 3) == 0     ? DIALECT_S3 :
	       strncmp(url, "azblob:", 7) == 0 ? DIALECT_AZURE :
	       strncmp(url, "gs:", 3) == 0     ? DIALECT_GCS :
						 DIALECT_NONE;
}

static unsigned features_of(char *names)
{
	static const struct {
		const char *name;
		enum feature feature;
	} known[] = {
		{ "match-on-remove", MATCH_ON_REMOVE },
		{ "match-sees-missing", MATCH_SEES_MISSING },
		{ "credentials", CREDENTIALS }, { "clock", CLOCK },
		{ "missing-on-remove", MISSING_ON_REMOVE },
		{ "prefixes-in-pages", PREFIXES_IN_PAGES },
		{ "copy-source", COPY_SOURCE },
		{ "copy-target", COPY_TARGET },
		{ "part-again", PART_AGAIN },
		{ "aborts", ABORTS },
		{ "aborted-is-absent", ABORTED_IS_ABSENT },
		{ "upload-sums", UPLOAD_SUMS },
		{ "patch-condition", PATCH_CONDITION },
		{ "copied-parts", COPIED_PARTS },
	};
	unsigned features = 0;

	for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
		unsigned before = features;

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (strcmp(name, known[i].name) == 0)
				features |= known[i].feature;
		if (features == before) {
			fprintf(stderr, "test_contract: unknown feature %s\n", name);
			exit(2);
		}
	}
	return features;
}

static void read_options(struct target *t, int argc, char **argv)
{
	static const struct option known[] = {
		{ "lacks", required_argument, NULL, 'l' },
		{ "absent", required_argument, NULL, 'a' },
		{ "wrong", required_argument, NULL, 'w' },
		{ "control", required_argument, NULL, 'c' },
		{ "server", required_argument, NULL, 's' },
		{ "only", required_argument, NULL, 'o' },
		{},
	};

	for (int id; (id = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (id == 'l')
			t->lacks = features_of(optarg);
		else if (id == 'a')
			t->absent_url = optarg;
		else if (id == 'w')
			t->wrong_file = optarg;
		else if (id == 'c')
			t->control = optarg;
		else if (id == 'o')
			cmocka_set_test_filter(optarg);
		else if (id == 's')
			t->server = (pid_t)strtol(optarg, NULL, 10);
		else
			exit(2);
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: test_contract mem|URL [OPTION]...\n");
		exit(2);
	}
	t->url = strcmp(argv[optind], "mem") == 0 ? NULL : argv[optind];
	t->dialect = dialect_of(t->url);
}

static int group_up(void **state)
{
	struct target *t = *state;

	if (t->url) {
		t->store = target_open(t, t->url, NULL);
		return 0;
	}
	t->bucket = mem_bucket_new();
	t->store = t->bucket ? store_mem(t->bucket, "t", NULL, NULL) : NULL;
	return t->store ? 0 : -1;
}

static int group_down(void **state)
{
	struct target *t = *state;

	store_call_unref(t->last);
	store_free(t->store);
	mem_bucket_free(t->bucket);
	http_stop();
	return 0;
}

int main(int argc, char **argv)
{
	static struct target t;
	static struct CMUnitTest checks[CHECKS_MAX];
	size_t n = 0;

	read_options(&t, argc, argv);
	n += checks_write(checks + n, &t);
	n += checks_read(checks + n, &t);
	n += checks_list(checks + n, &t);
	n += checks_race(checks + n, &t);
	n += checks_refusal(checks + n, &t);
	n += checks_fault(checks + n, &t);
	n += checks_upload(checks + n, &t);
	n += checks_upload_fault(checks + n, &t);
	n += checks_copy(checks + n, &t);
	assert(n <= CHECKS_MAX);
	for (size_t i = 0; i < n; i++)
		checks[i].initial_state = &t;

	struct target *state = &t;
	int failed;

	if (group_up((void **)&state)) {
		fprintf(stderr, "test_contract: the store does not open\n");
		return 1;
	}
	failed = _cmocka_run_group_tests("contract", checks, n, NULL, NULL);
	group_down((void **)&state);
	return failed ? 1 : 0;
}
