/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "tests/lib/cm.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char path[64], content[65536];

static int make_file(void **state)
{
	int fd;

	strcpy(path, "/tmp/mangrove-log-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return log_open_file(path, LOG_LEVEL_INFO);
}

static int remove_file(void **state)
{
	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR);
	log_debug_only(NULL);
	return unlink(path);
}

static const char *written(void)
{
	_cleanup_close_ int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, content, sizeof(content) - 1);

	assert_true(n >= 0);
	content[n] = '\0';
	return content;
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *at = written(); *at; at++)
		n += *at == '\n';
	return n;
}

static void test_line(void **state)
{
	errno = ENOENT;
	log_warn("replicas", "breaker opened", "store=%s errors=%u", "aws", 5);
	assert_int_equal(errno, ENOENT);
	assert_string_equal(strchr(written(), ' '),
			    " warn replicas: breaker opened store=aws errors=5\n");
	assert_int_equal(content[10], 'T');
	assert_int_equal(content[23], 'Z');
}

static void test_without_values(void **state)
{
	log_error("disk", "the disk is full");
	assert_string_equal(strchr(written(), ' '), " error disk: the disk is full\n");
}

static void test_no_line_of_its_own(void **state)
{
	log_error("http", "odd answer", "text=%s", "a\nb\r\x1b[0m");
	assert_string_equal(strchr(written(), ' '), " error http: odd answer text=a?b??[0m\n");
}

static void test_long_line_is_cut(void **state)
{
	char big[5000];

	memset(big, 'x', sizeof(big));
	log_error("http", "big answer", "text=%.*s", (int)sizeof(big), big);
	assert_int_equal(lines(), 1);
	assert_true(strlen(content) < 2100);
}

static void test_levels(void **state)
{
	enum log_level level;

	log_debug("http", "not seen");
	assert_int_equal(lines(), 0);
	log_level_set(LOG_LEVEL_DEBUG);
	log_debug_only("http,journal");
	log_debug("http", "seen");
	log_debug("journal", "seen too");
	log_debug("htt", "not seen either");
	log_info("data", "always seen");
	assert_int_equal(lines(), 3);
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
}

static void test_rate(void **state)
{
	struct log_site site = { 0 };

	for (int i = 0; i < 25; i++)
		log_write(&site, LOG_LEVEL_WARN, "a", "storm", " i=%d", i);
	assert_int_equal(lines(), 10);
	site.window_ns = 0; /* as if it had passed */
	log_write(&site, LOG_LEVEL_WARN, "a", "storm", " i=%d", 25);
	assert_int_equal(lines(), 11);
	assert_non_null(strstr(content, "storm i=25 left_out=15\n"));
}

/* The last lines are kept, whatever became of the file. */
static void test_tail(void **state)
{
	_cleanup_buf_ struct buf tail = BUF_INIT(MiB);
	struct log_site site = { 0 };
	unsigned n = 0;

	for (int i = 0; i < 400; i++) {
		site = (struct log_site){ 0 };
		log_write(&site, LOG_LEVEL_WARN, "a", "kept", " i=%d text=%.*s", i,
			  i == 399 ? 600 : 0, content);
	}
	assert_int_equal(log_tail(&tail), 0);
	for (size_t i = 0; i < tail.len; i++)
		n += tail.data[i] == '\n';
	assert_int_equal(n, 256);
	assert_null(strstr(buf_str(&tail), "i=143 "));
	assert_non_null(strstr(buf_str(&tail), "Z warn a: kept i=144 text="));
	assert_non_null(strstr(buf_str(&tail), "i=399 text="));
}

#define with_file(test) cmocka_unit_test_setup_teardown(test, make_file, remove_file)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_file(test_line),
		with_file(test_without_values),
		with_file(test_no_line_of_its_own),
		with_file(test_long_line_is_cut),
		with_file(test_levels),
		with_file(test_rate),
		with_file(test_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
