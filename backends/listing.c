/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/listing.h"

#include "base/json.h"
#include "base/text.h"
#include "base/xml.h"

#include <stdio.h>

#define NAME_MAX_BYTES 4096 /* longer than any provider's names: hostile */

void listing_release(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->entries[i].name);
	free(l->entries);
	free(l->token);
	*l = (struct listing){};
}

/* Adds an empty entry; NULL: no memory. */
static struct list_entry *add(struct listing *l)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct list_entry *e = reallocarray(l->entries, room, sizeof(*e));

		if (!e)
			return NULL;
		l->entries = e;
		l->room = room;
	}
	l->entries[l->n] = (struct list_entry){};
	return &l->entries[l->n++];
}

void etag_copy(struct span s, char ret[STORE_VERSION_MAX])
{
	bool whole = s.len && (s.data[0] == '"' || span_starts(s, SPAN_LITERAL("W/")));

	ret[0] = '\0';
	if (s.len && s.len + (whole ? 1 : 3) <= STORE_VERSION_MAX)
		snprintf(ret, STORE_VERSION_MAX, whole ? "%.*s" : "\"%.*s\"", SPAN_FMT(s));
}

/* ---- S3 and Azure: XML ---- */

struct xml_page {
	struct listing list;
	const char *root; /* "/ListBucketResult" */
	bool rooted;
	bool truncated;    /* S3 */
	bool url_encoded;  /* S3: the answer says so, which may come after the names */
	bool name_encoded; /* Azure: of the name at hand */
};

static char *text_copy(struct span s)
{
	return strndup(s.len ? (const char *)s.data : "", s.len);
}

/* The last one counts, should there be several. */
static int set_token(struct listing *l, struct span text)
{
	free(l->token);
	l->token = text_copy(text);
	return l->token ? 0 : -ENOMEM;
}

static int set_name(struct list_entry *e, struct span text)
{
	if (text.len > NAME_MAX_BYTES || (text.len && memchr(text.data, 0, text.len)))
		return -EBADMSG;
	free(e->name);
	e->name = text_copy(text);
	return e->name ? 0 : -ENOMEM;
}

static int decode_name(struct list_entry *e, bool plus_is_space)
{
	_cleanup_buf_ struct buf b = BUF_INIT(NAME_MAX_BYTES);
	int error = percent_decode(span_str(e->name), plus_is_space, &b);

	if (error < 0)
		return error == -ENOMEM ? error : -EBADMSG;
	return set_name(e, buf_span(&b));
}

static int number(struct span text, uint64_t *ret)
{
	char s[24];

	if (text.len >= sizeof(s))
		return -EBADMSG;
	snprintf(s, sizeof(s), "%.*s", SPAN_FMT(text));
	return uint_parse(s, ret) < 0 ? -EBADMSG : 0;
}

/* A date that cannot be read is none: nothing depends on it. */
static uint64_t date(struct span text, bool http)
{
	char s[64];
	time_t t;
	int error;

	snprintf(s, sizeof(s), "%.*s", SPAN_FMT(text));
	error = http ? http_date_parse(s, &t) : iso_date_parse(s, &t);
	return error < 0 || t < 0 ? 0 : (uint64_t)t;
}

static int xml_begin(const char *path, void *arg)
{
	struct xml_page *p = arg;
	struct list_entry *e;

	p->name_encoded = false;
	if (strcmp(path, p->root) == 0)
		p->rooted = true;
	if (strcmp(path, "/ListBucketResult/Contents") != 0 &&
	    strcmp(path, "/ListBucketResult/CommonPrefixes") != 0 &&
	    strcmp(path, "/EnumerationResults/Blobs/Blob") != 0 &&
	    strcmp(path, "/EnumerationResults/Blobs/BlobPrefix") != 0)
		return 0;
	e = add(&p->list);
	if (!e)
		return -ENOMEM;
	e->is_prefix = strstr(path, "Prefix") != NULL;
	return 0;
}

static struct list_entry *newest(struct xml_page *p)
{
	return p->list.n ? &p->list.entries[p->list.n - 1] : NULL;
}

