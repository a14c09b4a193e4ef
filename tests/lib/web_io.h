/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A connected socket, plain or under TLS, with an optional limit on its speed.
 */

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct web_io {
	int fd;
	SSL *tls;                       /* or NULL */
	uint64_t bytes_per_s;           /* 0: no limit */
};

/* Shakes hands when tls is given. On failure the io holds only the socket. */
bool web_io_open(struct web_io *, int fd, SSL_CTX *tls);
/* Bytes read; 0 at the end; negative on errors. */
ssize_t web_io_read(struct web_io *, void *buf, size_t n);
/* Writes head and body whole, without copying the body. */
bool web_io_write(struct web_io *, const void *head, size_t head_len, const void *body,
		  size_t body_len);
void web_io_close(struct web_io *);
/* Closes such that the peer sees a reset, and what is unsent is lost. */
void web_io_reset(struct web_io *);
