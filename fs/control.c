/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control_i.h"

#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define ANSWER_MAX (64 * MiB)
#define LISTEN_DEFAULT "127.0.0.1:9464"
#define LISTEN_ANY "127.0.0.1:0"
#define CONNECTIONS_MAX 64u
#define IDLE_SECONDS 30u

/* One face of the control: who may do what there. */
struct face {
	struct control *control;
	bool read_only;
	struct MHD_Daemon *daemon;
};

/* The library's parts are kept behind the public struct, so that only this file knows the
 * library. */
struct server {
	struct control control;
	struct face socket, tcp;
};

struct route {
	const char *method, *path;
	act_fn *act;
	const char *type;
	bool read_only; /* also on the TCP face */
};
static const struct route routes[] = {
	{ "GET", "/status", act_status, "application/json", true },
	{ "GET", "/metrics", act_metrics, "text/plain; version=0.0.4; charset=utf-8", true },
	{ "GET", "/", act_page, "text/html; charset=utf-8", true },
	{ "GET", "/changes", act_changes, "application/json", false },
	{ "GET", "/where", act_where, "application/json", false },
	{ "GET", "/names", act_names, "application/json", false },
	{ "GET", "/keys", act_keys, "application/json", false },
	{ "POST", "/key/add", act_key_add, "application/json", false },
	{ "POST", "/key/remove", act_key_remove, "application/json", false },
	{ "POST", "/refresh", act_refresh, "application/json", false },
	{ "GET", "/upkeep", act_upkeep, "application/json", false },
	{ "POST", "/upkeep/stop", act_upkeep_stop, "application/json", false },
	{ "POST", "/fsck", act_fsck, "application/json", false },
	{ "POST", "/scrub", act_scrub, "application/json", false },
	{ "POST", "/attach", act_attach, "application/json", false },
	{ "POST", "/detach", act_detach, "application/json", false },
	{ "POST", "/import", act_import, "application/json", false },
	{ "POST", "/import/stop", act_import_stop, "application/json", false },
	{ "GET", "/import", act_import_progress, "application/json", false },
	{ "POST", "/sync", act_sync, "application/json", false },
	{ "POST", "/drill", act_drill, "application/json", false },
	{ "POST", "/checkpoint", act_checkpoint, "application/json", false },
	{ "GET", "/log", act_log, "text/plain; charset=utf-8", false },
	{ "POST", "/loglevel", act_loglevel, "application/json", false },
};

static const char *query_param(const struct request_line *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result answer(struct MHD_Connection *conn, unsigned status, const char *type,
			      struct buf *body)
{
	size_t len;
	uint8_t *bytes = buf_take(body, &len);
	struct MHD_Response *resp =
		MHD_create_response_from_buffer(len, bytes ? (void *)bytes : (void *)"",
						bytes ? MHD_RESPMEM_MUST_FREE :
							MHD_RESPMEM_PERSISTENT);
	enum MHD_Result r;

	if (!resp) {
		free(bytes);
		return MHD_NO;
	}
	MHD_add_response_header(resp, "Content-Type", type);
	MHD_add_response_header(resp, "Cache-Control", "no-store");
	MHD_add_response_header(resp, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(
		resp, "Content-Security-Policy",
		"default-src 'self'; img-src data:; style-src 'unsafe-inline'; "
		"script-src 'unsafe-inline'; frame-ancestors 'none'");
	r = MHD_queue_response(conn, status, resp);
	MHD_destroy_response(resp);
	return r;
}

static const struct route *route_find(const char *method, const char *path, bool *ret_other_method)
{
	bool head = !strcmp(method, "HEAD");

	*ret_other_method = false;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (strcmp(routes[i].path, path))
			continue;
		if (!strcmp(routes[i].method, head ? "GET" : method))
			return &routes[i];
		*ret_other_method = true;
	}
	return NULL;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	static int seen;
	_cleanup_buf_ struct buf body = BUF_INIT(ANSWER_MAX);
	const struct face *face = arg;
	const struct request_line line = { query_param, conn };
	const struct route *route;
	bool other_method;
	unsigned status;

	if (!*state) { /* the head only; the body is to come */
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_size) { /* nobody wants one */
		*upload_size = 0;
		return MHD_YES;
	}
	route = route_find(method, url, &other_method);
	if (route && face->read_only && !route->read_only)
		status = act_refuse(403, &body, "only the control socket may ask for this");
	else if (!route)
		status = act_refuse(other_method ? 405 : 404, &body, "no such command: %s %s",
				    method, url);
	else
		status = route->act(face->control, &line, &body);
	return answer(conn, status, status == 200 && route ? route->type : "application/json",
		      &body);
}

static int face_start(struct face *f, struct control *c, bool read_only, int fd)
{
	f->control = c;
	f->read_only = read_only;
	f->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
					     MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL,
				     0, NULL, NULL, on_request, f, MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				     MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_END);
	return f->daemon ? 0 : fail(-EIO);
}

int control_folder(struct buf *ret)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return buf_add_str(ret, "/run/mangrove");
	if (xdg && *xdg == '/')
		return buf_addf(ret, "%s/mangrove", xdg);
	return buf_addf(ret, "/tmp/mangrove-%u", (unsigned)geteuid());
}

/* Our folder, and nobody else's: in /tmp another person could have made it first. */
static int folder_make(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 0022) ? 0 : -EACCES;
}

