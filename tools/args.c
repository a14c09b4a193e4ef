/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/args.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "tools/ui.h"

#define OPTIONS_MAX 40

static const struct arg *by_name(const struct arg *table, const char *name, size_t len)
{
	for (; table->name || table->letter; table++)
		if (table->name && strlen(table->name) == len && !memcmp(table->name, name, len))
			return table;
	return NULL;
}

static const struct arg *by_letter(const struct arg *table, char letter)
{
	for (; table->name || table->letter; table++)
		if (table->letter == letter)
			return table;
	return NULL;
}

static int unknown(const struct arg *table, const char *name)
{
	const char *known[OPTIONS_MAX] = { NULL }, *near;
	size_t n = 0;

	for (; (table->name || table->letter) && n < OPTIONS_MAX - 1; table++)
		if (table->name)
			known[n++] = table->name;
	near = nearest_word(name, known);
	if (near)
		ui_error("unknown option --%s; did you mean --%s?", name, near);
	else
		ui_error("unknown option --%s; see --help", name);
	return -EINVAL;
}

static int list_add(struct text_list *list, const char *text)
{
	if (list->n == WORDS_MAX) {
		ui_error("too many arguments: %s", text);
		return -EINVAL;
	}
	list->all[list->n++] = text;
	return 0;
}

static int set(const struct arg *a, const char *value)
{
	switch (a->kind) {
	case ARG_FLAG:
		*(bool *)a->to = true;
		return 0;
	case ARG_TEXT:
		*(const char **)a->to = value;
		return 0;
	case ARG_MANY:
		return list_add(a->to, value);
	}
	return -EINVAL;
}

/* --name, --name=value; answers how many of the following arguments were used, or -EINVAL. */
static int long_option(const struct arg *table, char *text, char *next)
{
	char *eq = strchr(text, '=');
	const struct arg *a = by_name(table, text, eq ? (size_t)(eq - text) : strlen(text));

	if (!a) {
		if (eq)
			*eq = '\0';
		return unknown(table, text);
	}
	if (a->kind == ARG_FLAG && eq) {
		ui_error("option --%s takes no value", a->name);
		return -EINVAL;
	}
	if (a->kind != ARG_FLAG && !eq && !next) {
		ui_error("option --%s needs a value", a->name);
		return -EINVAL;
	}
	if (set(a, eq ? eq + 1 : next))
		return -EINVAL;
	return a->kind != ARG_FLAG && !eq;
}

/* -xyz, -ovalue, -o value; answers as above. */
static int short_options(const struct arg *table, const char *text, const char *next)
{
	for (; *text; text++) {
		const struct arg *a = by_letter(table, *text);

		if (!a) {
			ui_error("unknown option -%c; see --help", *text);
			return -EINVAL;
		}
		if (a->kind == ARG_FLAG) {
			if (set(a, NULL))
				return -EINVAL;
			continue;
		}
		if (!text[1] && !next) {
			ui_error("option -%c needs a value", *text);
			return -EINVAL;
		}
		if (set(a, text[1] ? text + 1 : next))
			return -EINVAL;
		return !text[1];
	}
	return 0;
}

int args_parse(int argc, char **argv, const struct arg *table, struct text_list *ret_words)
{
	bool plain = false;

	ret_words->n = 0;
	for (int i = 0; i < argc; i++) {
		char *text = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
		int r;

		if (plain || text[0] != '-' || !text[1])
			r = list_add(ret_words, text);
		else if (!strcmp(text, "--"))
			r = 0, plain = true;
		else if (!strcmp(text, "--help") || (!strcmp(text, "-h") && !by_letter(table, 'h')))
			return ARGS_HELP;
		else if (text[1] == '-')
			r = long_option(table, text + 2, next);
		else
			r = short_options(table, text + 1, next);
		if (r < 0)
			return r;
		i += r;
	}
	return 0;
}

char *absolute_path(const char *path)
{
	char cwd[PATH_MAX], *joined;

	if (*path == '/')
		return strdup(path);
	if (!getcwd(cwd, sizeof(cwd)))
		return NULL;
	return asprintf(&joined, "%s/%s", cwd, path) < 0 ? NULL : joined;
}

int kdf_parse(const char *memory, const char *passes, uint64_t *ret_memory, uint64_t *ret_passes)
{
	*ret_memory = *ret_passes = 0;
	if (memory && size_parse(memory, ret_memory)) {
		ui_error("--kdf-memory %s: expected a size such as 256M", memory);
		return fail(-EINVAL);
	}
	if (passes && uint_parse(passes, ret_passes)) {
		ui_error("--kdf-passes %s: expected a number", passes);
		return fail(-EINVAL);
	}
	return 0;
}
