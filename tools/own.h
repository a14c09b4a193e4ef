/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A volume that a command opens by itself: a mount like others for the journal, without a
 * directory. It has a cache folder of its own, which is kept for the next time.
 */
#include "fs/volume.h"
#include "tools/args.h"

struct own {
	struct mount_options options;
	struct volume *v;
};
struct own_ask {
	const char *volume, *config; /* as of config_find; config may be NULL */
	const char *cache_dir;       /* or NULL: beside the volume's usual one */
	const struct text_list *credentials; /* "FILE", "STORE=FILE", over the configuration's */
	bool read_only;              /* takes no part in the journal */
	bool afresh;                 /* nothing of this machine is believed */
};
/* EXIT_DONE, or EXIT_FAILED after a line on stderr. An interrupt is noted from here on. */
int own_open(const struct own_ask *ask, struct own *ret);
/* Did somebody press Ctrl-C, or ask for the end otherwise? */
bool own_interrupted(void);
/* Ends the mount as umount does. An exit status. */
int own_close(struct own *o);