/* <volume>-<first digits of the incarnation>.sock */
static int socket_path(struct control *c, char *err, size_t err_size)
{
	_cleanup_buf_ struct buf folder = BUF_INIT(4096);
	char id[9];
	uint8_t drawn[4];
	int r = control_folder(&folder);

	if (!r)
		r = folder_make(buf_str(&folder));
	if (r) {
		snprintf(err, err_size, "folder of the control sockets %s: %s", buf_str(&folder),
			 strerror(-r));
		return r;
	}
	/* without a journal there is no incarnation, and any name will do */
	random_fill(drawn, sizeof(drawn));
	hex_encode(span_of(is_bare(c->volume) ? drawn : journal_incarnation(c->volume->journal), 4),
		   id);
	return asprintf(&c->socket, "%s/%s-%s.sock", buf_str(&folder), c->volume->name, id) < 0 ?
		       fail(-ENOMEM) :
		       0;
}

static int socket_listen(const char *path, char *err, size_t err_size)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		snprintf(err, err_size, "control socket %s: the path is too long", path);
		return fail(-ENAMETOOLONG);
	}
	memcpy(sa.sun_path, path, strlen(path));
	unlink(path);
	mask = umask(0177); /* born with mode 0600 */
	r = fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 16) ? -errno : 0;
	umask(mask);
	if (r)
		snprintf(err, err_size, "control socket %s: %s", path, strerror(-r));
	return r ? fail(r) : take_fd(&fd);
}

/* "127.0.0.1:9464", "[::1]:9464", "localhost:9464" */
static int address_parse(const char *text, struct addrinfo **ret)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	const char *colon = strrchr(text, ':');
	_cleanup_free_ char *host = NULL;
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!len)
		return -EINVAL;
	host = *text == '[' && len > 2 && text[len - 1] == ']' ? strndup(text + 1, len - 2) :
								 strndup(text, len);
	if (!host)
		return fail(-ENOMEM);
	return getaddrinfo(host, colon + 1, &hints, ret) ? -EINVAL : 0;
}

static void address_name(int fd, char *ret, size_t size)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	char host[64], port[8];

	*ret = '\0';
	if (getsockname(fd, (struct sockaddr *)&sa, &len) ||
	    getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	snprintf(ret, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int tcp_listen(const char *text)
{
	struct addrinfo *ai = NULL;
	_cleanup_close_ int fd = -1;
	int r = address_parse(text, &ai), on = 1;

	if (r)
		return r;
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	r = fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, 16) ? -errno : 0;
	freeaddrinfo(ai);
	return r ? r : take_fd(&fd);
}

static int start_tcp(struct server *s, char *err, size_t err_size)
{
	const char *text = s->control.volume->options->listen;
	int fd;

	if (text && !strcmp(text, "none"))
		return 0;
	fd = tcp_listen(text ? text : LISTEN_DEFAULT);
	if (fd == -EADDRINUSE && !text)
		fd = tcp_listen(LISTEN_ANY); /* the second mount of a machine */
	if (fd < 0) {
		if (!text) {
			log_warn("control", "no status page over TCP", "error=%s", strerror(-fd));
			return 0;
		}
		snprintf(err, err_size, "listen=%s: %s", text,
			 fd == -EINVAL ? "expected ADDRESS:PORT or none" : strerror(-fd));
		return fail(fd);
	}
	address_name(fd, s->control.listen, sizeof(s->control.listen));
	if (face_start(&s->tcp, &s->control, true, fd)) {
		close(fd);
		return fail(-EIO);
	}
	return 0;
}

static int start_socket(struct server *s, char *err, size_t err_size)
{
	int fd, r = socket_path(&s->control, err, err_size);

	if (r)
		return r;
	fd = socket_listen(s->control.socket, err, err_size);
	if (fd < 0)
		return fd;
	if (face_start(&s->socket, &s->control, false, fd)) {
		close(fd);
		return fail(-EIO);
	}
	return 0;
}

int control_new(struct volume *v, struct control **ret, char *err, size_t err_size)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	*err = '\0';
	if (!s)
		return fail(-ENOMEM);
	s->control.volume = v;
	lock_init(&s->control.sync.lock, RANK_LEAF);
	event_init(&s->control.stop);
	r = status_new(v, &s->control.status);
	if (!r && !is_bare(v))
		r = imports_new(v, &s->control.imports);
	if (!r)
		r = is_bare(v) ? 0 : volume_upkeep_new(v, &s->control.upkeep);
	if (!r)
		r = start_tcp(s, err, err_size);
	if (!r)
		r = start_socket(s, err, err_size);
	if (r) {
		if (!*err)
			snprintf(err, err_size, "control socket: %s", strerror(-r));
		control_free(&s->control);
		return r;
	}
	*ret = &s->control;
	return 0;
}

struct control *control_free(struct control *c)
{
	struct server *s;

	if (!c)
		return NULL;
	s = container_of(c, struct server, control);
	if (c->socket)
		unlink(c->socket);
	act_end(c);
	if (s->socket.daemon)
		MHD_stop_daemon(s->socket.daemon);
	if (s->tcp.daemon)
		MHD_stop_daemon(s->tcp.daemon);
	act_end(c); /* one that began in between */
	imports_free(c->imports);
	upkeep_free(c->upkeep);
	status_free(c->status);
	event_release(&c->stop);
	lock_release(&c->sync.lock);
	free(c->socket);
	free(s);
	return NULL;
}
