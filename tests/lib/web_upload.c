/* SPDX-License-Identifier: Apache-2.0 */
#include "web_upload.h"

#include "web_text.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct web_uploads {
	struct {
		pthread_mutex_t lock;
		struct web_upload *all;
	} sync;
};

struct web_uploads *web_uploads_new(void)
{
	struct web_uploads *uploads = web_alloc(sizeof(*uploads));
	pthread_mutex_init(&uploads->sync.lock, NULL);
	return uploads;
}

static void parts_clear(struct web_upload *upload)
{
	for (size_t i = 0; i < upload->nparts; i++) {
		free(upload->parts[i].name);
		web_blob_unref(upload->parts[i].blob);
	}
	free(upload->parts);
	upload->parts = NULL;
	upload->nparts = 0;
}

static void upload_free(struct web_upload *upload)
{
	parts_clear(upload);
	web_object_unref(upload->model);
	free(upload->conditions);
	free(upload->description);
	free(upload->result);
	free(upload->id);
	free(upload->bucket);
	free(upload->key);
	free(upload);
}

void web_uploads_free(struct web_uploads *uploads)
{
	if (!uploads)
		return;
	for (struct web_upload *upload = uploads->sync.all, *next; upload; upload = next) {
		next = upload->next;
		upload_free(upload);
	}
	pthread_mutex_destroy(&uploads->sync.lock);
	free(uploads);
}

static struct web_upload **place_locked(struct web_uploads *uploads, const char *id)
{
	struct web_upload **place = &uploads->sync.all;
	while (*place && strcmp((*place)->id, id) != 0)
		place = &(*place)->next;
	return place;
}

struct web_upload *web_uploads_lock(struct web_uploads *uploads, const char *id)
{
	pthread_mutex_lock(&uploads->sync.lock);
	struct web_upload *upload = *place_locked(uploads, id);
	if (!upload)
		pthread_mutex_unlock(&uploads->sync.lock);
	return upload;
}

struct web_upload *web_uploads_begin(struct web_uploads *uploads, const char *id,
				     const char *bucket, const char *key)
{
	pthread_mutex_lock(&uploads->sync.lock);
	struct web_upload **place = place_locked(uploads, id);
	if (!*place) {
		*place = web_alloc(sizeof(**place));
		(*place)->id = web_strdup(id);
		(*place)->bucket = web_strdup(bucket);
		(*place)->key = web_strdup(key);
	}
	return *place;
}

void web_uploads_unlock(struct web_uploads *uploads)
{
	pthread_mutex_unlock(&uploads->sync.lock);
}

void web_uploads_forget(struct web_uploads *uploads, const char *id)
{
	pthread_mutex_lock(&uploads->sync.lock);
	struct web_upload **place = place_locked(uploads, id), *upload = *place;
	if (upload)
		*place = upload->next;
	pthread_mutex_unlock(&uploads->sync.lock);
	if (upload)
		upload_free(upload);
}

void web_uploads_each(struct web_uploads *uploads,
		      void (*each)(const struct web_upload *, void *arg), void *arg)
{
	pthread_mutex_lock(&uploads->sync.lock);
	for (const struct web_upload *upload = uploads->sync.all; upload; upload = upload->next)
		if (!upload->result)
			each(upload, arg);
	pthread_mutex_unlock(&uploads->sync.lock);
}

static struct web_part *part_find(const struct web_upload *upload, const char *name)
{
	for (size_t i = 0; i < upload->nparts; i++)
		if (strcmp(upload->parts[i].name, name) == 0)
			return &upload->parts[i];
	return NULL;
}

struct web_part *web_upload_add(struct web_upload *upload, const char *name,
				struct web_blob *blob, const uint8_t *data, size_t len)
{
	struct web_part *part = part_find(upload, name);
	if (part) {
		upload->len -= part->len;
		web_blob_unref(part->blob);
	} else {
		size_t n = upload->nparts++;
		upload->parts = realloc(upload->parts, (n + 1) * sizeof(*upload->parts));
		if (!upload->parts)
			abort();
		part = &upload->parts[n];
		*part = (struct web_part){ .name = web_strdup(name) };
	}
	part->blob = web_blob_ref(blob);
	part->data = data;
	part->len = len;
	upload->len += len;
	return part;
}

const struct web_part *web_upload_part(const struct web_upload *upload, const char *name)
{
	return part_find(upload, name);
}

void web_upload_finish(struct web_upload *upload, const char *result)
{
	parts_clear(upload);
	upload->result = web_strdup(result);
}

struct web_blob *web_parts_join(const struct web_part *const *parts, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++)
		len += parts[i]->len;
	struct web_blob *blob = web_blob_new(len);
	if (!blob)
		return NULL;
	uint8_t *at = blob->data;
	for (size_t i = 0; i < n; i++) {
		memcpy(at, parts[i]->data, parts[i]->len);
		at += parts[i]->len;
	}
	return blob;
}
