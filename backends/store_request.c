/* SPDX-License-Identifier: Apache-2.0 */
/* A request to a store: can it be asked at all, until when, and who is to answer it. */
#include "backends/store_i.h"

bool store_name_is_good(struct span name)
{
	return name.len > 0 && name.len <= STORE_NAME_MAX && !memchr(name.data, 0, name.len);
}

/* A version goes into a header: nothing may break out of the line. */
bool store_version_is_good(const char *v)
{
	size_t n = strnlen(v, STORE_VERSION_MAX);

	if (n == 0 || n == STORE_VERSION_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)v[i] < 0x21 || (unsigned char)v[i] > 0x7e)
			return false;
	return true;
}

bool store_cond_is_good(enum put_cond cond, const char *if_match)
{
	return cond == PUT_IF_MATCH ? if_match && store_version_is_good(if_match) : !if_match;
}

static bool meta_is_good(const struct object_meta *m)
{
	return !m || object_meta_is_good(m);
}

static bool copy_is_good(const struct store *s, const struct copy_req *r)
{
	return s->ops->copy && store_name_is_good(r->from) && store_name_is_good(r->to) &&
	       !span_equal(r->from, r->to) &&
	       (!r->from_match || store_version_is_good(r->from_match)) &&
	       store_cond_is_good(r->cond, r->if_match) && meta_is_good(r->meta);
}

static bool describe_is_good(const struct store *s, const struct describe_req *r)
{
	return s->ops->describe && store_name_is_good(r->name) && r->meta &&
	       object_meta_is_good(r->meta) && (!r->if_match || store_version_is_good(r->if_match));
}

static bool list_is_good(const struct list_req *r)
{
	return r->prefix.len <= STORE_NAME_MAX && r->after.len <= STORE_NAME_MAX &&
	       (r->delimiter == 0 || r->delimiter == '/') &&
	       !(r->prefix.len && memchr(r->prefix.data, 0, r->prefix.len)) &&
	       !(r->after.len && memchr(r->after.data, 0, r->after.len));
}

bool store_request_is_good(const struct store *s, const struct store_request *r)
{
	switch (r->op) {
	case STORE_GET:
		return store_name_is_good(r->get.name) && r->get.offset <= INT64_MAX &&
		       r->get.length <= INT64_MAX - r->get.offset &&
		       (!r->get.if_match || store_version_is_good(r->get.if_match));
	case STORE_PUT:
		return store_name_is_good(r->put.name) && r->put.body &&
		       store_cond_is_good(r->put.cond, r->put.if_match) &&
		       meta_is_good(r->put.meta);
	case STORE_HEAD:
		return store_name_is_good(r->head.name);
	case STORE_LIST:
		return list_is_good(&r->list);
	case STORE_REMOVE:
		return store_name_is_good(r->remove.name) &&
		       (!r->remove.if_match || store_version_is_good(r->remove.if_match));
	case STORE_COPY:
		return copy_is_good(s, &r->copy);
	case STORE_DESCRIBE:
		return describe_is_good(s, &r->describe);
	case STORE_UPLOAD_BEGIN:
	case STORE_UPLOAD_PART:
	case STORE_UPLOAD_FINISH:
	case STORE_UPLOAD_ABORT:
		return true; /* upload.c has looked */
	}
	return false;
}

uint64_t store_request_deadline(const struct store_request *r)
{
	switch (r->op) {
	case STORE_GET:
		return r->get.deadline_ns;
	case STORE_PUT:
		return r->put.deadline_ns;
	case STORE_HEAD:
		return r->head.deadline_ns;
	case STORE_LIST:
		return r->list.deadline_ns;
	case STORE_REMOVE:
		return r->remove.deadline_ns;
	case STORE_COPY:
		return r->copy.deadline_ns;
	case STORE_DESCRIBE:
		return r->describe.deadline_ns;
	case STORE_UPLOAD_BEGIN:
		return r->begin.deadline_ns;
	case STORE_UPLOAD_PART:
		return r->part.deadline_ns;
	case STORE_UPLOAD_FINISH:
	case STORE_UPLOAD_ABORT:
		return r->deadline_ns;
	}
	return 0;
}

void store_dispatch(struct store *s, const struct store_request *r, struct store_call *c)
{
	switch (r->op) {
	case STORE_GET:
		s->ops->get(s, &r->get, c);
		break;
	case STORE_PUT:
		s->ops->put(s, &r->put, c);
		break;
	case STORE_HEAD:
		s->ops->head(s, &r->head, c);
		break;
	case STORE_LIST:
		s->ops->list(s, &r->list, c);
		break;
	case STORE_REMOVE:
		s->ops->remove(s, &r->remove, c);
		break;
	case STORE_COPY:
		s->ops->copy(s, &r->copy, c);
		break;
	case STORE_DESCRIBE:
		s->ops->describe(s, &r->describe, c);
		break;
	case STORE_UPLOAD_BEGIN:
		s->ops->upload_begin(s, &r->begin, c);
		break;
	case STORE_UPLOAD_PART:
		s->ops->upload_part(s, &r->part, c);
		break;
	case STORE_UPLOAD_FINISH:
		s->ops->upload_finish(s, r->deadline_ns, c);
		break;
	case STORE_UPLOAD_ABORT:
		s->ops->upload_abort(s, r->deadline_ns, c);
		break;
	}
}
