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
extern const struct command cmd_format;
extern const struct command cmd_mount;
extern const struct command cmd_umount;
extern const struct command cmd_status;
extern const struct command cmd_top;
extern const struct command cmd_sync;
extern const struct command cmd_where;
extern const struct command cmd_log;
extern const struct command cmd_changes;
extern const struct command cmd_log_level;
extern const struct command cmd_drill;
extern const struct command cmd_doctor;
extern const struct command cmd_fsck;
extern const struct command cmd_scrub;
extern const struct command cmd_gc;
extern const struct command cmd_key;
extern const struct command cmd_attach;
extern const struct command cmd_detach;
extern const struct command cmd_refresh;
extern const struct command cmd_import;
extern const struct command cmd_config;
extern const struct command cmd_debug;
extern const struct command cmd_version;
/* cmd_bucket.c: the names of a mounted bucket that are mapped, for doctor. An exit status. */
int doctor_names(const char *word, bool json);

/* cmd_status_staged.c: what waits on this machine's disk. word, cache_dir: or NULL. */
int status_staged(const char *word, const char *cache_dir, bool json);

/* mount.mangrove SPEC DIR [-sfnv] [-o OPTIONS] [-t TYPE], as mount(8) calls it; umount.mangrove
 * likewise. */
int helper_mount(int argc, char **argv);
int helper_umount(int argc, char **argv);

/* args_parse with what every command does about --help and mistakes: true to go on, else
 * *ret_status is the exit status. */
bool command_args(const struct command *c, int argc, char **argv, const struct arg *table,
		  size_t min_words, size_t max_words, struct text_list *ret_words, int *ret_status);
