/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The table of commands; each in its cmd_*.c. */
#include "tools/args.h"
#include "tools/ui.h"

struct command {
	const char *name;
	const char *usage;   /* behind "mangrove NAME " */
	const char *summary; /* one line, for the list */
	const char *help;    /* options and an example */
	/* without the name; answers an exit status */
	int (*run)(const struct command *c, int argc, char **argv);
};
extern const struct command cmd_format, cmd_mount, cmd_umount, cmd_status, cmd_sync, cmd_where,
	cmd_drill, cmd_doctor, cmd_fsck, cmd_scrub, cmd_top, cmd_attach, cmd_detach, cmd_refresh,
	cmd_log, cmd_config, cmd_debug,
	cmd_version;
/* cmd_bucket.c: the names of a mounted bucket that are mapped, for doctor. An exit status. */
int doctor_names(const char *word, bool json);

/* mount.mangrove SPEC DIR [-sfnv] [-o OPTIONS] [-t TYPE], as mount(8) calls it; umount.mangrove
 * likewise. */
int helper_mount(int argc, char **argv);
int helper_umount(int argc, char **argv);

/* args_parse with what every command does about --help and mistakes: true to go on, else
 * *ret_status is the exit status. */
bool command_args(const struct command *c, int argc, char **argv, const struct arg *table,
		  size_t min_words, size_t max_words, struct text_list *ret_words, int *ret_status);
