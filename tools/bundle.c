/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bundle.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/text.h"
#include "base/wait.h"
#include "fs/config.h"
#include "tools/mounts.h"
#include "tools/redact.h"
#include "tools/ui.h"

#define PART_MAX (16 * MiB)
#define ANSWER_S 60u

extern char **environ;

struct bundle {
	struct ctl_mount *m;
	unsigned long pid;
	char folder[64]; /* temporary; the parts are in folder/name */
	char name[128];
	struct redactor secrets;
	bool failed;
};

static int read_file(const char *path, struct buf *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char part[4096];
	ssize_t n = 0;
	int r = fd < 0 ? -errno : 0;

	while (!r && (n = read(fd, part, sizeof(part))) > 0)
		r = buf_add(ret, part, (size_t)n);
	return r ? r : n < 0 ? -errno : 0;
}

static int write_file(const char *path, struct span text)
{
	FILE *f = fopen(path, "wxe");
	bool bad;

	if (!f)
		return -errno;
	bad = text.len && fwrite(text.data, text.len, 1, f) != 1;
	return fclose(f) || bad ? -EIO : 0;
}

/* Nothing gets in but through here. */
static void add_part(struct bundle *b, const char *name, struct span text)
{
	_cleanup_buf_ struct buf clean = BUF_INIT(2 * PART_MAX);
	_cleanup_free_ char *path = NULL;
	int r = redact(&b->secrets, text, &clean);

	if (!r && asprintf(&path, "%s/%s/%s", b->folder, b->name, name) < 0)
		r = -ENOMEM;
	if (!r)
		r = write_file(path, buf_span(&clean));
	if (r) {
		ui_error("%s: %s", name, strerror(-r));
		b->failed = true;
	}
}

static void add_answer(struct bundle *b, const char *name, const char *target)
{
	_cleanup_buf_ struct buf body = BUF_INIT(PART_MAX);
	int status = 0, r = ctl_request(b->m->socket, "GET", target, ANSWER_S, &status, &body);

	if (r) {
		buf_clear(&body);
		r = buf_addf(&body, "no answer: %s\n", strerror(-r));
	}
	if (!r)
		add_part(b, name, buf_span(&body));
}

/* A file as it is; what cannot be read says why. */
static void add_file(struct bundle *b, const char *name, const char *path)
{
	_cleanup_buf_ struct buf text = BUF_INIT(PART_MAX);
	int r = read_file(path, &text);

	if (r && buf_addf(&text, "%s: %s\n", path, strerror(-r)))
		return;
	add_part(b, name, buf_span(&text));
}

static void add_of_process(struct bundle *b, const char *name, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%lu/%s", b->pid, file);
	add_file(b, name, path);
}

static void add_versions(struct bundle *b)
{
	_cleanup_buf_ struct buf text = BUF_INIT(PART_MAX), release = BUF_INIT(PART_MAX);
	struct utsname u;
	int r = buf_addf(&text, "mangrove %s (this program)\nmangrove %s (the mount)\n",
			 MANGROVE_VERSION, json_str(b->m->status, "version"));

	if (!r && !uname(&u))
		r = buf_addf(&text, "%s %s %s %s\n", u.sysname, u.release, u.version, u.machine);
	if (!r && !read_file("/etc/os-release", &release))
		r = buf_add_span(&text, buf_span(&release));
	if (!r)
		add_part(b, "versions.txt", buf_span(&text));
}

/* The configuration of this machine, if the volume has one under its name. */
static void add_config(struct bundle *b)
{
	_cleanup_buf_ struct buf text = BUF_INIT(PART_MAX), clean = BUF_INIT(PART_MAX);
	const char *file = json_str(json_get(b->m->status, "mount"), "config");
	int r = file ? read_file(file, &text) : -ENOENT;

	if (!r)
		r = redact_config(buf_span(&text), &clean);
	if (r) {
		buf_clear(&clean);
		r = buf_addf(&clean, "%s: %s\n", file ? file : "none", strerror(-r));
	}
	if (!r)
		add_part(b, "config.txt", buf_span(&clean));
}

