/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The XML bodies that clients send: a tree of two levels is all that the protocols use.
 */

#include <stdbool.h>
#include <stddef.h>

enum { WEB_XML_FIELDS = 8 };

/* A leaf or, with fields, an element of leaves; both children of the root. */
struct web_xml_item {
	char *name, *text;
	struct {
		char *name, *text;
	} fields[WEB_XML_FIELDS];
	size_t nfields;
};

struct web_xml {
	char *root;
	struct web_xml_item *items;
	size_t n;
};

/* False when it is not well-formed, or deeper or larger than that. Release in both cases. */
bool web_xml_parse(const char *bytes, size_t n, struct web_xml *ret);
void web_xml_release(struct web_xml *);
/* The text of a field, or NULL. */
const char *web_xml_field(const struct web_xml_item *, const char *name);
