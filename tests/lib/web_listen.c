/* SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { STACK = 512 << 10 };

int web_listen(uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 512) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

struct start {
	struct web *web;
	int fd;
};

static void set_idle_limit(int fd, uint64_t idle_s)
{
	struct timeval limit = { .tv_sec = (time_t)idle_s };
	if (idle_s)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static void *connection_main(void *arg)
{
	struct start start = *(struct start *)arg;
	free(arg);
	/* Too large for the stack, and of which most pages are never touched. */
	struct web_conn *conn = malloc(sizeof(*conn));
	if (!conn)
		abort();
	conn->filled = 0;
	conn->signing_scope[0] = '\0';
	set_idle_limit(start.fd, start.web->conf.idle_s);
	if (web_io_open(&conn->io, start.fd, start.web->tls))
		while (web_serve(start.web, conn))
			;
	web_io_close(&conn->io);
	free(conn);
	return NULL;
}

static void connection_start(struct web *web, int fd)
{
	struct start *start = web_alloc(sizeof(*start));
	*start = (struct start){ web, fd };
	pthread_attr_t attr;
	pthread_t thread;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, connection_main, start)) {
		close(fd);
		free(start);
	}
	pthread_attr_destroy(&attr);
}

void web_accept_forever(struct web *web, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			connection_start(web, fd);
		else if (errno == EMFILE || errno == ENFILE)
			usleep(10000);
		else if (errno != EINTR && errno != ECONNABORTED)
			abort();
	}
}
