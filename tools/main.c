/* SPDX-License-Identifier: Apache-2.0 */
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "tools/commands.h"

/* One program: `mangrove COMMAND`, and what mount(8) and umount(8) call, told apart by its name. */
static const struct command *const commands[] = {
	&cmd_format,
	&cmd_mount,
	&cmd_umount,
	&cmd_status,
	&cmd_top,
	&cmd_sync,
	&cmd_where,
	&cmd_log,
	&cmd_changes,
	&cmd_drill,
	&cmd_doctor,
	&cmd_fsck,
	&cmd_scrub,
	&cmd_gc,
	&cmd_key,
	&cmd_attach,
	&cmd_detach,
	&cmd_refresh,
	&cmd_import,
	&cmd_log_level,
	&cmd_config,
	&cmd_debug,
	&cmd_version,
};

static void print_overview(FILE *to)
{
	fputs("mangrove COMMAND [OPTIONS] [ARGUMENTS]\n\n"
	      "One tree on several object stores.\n\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n'mangrove COMMAND --help' says more.\n", to);
}

static void print_help(const struct command *c)
{
	printf("mangrove %s %s\n\n%s.\n", c->name, c->usage, c->summary);
	if (*c->help)
		printf("\n%s", c->help);
}

bool command_args(const struct command *c, int argc, char **argv, const struct arg *table,
		  size_t min_words, size_t max_words, struct text_list *ret_words, int *ret_status)
{
	int r = args_parse(argc, argv, table, ret_words);

	*ret_status = r == ARGS_HELP ? EXIT_DONE : EXIT_USAGE;
	if (r == ARGS_HELP)
		print_help(c);
	if (r)
		return false;
	if (ret_words->n >= min_words && ret_words->n <= max_words)
		return true;
	ui_error("usage: mangrove %s %s", c->name, c->usage);
	return false;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static int unknown(const char *name)
{
	const char *known[ARRAY_SIZE(commands) + 1] = { NULL }, *near;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		known[i] = commands[i]->name;
	near = nearest_word(name, known);
	if (near)
		ui_error("unknown command '%s'; did you mean '%s'?", name, near);
	else
		ui_error("unknown command '%s'; 'mangrove --help' lists them", name);
	return EXIT_USAGE;
}

static bool called_as(const char *self, const char *prefix)
{
	const char *slash = strrchr(self, '/');

	return !strncmp(slash ? slash + 1 : self, prefix, strlen(prefix));
}

/*
 * mount(8) empties the environment when somebody who is not root calls it, and at boot there is
 * none: what belongs to a person (configuration, cache, credentials, sockets) is found anyway.
 */
static void complete_environment(void)
{
	const struct passwd *person = getenv("HOME") ? NULL : getpwuid(geteuid());
	char folder[64];
	struct stat st;

	if (person && person->pw_dir)
		setenv("HOME", person->pw_dir, 0);
	if (!geteuid() || getenv("XDG_RUNTIME_DIR"))
		return;
	snprintf(folder, sizeof(folder), "/run/user/%u", (unsigned)geteuid());
	if (!stat(folder, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
		setenv("XDG_RUNTIME_DIR", folder, 0);
}

int main(int argc, char **argv)
{
	const struct command *c;

	complete_environment();
	if (argc && called_as(argv[0], "mount."))
		return helper_mount(argc - 1, argv + 1);
	if (argc && called_as(argv[0], "umount."))
		return helper_umount(argc - 1, argv + 1);
	if (argc < 2) {
		print_overview(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version"))
		return cmd_version.run(&cmd_version, 0, NULL);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		c = argc > 2 ? find(argv[2]) : NULL;
		if (c)
			print_help(c);
		else
			print_overview(stdout);
		return EXIT_DONE;
	}
	c = find(argv[1]);
	return c ? c->run(c, argc - 2, argv + 2) : unknown(argv[1]);
}
