/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/meta.h"
#include "tests/lib/cm.h"

static const struct object_meta all = {
	.has = META_MTIME | META_MODE | META_OWNER,
	.mtime_ns = 1700000000123456789,
	.mode = 04640,
	.uid = 1000,
	.gid = 65534,
	.symlink = "../a b/gr\xc3\xbc\xc3\x9f",
	.writer = "00ff",
};

static void read_back(const struct pairs *p, struct object_meta *ret)
{
	*ret = (struct object_meta){};
	for (size_t i = 0; i < p->n; i++)
		object_meta_read(p->items[i].name, p->items[i].value, ret);
}

static void want_same(const struct object_meta *a, const struct object_meta *b)
{
	assert_int_equal(a->has, b->has);
	assert_int_equal(a->mtime_ns, b->mtime_ns);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_string_equal(a->symlink, b->symlink);
	assert_string_equal(a->writer, b->writer);
}

static void what_is_written_is_read(void **state)
{
	for (enum meta_style style = META_S3; style <= META_GCS; style++) {
		_cleanup_pairs_ struct pairs p = {};
		struct object_meta got;

		object_meta_write(&all, style, &p);
		assert_int_equal(pairs_error(&p), 0);
		read_back(&p, &got);
		want_same(&got, &all);
	}
}

static void is(const struct pairs *p, const char *name, const char *value)
{
	assert_non_null(pairs_get(p, name));
	assert_string_equal(pairs_get(p, name), value);
}

static void names_are_those_of_other_tools(void **state)
{
	_cleanup_pairs_ struct pairs s3 = {}, azure = {}, gcs = {};

	object_meta_write(&all, META_S3, &s3);
	is(&s3, "mtime", "1700000000.123456789");
	is(&s3, "mode", "0124640");
	is(&s3, "uid", "1000");
	is(&s3, "gid", "65534");
	is(&s3, "symlink", "../a%20b/gr%C3%BC%C3%9F");
	object_meta_write(&all, META_AZURE, &azure);
	is(&azure, "mtime", "2023-11-14T22:13:20.123456789Z");
	object_meta_write(&all, META_GCS, &gcs);
	is(&gcs, "mtime", "2023-11-14T22:13:20.123456789Z");
	is(&gcs, "goog-reserved-file-mtime", "1700000000");
	is(&gcs, "goog-reserved-posix-mode", "4640");
	is(&gcs, "gcsfuse_symlink_target", all.symlink);
}

static void times(void **state)
{
	static const int64_t some[] = { 0,
					1,
					-1,
					1500000000,
					-1500000000,
					1000000000000000000,
					4102444800ll * 1000000000,
					-2208988800ll * 1000000000 };

	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		for (enum meta_style style = META_S3; style <= META_GCS; style++) {
			_cleanup_pairs_ struct pairs p = {};
			struct object_meta m = { .has = META_MTIME, .mtime_ns = some[i] }, got;

			object_meta_write(&m, style, &p);
			read_back(&p, &got);
			want_same(&got, &m);
		}
}

/* As rclone, s3fs and gsutil write them; and what nobody means. */
static void values_of_others(void **state)
{
	struct object_meta m = {};

	object_meta_read("Mtime", "1700000000", &m);
	assert_int_equal(m.mtime_ns, 1700000000000000000);
	object_meta_read("goog-reserved-file-mtime", "5", &m);
	assert_int_equal(m.mtime_ns, 1700000000000000000);
	object_meta_read("mtime", "2023-11-14T22:13:20+00:00", &m);
	assert_int_equal(m.mtime_ns, 1700000000000000000);
	object_meta_read("mode", "33188", &m);
	assert_int_equal(m.mode, 0644);
	object_meta_read("goog-reserved-posix-mode", "755", &m);
	assert_int_equal(m.mode, 0755);
	m = (struct object_meta){};
	object_meta_read("mtime", "yesterday", &m);
	object_meta_read("mtime", "", &m);
	object_meta_read("mtime", "1.2.3", &m);
	object_meta_read("mtime", "99999999999999999999", &m);
	object_meta_read("mtime", "9999999999999", &m);
	object_meta_read("mode", "rw-r--r--", &m);
	object_meta_read("mode", "-1", &m);
	object_meta_read("uid", "root", &m);
	object_meta_read("gid", "4294967295", &m);
	object_meta_read("symlink", "a%00b", &m);
	object_meta_read("symlink", "%4", &m);
	object_meta_read("other", "1", &m);
	want_same(&m, &(struct object_meta){});
}

static void what_cannot_be_written(void **state)
{
	struct object_meta m = all;

	assert_true(object_meta_is_good(&all));
	m.content_type[0] = '\n';
	assert_false(object_meta_is_good(&m));
	m = all;
	m.writer[1] = ' ';
	assert_false(object_meta_is_good(&m));
	m = all;
	m.mode = 0100644;
	assert_false(object_meta_is_good(&m));
	memset(m.symlink, 'x', sizeof(m.symlink));
	m.mode = 0;
	assert_false(object_meta_is_good(&m));
	assert_string_equal(object_meta_type(NULL), "application/octet-stream");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(names_are_those_of_other_tools),
		cmocka_unit_test(times),
		cmocka_unit_test(values_of_others),
		cmocka_unit_test(what_cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
