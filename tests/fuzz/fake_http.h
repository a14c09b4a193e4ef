/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Answers of servers out of an input, for targets that stand in for backends/http.c. An answer is a
 * part of the input: a status, a line for each header, an empty line, the body. In place of the
 * status: cut, late, false (certificate), big, unseen (no connection).
 */
#include "backends/http.h"
#include "base/text.h"
#include "tests/fuzz/fuzz.h"

static inline void fake_end(struct request *r, enum request_end end, unsigned attempts)
{
	r->end = end;
	r->attempts = attempts;
	snprintf(r->why, sizeof(r->why), "fuzzed");
}

/* Those words, by their first letter. */
static inline void fake_failure(struct request *r, char word)
{
	switch (word) {
	case 'l':
		fake_end(r, REQUEST_TIMED_OUT, 1);
		break;
	case 'f':
		fake_end(r, REQUEST_UNTRUSTED, 0);
		break;
	case 'b':
		fake_end(r, REQUEST_TOO_BIG, 1);
		break;
	case 'u':
		fake_end(r, REQUEST_FAILED, 0);
		break;
	default:
		fake_end(r, REQUEST_FAILED, 1);
	}
}

/* As the HTTP thread does: a good answer's body into the sink, whose limit counts. */
static inline void fake_body(struct request *r, struct span body)
{
	const bool good = r->status >= 200 && r->status < 300 && r->sink;
	struct buf *to = good ? r->sink : &r->text;

	if (!good && body.len > REQUEST_TEXT_MAX)
		body.len = REQUEST_TEXT_MAX;
	if (buf_add_span(to, body) == -EMSGSIZE)
		fake_end(r, REQUEST_TOO_BIG, 1);
}

/* Fills in the answer to r; done() is the caller's. */
static inline void fake_answer(struct request *r, struct span *in)
{
	struct span answer = take_part(in), line = take_line(&answer);
	_cleanup_free_ char *status = text_of(line);
	uint64_t code;

	if (uint_parse(status, &code) < 0 || code < 100 || code > 599) {
		fake_failure(r, status[0]);
		return;
	}
	fake_end(r, REQUEST_ANSWERED, 1);
	r->status = (int)code;
	while ((line = take_line(&answer)).len)
		MUST(buf_add_span(&r->http.answer_headers, line) == 0 &&
		     buf_add_str(&r->http.answer_headers, "\r\n") == 0);
	fake_body(r, answer);
}
