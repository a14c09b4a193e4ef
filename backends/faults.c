/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/faults.h"

#include "base/json.h"
#include "base/xml.h"

#include <stdio.h>

/* Copies what can be printed on one line; the rest becomes a blank. */
static void copy_line(struct span s, char *ret, size_t size)
{
	size_t n = MIN(s.len, size - 1);

	for (size_t i = 0; i < n; i++)
		ret[i] = s.data[i] >= 0x20 && s.data[i] < 0x7f ? (char)s.data[i] : ' ';
	ret[n] = '\0';
}

static int on_element(const char *path, struct span text, void *arg)
{
	struct fault *f = arg;

	if (strcmp(path, "/Error/Code") == 0)
		copy_line(text, f->code, sizeof(f->code));
	else if (strcmp(path, "/Error/Message") == 0)
		copy_line(text, f->message, sizeof(f->message));
	else if (strcmp(path, "/Error/Region") == 0)
		copy_line(text, f->region, sizeof(f->region));
	return 0;
}

static struct span without_mark(struct span s)
{
	return span_starts(s, SPAN_LITERAL("\xef\xbb\xbf")) ? span_sub(s, 3, s.len) : s;
}

bool fault_parse_xml(struct span body, struct fault *ret)
{
	static const struct xml_handler handler = { .end = on_element };
	struct fault f = {};

	body = without_mark(body);
	if (body.len == 0 || xml_parse(body, &handler, &f) < 0 || !f.code[0])
		f.code[0] = '\0';
	*ret = f;
	return f.code[0] != '\0';
}

bool fault_parse_json(struct span body, struct fault *ret)
{
	_cleanup_(json_freep) struct json *root = NULL;
	const struct json *error;
	const char *code, *message;
	struct fault f = {};

	if (json_parse(body, &root) < 0) {
		copy_line(body, f.message, sizeof(f.message));
		*ret = f;
		return false;
	}
	error = json_get(root, "error");
	code = json_text(error);
	message = code ? json_str(root, "error_description") : json_str(error, "message");
	if (!code)
		code = json_str(json_at(json_get(error, "errors"), 0), "reason");
	copy_line(span_str(code), f.code, sizeof(f.code));
	copy_line(span_str(message), f.message, sizeof(f.message));
	*ret = f;
	return f.code[0] != '\0';
}