static int s3_end(const char *path, struct span text, void *arg)
{
	struct xml_page *p = arg;
	struct list_entry *e = newest(p);
	const char *rest = path + strlen("/ListBucketResult/");

	if (strncmp(path, "/ListBucketResult/", strlen("/ListBucketResult/")) != 0)
		return 0;
	if (strcmp(rest, "IsTruncated") == 0)
		p->truncated = span_equal(text, SPAN_LITERAL("true"));
	else if (strcmp(rest, "EncodingType") == 0)
		p->url_encoded = span_equal(text, SPAN_LITERAL("url"));
	else if (strcmp(rest, "NextContinuationToken") == 0)
		return set_token(&p->list, text);
	if (!e)
		return 0;
	if (strcmp(rest, "Contents/Key") == 0 || strcmp(rest, "CommonPrefixes/Prefix") == 0)
		return set_name(e, text);
	if (strcmp(rest, "Contents/Size") == 0)
		return number(text, &e->size);
	if (strcmp(rest, "Contents/ETag") == 0)
		etag_copy(text, e->version);
	else if (strcmp(rest, "Contents/LastModified") == 0)
		e->modified_s = date(text, false);
	return 0;
}

static int azure_attribute(const char *path, const char *name, const char *value, void *arg)
{
	struct xml_page *p = arg;

	p->name_encoded = strcmp(name, "Encoded") == 0 && strcmp(value, "true") == 0;
	return 0;
}

static int azure_end(const char *path, struct span text, void *arg)
{
	static const char blob[] = "/EnumerationResults/Blobs/Blob/Properties/";
	struct xml_page *p = arg;
	struct list_entry *e = newest(p);
	const char *last = strrchr(path, '/') + 1;
	int error;

	if (strcmp(path, "/EnumerationResults/NextMarker") == 0)
		return text.len ? set_token(&p->list, text) : 0;
	if (!e)
		return 0;
	if (strcmp(path, "/EnumerationResults/Blobs/Blob/Name") == 0 ||
	    strcmp(path, "/EnumerationResults/Blobs/BlobPrefix/Name") == 0) {
		error = set_name(e, text);
		return error == 0 && p->name_encoded ? decode_name(e, false) : error;
	}
	if (strcmp(path, "/EnumerationResults/Blobs/Blob/Metadata/hdi_isfolder") == 0)
		e->is_folder |= span_equal(text, SPAN_LITERAL("true"));
	if (strncmp(path, blob, sizeof(blob) - 1) != 0)
		return 0;
	if (strcmp(last, "Content-Length") == 0)
		return number(text, &e->size);
	if (strcmp(last, "Etag") == 0)
		etag_copy(text, e->version);
	else if (strcmp(last, "Last-Modified") == 0)
		e->modified_s = date(text, true);
	else if (strcmp(last, "ResourceType") == 0)
		e->is_folder |= span_equal(text, SPAN_LITERAL("directory"));
	return 0;
}

static int parse_xml(struct span body, const struct xml_handler *h, struct xml_page *p)
{
	int error;

	if (span_starts(body, SPAN_LITERAL("\xef\xbb\xbf")))
		body = span_sub(body, 3, body.len);
	error = xml_parse(body, h, p);
	if (error < 0)
		return error;
	if (!p->rooted)
		return -EBADMSG;
	for (size_t i = 0; i < p->list.n; i++)
		if (!p->list.entries[i].name)
			return -EBADMSG;
	return 0;
}

int listing_parse_s3(struct span body, struct listing *ret)
{
	static const struct xml_handler handler = { .begin = xml_begin, .end = s3_end };
	struct xml_page p = { .root = "/ListBucketResult" };
	int error = parse_xml(body, &handler, &p);

	for (size_t i = 0; i < p.list.n && error == 0 && p.url_encoded; i++)
		error = decode_name(&p.list.entries[i], true);
	if (error == 0 && p.truncated != (p.list.token && p.list.token[0]))
		error = p.truncated ? -EBADMSG : 0; /* more, but no way to get it */
	if (error < 0) {
		listing_release(&p.list);
		return error;
	}
	if (!p.truncated)
		p.list.token = free_null(p.list.token);
	*ret = p.list;
	return 0;
}

int listing_parse_azure(struct span body, struct listing *ret)
{
	static const struct xml_handler handler = { .begin = xml_begin,
						    .attribute = azure_attribute,
						    .end = azure_end };
	struct xml_page p = { .root = "/EnumerationResults" };
	int error = parse_xml(body, &handler, &p);

	if (error < 0) {
		listing_release(&p.list);
		return error;
	}
	*ret = p.list;
	return 0;
}

/* ---- GCS: JSON ---- */

