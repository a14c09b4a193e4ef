/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upload to a folder: a file that is filled where the parts belong, and then gets its name.
 *
 * (F1) The file has no name before its end, where the file system can do that: a program that dies
 *      leaves nothing behind. Elsewhere it has a temporary name.
 * (F2) It is given a name once, by whoever takes it first: a finish that was answered as overdue
 * may still be at work when it is repeated.
 */
#include "backends/dir_i.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct dir_upload {
	int fd, root;
	char tmp[64]; /* below root; "": none */
	atomic_bool taken;
};

static void upload_free(void *data)
{
	struct dir_upload *d = data;

	if (d->tmp[0])
		unlinkat(d->root, d->tmp, 0);
	closep(&d->fd);
	closep(&d->root);
	free(d);
}

/* (F1) */
static int open_file(struct dir_op *op, struct dir_upload *d)
{
	d->fd = openat(d->root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (d->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return dir_error(op, "create");
	dir_tmp_name(d->tmp);
	d->fd = openat(d->root, d->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (d->fd >= 0)
		return 0;
	d->tmp[0] = '\0';
	return dir_error(op, "create");
}

int dir_upload_begin(struct dir_op *op)
{
	struct dir_upload *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return fail(-ENOMEM);
	d->fd = -1;
	d->root = dir_root(op);
	r = d->root < 0 ? d->root : open_file(op, d);
	if (r == 0)
		r = dir_write_meta(op, d->fd, &op->upload->meta);
	if (r < 0) {
		upload_free(d);
		return r;
	}
	op->upload->data = d;
	op->upload->free_data = upload_free;
	return 0;
}

static int copy_part(struct dir_op *op, int to)
{
	int r;
	_cleanup_close_ int from = dir_open_object(op, op->from, op->from_version, &r);

	if (from < 0)
		return r;
	if (op->offset + op->length > op->size)
		return fail(-EIO);
	return dir_copy_range(op, from, op->offset, to, upload_offset(op->upload, op->index),
			      op->length);
}

int dir_upload_part(struct dir_op *op)
{
	struct dir_upload *d = op->upload->data;

	if (atomic_load(&d->taken))
		return STORE_GONE;
	if (op->body)
		return dir_write(op, d->fd, blob_span(op->body),
				 upload_offset(op->upload, op->index));
	return copy_part(op, d->fd);
}

/* Gives the file a temporary name in the folder of its object. */
static int link_into(struct dir_op *op, const struct dir_upload *d, int parent, const char *name)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", d->fd);
	r = d->tmp[0] ? linkat(d->root, d->tmp, parent, name, 0)
		      : linkat(AT_FDCWD, path, parent, name, AT_SYMLINK_FOLLOW);
	return r < 0 ? dir_error(op, "link") : 0;
}

static int publish(struct dir_op *op, struct dir_upload *d)
{
	_cleanup_close_ int parent = -1;
	const char *leaf = op->name;
	char tmp[64];
	int r;

	parent = dir_open_parent(op, d->root, &leaf);
	if (parent < 0)
		return take_fd(&parent);
	dir_tmp_name(tmp);
	r = link_into(op, d, parent, tmp);
	return r < 0 ? r : dir_publish(op, d->fd, parent, tmp, leaf);
}

int dir_upload_finish(struct dir_op *op)
{
	struct dir_upload *d = op->upload->data;
	int r;

	if (atomic_exchange(&d->taken, true)) /* (F2) */
		return STORE_GONE;
	r = publish(op, d);
	if (r != 0 && r != STORE_UNKNOWN)
		atomic_store(&d->taken, false);
	return r;
}

/* The room is free now; the rest goes with the last reference. */
int dir_upload_abort(struct dir_op *op)
{
	struct dir_upload *d = op->upload->data;

	if (atomic_exchange(&d->taken, true))
		return 0;
	return ftruncate(d->fd, 0) < 0 ? dir_error(op, "truncate") : 0;
}
