/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/mem_objects.h"

#include <stdio.h>

#define PAGE_DEFAULT 1000u

int mem_objects_init(struct mem_objects *o)
{
	*o = (struct mem_objects){ .map = map_new() };
	return o->map ? 0 : -ENOMEM;
}

static struct mem_object *object_of(struct span value)
{
	struct mem_object *obj;

	memcpy(&obj, value.data, sizeof(obj));
	return obj;
}

static void object_free(struct mem_object *obj)
{
	blob_unref(obj->body);
	free(obj);
}

static void upload_free(struct mem_upload *u)
{
	for (unsigned i = 0; i < u->n; i++)
		blob_unref(u->parts[i]);
	free(u->parts);
	free(u);
}

void mem_objects_release(struct mem_objects *o)
{
	struct map_entry e;

	while (o->uploads) {
		struct mem_upload *u = o->uploads;

		o->uploads = u->next;
		upload_free(u);
	}

	while (o->map && map_seek(o->map, SPAN_NULL, false, &e)) {
		struct mem_object *obj = object_of(e.value);

		map_erase(o->map, e.key);
		object_free(obj);
	}
	o->map = map_free(o->map);
}

uint64_t mem_objects_date(const struct mem_objects *o)
{
	return (uint64_t)((int64_t)(clock_wall() / NS_PER_S) + o->skew_s);
}

struct mem_object *mem_objects_find(const struct mem_objects *o, const char *name)
{
	struct span value;
	bool gone;

	return map_get(o->map, span_str(name), &value, &gone) ? object_of(value) : NULL;
}

int mem_objects_put(struct mem_objects *o, const char *name, struct blob *body,
		    const struct object_meta *m)
{
	struct mem_object *obj = mem_objects_find(o, name);

	if (!obj) {
		obj = calloc(1, sizeof(*obj));
		if (!obj)
			return -ENOMEM;
		if (map_put(o->map, span_str(name), span_of(&obj, sizeof(obj)), false)) {
			free(obj);
			return -ENOMEM;
		}
	}
	blob_ref(body);
	blob_unref(obj->body);
	obj->body = body;
	obj->meta = m ? *m : (struct object_meta){ 0 };
	obj->version = ++o->version;
	obj->modified_s = mem_objects_date(o);
	return 0;
}

bool mem_objects_remove(struct mem_objects *o, const char *name)
{
	struct mem_object *obj = mem_objects_find(o, name);

	if (!obj)
		return false;
	map_erase(o->map, span_str(name));
	object_free(obj);
	return true;
}

static void tell_version(struct mem_op *op, const struct mem_object *obj)
{
	snprintf(op->version, sizeof(op->version), "v%llu", (unsigned long long)obj->version);
	op->modified_s = obj->modified_s;
	op->size = blob_span(obj->body).len;
}

static bool matches(const struct mem_op *op, const struct mem_object *obj)
{
	struct mem_op now = { 0 };

	if (!op->has_match)
		return true;
	tell_version(&now, obj);
	return strcmp(now.version, op->if_match) == 0;
}

static int run_get(struct mem_op *op, const struct mem_object *obj)
{
	struct span part;

	if (!obj)
		return STORE_MISSING;
	tell_version(op, obj);
	if (!matches(op, obj))
		return STORE_CHANGED;
	op->meta = obj->meta;
	if (op->offset >= op->size && (op->offset || op->length))
		return STORE_RANGE;
	part = span_sub(blob_span(obj->body), op->offset, op->length ? op->length : SIZE_MAX);
	if (part.len > op->limit)
		return -EIO;
	return buf_add_span(&op->bytes, part);
}

static void tell_digest(struct mem_op *op, struct span body)
{
	op->has_md5 = true;
	for (size_t i = 0; i < body.len; i++)
		op->md5[i % 16] = (uint8_t)(op->md5[i % 16] * 31 + body.data[i]);
}

static int run_head(const struct mem_objects *o, struct mem_op *op, const struct mem_object *obj)
{
	if (!obj)
		return STORE_MISSING;
	tell_version(op, obj);
	if (o->tells_md5)
		tell_digest(op, blob_span(obj->body));
	op->meta = obj->meta;
	return 0;
}

