/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/doctor.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/text.h"
#include "base/wait.h"

#define KERNEL_LEAST 504u  /* 5.4: what Debian 11 and RHEL 8 have at least */
#define KERNEL_RESEND 609u /* 6.9: requests of a daemon that crashed are sent again */
#define FILES_LEAST 4096u
#define LOCKED_LEAST (64 * KiB)

static void check_kernel(struct doctor *d)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return;
	if (major * 100 + minor < KERNEL_LEAST)
		tell(d, ADVICE, "kernel", "%s: older than any that is tried; upgrade to 5.10",
		     u.release);
	else
		tell(d, GOOD, "kernel", "%s%s", u.release,
		     major * 100 + minor < KERNEL_RESEND ? "" : " (resends requests)");
}

static bool has_line(const char *file, const char *word)
{
	FILE *f = fopen(file, "re");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, word, strlen(word));
	if (f)
		fclose(f);
	return found;
}

static void check_fuse(struct doctor *d)
{
	_cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		tell(d, GOOD, "fuse", "/dev/fuse opens");
	else if (errno == ENOENT)
		tell(d, BAD, "fuse",
		     "/dev/fuse is missing: load the module (modprobe fuse), "
		     "or give the container the device");
	else
		tell(d, BAD, "fuse", "/dev/fuse: %s", strerror(errno));
	if (!geteuid())
		return;
	if (access("/usr/bin/fusermount3", X_OK) && access("/bin/fusermount3", X_OK))
		tell(d, BAD, "fusermount3",
		     "not found: apt install fuse3 (needed to mount without being root)");
	if (!has_line("/etc/fuse.conf", "user_allow_other"))
		tell(d, ADVICE, "fuse.conf",
		     "without user_allow_other in /etc/fuse.conf only you can use your mounts");
}

static void check_limit(struct doctor *d, int resource, const char *what, rlim_t least,
			const char *advice)
{
	struct rlimit l;

	if (getrlimit(resource, &l))
		return;
	if (l.rlim_cur != RLIM_INFINITY && l.rlim_cur < least)
		tell(d, ADVICE, what, "at most %llu: %s", (unsigned long long)l.rlim_cur, advice);
	else
		tell(d, GOOD, what, "enough");
}

static void check_clock(struct doctor *d)
{
	struct timex t = { 0 };

	/* 2024: a machine without a battery wakes up in 1970, and every signature is refused. */
	if (clock_wall() / NS_PER_S < 1704067200)
		tell(d, BAD, "clock",
		     "the machine's clock is years behind: timedatectl set-ntp true");
	else if (adjtimex(&t) < 0 || t.status & STA_UNSYNC)
		tell(d, ADVICE, "clock",
		     "nothing keeps it right: timedatectl set-ntp true (in a container: its host)");
	else
		tell(d, GOOD, "clock", "kept right by the network");
}

static void check_certificates(struct doctor *d)
{
	if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) &&
	    access("/etc/pki/tls/certs/ca-bundle.crt", R_OK))
		tell(d, BAD, "certificates",
		     "no authorities are known, so no store can be trusted: "
		     "apt install ca-certificates");
	else
		tell(d, GOOD, "certificates", "authorities are known");
}

void doctor_machine(struct doctor *d)
{
	check_kernel(d);
	check_fuse(d);
	check_limit(d, RLIMIT_NOFILE, "open files", FILES_LEAST,
		    "ulimit -n 65536, or LimitNOFILE= of the service");
	check_limit(d, RLIMIT_MEMLOCK, "locked memory", LOCKED_LEAST,
		    "keys may be swapped to disk; ulimit -l 1024, or LimitMEMLOCK= of the service");
	check_clock(d);
	check_certificates(d);
}
