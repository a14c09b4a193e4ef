/* SPDX-License-Identifier: Apache-2.0 */
#include "base/defs.h"
#include "tests/lib/cm.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void test_fail_answers_its_argument(void **state)
{
	char buf[200];

	assert_int_equal(fail(-EIO), -EIO);
	assert_int_equal(fail(-ENOSPC), -ENOSPC);
	fail_trace(buf, sizeof(buf));
	assert_string_equal(fail_trace(buf, sizeof(buf)), "");
}

static void test_trace_is_newest_first(void **state)
{
	char buf[200], want[200];
	int first = __LINE__ + 2;

	(void)fail(-EIO);
	(void)fail(-EIO);
	(void)fail(-ENOSPC);
	snprintf(want, sizeof(want),
		 "ENOSPC at test_defs.c:%d < EIO at test_defs.c:%d < test_defs.c:%d", first + 2,
		 first + 1, first);
	assert_string_equal(fail_trace(buf, sizeof(buf)), want);
}

static void test_trace_fits(void **state)
{
	char buf[12], large[1000];

	for (int i = 0; i < 100; i++)
		(void)fail(-EIO);
	fail_trace(buf, sizeof(buf));
	assert_int_equal(strlen(buf), sizeof(buf) - 1);
	for (int i = 0; i < 100; i++)
		(void)fail(-EIO);
	fail_trace(large, sizeof(large));
	assert_true(strlen(large) < sizeof(large) - 1);
}

static void test_closep_keeps_errno(void **state)
{
	int fd = open("/dev/null", O_RDONLY), none = -1;

	assert_true(fd >= 0);
	errno = ENOENT;
	closep(&fd);
	closep(&none);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_take(void **state)
{
	int fd = 5, x = 1, *p = &x;

	assert_int_equal(take_fd(&fd), 5);
	assert_int_equal(fd, -1);
	assert_ptr_equal(take_ptr(&p), &x);
	assert_null(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fail_answers_its_argument),
		cmocka_unit_test(test_trace_is_newest_first),
		cmocka_unit_test(test_trace_fits),
		cmocka_unit_test(test_closep_keeps_errno),
		cmocka_unit_test(test_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
