/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"
#include "fs/control.h"
#include "tools/ui.h"

#define ANSWER_MAX (64 * MiB)
#define STATUS_SECONDS 10u

static int connect_to(const char *path, unsigned timeout_s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const struct timeval tv = { .tv_sec = timeout_s };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(sa.sun_path))
		return -EINVAL;
	memcpy(sa.sun_path, path, strlen(path));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		return -errno;
	return take_fd(&fd);
}

static int send_all(int fd, struct span s)
{
	while (s.len) {
		ssize_t n = send(fd, s.data, s.len, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		s = span_sub(s, (size_t)n, SIZE_MAX);
	}
	return 0;
}

static int receive_all(int fd, struct buf *ret)
{
	uint8_t part[16384];
	ssize_t n;

	while ((n = recv(fd, part, sizeof(part), 0)) > 0) {
		int r = buf_add(ret, part, (size_t)n);

		if (r)
			return r;
	}
	return n == 0 ? 0 : errno == EAGAIN ? -ETIMEDOUT : -errno;
}

/* "HTTP/1.1 200 OK", headers, an empty line, the body to the end of the connection. */
static int split_answer(struct buf *all, int *ret_status, struct buf *ret_body)
{
	const char *text = buf_str(all), *end = text ? strstr(text, "\r\n\r\n") : NULL;
	size_t head;

	if (!end || sscanf(text, "HTTP/1.%*d %d", ret_status) != 1)
		return -EBADMSG;
	head = (size_t)(end - text) + 4;
	return ret_body ? buf_add_span(ret_body, span_sub(buf_span(all), head, SIZE_MAX)) : 0;
}

int ctl_request(const char *socket, const char *method, const char *target, unsigned timeout_s,
		int *ret_status, struct buf *ret_body)
{
	_cleanup_buf_ struct buf req = BUF_INIT(64 * KiB), all = BUF_INIT(ANSWER_MAX);
	_cleanup_close_ int fd = connect_to(socket, timeout_s);
	int r;

	if (fd < 0)
		return fd;
	r = buf_addf(
		&req,
		"%s %s HTTP/1.1\r\nHost: mangrove\r\nContent-Length: 0\r\n"
		"Connection: close\r\n\r\n",
		method, target);
	if (!r)
		r = send_all(fd, buf_span(&req));
	if (!r)
		r = receive_all(fd, &all);
	return r ? r : split_answer(&all, ret_status, ret_body);
}

static struct json *status_of(const char *socket)
{
	_cleanup_buf_ struct buf body = BUF_INIT(ANSWER_MAX);
	struct json *j = NULL;
	int status = 0, r = ctl_request(socket, "GET", "/status", STATUS_SECONDS, &status, &body);

	if (r == -ECONNREFUSED)
		unlink(socket); /* what a killed daemon left */
	if (r || status != 200 || json_parse(buf_span(&body), &j))
		return NULL;
	return j;
}

void ctl_list_release(struct ctl_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->all[i].socket);
		json_free(l->all[i].status);
	}
	l->n = 0;
}

static bool is_socket_name(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && !strcmp(name + n - 5, ".sock");
}

void ctl_list_read(struct ctl_list *ret)
{
	_cleanup_buf_ struct buf folder = BUF_INIT(PATH_MAX);
	const struct dirent *e;
	DIR *d;

	ret->n = 0;
	if (control_folder(&folder))
		return;
	d = opendir(buf_str(&folder));
	while (d && (e = readdir(d)) && ret->n < CTL_MOUNTS_MAX) {
		struct ctl_mount m = { 0 };

		if (!is_socket_name(e->d_name) ||
		    asprintf(&m.socket, "%s/%s", buf_str(&folder), e->d_name) < 0)
			continue;
		m.status = status_of(m.socket);
		if (m.status)
			ret->all[ret->n++] = m;
		else
			free(m.socket);
	}
	if (d)
		closedir(d);
}

const char *ctl_dir(const struct ctl_mount *m)
{
	const char *dir = json_str(json_get(m->status, "mount"), "dir");

	return dir ? dir : "?";
}

static bool is_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (!path[n] || path[n] == '/' || (n == 1 && *dir == '/'));
}

/* The innermost mount that a path is in. */
static struct ctl_mount *by_path(struct ctl_list *l, const char *path)
{
	struct ctl_mount *best = NULL;

