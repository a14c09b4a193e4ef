/* SPDX-License-Identifier: Apache-2.0 */
#include "web_xml.h"

#include "web_text.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	XML_Parser expat;
	struct web_xml *xml;
	int depth;
	struct web_text text;
	bool failed;
};

/* Elements may be in a namespace; its name comes first, cut off by the separator. */
static const char *local_name(const char *name)
{
	const char *bar = strrchr(name, '|');
	return bar ? bar + 1 : name;
}

static void item_add(struct web_xml *xml, const char *name)
{
	if ((xml->n & (xml->n - 1)) == 0) {
		size_t room = xml->n ? 2 * xml->n : 1;
		xml->items = realloc(xml->items, room * sizeof(*xml->items));
		if (!xml->items)
			abort();
	}
	xml->items[xml->n++] = (struct web_xml_item){ .name = web_strdup(name) };
}

static void on_start(void *arg, const char *full_name, const char **attributes)
{
	struct parser *parser = arg;
	struct web_xml *xml = parser->xml;
	const char *name = local_name(full_name);
	(void)attributes;
	web_text_release(&parser->text);
	switch (++parser->depth) {
	case 1:
		xml->root = web_strdup(name);
		return;
	case 2:
		return item_add(xml, name);
	case 3: {
		struct web_xml_item *item = &xml->items[xml->n - 1];
		if (item->nfields < WEB_XML_FIELDS) {
			item->fields[item->nfields++].name = web_strdup(name);
			return;
		}
	}
	}
	parser->failed = true;
	XML_StopParser(parser->expat, XML_FALSE);
}

static void on_end(void *arg, const char *name)
{
	struct parser *parser = arg;
	struct web_xml *xml = parser->xml;
	(void)name;
	if (parser->failed)
		return;
	if (parser->depth == 2)
		xml->items[xml->n - 1].text = web_strdup(web_text_str(&parser->text));
	if (parser->depth == 3) {
		struct web_xml_item *item = &xml->items[xml->n - 1];
		item->fields[item->nfields - 1].text = web_strdup(web_text_str(&parser->text));
	}
	parser->depth--;
}

static void on_text(void *arg, const char *s, int n)
{
	struct parser *parser = arg;
	web_text_put(&parser->text, s, (size_t)n);
}

bool web_xml_parse(const char *bytes, size_t n, struct web_xml *ret)
{
	struct parser parser = { .expat = XML_ParserCreateNS(NULL, '|'), .xml = ret };
	*ret = (struct web_xml){ 0 };
	if (!parser.expat)
		abort();
	XML_SetUserData(parser.expat, &parser);
	XML_SetElementHandler(parser.expat, on_start, on_end);
	XML_SetCharacterDataHandler(parser.expat, on_text);
	bool parsed = XML_Parse(parser.expat, bytes, (int)n, 1) == XML_STATUS_OK;
	XML_ParserFree(parser.expat);
	web_text_release(&parser.text);
	return parsed && !parser.failed;
}

void web_xml_release(struct web_xml *xml)
{
	for (size_t i = 0; i < xml->n; i++) {
		struct web_xml_item *item = &xml->items[i];
		for (size_t k = 0; k < item->nfields; k++) {
			free(item->fields[k].name);
			free(item->fields[k].text);
		}
		free(item->name);
		free(item->text);
	}
	free(xml->items);
	free(xml->root);
	*xml = (struct web_xml){ 0 };
}

const char *web_xml_field(const struct web_xml_item *item, const char *name)
{
	for (size_t i = 0; i < item->nfields; i++)
		if (strcmp(item->fields[i].name, name) == 0)
			return item->fields[i].text;
	return NULL;
}
