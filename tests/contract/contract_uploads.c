/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads one step at a time, and what servers know of those that were not finished. */
#include "tests/contract/contract.h"

#include "tests/lib/standin.h"

#include "backends/sigv4.h"
#include "backends/uri.h"
#include "base/json.h"
#include "base/text.h"

#include <ftw.h>
#include <stdio.h>

size_t part_size(const struct target *t)
{
	uint64_t n = store_upload_part_size(t->store, 0, 64 * KiB);

	assert_true(n >= 64 * KiB && n <= 8 * MiB);
	return (size_t)n;
}

int upload_begin(struct target *t, const char *name, enum put_cond cond, const char *match,
		 const struct object_meta *m, struct store_upload **ret)
{
	const struct upload_req r = { .name = span_str(name),
				      .meta = m,
				      .cond = cond,
				      .if_match = match,
				      .part_size = part_size(t),
				      .deadline_ns = in_ms(LONG_MS) };
	struct store_call *c = NULL;
	int result = store_upload_begin_wait(t->store, &r, &c);

	assert_non_null(c);
	if (result == 0)
		*ret = store_upload_ref(c->upload);
	return ended(t, result, c);
}

int upload_part(struct target *t, struct store_upload *u, unsigned index, unsigned seed, size_t len)
{
	_cleanup_(blob_unrefp) struct blob *body = pattern(seed, len);
	struct store_call *c = NULL;
	int result = store_upload_part_wait(u, index, body, in_ms(LONG_MS), &c);

	return ended(t, result, c);
}

int upload_finish(struct target *t, struct store_upload *u)
{
	struct store_call *c = NULL;
	int result = store_upload_finish_wait(u, in_ms(LONG_MS), &c);

	return ended(t, result, c);
}

int upload_abort(struct target *t, struct store_upload *u)
{
	struct store_call *c = NULL;
	int result = store_upload_abort_wait(u, in_ms(LONG_MS), &c);

	return ended(t, result, c);
}

/* ---- what is left ---- */

static int count_in(const char *text, const char *part)
{
	int n = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

static void sign(struct request *r)
{
	const struct sigv4_key key = { .id = getenv("AWS_ACCESS_KEY_ID"),
				       .secret = getenv("AWS_SECRET_ACCESS_KEY"),
				       .region = "us-east-1",
				       .service = "s3" };
	_cleanup_buf_ struct buf query = BUF_INIT(4 * KiB), value = BUF_INIT(4 * KiB);
	char date[17];

	iso_basic_date((time_t)(clock_wall() / NS_PER_S), date);
	pairs_set(&r->headers, "Host", strstr(r->origin, "://") + 3);
	pairs_set(&r->headers, "x-amz-date", date);
	pairs_set(&r->headers, "x-amz-content-sha256", SIGV4_UNSIGNED);
	assert_int_equal(pairs_query(&r->query, &query), 0);
	assert_int_equal(sigv4_sign(&key,
				    &(struct sigv4_request){ .method = "GET",
							     .path = r->path,
							     .query = buf_str(&query),
							     .headers = &r->headers,
							     .payload_hash = SIGV4_UNSIGNED,
							     .date = date },
				    &value),
			 0);
	pairs_set(&r->headers, "Authorization", buf_str(&value));
}

/* ListMultipartUploads. */
static int left_at_s3(struct target *t, const char *name)
{
	_cleanup_uri_ struct uri u = {};
	_cleanup_(request_freep) struct request *r = NULL;
	char err[128], path[80];
	int n;

	assert_int_equal(uri_parse(t->url, &u, err, sizeof(err)), 0);
	snprintf(path, sizeof(path), "/%s", u.authority);
	r = request_new(HTTP_GET, uri_param(&u, "endpoint"), path);
	assert_non_null(r);
	pairs_add(&r->query, "uploads", NULL);
	pairs_addf(&r->query, "prefix", "%s%s%s", u.path, u.path[0] ? "/" : "", name);
	sign(r);
	r->deadline_ns = in_ms(LONG_MS);
	assert_int_equal(http_run(r), 0);
	if (r->status != 200)
		print_error("%d %.*s\n", r->status, SPAN_FMT(buf_span(&r->text)));
	assert_int_equal(r->status, 200);
	n = count_in(buf_str(&r->text), "<UploadId>");
	return n;
}

/* The stand-in server's own word. */
static int left_at_standin(struct target *t, const char *name)
{
	struct standin s = {};
	char text[16 * KiB], key[64];

	snprintf(s.origin, sizeof(s.origin), "%s", t->control);
	snprintf(key, sizeof(key), "\"p/%s", name);
	assert_int_equal(standin_ask(&s, HTTP_GET, "/-/uploads", NULL, text, sizeof(text)), 200);
	return count_in(text, key);
}

static int tmp_files;

static int visit(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	tmp_files += kind == FTW_F && strncmp(path + at->base, ".tmp.", 5) == 0;
	return 0;
}

static int left_in_folder(struct target *t)
{
	tmp_files = 0;
	assert_int_equal(nftw(t->url + strlen("file://"), visit, 16, FTW_PHYS), 0);
	return tmp_files;
}

int uploads_left(struct target *t, const char *name)
{
	if (!t->url)
		return (int)mem_bucket_uploads(t->bucket);
	if (strncmp(t->url, "file:", 5) == 0)
		return left_in_folder(t);
	if (t->dialect == DIALECT_S3 && !lacks(t, CLOCK) && !strstr(t->url, "ca_file")) {
		int n = left_at_s3(t, name);

		if (t->control)
			assert_int_equal(n, left_at_standin(t, name));
		return n;
	}
	/* Azure's blocks stay until the next write of their name */
	return t->control && t->dialect == DIALECT_GCS ? left_at_standin(t, name) : -1;
}
