/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials: the files of Azure and Google, and what the services that hand them out answer. The
 * input: which source, a part that is its file, then answers.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/creds_aws_i.h"
#include "base/sodium.h"
#include "tests/fuzz/fake_http.h"

static struct span answers;

/* Sources wait for an answer on a task of their own. */
int http_submit(struct request *r)
{
	fake_answer(r, &answers);
	r->done(r);
	return 0;
}

void http_cancel(struct request *r)
{
}

static void check(int result, const struct creds_value *v, const char *err)
{
	if (result == 0) {
		MUST(v && v->refs >= 1);
		MUST(v->kind == CREDS_NONE || v->secret);
		MUST(v->kind != CREDS_AWS || (v->id && v->id[0] && v->secret[0]));
		return;
	}
	MUST(result == -EACCES || result == -EAGAIN);
	MUST(!v && err[0]);
}

/* ---- a chain as a store uses it ---- */

struct waiter {
	struct creds_wait wait;
	struct event over;
	int result;
	struct creds_value *value;
	char why[512];
};

static void on_ready(struct creds_wait *wait, int result, struct creds_value *v, const char *why)
{
	struct waiter *w = container_of(wait, struct waiter, wait);

	w->result = result;
	w->value = v;
	snprintf(w->why, sizeof(w->why), "%s", why ? why : "");
	event_set(&w->over);
}

static void use(struct creds *takes)
{
	struct creds *c = takes;
	struct waiter w = { .wait = { .ready = on_ready, .deadline_ns = NEVER } };
	struct creds_value *v = NULL;
	char why[512] = "";
	int r;

	event_init(&w.over);
	r = creds_get(c, &w.wait, &v, why, sizeof(why));
	if (r == CREDS_LATER) {
		MUST(event_wait(&w.over, NEVER) == 0);
		check(w.result, w.value, w.why);
	} else {
		check(r, v, why);
	}
	creds_free(c);
	creds_value_unref(v);
	creds_value_unref(w.value);
	event_release(&w.over);
}

/* A file of that content, by a name. */
static int open_file(struct span content, char ret[64])
{
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);

	MUST(fd >= 0 && write(fd, content.data, content.len) == (ssize_t)content.len);
	snprintf(ret, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static void azure(struct span content)
{
	char file[64], err[512] = "";
	_cleanup_close_ maybe_unused int fd = open_file(content, file);
	const struct creds_azure_options o = { .file = file, .account = "account" };
	_cleanup_free_ char *endpoint = NULL;
	struct creds *c = NULL;
	int r = creds_azure_endpoint(&o, &endpoint);

	MUST(r == 0 ? endpoint != NULL : r == -ENOENT && !endpoint);
	r = creds_azure_new(&o, &c, err, sizeof(err));
	if (r == 0)
		use(c);
	else
		check(r, NULL, err);
}

static void gcs(struct span content)
{
	char file[64], err[512] = "";
	_cleanup_close_ maybe_unused int fd = open_file(content, file);
	struct creds *c = NULL;
	const int r =
		creds_gcs_new(&(struct creds_gcs_options){ .file = file }, &c, err, sizeof(err));

	if (r == 0)
		use(c);
	else
		check(r, NULL, err);
}

/* ---- links of Amazon's chain, each as a source of its own ---- */

struct link {
	unsigned number;
	struct span content;
};

static int fetch_link(struct creds *c, void *self, bool local, struct creds_value **ret, char *err,
		      size_t err_size)
{
	const struct aws a = { .region = (char *)"eu-west-1" };
	const struct aws_role role = { .arn = "arn:aws:iam::1:role/r" };
	_cleanup_(creds_value_unrefp) struct creds_value *signer =
		creds_value_new(CREDS_AWS, "id", "secret", NULL, 0);
	struct aws_answer answer = { .err = err, .err_size = err_size };
	const struct link *l = self;
	int r;

	if (local)
		return CREDS_LATER;
	MUST(signer);
	r = l->number == 0   ? aws_parse_json(l->content, &answer)
	    : l->number == 1 ? aws_assume_role(c, &a, &role, signer, &answer)
			     : aws_from_instance(c, &answer);
	MUST((r == 0) == (answer.value != NULL));
	if (r == 0)
		*ret = answer.value;
	return r == AWS_NEXT ? aws_answer_error(&answer, -EACCES, "nothing") : r;
}

static void nobody(void *self)
{
}

static void aws(unsigned number, struct span content)
{
	static const struct creds_source source = { .fetch = fetch_link, .free = nobody };
	struct link l = { number, content };
	struct creds *c = NULL;
	char err[512] = "";

	MUST(creds_new(&source, &l, &c, err, sizeof(err)) == 0);
	use(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, MIN(size, (size_t)16384));
	const uint8_t source = take_byte(&in) % 5;
	const struct span content = take_part(&in);

	MUST(sodium_start() == 0);
	answers = in;
	if (source == 0)
		azure(content);
	else if (source == 1)
		gcs(content);
	else
		aws(source - 2, content);
	return 0;
}
