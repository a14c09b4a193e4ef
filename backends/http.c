/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread owns everything of libcurl. Others put requests into `sync.queue` and wake it.
 *
 * (T1) `loop` is touched by the HTTP thread alone; `sync` under its lock.
 * (T2) A request is in sync.queue, or in loop.active, or ended.
 * (T3) Cancelling sets a flag under the lock; the thread looks for flags after each wake-up.
 */
#include "backends/http.h"

#include "base/log.h"
#include "base/wait.h"

#include <curl/curl.h>
#include <stdio.h>

#define HOST_CONNECTIONS 64L
#define KEPT_CONNECTIONS 256L
#define IDLE_HANDLES 32
#define RECEIVE_BYTES (128L * 1024) /* one system call's; copied on while a core's cache has it */
#define RECEIVE_FEW_BYTES (16L * 1024)
#define SEND_BYTES (1024L * 1024)
#define CONNECT_TIMEOUT_MS 3000
/* deadlines are kept by end_overdue(); libcurl, whose clock is a coarser one, is only behind it */
#define LATE_MS 100
#define IDLE_S 60
#define LONGEST_SLEEP_MS 1000
#define DNS_CACHE_S 30L

static struct {
	struct {
		CURLM *multi;
		struct request *active;   /* doubly linked */
		CURL *idle[IDLE_HANDLES]; /* handles to use again: their buffers are large */
		unsigned n_idle;
	} loop;
	struct {
		struct lock lock;
		struct task *task;
		CURLM *multi; /* for waking; NULL: no thread */
		struct request *queue, **queue_end;
		bool stopping, look; /* look: somebody was cancelled */
	} sync;
} http;

static __attribute__((constructor)) void set_up(void)
{
	lock_init(&http.sync.lock, RANK_QUEUE);
	http.sync.queue_end = &http.sync.queue;
}

/* ---- callbacks of libcurl, on the HTTP thread ---- */

static struct buf *sink_of(struct request *r)
{
	return r->sink && r->status >= 200 && r->status < 300 ? r->sink : &r->text;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct request *r = arg;
	struct buf *h = &r->http.answer_headers;
	long status = 0;

	/* a new answer: "100 Continue" came before it */
	if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) {
		buf_clear(h);
		curl_easy_getinfo(r->http.easy, CURLINFO_RESPONSE_CODE, &status);
		r->status = (int)status;
	} else if (buf_add(h, data, size * n) < 0) {
		r->http.too_big = true;
		return 0;
	}
	return size * n;
}

/* At the first byte: the whole of the body's room at once, or no for a body that will not fit. */
static int make_room(struct request *r, struct buf *sink)
{
	uint64_t promised;

	if (request_header_uint(r, "content-length", &promised) < 0)
		return 0;
	return promised > SIZE_MAX ? -EMSGSIZE : buf_reserve(sink, (size_t)promised);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct request *r = arg;
	struct buf *sink = sink_of(r);
	size_t came = size * n;
	int error = 0;

	if (r->status < 200 || r->status >= 300) { /* of an error's text the beginning will do */
		if (buf_add(sink, data, MIN(came, sink->limit - sink->len)) < 0)
			r->http.no_memory = true;
		return r->http.no_memory ? 0 : came;
	}
	if (sink->len == 0)
		error = make_room(r, sink);
	if (error == 0)
		error = buf_add(sink, data, came);
	r->http.no_memory = error == -ENOMEM;
	r->http.too_big = error == -EMSGSIZE;
	return error < 0 ? 0 : came;
}

static size_t on_send(char *to, size_t size, size_t n, void *arg)
{
	struct request *r = arg;
	size_t done = request_body_read(r, r->http.sent, to, size * n);

	r->http.sent += done;
	return done;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct request *r = arg;

	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_FAIL;
	r->http.sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* A connection stands and the request is about to go onto it: (Q2). */
static int on_attempt(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct request *r = arg;

	if (r->attempts && !r->repeatable)
		return CURL_PREREQFUNC_ABORT;
	r->attempts++;
	buf_clear(&r->text);
	if (r->sink)
		buf_clear(r->sink);
	return CURL_PREREQFUNC_OK;
}

/* ---- a request becomes a transfer ---- */

static struct curl_slist *header_list(const struct request *r)
{
	/* no second's wait for a 100 */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	for (size_t i = 0; list && i < r->headers.n; i++) {
		const struct pair *h = &r->headers.items[i];
		_cleanup_buf_ struct buf line = BUF_INIT(64 * KiB);

		/* "Name;" is how libcurl spells an empty value */
		if (buf_addf(&line, h->value[0] ? "%s: %s" : "%s;", h->name, h->value) < 0 ||
		    !buf_str(&line) || !curl_slist_append(list, buf_str(&line)))
			goto no_memory;
	}
	return list;
no_memory:
	curl_slist_free_all(list);
	return NULL;
}

static CURL *handle_take(void)
{
	return http.loop.n_idle ? http.loop.idle[--http.loop.n_idle] : curl_easy_init();
}

static void handle_give(CURL *easy)
{
	if (http.loop.n_idle == IDLE_HANDLES) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	http.loop.idle[http.loop.n_idle++] = easy;
}

static void set_method(CURL *e, const struct request *r)
{
	if (r->method == HTTP_HEAD)
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	if (!r->sends_body && r->method != HTTP_HEAD)
		curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
	if (r->sends_body) {
		curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request_body_len(r));
		curl_easy_setopt(e, CURLOPT_READFUNCTION, on_send);
		curl_easy_setopt(e, CURLOPT_READDATA, r);
		curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(e, CURLOPT_SEEKDATA, r);
		if (request_body_len(r) >= (uint64_t)SEND_BYTES)
			curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BYTES);
	}
	if (r->method != HTTP_HEAD)
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, http_method_name(r->method));
}

