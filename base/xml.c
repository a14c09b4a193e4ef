/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (X1) The text of all open elements lies in one buffer, the innermost last. An element's
 *      own part begins where it stood at its start, and goes when it ends; so what comes
 *      after a child continues the parent's text.
 * (X2) After the first failure no handler is called, although expat may have more events.
 */
#include "base/xml.h"
#include "base/buf.h"

#include <expat.h>
#include <limits.h>
#include <stdio.h>

#define DEPTH_MAX 32
#define PATH_MAX_BYTES 1024

struct parse {
	XML_Parser expat;
	const struct xml_handler *h;
	void *arg;
	char path[PATH_MAX_BYTES];
	struct {
		size_t path_len; /* without this element */
		size_t text_len; /* (X1) */
	} open[DEPTH_MAX];
	unsigned depth;
	struct buf text;
	int error;
};

static void stop(struct parse *p, int error)
{
	if (p->error)
		return;
	p->error = error;
	XML_StopParser(p->expat, XML_FALSE);
}

static const char *without_namespace(const char *name)
{
	const char *colon = strchr(name, ':');

	return colon ? colon + 1 : name;
}

/* false: too deep or too long. */
static bool descend(struct parse *p, const char *name)
{
	size_t len = strlen(p->path);
	int n;

	if (p->depth == DEPTH_MAX)
		return false;
	n = snprintf(p->path + len, sizeof(p->path) - len, "/%s", name);
	if (n < 0 || len + n >= sizeof(p->path))
		return false;
	p->open[p->depth].path_len = len;
	p->open[p->depth].text_len = p->text.len;
	p->depth++;
	return true;
}

static void tell_attributes(struct parse *p, const char **attributes)
{
	int r;

	for (; attributes[0] && !p->error && p->h->attribute; attributes += 2) {
		if (strncmp(attributes[0], "xmlns", 5) == 0)
			continue;
		r = p->h->attribute(p->path, without_namespace(attributes[0]), attributes[1],
				    p->arg);
		if (r)
			stop(p, r);
	}
}

static void on_start(void *arg, const char *name, const char **attributes)
{
	struct parse *p = arg;
	int r;

	if (p->error) /* (X2) */
		return;
	if (!descend(p, without_namespace(name))) {
		stop(p, fail(-EBADMSG));
		return;
	}
	r = p->h->begin ? p->h->begin(p->path, p->arg) : 0;
	if (r)
		stop(p, r);
	tell_attributes(p, attributes);
}

static void on_end(void *arg, const char *name)
{
	struct parse *p = arg;
	size_t from;
	int r = 0;

	if (p->error)
		return;
	p->depth--;
	from = p->open[p->depth].text_len;
	if (p->h->end)
		r = p->h->end(p->path, span_sub(buf_span(&p->text), from, SIZE_MAX), p->arg);
	if (r)
		stop(p, r);
	p->text.len = from; /* (X1) */
	p->path[p->open[p->depth].path_len] = '\0';
}

static void on_text(void *arg, const char *text, int len)
{
	struct parse *p = arg;
	int r;

	if (p->error)
		return;
	r = buf_add(&p->text, text, len);
	if (r)
		stop(p, r == -EMSGSIZE ? -EBADMSG : r);
}

/* Where a document type is, entities follow, and nobody we talk to needs them. */
static void on_doctype(void *arg, const char *name, const char *system, const char *public,
		       int internal)
{
	stop(arg, fail(-EBADMSG));
}

static int run(struct parse *p, struct span text)
{
	XML_SetUserData(p->expat, p);
	XML_SetElementHandler(p->expat, on_start, on_end);
	XML_SetCharacterDataHandler(p->expat, on_text);
	XML_SetStartDoctypeDeclHandler(p->expat, on_doctype);
	if (XML_Parse(p->expat, (const char *)text.data, text.len, 1) == XML_STATUS_OK || p->error)
		return p->error;
	return fail(XML_GetErrorCode(p->expat) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG);
}

int xml_parse(struct span text, const struct xml_handler *h, void *arg)
{
	struct parse p = { .h = h, .arg = arg, .text = BUF_INIT(text.len) };
	int r;

	if (text.len == 0 || text.len > INT_MAX)
		return fail(-EBADMSG);
	p.expat = XML_ParserCreate("UTF-8");
	if (!p.expat)
		return fail(-ENOMEM);
	r = run(&p, text);
	XML_ParserFree(p.expat);
	buf_release(&p.text);
	return r;
}

static int escape_byte(uint8_t c, struct buf *ret)
{
	switch (c) {
	case '&':
		return buf_add_str(ret, "&amp;");
	case '<':
		return buf_add_str(ret, "&lt;");
	case '>':
		return buf_add_str(ret, "&gt;");
	case '"':
		return buf_add_str(ret, "&quot;");
	case '\'':
		return buf_add_str(ret, "&apos;");
	default:
		return c < ' ' || c == 0x7f ? buf_addf(ret, "&#x%X;", c) : buf_add_byte(ret, c);
	}
}

int xml_escape(struct span s, struct buf *ret)
{
	const size_t start = ret->len;
	int r = 0;

	for (size_t i = 0; i < s.len && !r; i++)
		r = escape_byte(s.data[i], ret);
	if (r)
		ret->len = start;
	return r;
}