static int run_put(struct mem_objects *o, struct mem_op *op, const struct mem_object *obj)
{
	int r;

	if (op->cond == PUT_IF_ABSENT && obj)
		return STORE_EXISTS;
	if (op->cond == PUT_IF_MATCH && (!obj || !matches(op, obj)))
		return STORE_CHANGED;
	r = mem_objects_put(o, op->name, op->body, &op->meta);
	if (r == 0)
		tell_version(op, mem_objects_find(o, op->name));
	return r;
}

static int run_remove(struct mem_objects *o, struct mem_op *op, const struct mem_object *obj)
{
	if (op->has_match && (!obj || !matches(op, obj)))
		return STORE_CHANGED;
	mem_objects_remove(o, op->name);
	return 0;
}

/* The object that is read for another one: 0, STORE_MISSING, STORE_CHANGED. */
static int find_source(struct mem_objects *o, const struct mem_op *op, struct mem_object **ret)
{
	struct mem_object *from = mem_objects_find(o, op->from);
	struct mem_op now = { 0 };

	if (!from)
		return STORE_MISSING;
	tell_version(&now, from);
	if (op->from_match[0] && strcmp(op->from_match, now.version) != 0)
		return STORE_CHANGED;
	*ret = from;
	return 0;
}

static int run_copy(struct mem_objects *o, struct mem_op *op, const struct mem_object *obj)
{
	struct mem_object *from;
	int r = find_source(o, op, &from);

	if (r)
		return r;
	op->body = blob_ref(from->body);
	if (op->keep_meta)
		op->meta = from->meta;
	return run_put(o, op, obj);
}

/* As at S3: it has another version then. */
static int run_describe(struct mem_objects *o, struct mem_op *op)
{
	struct mem_object *obj = mem_objects_find(o, op->name);
	struct object_meta m;

	if (!obj)
		return STORE_MISSING;
	if (!matches(op, obj))
		return STORE_CHANGED;
	m = op->meta;
	m.content_type[0] = m.writer[0] = '\0';
	object_meta_over(&m, &obj->meta);
	obj->version = ++o->version;
	tell_version(op, obj);
	return 0;
}

/* ---- uploads ---- */

static int run_begin(struct mem_objects *o, struct mem_op *op)
{
	struct mem_upload *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	snprintf(u->id, sizeof(u->id), "u%llu", (unsigned long long)++o->version);
	op->upload->id = strdup(u->id);
	u->next = o->uploads;
	o->uploads = u;
	return op->upload->id ? 0 : -ENOMEM;
}

static struct mem_upload **place_of(struct mem_objects *o, const struct mem_op *op)
{
	struct mem_upload **at = &o->uploads;

	while (*at && (!op->upload->id || strcmp((*at)->id, op->upload->id) != 0))
		at = &(*at)->next;
	return at;
}

static int part_of_source(struct mem_objects *o, struct mem_op *op)
{
	struct mem_object *from;
	int r = find_source(o, op, &from);

	if (r)
		return r;
	if (op->offset + op->length > blob_span(from->body).len)
		return -EIO;
	op->body = blob_copy(span_sub(blob_span(from->body), op->offset, op->length));
	return op->body ? 0 : -ENOMEM;
}

static int run_part(struct mem_objects *o, struct mem_op *op)
{
	struct mem_upload *u = *place_of(o, op);
	int r = u && !op->body ? part_of_source(o, op) : 0;

	if (!u)
		return STORE_GONE;
	if (r)
		return r;
	if (op->index >= u->n) {
		u->parts = reallocarray(u->parts, op->index + 1, sizeof(*u->parts));
		if (!u->parts)
			abort(); /* tests have memory */
		memset(u->parts + u->n, 0, (op->index + 1 - u->n) * sizeof(*u->parts));
		u->n = op->index + 1;
	}
	blob_unref(u->parts[op->index]);
	u->parts[op->index] = blob_ref(op->body);
	return 0;
}

/* NULL: one is missing, or no memory. */
static struct blob *join(const struct mem_upload *u)
{
	_cleanup_buf_ struct buf all = BUF_INIT(SIZE_MAX);

	for (unsigned i = 0; i < u->n; i++)
		if (!u->parts[i] || buf_add_span(&all, blob_span(u->parts[i])))
			return NULL;
	return blob_copy(buf_span(&all));
}

static void drop(struct mem_upload **at)
{
	struct mem_upload *u = *at;

	*at = u->next;
	upload_free(u);
}

