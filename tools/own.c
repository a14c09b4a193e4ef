/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/own.h"

#include <signal.h>

#include "base/log.h"
#include "tools/ui.h"

#define CLOSE_NS (120 * NS_PER_S)
#define SENTENCE_MAX 1024

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = 1;
}

/* Whoever ends the command ends its mount, too: else the journal would wait for it for ever. */
static void catch_signals(void)
{
	const struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

bool own_interrupted(void)
{
	return interrupted;
}

/* "STORE=FILE", or "FILE" for all. Answers -EINVAL after a line on stderr. */
static int set_credentials(struct config *cfg, const char *text)
{
	const char *equals = strchr(text, '='), *file = equals ? equals + 1 : text;
	size_t n = 0;

	for (size_t i = 0; i < cfg->n_stores; i++) {
		struct config_store *s = &cfg->stores[i];

		if (equals && (strlen(s->name) != (size_t)(equals - text) ||
			       memcmp(s->name, text, strlen(s->name)) != 0))
			continue;
		free(s->credentials);
		s->credentials = strdup(file);
		n += s->credentials != NULL;
	}
	if (n)
		return 0;
	ui_error("--credentials %s: no store of that name is in the configuration", text);
	return -EINVAL;
}

static int find_config(const struct own_ask *ask, struct config **ret)
{
	char err[SENTENCE_MAX] = "";
	int r = config_find(ask->volume, ask->config, ret, err, sizeof(err));

	if (r) {
		ui_error("%s", err);
		return r;
	}
	for (size_t i = 0; ask->credentials && i < ask->credentials->n && !r; i++)
		r = set_credentials(*ret, ask->credentials->all[i]);
	if (r)
		config_free(*ret);
	return r;
}

int own_open(const struct own_ask *ask, struct own *ret)
{
	char err[SENTENCE_MAX] = "";
	struct config *cfg;
	int r;

	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR);
	if (sodium_start()) {
		ui_error("libsodium does not start");
		return EXIT_FAILED;
	}
	if (find_config(ask, &cfg))
		return EXIT_FAILED;
	mount_options_init(&ret->options);
	ret->options.read_only = ask->read_only;
	ret->options.aside = true;
	ret->options.afresh = ask->afresh;
	ret->options.cache_dir = ask->cache_dir ? strdup(ask->cache_dir) : NULL;
	catch_signals();
	r = volume_open(cfg, &ret->options, &ret->v, err, sizeof(err));
	if (!r && !is_bare(ret->v))
		return EXIT_DONE;
	ui_error("%s", r ? err : "these are buckets, no volume");
	if (!r)
		volume_free(ret->v);
	mount_options_release(&ret->options);
	return EXIT_FAILED;
}

int own_close(struct own *o)
{
	const int r = volume_close(o->v, clock_now() + CLOSE_NS);

	mount_options_release(&o->options);
	if (r)
		ui_error("the volume was not left cleanly: %s", strerror(-r));
	return r ? EXIT_FAILED : EXIT_DONE;
}
