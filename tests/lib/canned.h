/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A server of prepared answers on loopback, for services that hand out credentials: each
 * request's head and body are kept, and the first answer whose words occur in it is given.
 */
#include "tests/lib/cm.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CANNED_MAX 8

struct canned_answer {
	const char *words; /* "GET /latest/api/token" */
	int status;
	const char *body;
};

struct canned {
	int fd;
	unsigned port;
	char origin[64];
	pthread_t thread;
	pthread_mutex_t lock;
	unsigned n_requests;
	char requests[CANNED_MAX][8192];
	struct canned_answer answers[CANNED_MAX];
};

static inline const struct canned_answer *canned_find_(struct canned *c, const char *request)
{
	static const struct canned_answer none = { "", 404, "nothing prepared" };

	for (unsigned i = 0; i < CANNED_MAX && c->answers[i].words; i++)
		if (strstr(request, c->answers[i].words))
			return &c->answers[i];
	return &none;
}

/* The head, and as much of a body as it announces. */
static inline void canned_read_(int fd, char *text, size_t size)
{
	size_t n = 0, want = size - 1;

	while (n < want) {
		ssize_t got = read(fd, text + n, want - n);
		char *end, *length;

		if (got <= 0)
			break;
		n += (size_t)got;
		text[n] = '\0';
		end = strstr(text, "\r\n\r\n");
		length = strcasestr(text, "\r\ncontent-length:");
		if (end)
			want = (size_t)(end - text) + 4 +
			       (length ? strtoul(length + 17, NULL, 10) : 0);
		if (want > size - 1)
			want = size - 1;
	}
	text[n] = '\0';
}

static inline void *canned_serve_(void *arg)
{
	struct canned *c = arg;
	int fd;

	while ((fd = accept(c->fd, NULL, NULL)) >= 0) {
		char text[8192], head[256];
		const struct canned_answer *a;

		canned_read_(fd, text, sizeof(text));
		pthread_mutex_lock(&c->lock);
		if (c->n_requests < CANNED_MAX)
			memcpy(c->requests[c->n_requests++], text, sizeof(text));
		a = canned_find_(c, text);
		snprintf(head, sizeof(head),
			 "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
			 a->status, strlen(a->body));
		pthread_mutex_unlock(&c->lock);
		if (send(fd, head, strlen(head), MSG_NOSIGNAL) > 0)
			(void)!send(fd, a->body, strlen(a->body), MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static inline void canned_start(struct canned *c)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	*c = (struct canned){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert_true(c->fd >= 0);
	assert_int_equal(bind(c->fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(c->fd, 16), 0);
	assert_int_equal(getsockname(c->fd, (struct sockaddr *)&a, &len), 0);
	c->port = ntohs(a.sin_port);
	snprintf(c->origin, sizeof(c->origin), "http://127.0.0.1:%u", c->port);
	pthread_mutex_init(&c->lock, NULL);
	assert_int_equal(pthread_create(&c->thread, NULL, canned_serve_, c), 0);
}

static inline void canned_stop(struct canned *c)
{
	shutdown(c->fd, SHUT_RDWR);
	pthread_join(c->thread, NULL);
	close(c->fd);
	pthread_mutex_destroy(&c->lock);
}

/* Forgets answers and requests. */
static inline void canned_reset(struct canned *c)
{
	pthread_mutex_lock(&c->lock);
	memset(c->answers, 0, sizeof(c->answers));
	c->n_requests = 0;
	pthread_mutex_unlock(&c->lock);
}

static inline void canned_add(struct canned *c, const char *words, int status, const char *body)
{
	unsigned i = 0;

	pthread_mutex_lock(&c->lock);
	while (c->answers[i].words)
		i++;
	c->answers[i] = (struct canned_answer){ words, status, body };
	pthread_mutex_unlock(&c->lock);
}
