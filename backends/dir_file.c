/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects as files of a folder.
 *
 * (B1) An object appears whole: written under a temporary name, synced, then linked (put-if-absent:
 *      link(2) refuses an existing name) or renamed; then its folder is synced. Only then is a put
 *      answered.
 * (B2) The store's own folder is never created: one that was moved away is a store that is down,
 *      for a while perhaps.
 */
#include "backends/dir_i.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int dir_error(struct dir_op *op, const char *what)
{
	const int e = errno;

	snprintf(op->detail, sizeof(op->detail), "%s: %s", what, strerror(e));
	switch (e) {
	case ENOSPC:
	case EDQUOT:
		return fail(-ENOSPC);
	case EACCES:
	case EPERM:
	case EROFS:
		return fail(-EACCES);
	case ENOMEM:
		return fail(-ENOMEM);
	}
	return fail(-EIO);
}

int dir_root(struct dir_op *op)
{
	int fd = open(op->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool gone;
	int r;

	if (fd >= 0) {
		*op->was_there = true;
		return fd;
	}
	gone = errno == ENOENT;
	r = dir_error(op, gone ? "the store's folder does not exist" :
				 "the store's folder cannot be opened");
	return gone && *op->was_there ? fail(-EAGAIN) : r;
}

void dir_version(const struct stat *st, char ret[STORE_VERSION_MAX])
{
	snprintf(ret, STORE_VERSION_MAX, "%llx-%llx-%llx.%lx", (unsigned long long)st->st_ino,
		 (unsigned long long)st->st_size, (unsigned long long)st->st_mtim.tv_sec,
		 (unsigned long)st->st_mtim.tv_nsec);
}

static void describe(struct dir_op *op, const struct stat *st)
{
	op->size = (uint64_t)st->st_size;
	op->modified_s = (uint64_t)st->st_mtim.tv_sec;
	dir_version(st, op->new_version);
}

static bool is_absent(int error)
{
	return error == ENOENT || error == ENOTDIR;
}

int dir_open_object(struct dir_op *op, const char *name, const char *version, int *ret)
{
	_cleanup_close_ int root = dir_root(op);
	struct stat st;
	int fd;

	if (root < 0) {
		*ret = take_fd(&root);
		return -1;
	}
	fd = openat(root, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		*ret = is_absent(errno) ? STORE_MISSING : dir_error(op, "open");
		return -1;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) { /* a folder is no object */
		close(fd);
		*ret = STORE_MISSING;
		return -1;
	}
	describe(op, &st);
	if (version[0] && strcmp(version, op->new_version)) {
		close(fd);
		*ret = STORE_CHANGED;
		return -1;
	}
	return fd;
}

static int read_all(struct dir_op *op, int fd, uint64_t offset, size_t len)
{
	uint8_t *at = buf_extend(&op->bytes, len);

	if (!at && len)
		return fail(-ENOMEM);
	while (len) {
		ssize_t n = pread(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dir_error(op, "read");
		if (n == 0)
			return fail(-EAGAIN); /* it shrank under us: not a whole body */
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int dir_get(struct dir_op *op)
{
	int r;
	_cleanup_close_ int fd = dir_open_object(op, op->name, op->version, &r);

	if (fd < 0)
		return r;
	dir_read_meta(fd, &op->meta);
	if ((op->offset || op->length) && op->offset >= op->size)
		return STORE_RANGE;

	const uint64_t left = op->size - op->offset;
	const uint64_t len = op->length ? MIN(op->length, left) : left;

	if (len > op->limit) {
		snprintf(op->detail, sizeof(op->detail),
			 "the object has %llu bytes, at most %zu were expected",
			 (unsigned long long)len, op->limit);
		return fail(-EIO);
	}
	return read_all(op, fd, op->offset, (size_t)len);
}

int dir_head(struct dir_op *op)
{
	int r;
	_cleanup_close_ int fd = dir_open_object(op, op->name, op->version, &r);

	if (fd < 0)
		return r;
	dir_read_meta(fd, &op->meta);
	return 0;
}

int dir_write(struct dir_op *op, int fd, struct span s, uint64_t offset)
{
	while (s.len) {
		ssize_t n = pwrite(fd, s.data, s.len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dir_error(op, "write");
		offset += (uint64_t)n;
		s = span_sub(s, (size_t)n, s.len);
	}
	return 0;
}

int dir_open_parent(struct dir_op *op, int root, const char **ret_leaf)
{
	_cleanup_close_ int at = dup(root);
	char *name = op->name, *slash;

	if (at < 0)
		return dir_error(op, "open");
	for (; (slash = strchr(name, '/')); name = slash + 1) {
		int next;

		*slash = 0;
		next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (next < 0 && errno == ENOENT) {
			if (mkdirat(at, name, 0777) == 0)
				(void)!fsync(at);
			next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		}
		*slash = '/';
		if (next < 0)
			return dir_error(op, "open folder");
		close(at);
		at = next;
	}
	*ret_leaf = name;
	return take_fd(&at);
}

static int check_match(struct dir_op *op, int parent, const char *leaf)
{
	char version[STORE_VERSION_MAX];
	struct stat st;

	if (fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return is_absent(errno) ? STORE_CHANGED : dir_error(op, "stat");
	dir_version(&st, version);
	return strcmp(version, op->version) ? STORE_CHANGED : 0;
}

/* Gives the finished temporary file its name. */
static int give_name(struct dir_op *op, int parent, const char *tmp, const char *leaf)
{
	int r = 0;

	if (op->cond == PUT_IF_ABSENT) {
		if (linkat(parent, tmp, parent, leaf, 0) < 0)
			r = errno == EEXIST ? STORE_EXISTS : dir_error(op, "link");
		unlinkat(parent, tmp, 0);
		return r;
	}
	/* A folder has no conditional rename: users of conditions take turns. */
	if (op->cond == PUT_IF_MATCH) {
		flock(parent, LOCK_EX);
		r = check_match(op, parent, leaf);
	}
	if (r == 0 && renameat(parent, tmp, parent, leaf) < 0)
		r = dir_error(op, "rename");
	if (op->cond == PUT_IF_MATCH)
		flock(parent, LOCK_UN);
	if (r != 0)
		unlinkat(parent, tmp, 0);
	return r;
}

int dir_publish(struct dir_op *op, int fd, int parent, const char *tmp, const char *leaf)
{
	struct stat st;
	int r = fsync(fd) < 0 ? dir_error(op, "sync") : 0;

	if (r == 0 && fstat(fd, &st) < 0)
		r = dir_error(op, "stat");
	if (r < 0) {
		unlinkat(parent, tmp, 0);
		return r;
	}
	r = give_name(op, parent, tmp, leaf);
	if (r != 0)
		return r;
	describe(op, &st);
	if (fsync(parent) < 0) {
		dir_error(op, "sync folder");
		return STORE_UNKNOWN;
	}
	return 0;
}

void dir_tmp_name(char ret[64])
{
	snprintf(ret, 64, DIR_TMP_PREFIX "%016llx%016llx", (unsigned long long)random_u64(),
		 (unsigned long long)random_u64());
}

typedef int fill_fn(struct dir_op *op, int fd);

static int put_in(struct dir_op *op, int parent, const char *leaf, fill_fn *fill)
{
	char tmp[64];
	struct stat st;
	_cleanup_close_ int fd = -1;
	int r;

	/* Cheap, and spares the disk a body that would be refused. */
	if (op->cond == PUT_IF_ABSENT && fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return STORE_EXISTS;
	dir_tmp_name(tmp);
	fd = openat(parent, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return dir_error(op, "create");
	r = fill(op, fd);
	if (r == 0)
		r = dir_write_meta(op, fd, &op->meta);
	if (r == 0)
		return dir_publish(op, fd, parent, tmp, leaf);
	unlinkat(parent, tmp, 0);
	return r;
}

static int put_by(struct dir_op *op, fill_fn *fill)
{
	_cleanup_close_ int root = dir_root(op);
	_cleanup_close_ int parent = -1;
	const char *leaf = op->name;

	if (root < 0)
		return take_fd(&root);
	parent = dir_open_parent(op, root, &leaf);
	if (parent < 0)
		return take_fd(&parent);
	return put_in(op, parent, leaf, fill);
}

static int fill_with_body(struct dir_op *op, int fd)
{
	return dir_write(op, fd, blob_span(op->body), 0);
}

int dir_put(struct dir_op *op)
{
	return put_by(op, fill_with_body);
}

/* ---- copies ---- */

int dir_copy_range(struct dir_op *op, int from, uint64_t from_offset, int to, uint64_t to_offset,
		   uint64_t len)
{
	off64_t at = (off64_t)from_offset, there = (off64_t)to_offset;

	while (len) {
		ssize_t n = copy_file_range(from, &at, to, &there, (size_t)MIN(len, GiB), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dir_error(op, "copy");
		if (n == 0)
			return fail(-EAGAIN); /* it shrank under us */
		len -= (uint64_t)n;
	}
	return 0;
}

static int fill_with_object(struct dir_op *op, int fd)
{
	int r;
	_cleanup_close_ int from = dir_open_object(op, op->from, op->from_version, &r);

	if (from < 0)
		return r;
	if (op->keep_meta)
		dir_read_meta(from, &op->meta);
	return dir_copy_range(op, from, 0, fd, 0, op->size);
}

/* A missing source makes no folder for its copy. */
int dir_copy(struct dir_op *op)
{
	int r;
	_cleanup_close_ int from = dir_open_object(op, op->from, op->from_version, &r);

	return from < 0 ? r : put_by(op, fill_with_object);
}

/* As at S3, removing what is not there is done. */
int dir_remove(struct dir_op *op)
{
	_cleanup_close_ int root = dir_root(op);
	struct stat st;

	if (root < 0)
		return take_fd(&root);
	if (op->version[0]) {
		int r = check_match(op, root, op->name);

		if (r != 0)
			return r;
	}
	if (fstatat(root, op->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return 0;
	if (unlinkat(root, op->name, 0) < 0 && !is_absent(errno))
		return dir_error(op, "unlink");
	return 0;
}