static int gcs_item(const struct json *item, struct list_entry *e)
{
	const char *name = json_str(item, "name"), *generation = json_str(item, "generation"),
		   *updated = json_str(item, "updated");

	if (!name || json_uint(item, "size", &e->size) < 0)
		return -EBADMSG;
	snprintf(e->version, sizeof(e->version), "%s", generation ? generation : "");
	if (updated)
		e->modified_s = date(span_str(updated), false);
	return set_name(e, span_str(name));
}

static int gcs_page(const struct json *root, struct listing *l)
{
	const struct json *items = json_get(root, "items"), *prefixes = json_get(root, "prefixes");
	const char *token = json_str(root, "nextPageToken");
	int error = 0;

	for (size_t i = 0; i < json_count(items) && error == 0; i++) {
		struct list_entry *e = add(l);

		error = e ? gcs_item(json_at(items, i), e) : -ENOMEM;
	}
	for (size_t i = 0; i < json_count(prefixes) && error == 0; i++) {
		const char *name = json_text(json_at(prefixes, i));
		struct list_entry *e = add(l);

		if (e)
			e->is_prefix = true;
		error = !e ? -ENOMEM : name ? set_name(e, span_str(name)) : -EBADMSG;
	}
	if (error == 0 && token && token[0]) {
		l->token = strdup(token);
		error = l->token ? 0 : -ENOMEM;
	}
	return error;
}

int listing_parse_gcs(struct span body, struct listing *ret)
{
	_cleanup_listing_ struct listing l = {};
	_cleanup_(json_freep) struct json *root = NULL;
	int error = json_parse(body, &root);

	if (error == 0 && !json_str(root, "kind") && !json_get(root, "items") &&
	    !json_get(root, "prefixes") && json_get(root, "error"))
		error = -EBADMSG;
	if (error == 0)
		error = gcs_page(root, &l);
	if (error < 0)
		return error;
	*ret = l;
	l = (struct listing){};
	return 0;
}

/* ---- what a page leaves out ---- */

void listing_state_release(struct listing_state *s)
{
	free(s->after);
	free(s->last_prefix);
	free(s->token);
	*s = (struct listing_state){};
}

/* "AFTER!LAST_PREFIX!TOKEN", percent-encoded, so that no part holds the mark. */
char *listing_state_write(const struct listing_state *s)
{
	const char *const parts[] = { s->after, s->last_prefix, s->token };
	_cleanup_buf_ struct buf b = BUF_INIT(64 * KiB);

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (i && buf_add_byte(&b, '!') < 0)
			return NULL;
		if (percent_encode(span_str(parts[i]), false, &b) < 0)
			return NULL;
	}
	return buf_str(&b) ? (char *)buf_take(&b, &(size_t){ 0 }) : NULL;
}

int listing_state_read(const char *token, struct listing_state *ret)
{
	_cleanup_listing_state_ struct listing_state s = {};
	char **const parts[] = { &s.after, &s.last_prefix, &s.token };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		bool last = i + 1 == ARRAY_SIZE(parts);
		size_t n = strcspn(token, "!");
		_cleanup_buf_ struct buf b = BUF_INIT(64 * KiB);

		if (token[n] != (last ? '\0' : '!') ||
		    percent_decode(span_of(token, n), false, &b) < 0)
			return fail(-EINVAL);
		if (b.len)
			*parts[i] = strndup((const char *)b.data, b.len);
		if (b.len && !*parts[i])
			return fail(-ENOMEM);
		token += last ? n : n + 1;
	}
	*ret = s;
	s = (struct listing_state){};
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct list_entry *x = a, *y = b;

	return span_compare(span_str(x->name), span_str(y->name));
}

static bool is_wanted(const struct list_entry *e, struct span store_prefix,
		      const struct listing_state *state)
{
	struct span name = span_str(e->name);

	if (!span_starts(name, store_prefix) || name.len == store_prefix.len)
		return false;
	if (state->after && span_compare(name, span_str(state->after)) <= 0)
		return false;
	return !(e->is_prefix && state->last_prefix &&
		 span_compare(name, span_str(state->last_prefix)) <= 0);
}

void listing_finish(struct listing *l, const char *store_prefix, const struct listing_state *state)
{
	size_t kept = 0, skip = strlen(store_prefix);

	for (size_t i = 0; i < l->n; i++) {
		struct list_entry *e = &l->entries[i];

		if (!is_wanted(e, span_str(store_prefix), state)) {
			free(e->name);
			continue;
		}
		memmove(e->name, e->name + skip, strlen(e->name + skip) + 1);
		l->entries[kept++] = *e;
	}
	l->n = kept;
	if (kept)
		qsort(l->entries, kept, sizeof(*l->entries), by_name);
}
