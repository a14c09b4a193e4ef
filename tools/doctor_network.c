/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/doctor.h"

#include <netdb.h>
#include <stdio.h>

#include "backends/uri.h"

/* Where a provider's own servers are, as far as the URL tells. */
static int provider_host(const struct uri *u, char *ret, size_t size)
{
	const char *region = uri_param(u, "region");

	if (!strcmp(u->scheme, "s3"))
		return snprintf(ret, size, "%s.s3.%s%samazonaws.com", u->authority,
				region ? region : "", region ? "." : "");
	if (!strcmp(u->scheme, "azblob"))
		return snprintf(ret, size, "%s.blob.core.windows.net", u->authority);
	return snprintf(ret, size, "storage.googleapis.com");
}

static bool is_here(const char *host)
{
	return !strcmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "[::1]");
}

static void check_name(struct doctor *d, const char *what, const char *host)
{
	struct addrinfo *found = NULL;
	int r = getaddrinfo(host, NULL, NULL, &found);

	if (r)
		tell(d, BAD, what, "the name %s is not known (DNS): %s; see /etc/resolv.conf", host,
		     gai_strerror(r));
	else
		freeaddrinfo(found);
}

void doctor_network(struct doctor *d, const struct config_store *s)
{
	_cleanup_uri_ struct uri u = {};
	_cleanup_endpoint_ struct endpoint e = {};
	const char *text;
	char what[80], host[512], err[512];

	snprintf(what, sizeof(what), "store %s", s->name);
	if (uri_parse(s->url, &u, err, sizeof(err)) || !strcmp(u.scheme, "file"))
		return; /* what is wrong with it is said when it is opened */
	text = uri_param(&u, "endpoint");
	if (text && endpoint_parse(text, "https", &e))
		return;
	if (!text)
		provider_host(&u, host, sizeof(host));
	else
		snprintf(host, sizeof(host), "%.*s", (int)strcspn(e.host, ":"), e.host);
	if (text && *e.host == '[')
		return; /* an address */
	check_name(d, what, host);
	if (text && !e.tls && !is_here(host))
		tell(d, ADVICE, what,
		     "http: contents are sealed, but anybody on the way sees the credentials' "
		     "requests; use https");
}
