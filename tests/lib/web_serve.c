/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one request:
 *
 *	head read -> route -> a fault is picked -> check -> body read -> run -> answer sent
 *	               |         REFUSE acts here            |      |
 *	               |                    RESET_BEFORE, STALL,    RESET_AFTER, SHORT_BODY,
 *	               |                    STATUS, DELAY_APPLY     WRONG_LENGTH, BIT_FLIP, SLOW
 *	               +-> a request that fails here or in check() is answered without run()
 */
#include "web.h"
#include "web_control.h"
#include "web_fault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	PIECE = 512 << 10,
	BODY_MAX = 1 << 30,
};

int64_t web_now_ns(const struct web *web)
{
	if (web->conf.fixed_now_s)
		return web->conf.fixed_now_s * 1000000000;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

uint64_t web_serial(void)
{
	static atomic_uint_fast64_t last;
	return atomic_fetch_add(&last, 1) + 1;
}

/* ---- the body ---- */

/* Input that came with the head is used up before the socket is read. */
static ssize_t input_read(struct web_req *req, size_t *at, void *buf, size_t n)
{
	struct web_conn *conn = req->conn;
	size_t ready = conn->filled - *at;
	if (!ready)
		return web_io_read(&conn->io, buf, n < PIECE ? n : PIECE);
	if (n > ready)
		n = ready;
	memcpy(buf, conn->head + *at, n);
	*at += n;
	return (ssize_t)n;
}

static bool body_discard(struct web_req *req, size_t *at)
{
	char waste[16 << 10];
	for (uint64_t left = req->length; left;) {
		ssize_t got = input_read(req, at, waste,
					 left < sizeof(waste) ? left : sizeof(waste));
		if (got <= 0)
			return false;
		left -= (uint64_t)got;
	}
	return true;
}

static bool body_read(struct web_req *req, size_t *at)
{
	for (size_t done = 0; done < req->length;) {
		uint8_t *place = req->body->data + done;
		ssize_t got = input_read(req, at, place, req->length - done);
		if (got <= 0)
			return false;
		web_sums_feed(&req->sums, place, (size_t)got);
		done += (size_t)got;
	}
	web_sums_end(&req->sums);
	return true;
}

/* False when the connection is of no more use. */
static bool body_take(struct web_req *req, size_t *at)
{
	bool failed = req->reply.status;
	if (req->expects && failed) {
		/* The client holds the body back until it is asked for it. */
		req->reply.close = true;
		return true;
	}
	if (req->expects && req->length) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
		if (!web_io_write(&req->conn->io, go_on, sizeof(go_on) - 1, NULL, 0))
			return false;
	}
	if (failed)
		return req->reply.close || body_discard(req, at);
	req->body = web_blob_new(req->length);
	if (!req->body) {
		req->dialect->fail(req, 503, NULL, "no memory for the body");
		return body_discard(req, at);
	}
	web_sums_begin(&req->sums, req->want_sums);
	return body_read(req, at);
}

static void check_framing(struct web_req *req)
{
	bool sends = strcmp(req->method, "PUT") == 0 || strcmp(req->method, "POST") == 0;
	if (web_header(req, "transfer-encoding"))
		req->dialect->fail(req, 501, NULL, "Transfer-Encoding is not supported");
	else if (sends && !req->has_length)
		req->dialect->fail(req, 411, NULL, "You must provide the Content-Length header.");
	else if (req->length > BODY_MAX)
		req->dialect->fail(req, 413, NULL, "The body is too large.");
	else
		return;
	req->reply.close = true;
}

/* ---- running and answering ---- */

static void execute(struct web_req *req)
{
	if (!req->reply.status)
		req->dialect->run(req);
}

static void answer_fault_status(struct web_req *req, const struct web_fault *fault, int status)
{
	if (fault->apply)
		execute(req);
	web_reply_reset(&req->reply);
	req->dialect->fail(req, fault->status, *fault->code ? fault->code : NULL,
			   "injected fault");
	if (fault->retry_after_s >= 0)
		web_reply_header(req, "Retry-After", "%lld", (long long)fault->retry_after_s);
	req->reply.status = status;
}

static void execute_twice(struct web_req *req)
{
	execute(req);
	web_reply_reset(&req->reply);
	execute(req);
}

static void flip_bit(struct web_reply *reply, uint64_t random)
{
	size_t len;
	const uint8_t *bytes = web_reply_bytes(reply, &len);
	if (!len)
		return;
	struct web_text flipped = { 0 };
	web_text_put(&flipped, bytes, len);
	flipped.s[random / 8 % len] ^= (char)(1 << random % 8);
	web_object_unref(reply->object);
	web_text_release(&reply->body);
	reply->object = NULL;
	reply->body = flipped;
}

