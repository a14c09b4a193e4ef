/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What `-o` and the command line of a mount say, checked and with defaults in place. */
#include "base/defs.h"
#include "base/log.h"

struct mount_options {
	char *dir;               /* the mount point, absolute */
	char *source;            /* the VOLUME argument as given, for /proc/mounts; no secrets */
	bool read_only;          /* ro */
	bool allow_other;
	bool strict;             /* opens and missing names check the tip */
	/* names=committed: name operations are answered when their slot is applied */
	bool names_committed;
	bool close_staged;       /* close=staged */
	bool acl;
	bool foreground;         /* -f */
	bool set_uid, set_gid, set_umask; /* uid=, gid=, umask= were given: what every file shows */
	uint32_t uid, gid, umask;
	uint64_t freshness_ns;   /* freshness=; default 1 s */
	/* deadline=: how long a write or commit tries before EIO; default 60 s */
	uint64_t deadline_ns;
	/* orphan_grace=: how long a removed file stays for other mounts that have it open; 5 min */
	uint64_t orphan_grace_ns;
	uint64_t memory_bytes;   /* memory=: the hard budget; 0: chosen from the machine's memory */
	uint64_t max_read_ahead; /* bytes; 0: chosen */
	char *listen;            /* listen=ADDR:PORT or "none"; default 127.0.0.1:0 */
	/* subdir=: the directory of the volume that is the mount's root, or NULL */
	char *subdir;
	char *config;            /* config=, or NULL */
	char *cache_dir;         /* cache_dir=, over the configuration's; or NULL */
	/* cache_size= as text ("200G", "80%"), over the configuration's; or NULL */
	char *cache_size;
	/*
	 * A command's own mount of a volume (fsck, scrub, gc), which may be mounted as well: its
	 * cache folder stands beside the other one. `afresh`: nothing in it is believed.
	 */
	bool aside, afresh;
	/* over the configuration's; or NULL */
	char *key_file, *passphrase_file, *key_command, *recovery_key_file;
	bool accept_rollback;
	/* log_file=: where the daemon's messages go instead of syslog; or NULL */
	char *log_file;
	/* what the kernel itself understands, "nosuid,nodev,noatime"; or NULL */
	char *kernel;
	enum log_level log_level;
};
void mount_options_init(struct mount_options *o);
void mount_options_release(struct mount_options *o);
/*
 * Adds the options of one -o argument: "ro,allow_other,cache_size=80%". What mount, fstab and
 * systemd pass along is skipped. 0; -EINVAL with a sentence (and the nearest known word) in err;
 * -ENOMEM.
 */
must_check int mount_options_add(struct mount_options *o, const char *text, char *err,
				 size_t err_size);
