/* SPDX-License-Identifier: Apache-2.0 */
#include "web_io.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

bool web_io_open(struct web_io *io, int fd, SSL_CTX *tls)
{
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*io = (struct web_io){ .fd = fd };
	if (!tls)
		return true;
	io->tls = SSL_new(tls);
	return io->tls && SSL_set_fd(io->tls, fd) == 1 && SSL_accept(io->tls) == 1;
}

/* The piece that may pass now under the speed limit, having slept for it. */
static size_t piece(const struct web_io *io, size_t n)
{
	if (!io->bytes_per_s)
		return n;
	size_t most = io->bytes_per_s / 20 + 1;
	if (n > most)
		n = most;
	uint64_t ns = n * 1000000000ull / io->bytes_per_s;
	struct timespec pause = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
	nanosleep(&pause, NULL);
	return n;
}

ssize_t web_io_read(struct web_io *io, void *buf, size_t n)
{
	n = piece(io, n);
	if (io->tls)
		return SSL_read(io->tls, buf, n > INT_MAX ? INT_MAX : (int)n);
	ssize_t got;
	do
		got = recv(io->fd, buf, n, 0);
	while (got < 0 && errno == EINTR);
	return got;
}

static bool tls_write(struct web_io *io, const char *bytes, size_t n)
{
	while (n) {
		size_t part = piece(io, n > 1 << 20 ? 1 << 20 : n);
		int put = SSL_write(io->tls, bytes, (int)part);
		if (put <= 0)
			return false;
		bytes += put;
		n -= (size_t)put;
	}
	return true;
}

static bool plain_write(struct web_io *io, struct iovec *iov, int count)
{
	for (int i = 0; i < count;) {
		if (iov[i].iov_len == 0) {
			i++;
			continue;
		}
		struct iovec limited = { iov[i].iov_base, iov[i].iov_len };
		struct msghdr all = { .msg_iov = iov + i, .msg_iovlen = (size_t)(count - i) };
		if (io->bytes_per_s) {
			limited.iov_len = piece(io, limited.iov_len);
			all = (struct msghdr){ .msg_iov = &limited, .msg_iovlen = 1 };
		}
		ssize_t put = sendmsg(io->fd, &all, MSG_NOSIGNAL);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		for (size_t left = (size_t)put; left;) {
			size_t step = left < iov[i].iov_len ? left : iov[i].iov_len;
			iov[i].iov_base = (char *)iov[i].iov_base + step;
			iov[i].iov_len -= step;
			left -= step;
			if (iov[i].iov_len == 0)
				i++;
		}
	}
	return true;
}

bool web_io_write(struct web_io *io, const void *head, size_t head_len, const void *body,
		  size_t body_len)
{
	if (io->tls)
		return tls_write(io, head, head_len) && tls_write(io, body, body_len);
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)head, head_len },
		{ (void *)(uintptr_t)body, body_len },
	};
	return plain_write(io, iov, 2);
}

void web_io_close(struct web_io *io)
{
	if (io->fd < 0)
		return;
	if (io->tls) {
		SSL_shutdown(io->tls);
		SSL_free(io->tls);
	}
	/* Unread input would turn the close into a reset and could destroy the answer in flight. */
	shutdown(io->fd, SHUT_WR);
	close(io->fd);
	io->fd = -1;
	io->tls = NULL;
}

void web_io_reset(struct web_io *io)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	if (io->fd < 0)
		return;
	setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	SSL_free(io->tls);
	close(io->fd);
	io->fd = -1;
	io->tls = NULL;
}