static int run_finish(struct mem_objects *o, struct mem_op *op, const struct mem_object *obj)
{
	struct mem_upload **at = place_of(o, op);
	int r;

	if (!*at)
		return STORE_GONE;
	op->body = join(*at);
	op->meta = op->upload->meta;
	r = op->body ? run_put(o, op, obj) : -EIO;
	if (r == 0)
		drop(at);
	return r;
}

static int run_abort(struct mem_objects *o, struct mem_op *op)
{
	struct mem_upload **at = place_of(o, op);

	if (*at)
		drop(at);
	return 0;
}

/* The entry that a name is listed as: itself, or the common prefix that it stands for. */
static size_t entry_length(const struct mem_op *op, struct span name)
{
	const size_t from = strlen(op->name);
	const uint8_t *cut;

	if (!op->delimiter)
		return name.len;
	cut = memchr(name.data + from, op->delimiter, name.len - from);
	return cut ? (size_t)(cut - name.data) + 1 : name.len;
}

static int add_entry(struct mem_op *op, struct span name, bool is_prefix,
		     const struct mem_object *obj)
{
	struct list_entry *e = reallocarray(op->entries, op->n_entries + 1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	op->entries = e;
	e += op->n_entries;
	*e = (struct list_entry){ .is_prefix = is_prefix,
				  .name = strndup((const char *)name.data, name.len) };
	if (!e->name)
		return -ENOMEM;
	if (!is_prefix) {
		e->size = blob_span(obj->body).len;
		e->modified_s = obj->modified_s;
		snprintf(e->version, sizeof(e->version), "v%llu", (unsigned long long)obj->version);
	}
	op->n_entries++;
	return 0;
}

static int run_list(struct mem_objects *o, struct mem_op *op)
{
	const struct span prefix = span_str(op->name);
	const unsigned max = op->max ? op->max : o->page ?: PAGE_DEFAULT;
	struct span last = span_str(op->after);
	struct map_entry e;
	bool more = map_seek(o->map, op->after[0] ? last : prefix, op->after[0], &e);

	for (; more; more = map_seek(o->map, e.key, true, &e)) {
		const bool before = span_compare(e.key, prefix) < 0;
		struct span entry;

		if (!before && !span_starts(e.key, prefix))
			break;
		if (before)
			continue;
		entry = span_sub(e.key, 0, entry_length(op, e.key));
		if (span_equal(entry, last) ||
		    (op->after[0] && span_compare(entry, span_str(op->after)) <= 0))
			continue;
		if (op->n_entries == max) {
			op->next_token = strdup(op->entries[max - 1].name);
			return op->next_token ? 0 : -ENOMEM;
		}
		if (add_entry(op, entry,
			      op->delimiter && entry.len > prefix.len &&
				      entry.data[entry.len - 1] == (uint8_t)op->delimiter,
			      object_of(e.value)))
			return -ENOMEM;
		last = span_str(op->entries[op->n_entries - 1].name);
	}
	return 0;
}

static int run(struct mem_objects *o, struct mem_op *op)
{
	const struct mem_object *obj = mem_objects_find(o, op->name);

	switch (op->op) {
	case STORE_GET:
		return run_get(op, obj);
	case STORE_PUT:
		return run_put(o, op, obj);
	case STORE_HEAD:
		return run_head(o, op, obj);
	case STORE_LIST:
		return run_list(o, op);
	case STORE_REMOVE:
		return run_remove(o, op, obj);
	case STORE_COPY:
		return run_copy(o, op, obj);
	case STORE_DESCRIBE:
		return run_describe(o, op);
	case STORE_UPLOAD_BEGIN:
		return run_begin(o, op);
	case STORE_UPLOAD_PART:
		return run_part(o, op);
	case STORE_UPLOAD_FINISH:
		return run_finish(o, op, obj);
	case STORE_UPLOAD_ABORT:
		return run_abort(o, op);
	}
	return -EINVAL;
}

void mem_objects_run(struct mem_objects *o, struct mem_op *op)
{
	op->result = o->gone ? -EIO : run(o, op);
}

void mem_op_release(struct mem_op *op)
{
	blob_unref(op->body);
	store_upload_unref(op->upload);
	buf_release(&op->bytes);
	for (size_t i = 0; i < op->n_entries; i++)
		free(op->entries[i].name);
	free(op->entries);
	free(op->next_token);
}