/* Runs the request as the fault wants it. False when there is to be no answer. */
static bool act(struct web_req *req, const struct web_fault *fault)
{
	struct web_faults *faults = req->web->faults;
	switch (fault->kind) {
	case WEB_FAULT_REFUSE:          /* of a key that was in the body */
	case WEB_FAULT_RESET_BEFORE:
		web_io_reset(&req->conn->io);
		return false;
	case WEB_FAULT_STALL:
		web_faults_wait(faults, fault, fault->ms);
		return false;
	case WEB_FAULT_STATUS:
		answer_fault_status(req, fault, fault->status);
		return true;
	case WEB_FAULT_ERROR_200:
		answer_fault_status(req, fault, 200);
		return true;
	case WEB_FAULT_DELAY_APPLY:
		web_faults_wait(faults, fault, fault->ms);
		execute(req);
		return true;
	case WEB_FAULT_TWICE:
		execute_twice(req);
		return true;
	default:
		execute(req);
	}
	if (fault->kind == WEB_FAULT_RESET_AFTER) {
		web_io_reset(&req->conn->io);
		return false;
	}
	if (fault->kind == WEB_FAULT_BIT_FLIP)
		flip_bit(&req->reply, fault->random);
	return true;
}

/* Sends the answer. False when the connection is to be closed. */
static bool answer(struct web_req *req, const struct web_fault *fault, size_t *ret_sent)
{
	struct web_reply *reply = &req->reply;
	size_t len;
	web_reply_bytes(reply, &len);
	if (fault->slow_ms)
		web_faults_wait(req->web->faults, fault, fault->slow_ms);
	if (fault->kind == WEB_FAULT_SHORT_BODY) {
		size_t most = fault->bytes < 0 ? len / 2 : (size_t)fault->bytes;
		web_reply_send(req, most);
		return false;
	}
	if (fault->kind == WEB_FAULT_WRONG_LENGTH)
		reply->length_delta = fault->delta < -(int64_t)len ? -(int64_t)len : fault->delta;
	bool keep = web_reply_send(req, len) && !reply->close;
	*ret_sent = len;
	/* A length that promises too much is found out by the end of the stream. */
	return keep && reply->length_delta <= 0;
}

static bool wants_close(const struct web_req *req)
{
	const char *connection = web_header(req, "connection");
	return connection && strcasestr(connection, "close");
}

static void pick_fault(struct web_req *req, struct web_fault *fault)
{
	if (req->dialect != &web_control)
		web_faults_pick(req->web->faults, req->op, req->key, fault);
	req->conn->io.bytes_per_s = fault->bytes_per_s;
}

/* From the parsed head to the answer. False when the connection is to be closed. */
static bool serve(struct web_req *req, struct web_fault *fault, size_t *at, size_t *ret_sent)
{
	const struct web_dialect *dialect = req->dialect;
	check_framing(req);
	dialect->route(req);
	if (!req->key_in_body)
		pick_fault(req, fault);
	if (fault->kind == WEB_FAULT_REFUSE) {
		web_io_reset(&req->conn->io);
		return false;
	}
	if (!req->reply.status)
		dialect->check(req);
	bool alive = body_take(req, at);
	if (alive && req->key_in_body) {
		if (!req->reply.status)
			dialect->find_key(req);
		pick_fault(req, fault);
	}
	if (!alive || !act(req, fault)) {
		req->reply.status = 0;
		return false;
	}
	if (wants_close(req))
		req->reply.close = true;
	dialect->stamp(req);
	return answer(req, fault, ret_sent);
}

/* A head that is no HTTP: the connection's state is unknown afterwards. */
static void refuse_head(struct web_req *req, const char *wrong)
{
	req->dialect->fail(req, 400, NULL, wrong);
	req->reply.close = true;
	req->dialect->stamp(req);
	web_reply_send(req, SIZE_MAX);
}

bool web_serve(struct web *web, struct web_conn *conn)
{
	ssize_t head_len = web_head_read(conn);
	if (head_len == 0)
		return false;
	struct web_req req = {
		.web = web, .conn = conn, .serial = web_serial(), .dialect = web->conf.dialect,
		.bucket = "", .key = "",
	};
	const char *wrong = head_len < 0 ? "the request head is too large"
					 : web_req_parse(&req, conn, (size_t)head_len);
	if (wrong) {
		refuse_head(&req, wrong);
		web_req_release(&req);
		return false;
	}
	if (strncmp(req.path, "/-/", 3) == 0)
		req.dialect = &web_control;
	struct web_fault fault = { .kind = WEB_FAULT_NONE };
	size_t at = (size_t)head_len, sent = 0;
	bool keep = serve(&req, &fault, &at, &sent);
	if (req.dialect != &web_control)
		web_stats_count(web->stats, &req, fault.kind, sent);
	web_req_release(&req);
	conn->filled -= at;
	memmove(conn->head, conn->head + at, conn->filled);
	return keep;
}