	for (size_t i = 0; i < l->n; i++)
		if (is_inside(path, ctl_dir(&l->all[i])) &&
		    (!best || strlen(ctl_dir(&l->all[i])) > strlen(ctl_dir(best))))
			best = &l->all[i];
	return best;
}

bool ctl_is_mounted(struct ctl_list *l, const char *what)
{
	_cleanup_free_ char *path = what ? realpath(what, NULL) : NULL;

	if (!what || (path && by_path(l, path)))
		return l->n > 0;
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(what,
			    json_str(json_get(l->all[i].status, "volume"), "name") ?: ""))
			return true;
	return false;
}

static struct ctl_mount *by_volume(struct ctl_list *l, const char *name)
{
	struct ctl_mount *found = NULL;

	for (size_t i = 0; i < l->n; i++) {
		const char *volume = json_str(json_get(l->all[i].status, "volume"), "name");

		if (!volume || strcmp(volume, name))
			continue;
		if (found) {
			ui_error("%s is mounted more than once; give the directory", name);
			return NULL;
		}
		found = &l->all[i];
	}
	if (!found)
		ui_error("%s is not mounted here", name);
	return found;
}

struct ctl_mount *ctl_choose(struct ctl_list *l, const char *what)
{
	_cleanup_free_ char *path = NULL;
	struct ctl_mount *m;

	if (!what && l->n == 1)
		return &l->all[0];
	if (!what) {
		ui_error(l->n ? "several volumes are mounted; say which directory" :
				"nothing is mounted");
		return NULL;
	}
	/* As it was typed first: a mount that hangs must not hang its own rescue. */
	m = *what == '/' ? by_path(l, what) : NULL;
	if (m)
		return m;
	path = realpath(what, NULL);
	m = path ? by_path(l, path) : NULL;
	if (m)
		return m;
	if (!path && !strchr(what, '/'))
		return by_volume(l, what);
	if (!strchr(what, '/'))
		for (size_t i = 0; i < l->n;
		     i++) /* a folder of that name that is no mount must not hide it */
			if (!strcmp(what,
				    json_str(json_get(l->all[i].status, "volume"), "name") ?: ""))
				return by_volume(l, what);
	ui_error("%s is not in a mangrove mount", what);
	return NULL;
}

static void tell_refusal(const struct ctl_mount *m, struct span body)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const char *why = json_parse(body, &j) ? NULL : json_str(j, "error");

	ui_error("%s: %s", ctl_dir(m), why ? why : "the mount refused");
}

int ctl_command(const struct ctl_mount *m, const char *method, const char *target,
		unsigned timeout_s, struct buf *ret_body)
{
	_cleanup_buf_ struct buf body = BUF_INIT(ANSWER_MAX);
	int status = 0, r = ctl_request(m->socket, method, target, timeout_s, &status, &body);

	if (r) {
		ui_error("%s: the mount does not answer: %s", ctl_dir(m), strerror(-r));
		return EXIT_FAILED;
	}
	if (status != 200) {
		tell_refusal(m, buf_span(&body));
		return EXIT_FAILED;
	}
	return ret_body && buf_add_span(ret_body, buf_span(&body)) ? EXIT_FAILED : EXIT_DONE;
}

bool ctl_refresh(struct ctl_mount *m)
{
	struct json *j = status_of(m->socket);

	if (!j)
		return false;
	json_free(m->status);
	m->status = j;
	return true;
}

bool ctl_degraded(const struct ctl_mount *m)
{
	return json_bool(json_get(m->status, "mount"), "degraded", true);
}

int ctl_target(const struct ctl_mount *m, const char *what, const char *path, struct buf *ret)
{
	const char *below = path + strlen(ctl_dir(m));
	const char *subdir = json_str(json_get(m->status, "mount"), "subdir");
	int r = buf_add_str(ret, what);

	if (!r && subdir)
		r = percent_encode(span_str(subdir), true, ret);
	if (!r)
		r = percent_encode(span_str(*below ? below : "/"), true, ret);
	return r;
}

struct ctl_mount *ctl_at(struct ctl_list *l, const char *word, const char *what, char **ret_path,
			 struct buf *ret_target)
{
	struct ctl_mount *m;

	*ret_path = realpath(word, NULL);
	if (!*ret_path) {
		ui_error("%s: %s", word, strerror(errno));
		return NULL;
	}
	ctl_list_read(l);
	m = ctl_choose(l, *ret_path);
	return m && ctl_target(m, what, *ret_path, ret_target) == 0 ? m : NULL;
}
