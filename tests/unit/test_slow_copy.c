/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that are not done at once: a cloud that works on by itself, one that wants to be asked on.
 */
#include "tests/lib/standin.h"

#include "backends/open.h"

struct rig {
	struct standin server;
	struct store *store;
};

static int up(void **state, const char *dialect, const char *url, const char *steps)
{
	const char *args[] = { "--copy-steps", steps, NULL };
	struct rig *r = calloc(1, sizeof(*r));
	char full[256], err[256] = "";

	assert_non_null(r);
	setenv("AZURE_STORAGE_KEY", "dGVzdC1hY2NvdW50LWtleQ==", 1);
	unsetenv("AZURE_STORAGE_CONNECTION_STRING");
	unsetenv("STORAGE_EMULATOR_HOST");
	if (!standin_start(&r->server, dialect, args))
		return -1;
	snprintf(full, sizeof(full), "%s?endpoint=%s%s", url, r->server.origin,
		 strcmp(dialect, "gcs") == 0 ? "&anonymous=true" : "");
	assert_int_equal(store_open(&(struct store_config){ .name = "t", .url = full }, &r->store,
				    err, sizeof(err)),
			 0);
	*state = r;
	return 0;
}

static int azure_up(void **state)
{
	return up(state, "azure", "azblob://mangrovetest/testbucket/p", "3");
}

static int slow_azure_up(void **state)
{
	return up(state, "azure", "azblob://mangrovetest/testbucket/p", "1000");
}

static int gcs_up(void **state)
{
	return up(state, "gcs", "gs://testbucket/p", "5");
}

static int down(void **state)
{
	struct rig *r = *state;

	store_free(r->store);
	standin_stop(&r->server);
	free(r);
	return 0;
}

static uint64_t in_ms(uint64_t ms)
{
	return clock_now() + ms * NS_PER_MS;
}

static void put(struct rig *r)
{
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	_cleanup_(blob_unrefp) struct blob *body = blob_copy(span_str("hello"));
	const struct put_req q = { .name = span_str("from"),
				   .body = body,
				   .deadline_ns = in_ms(10000) };

	assert_int_equal(store_put_wait(r->store, &q, &c), 0);
}

static struct copy_req copy_by(uint64_t deadline_ns)
{
	return (struct copy_req){ .from = span_str("from"),
				  .to = span_str("to"),
				  .cond = PUT_IF_ABSENT,
				  .deadline_ns = deadline_ns };
}

static void is_waited_for(void **state)
{
	struct rig *r = *state;
	_cleanup_(store_call_unrefp) struct store_call *c = NULL, *h = NULL;
	const struct copy_req q = copy_by(in_ms(10000));
	const struct head_req look = { .name = span_str("to"), .deadline_ns = in_ms(10000) };

	put(r);
	assert_int_equal(store_copy_wait(r->store, &q, &c), 0);
	assert_int_equal(store_head_wait(r->store, &look, &h), 0);
	assert_string_equal(c->version, h->version);
	assert_int_equal(h->size, 5);
}

/* It goes on: nobody can say that it was not executed. */
static void ends_by_its_deadline(void **state)
{
	struct rig *r = *state;
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	const struct copy_req q = copy_by(in_ms(700));

	put(r);
	assert_int_equal(store_copy_wait(r->store, &q, &c), STORE_UNKNOWN);
	assert_false(c->executed_not);
}

static void ends_when_cancelled(void **state)
{
	struct rig *r = *state;
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	const struct copy_req q = copy_by(in_ms(600000));

	put(r);
	assert_int_equal(store_copy(r->store, &q, &c), 0);
	sleep_for(300 * NS_PER_MS);
	assert_false(call_finished(&c->call));
	call_cancel(&c->call);
	assert_int_equal(call_wait(&c->call, in_ms(10000)), STORE_UNKNOWN);
	assert_false(c->executed_not);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_waited_for, azure_up, down),
		cmocka_unit_test_setup_teardown(is_waited_for, gcs_up, down),
		cmocka_unit_test_setup_teardown(ends_by_its_deadline, slow_azure_up, down),
		cmocka_unit_test_setup_teardown(ends_when_cancelled, slow_azure_up, down),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	http_stop();
	return failed;
}
