/* SPDX-License-Identifier: Apache-2.0 */
/* A flat listing becomes a tree. */
#include "fs/attach/flat.h"
#include "tests/lib/cm.h"

static int tell(struct span key, enum key_kind kind, const struct list_entry *e, void *arg)
{
	static const char letters[] = { [KEY_IS_DIRECTORY] = 'd',
					[KEY_IS_FILE] = 'f',
					[KEY_IS_BESIDE] = 'b',
					[KEY_IS_MARKER] = 'm' };

	return buf_addf(arg, "%c:%.*s ", letters[kind], SPAN_FMT(key));
}

/* Objects of a byte; "-" before the key: empty, "+": a folder by itself. */
static int run(const char *const *keys, size_t n, struct buf *ret)
{
	struct flat f = { 0 };
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const bool marked = *keys[i] == '-' || *keys[i] == '+';
		const struct list_entry e = { .name = (char *)keys[i] + marked,
					      .size = !marked,
					      .is_folder = *keys[i] == '+' };

		r = flat_add(&f, &e, tell, ret);
	}
	if (r == 0)
		r = flat_end(&f, tell, ret);
	flat_release(&f);
	return r;
}

#define CHECK(expected, ...)                                                                       \
	do {                                                                                       \
		static const char *const keys_[] = { __VA_ARGS__ };                                \
		_cleanup_buf_ struct buf b_ = BUF_INIT(MiB);                                       \
                                                                                                   \
		assert_int_equal(run(keys_, ARRAY_SIZE(keys_), &b_), 0);                           \
		assert_string_equal(buf_str(&b_), expected);                                       \
	} while (0)

static void test_files(void **state)
{
	CHECK("f:a f:b/c f:b/d ", "a", "b/c", "b/d");
	CHECK("f:a f:a0 f:b ", "a", "a0", "b");
}

static void test_beside(void **state)
{
	CHECK("b:a f:a/b ", "a", "a/b");
	CHECK("f:a-b f:a.txt b:a f:a/b ", "a", "a-b", "a.txt", "a/b"); /* (T1) */
	CHECK("b:a-b f:a-b/c b:a f:a/b ", "a", "a-b", "a-b/c", "a/b");
	CHECK("f:a-b f:a f:a0 ", "a", "a-b", "a0");
	CHECK("f:a--- f:a-- f:a- f:a ", "a", "a-", "a--", "a---"); /* until the end */
}

static void test_marks(void **state)
{
	CHECK("d:a f:a/b ", "-a/", "a/b");
	CHECK("b:a m:a/ f:a/b ", "a", "a/", "a/b");
	CHECK("d:a f:b ", "-a_$folder$", "b");
	CHECK("f:a_$folder$ ", "a_$folder$"); /* with content: a file */
	CHECK("d:a f:a/b ", "+a", "a/b");
	CHECK("f:_$folder$ ", "-_$folder$");
}

static void test_refused(void **state)
{
	static const char *const wrong[] = { "b", "a" }, *const twice[] = { "a", "a" };
	_cleanup_buf_ struct buf b = BUF_INIT(MiB);

	assert_int_equal(run(wrong, 2, &b), -EIO);
	assert_int_equal(run(twice, 2, &b), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_beside),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