static void set_callbacks(CURL *e, struct request *r)
{
	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_attempt);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, r);
}

static long remaining_ms(const struct request *r)
{
	uint64_t now = clock_now(),
		 left = r->deadline_ns > now ? (r->deadline_ns - now) / NS_PER_MS : 0;

	return (long)MIN(left + LATE_MS, (uint64_t)INT32_MAX);
}

static void set_limits(CURL *e, const struct request *r)
{
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, remaining_ms(r));
	curl_easy_setopt(
		e, CURLOPT_CONNECTTIMEOUT_MS,
		(long)(r->connect_timeout_ms ? r->connect_timeout_ms : CONNECT_TIMEOUT_MS));
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)(r->idle_s ? r->idle_s : IDLE_S));
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE,
			 r->sink && r->sink->limit >= (size_t)RECEIVE_BYTES ? RECEIVE_BYTES
									    : RECEIVE_FEW_BYTES);
	curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S);
	curl_easy_setopt(e, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
}

static void set_safety(CURL *e, const struct request *r)
{
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* a key may hold "..": what is signed is sent */
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* never wait for a hanging name server */
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "mangrove/" MANGROVE_VERSION);
	if (r->ca_file)
		curl_easy_setopt(e, CURLOPT_CAINFO, r->ca_file);
	if (r->no_proxy)
		curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
}

static int begin(struct request *r)
{
	_cleanup_buf_ struct buf url = BUF_INIT(64 * KiB);
	CURL *e = handle_take();
	struct curl_slist *list = header_list(r);

	r->http.easy = e;
	r->http.header_list = list;
	if (!e || !list || request_url(r, &url) < 0 || !buf_str(&url))
		return -ENOMEM;
	if (curl_easy_setopt(e, CURLOPT_URL, buf_str(&url)) != CURLE_OK)
		return -ENOMEM;
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, list);
	set_method(e, r);
	set_callbacks(e, r);
	set_limits(e, r);
	set_safety(e, r);
	return curl_multi_add_handle(http.loop.multi, e) == CURLM_OK ? 0 : -ENOMEM;
}

/* ---- ends ---- */

static void link_in(struct request *r)
{
	r->http.prev = NULL;
	r->http.next = http.loop.active;
	if (r->http.next)
		r->http.next->http.prev = r;
	http.loop.active = r;
	r->http.active = true;
}

static void link_out(struct request *r)
{
	if (r->http.next)
		r->http.next->http.prev = r->http.prev;
	if (r->http.prev)
		r->http.prev->http.next = r->http.next;
	else
		http.loop.active = r->http.next;
	r->http.active = false;
}

static void end(struct request *r, enum request_end how)
{
	r->end = how;
	if (r->http.active)
		link_out(r);
	if (r->http.easy) {
		curl_multi_remove_handle(http.loop.multi, r->http.easy);
		handle_give(r->http.easy);
	}
	curl_slist_free_all(r->http.header_list);
	r->http.easy = NULL;
	r->http.header_list = NULL;
	log_debug("http", "request ended",
		  "method=%s path=%s status=%d end=%d attempts=%u why=\"%s\"",
		  http_method_name(r->method), r->path, r->status, (int)how, r->attempts, r->why);
	r->done(r);
}

static enum request_end classify(const struct request *r, CURLcode code)
{
	if (r->http.no_memory)
		return REQUEST_NO_MEMORY;
	if (r->http.too_big)
		return REQUEST_TOO_BIG;
	switch (code) {
	case CURLE_OK:
		return REQUEST_ANSWERED;
	case CURLE_OUT_OF_MEMORY:
		return REQUEST_NO_MEMORY;
	case CURLE_OPERATION_TIMEDOUT:
		return clock_now() >= r->deadline_ns ? REQUEST_TIMED_OUT : REQUEST_FAILED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return REQUEST_UNTRUSTED;
	default:
		return REQUEST_FAILED;
	}
}

static void collect(void)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(http.loop.multi, &left))) {
		struct request *r = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		if (code != CURLE_OK)
			snprintf(r->why, sizeof(r->why), "%s",
				 code == CURLE_ABORTED_BY_CALLBACK ? "the connection was lost"
								   : curl_easy_strerror(code));
		end(r, classify(r, code));
	}
}

