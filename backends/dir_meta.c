/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What meta.h says of a file, as extended attributes of it: user.mangrove.mtime and so on, and
 * user.mime_type as everywhere. A file system without them keeps none. The file's own time and mode
 * are those of its writing: the time is part of its version.
 */
#include "backends/dir_i.h"

#include <stdio.h>
#include <sys/xattr.h>

#define BEGINNING "user.mangrove."
#define MIME_TYPE "user.mime_type"
#define NAMES_MAX 4096
#define VALUE_MAX 4096

static int write_one(struct dir_op *op, int fd, const char *name, const char *value)
{
	if (fsetxattr(fd, name, value, strlen(value), 0) == 0 || errno == ENOTSUP)
		return 0;
	return dir_error(op, "set attributes");
}

int dir_write_meta(struct dir_op *op, int fd, const struct object_meta *m)
{
	_cleanup_pairs_ struct pairs p = {};
	char name[64];
	int r = 0;

	object_meta_write(m, META_S3, &p);
	if (pairs_error(&p) < 0)
		return -ENOMEM;
	if (m->content_type[0])
		r = write_one(op, fd, MIME_TYPE, m->content_type);
	for (size_t i = 0; i < p.n && r == 0; i++) {
		snprintf(name, sizeof(name), BEGINNING "%s", p.items[i].name);
		r = write_one(op, fd, name, p.items[i].value);
	}
	return r;
}

static void read_one(int fd, const char *name, struct object_meta *ret)
{
	static const size_t n = sizeof(BEGINNING) - 1;
	char value[VALUE_MAX];
	ssize_t len = fgetxattr(fd, name, value, sizeof(value) - 1);

	if (len < 0)
		return;
	value[len] = '\0';
	if (strncmp(name, BEGINNING, n) == 0)
		object_meta_read(name + n, value, ret);
	else if (strcmp(name, MIME_TYPE) == 0 && (size_t)len < sizeof(ret->content_type))
		memcpy(ret->content_type, value, (size_t)len + 1);
}

void dir_read_meta(int fd, struct object_meta *ret)
{
	char names[NAMES_MAX];
	ssize_t len = flistxattr(fd, names, sizeof(names));

	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
		read_one(fd, names + at, ret);
}

/* The file's time stays, and so does its version. */
int dir_describe(struct dir_op *op)
{
	int r;
	_cleanup_close_ int fd = dir_open_object(op, op->name, op->version, &r);

	return fd < 0 ? r : dir_write_meta(op, fd, &op->meta);
}
