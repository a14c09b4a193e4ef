/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "base/wait.h"
#include "fs/command.h"
#include "fs/keys.h"

/*
 * Secrets on their way in: from a file or a command. (The recovery key's letters are in
 * recovery.c.)
 */
#define SECRET_MAX 4096u
#define COMMAND_SECONDS 30u

/* A trailing newline is an editor's or a shell's, not the person's. */
static struct span trimmed(struct span s)
{
	if (s.len && s.data[s.len - 1] == '\n')
		s.len--;
	if (s.len && s.data[s.len - 1] == '\r')
		s.len--;
	return s;
}

static int read_file(const char *path, struct buf *ret, char *err, size_t err_size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st)) {
		int r = -errno;

		snprintf(err, err_size, "%s: %s", path, strerror(-r));
		return fail(r);
	}
	if (S_ISREG(st.st_mode) && (st.st_mode & 0077))
		log_warn("keys", "others may read this key; chmod 600 it", "file=%s mode=%04o",
			 path, st.st_mode & 07777u);
	do {
		uint8_t part[1024];
		int r = 0;

		n = read(fd, part, sizeof(part));
		if (n > 0)
			r = buf_add(ret, part, (size_t)n);
		wipe(part, sizeof(part));
		if (n < 0 || r) {
			r = n < 0 ? -errno : r;
			snprintf(err, err_size, "%s: %s", path,
				 r == -EMSGSIZE ? "too long for a key" : strerror(-r));
			return fail(r);
		}
	} while (n);
	return 0;
}

static int read_command(const char *command, struct buf *ret, char *err, size_t err_size)
{
	int status,
		r = command_run(command, clock_now() + COMMAND_SECONDS * NS_PER_S, ret, &status);

	if (r == -ETIMEDOUT)
		snprintf(err, err_size, "key command did not end within %u s: %s", COMMAND_SECONDS,
			 command);
	else if (r == -ECHILD)
		snprintf(err, err_size, "key command failed (status %d): %s",
			 status & 0x7f ? -(status & 0x7f) : status >> 8, command);
	else if (r)
		snprintf(err, err_size, "key command: %s: %s", strerror(-r), command);
	return r == -ECHILD ? fail(-EACCES) : r;
}

/* A recovery key is written as letters; all else is its bytes. */
static int secret_from(const struct key_source *src, struct span bytes, struct secret **ret,
		       char *err, size_t err_size)
{
	int r;

	if (!bytes.len) {
		snprintf(err, err_size, "the %s is empty: %s", key_type_name(src->type),
			 src->where);
		return fail(-EINVAL);
	}
	if (src->type != KEY_RECOVERY) {
		*ret = secret_copy(bytes);
		return *ret ? 0 : fail(-ENOMEM);
	}
	r = recovery_key_parse(bytes, ret);
	if (r == -EINVAL)
		snprintf(err, err_size,
			 "%s: not a recovery key (a letter is mistyped, or one is missing)",
			 src->where);
	return r;
}

int key_source_read(const struct key_source *src, struct secret **ret, char *err, size_t err_size)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(SECRET_MAX);
	int r;

	if (src->type == KEY_NONE) {
		snprintf(err, err_size,
			 "no key is given: set key_file, passphrase_file or key_command");
		return fail(-EINVAL);
	}
	r = buf_reserve(&bytes, SECRET_MAX); /* so that growing leaves no copies behind */
	if (r)
		return r;
	if (src->type == KEY_COMMAND)
		r = read_command(src->where, &bytes, err, err_size);
	else
		r = read_file(src->where, &bytes, err, err_size);
	if (!r)
		r = secret_from(src, trimmed(buf_span(&bytes)), ret, err, err_size);
	wipe(bytes.data, bytes.len);
	return r;
}

int key_file_create(const char *path)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint8_t key[32];
	char text[sizeof(key) * 2 + 1];
	int r = 0;

	if (fd < 0)
		return -errno;
	random_fill(key, sizeof(key));
	hex_encode(span_of(key, sizeof(key)), text);
	text[sizeof(text) - 1] = '\n';
	if (write(fd, text, sizeof(text)) != (ssize_t)sizeof(text) || fsync(fd))
		r = fail(-EIO);
	wipe(key, sizeof(key));
	wipe(text, sizeof(text));
	if (r)
		unlink(path); /* a volume must not be made with half a key */
	return r;
}