static void know_config_secrets(struct bundle *b, const char *file)
{
	_cleanup_(config_freep) struct config *cfg = NULL;
	char err[512];

	if (!file || config_read(file, &cfg, err, sizeof(err)))
		return;
	redact_file(&b->secrets, cfg->key_file);
	redact_file(&b->secrets, cfg->passphrase_file);
	redact_file(&b->secrets, cfg->recovery_key_file);
	for (size_t i = 0; i < cfg->n_stores; i++)
		redact_file(&b->secrets, cfg->stores[i].credentials);
	for (size_t i = 0; i < cfg->n_attach; i++)
		redact_file(&b->secrets, cfg->attach[i].credentials);
}

/* What the mount and this program were given: by variables, and in the files they name. */
static void know_secrets(struct bundle *b)
{
	_cleanup_buf_ struct buf env = BUF_INIT(PART_MAX);
	static const char *const files[] = { "GOOGLE_APPLICATION_CREDENTIALS",
					     "AWS_SHARED_CREDENTIALS_FILE",
					     "AWS_WEB_IDENTITY_TOKEN_FILE",
					     "AZURE_FEDERATED_TOKEN_FILE" };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%lu/environ", b->pid);
	if (!read_file(path, &env))
		redact_environment(&b->secrets, buf_span(&env));
	for (char **e = environ; *e; e++)
		redact_environment(&b->secrets, span_str(*e));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		redact_file(&b->secrets, getenv(files[i]));
	know_config_secrets(b, json_str(json_get(b->m->status, "mount"), "config"));
}

static int pack(const struct bundle *b, const char *output)
{
	char *argv[] = { "tar", "-czf", (char *)output, "-C", (char *)b->folder, (char *)b->name,
			 NULL };
	int status, r = program_run(argv, &status);

	return r ? r : status ? -EIO : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static int begin(struct bundle *b)
{
	_cleanup_free_ char *path = NULL;
	char when[17];

	iso_basic_date((time_t)(clock_wall() / NS_PER_S), when);
	snprintf(b->name, sizeof(b->name), "mangrove-%.64s-%s",
		 json_str(json_get(b->m->status, "volume"), "name"), when);
	snprintf(b->folder, sizeof(b->folder), "/tmp/mangrove-bundle-XXXXXX");
	if (!mkdtemp(b->folder))
		return -errno;
	if (asprintf(&path, "%s/%s", b->folder, b->name) < 0)
		return -ENOMEM;
	return mkdir(path, 0700) ? -errno : 0;
}

int bundle_write(struct ctl_mount *m, const char *output)
{
	struct bundle b = { .m = m };
	_cleanup_free_ char *named = NULL;
	int r;

	b.pid = (unsigned long)json_number(json_get(m->status, "mount"), "pid", 0);
	r = begin(&b);
	if (!r) {
		know_secrets(&b);
		add_answer(&b, "status.json", "/status");
		add_answer(&b, "metrics.txt", "/metrics");
		add_answer(&b, "log.txt", "/log");
		add_config(&b);
		add_versions(&b);
		add_of_process(&b, "limits.txt", "limits");
		add_of_process(&b, "process.txt", "status");
		add_file(&b, "memory.txt", "/proc/meminfo");
		if (!output && asprintf(&named, "%s.tar.gz", b.name) < 0)
			r = -ENOMEM;
	}
	if (!r)
		r = pack(&b, output ? output : named);
	if (*b.folder)
		nftw(b.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	redactor_release(&b.secrets);
	if (r)
		ui_error("the bundle cannot be written: %s", strerror(-r));
	else
		printf("%s\n", output ? output : named);
	return r || b.failed ? EXIT_FAILED : EXIT_DONE;
}
