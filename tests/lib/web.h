/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The stand-in server: S3, Azure Blob or Google Cloud Storage on loopback, as strict as the real
 * one where it matters to a client, quick enough to measure clients with, and able to misbehave
 * on request. README.md beside this file says how to use it.
 *
 *	web_main.c      command line
 *	web_listen.c    listener, one thread for each connection
 *	web_serve.c     the life of one request: head, faults, checks, body, answer
 *	web_http.c      requests are parsed and answers written here
 *	web_io.c        a socket, plain or TLS
 *	web_fault.c     what is to go wrong, when
 *	web_control.c   /-/ : faults, counters and objects behind the protocol
 *	web_s3*.c web_azure*.c web_gcs*.c web_token.c    the dialects
 *	web_list.c web_cond.c                            what they have in common
 *	web_upload.c    uploads in several requests
 *	web_store.c     buckets and objects
 *	web_sum.c web_text.c                             checksums and encodings
 */

#include "web_http.h"
#include "web_store.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct web_faults;
struct web_stats;
struct web_uploads;
struct web_tokens;

/* Set once by the command line. Strings may be NULL where an option was not given. */
struct web_conf {
	const struct web_dialect *dialect;
	uint16_t port;
	const char *port_file;
	const char *cert, *key;
	const char *access_key, *secret_key, *session_token, *region;   /* S3 */
	const char *account;                                            /* Azure */
	uint8_t account_key[64];
	size_t account_key_len;
	const char *token, *jwt_pubkey, *refresh_token;                 /* GCS; token: Azure too */
	uint64_t token_life_s;
	bool gcs_name_rate;
	uint64_t page;                  /* most keys in a page of a listing; 0: as the cloud */
	bool empty_pages;               /* before each page comes an empty one with a token */
	/* A copy is not done at once: Azure after so many 100 ms, GCS after so many requests. */
	uint64_t copy_steps;
	uint64_t copy_max;              /* S3: the largest object that is copied at once */
	uint64_t idle_s;                /* close a connection after so long without request */
	int64_t fixed_now_s;            /* 0: the real clock */
};

struct web {
	struct web_conf conf;
	struct web_store *store;
	struct web_faults *faults;
	struct web_stats *stats;
	struct web_uploads *uploads;
	struct web_tokens *tokens;
	SSL_CTX *tls;                   /* or NULL */
	EVP_PKEY *jwt_key;              /* or NULL */
};

/* A dialect: how requests look, and what is done about them. */
struct web_dialect {
	const char *name;
	/* Sets op, verb, bucket and key from the head. May fail the request. */
	void (*route)(struct web_req *);
	/* Authenticates, checks the headers, asks for checksums. May fail the request. */
	void (*check)(struct web_req *);
	/* Finds the key in the body, when route() has set key_in_body. May be NULL. */
	void (*find_key)(struct web_req *);
	/* The body is there. Fills the reply. May run twice for one request. */
	void (*run)(struct web_req *);
	/* The dialect's error answer; code may be NULL for what the cloud says with that status. */
	void (*fail)(struct web_req *, int status, const char *code, const char *message);
	/* Headers that each answer carries (request ids). */
	void (*stamp)(struct web_req *);
	/* Gives a new object its ETag, from its contents, generation or both. */
	void (*etag)(struct web_object *);
};

extern const struct web_dialect web_s3, web_azure, web_gcs, web_control;

/* Nanoseconds since 1970, or the frozen time of --now. */
int64_t web_now_ns(const struct web *);
/* A number that no other call gets, for request ids. */
uint64_t web_serial(void);

/* web_listen.c: binds; returns the socket and the port, or -errno. */
int web_listen(uint16_t port, uint16_t *ret_port);
/* Accepts until the process ends. */
void web_accept_forever(struct web *, int listener);

/* web_serve.c: one request of a connection. False when the connection is to be closed. */
bool web_serve(struct web *, struct web_conn *);