/*
 * Ends what was cancelled, or everything. The lock protects the flags only: `done` runs without it.
 */
static void end_cancelled(bool all)
{
	struct request *r = http.loop.active, *next;

	for (; r; r = next) {
		bool out = all;

		next = r->http.next;
		lock_take(&http.sync.lock);
		out |= r->http.cancelled;
		lock_give(&http.sync.lock);
		if (out) {
			snprintf(r->why, sizeof(r->why), "cancelled");
			end(r, REQUEST_CANCELLED);
		}
	}
}

static void overdue(struct request *r)
{
	snprintf(r->why, sizeof(r->why), "no answer in time");
	end(r, REQUEST_TIMED_OUT);
}

static void end_overdue(void)
{
	uint64_t now = clock_now();
	struct request *r = http.loop.active, *next;

	/* libcurl's clock stands still while the machine sleeps; ours does not */
	for (; r; r = next) {
		next = r->http.next;
		if (now >= r->deadline_ns)
			overdue(r);
	}
}

/* ---- the thread ---- */

static void begin_all(struct request *queue)
{
	struct request *next;

	for (; queue; queue = next) {
		next = queue->http.next;
		link_in(queue);
		if (clock_now() >= queue->deadline_ns)
			overdue(queue);
		else if (begin(queue) < 0)
			end(queue, REQUEST_NO_MEMORY);
	}
}

/* Takes the news; false: it is time to stop. */
static bool take_news(struct request **ret_queue, bool *ret_look)
{
	LOCK_SCOPE(&http.sync.lock);
	*ret_queue = http.sync.queue;
	*ret_look = http.sync.look;
	for (struct request *r = http.sync.queue; r; r = r->http.next)
		r->http.queued = false;
	http.sync.queue = NULL;
	http.sync.queue_end = &http.sync.queue;
	http.sync.look = false;
	return !http.sync.stopping;
}

static int sleep_ms(void)
{
	uint64_t now = clock_now(), first = now + LONGEST_SLEEP_MS * NS_PER_MS;

	for (const struct request *r = http.loop.active; r; r = r->http.next)
		first = MIN(first, r->deadline_ns);
	return first > now ? (int)((first - now) / NS_PER_MS) + 1 : 0;
}

static void serve(void *arg)
{
	struct request *queue;
	bool look, go_on;
	int running;

	http.loop.multi = arg;
	do {
		go_on = take_news(&queue, &look);
		begin_all(queue);
		curl_multi_perform(http.loop.multi, &running);
		collect();
		if (look || !go_on)
			end_cancelled(!go_on);
		end_overdue();
		if (go_on)
			curl_multi_poll(http.loop.multi, NULL, 0, sleep_ms(), NULL);
	} while (go_on);
	while (http.loop.n_idle)
		curl_easy_cleanup(http.loop.idle[--http.loop.n_idle]);
}

static int start_locked(void)
{
	CURLM *multi;

	lock_assert_held(&http.sync.lock);
	if (http.sync.multi)
		return 0;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return fail(-ENOMEM);
	multi = curl_multi_init();
	if (!multi)
		return fail(-ENOMEM);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	http.sync.task = task_start("http", serve, multi);
	if (!http.sync.task) {
		curl_multi_cleanup(multi);
		return fail(-ENOMEM);
	}
	http.sync.multi = multi;
	return 0;
}

int http_submit(struct request *r)
{
	LOCK_SCOPE(&http.sync.lock);
	int error = http.sync.stopping ? -ESHUTDOWN : start_locked();

	if (error < 0)
		return error;
	r->http.next = NULL;
	r->http.queued = true;
	*http.sync.queue_end = r;
	http.sync.queue_end = &r->http.next;
	http.sync.look |= r->http.cancelled; /* between two tries */
	curl_multi_wakeup(http.sync.multi);
	return 0;
}

void http_cancel(struct request *r)
{
	LOCK_SCOPE(&http.sync.lock);
	r->http.cancelled = true;
	http.sync.look = true;
	if (http.sync.multi)
		curl_multi_wakeup(http.sync.multi);
}

static void wake_up(struct request *r)
{
	event_set(r->arg);
}

int http_run(struct request *r)
{
	struct event over;
	int error;

	event_init(&over);
	r->done = wake_up;
	r->arg = &over;
	error = http_submit(r);
	if (error == 0)
		(void)event_wait(&over, NEVER); /* (H1), (H2): it ends by its deadline */
	event_release(&over);
	return error;
}

void http_stop(void)
{
	struct task *task;
	CURLM *multi;

	lock_take(&http.sync.lock);
	task = take_ptr(&http.sync.task);
	multi = http.sync.multi;
	http.sync.stopping = task != NULL;
	if (task)
		curl_multi_wakeup(multi);
	lock_give(&http.sync.lock);
	if (!task)
		return;
	task_join(task);
	curl_multi_cleanup(multi);
	lock_take(&http.sync.lock);
	http.sync.multi = NULL;
	http.sync.stopping = false;
	lock_give(&http.sync.lock);
}
