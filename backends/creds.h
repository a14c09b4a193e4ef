/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Credentials of a store: found where the provider's own tools look, kept while they are
 * valid, renewed before they expire.
 *
 * (K1) One renewal at a time for a store, on a task of its own, however many requests wait for it.
 * (K2) While a renewal fails, the old value is used until it truly expires.
 * (K3) A value never changes once made; who holds a reference may go on using it. Its strings are
 *      wiped when it goes, and never logged.
 */
#include "backends/request.h"
#include "backends/store.h"
#include "base/wait.h"

enum creds_kind {
	CREDS_AWS,    /* id, secret, session or NULL */
	CREDS_KEY,    /* id: the account; secret: its key in base64 */
	CREDS_SAS,    /* secret: a query to append */
	CREDS_BEARER, /* secret: the token */
	CREDS_NONE,   /* go without: an emulator */
};
struct creds_value {
	unsigned refs; /* atomic */
	enum creds_kind kind;
	char *id, *secret, *session;
	uint64_t expires_s; /* seconds since 1970; 0: never */
};
/* Copies the strings (NULL stays NULL). NULL: no memory. */
struct creds_value *creds_value_new(enum creds_kind kind, const char *id, const char *secret,
				    const char *session, uint64_t expires_s);
struct creds_value *creds_value_ref(struct creds_value *v);
struct creds_value *creds_value_unref(struct creds_value *v);
DEFINE_CLEANUP(struct creds_value *, creds_value_unref)

#define CREDS_LATER 1 /* fetch: only the network can tell; creds_get: not yet */

struct creds;
/* Where they come from; one per provider. */
struct creds_source {
	/*
	 * May block, but for `local` (then: CREDS_LATER where the network would be needed).
	 * Fetches by creds_http(). 0; CREDS_LATER; -EACCES (there are none, or they were refused)
	 * or -EAGAIN (ask again later) with a sentence in err; -EMSGSIZE, -ENOMEM.
	 */
	int (*fetch)(struct creds *c, void *self, bool local, struct creds_value **ret, char *err,
		     size_t err_size);
	void (*free)(void *self);
};
/*
 * Takes self. Asks the source for what needs no network. 0; or the source's failure with its
 * sentence.
 */
must_check int creds_new(const struct creds_source *source, void *self, struct creds **ret,
			 char *err, size_t err_size);
/* Nobody waits any more. Waits for a renewal under way. */
struct creds *creds_free(struct creds *c);
DEFINE_CLEANUP(struct creds *, creds_free)

/* Somebody who waits for a value; embedded in what waits. */
struct creds_wait {
	/*
	 * On the renewing task, no lock held: 0 with a reference in `value` that the callee takes,
	 * or -errno with `why`.
	 */
	void (*ready)(struct creds_wait *w, int result, struct creds_value *value, const char *why);
	uint64_t deadline_ns;
	struct creds_wait *next; /* private */
	bool waiting;            /* private */
};
/*
 * 0 with a reference in *ret; CREDS_LATER: `ready` will run; -EACCES, -EAGAIN, -ENOMEM with a
 * sentence in err. Never blocks.
 */
must_check int creds_get(struct creds *c, struct creds_wait *w, struct creds_value **ret, char *err,
			 size_t err_size);
/* true: w was still waiting and `ready` will not run. */
bool creds_leave(struct creds *c, struct creds_wait *w);
/* The server refused this value: the next creds_get renews, unless that has happened meanwhile. */
void creds_refused(struct creds *c, const struct creds_value *v);

/* ---- for sources ---- */

/*
 * Runs a request of a renewal to its end, letting go those waiters whose deadline passes. 0,
 * -ENOMEM, -ESHUTDOWN.
 */
must_check int creds_http(struct creds *c, struct request *r);
/*
 * To be called every now and then by a fetch that waits for something else: lets go waiters that
 * are overdue.
 */
void creds_tick(struct creds *c);
/*
 * Runs a command line of the user's configuration by the shell; its output in *ret (whose limit
 * holds), at most 30 s. 0, -EACCES (it failed), -ENOMEM.
 */
must_check int creds_process(struct creds *c, const char *command, struct buf *ret);
/*
 * A request to a full URL; deadline 10 s, no proxy when `metadata`. NULL: no memory or not a URL.
 */
struct request *creds_request(enum http_method method, const char *url, bool metadata);
/* Appends name=value, percent-encoded, to a form body in r->head. */
must_check int creds_form(struct request *r, const char *name, const char *value);
/* A small file (ret's limit holds) as text without the blanks at its end. 0, -errno. */
must_check int creds_file(const char *path, struct buf *ret);
/* getenv() without empty ones. */
const char *creds_env(const char *name);

/* ---- the providers' chains; url parameters were checked before ---- */

struct creds_aws_options {
	const char *file;    /* a shared credentials file, or NULL */
	const char *profile; /* or NULL */
	const char *region;  /* for STS */
	const char *ca_file;
};
must_check int creds_aws_new(const struct creds_aws_options *o, struct creds **ret, char *err,
			     size_t err_size);
/* A key of the AWS profile ("region", "endpoint_url"): 0 with *ret owned; -ENOENT. */
must_check int creds_aws_setting(const struct creds_aws_options *o, const char *key, char **ret);

struct creds_azure_options {
	/* lines NAME=VALUE with the names of the environment, or a connection string; or NULL */
	const char *file;
	const char *account;
};
must_check int creds_azure_new(const struct creds_azure_options *o, struct creds **ret, char *err,
			       size_t err_size);
/* The endpoint that a connection string names for this account: 0 with *ret owned; -ENOENT. */
must_check int creds_azure_endpoint(const struct creds_azure_options *o, char **ret);

struct creds_gcs_options {
	const char *file; /* JSON as of GOOGLE_APPLICATION_CREDENTIALS, or NULL */
};
must_check int creds_gcs_new(const struct creds_gcs_options *o, struct creds **ret, char *err,
			     size_t err_size);
