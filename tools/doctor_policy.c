/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/doctor.h"

#include <stdio.h>

#include "backends/uri.h"
#include "tools/ui.h"

/*
 * Readers write nothing, writers delete nothing, gc alone deletes: so a stolen training node cannot
 * destroy the volume. A writer needs no right to replace either, where a provider tells the two
 * apart.
 */
enum role { READER, WRITER, GC, ROLES };
static const char *const roles[] = { "reader", "writer", "gc" };

/* Right `n` of a role, NULL behind the last. */
static const char *const s3_objects[ROLES][4] = {
	{ "s3:GetObject" },
	{ "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload" },
	{ "s3:GetObject", "s3:DeleteObject" },
};
static const char *const azure_actions[ROLES][4] = {
	{ "read" },
	{ "read", "write", "add/action" },
	{ "read", "delete" },
};
static const char *const gcs_rights[ROLES][4] = {
	{ "storage.objects.get", "storage.objects.list" },
	{ "storage.objects.get", "storage.objects.list", "storage.objects.create" },
	{ "storage.objects.get", "storage.objects.list", "storage.objects.delete" },
};

/* {"Effect": "Allow", "Action": [...], "Resource": ...} */
static struct json *statement(const char *const *actions, const char *resource)
{
	struct json *one = json_object_new(), *list = json_array_new();

	for (size_t i = 0; i < 4 && actions[i]; i++)
		json_append_str(list, actions[i]);
	json_set_str(one, "Effect", "Allow");
	json_set(one, "Action", list);
	json_set_str(one, "Resource", resource);
	return one;
}

static struct json *s3_policy(const struct uri *u, enum role role)
{
	static const char *const listing[4] = { "s3:ListBucket" };
	struct json *j = json_object_new(), *all = json_array_new(), *bucket, *cond, *like;
	char arn[512], prefix[512];

	snprintf(arn, sizeof(arn), "arn:aws:s3:::%s/%s%s*", u->authority, u->path,
		 *u->path ? "/" : "");
	snprintf(prefix, sizeof(prefix), "%s%s*", u->path, *u->path ? "/" : "");
	json_append(all, statement(s3_objects[role], arn));
	snprintf(arn, sizeof(arn), "arn:aws:s3:::%s", u->authority);
	/* also what tells an absent object from a forbidden one */
	bucket = statement(listing, arn);
	cond = json_object_new();
	like = json_object_new();
	json_set_str(like, "s3:prefix", prefix);
	json_set(cond, "StringLike", like);
	json_set(bucket, "Condition", cond);
	json_append(all, bucket);
	json_set_str(j, "Version", "2012-10-17");
	json_set(j, "Statement", all);
	return j;
}

static struct json *azure_policy(const struct uri *u, enum role role)
{
	struct json *j = json_object_new(), *list = json_array_new(), *scope = json_array_new();
	char text[512];

	for (size_t i = 0; i < 4 && azure_actions[role][i]; i++) {
		snprintf(text, sizeof(text),
			 "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/%s",
			 azure_actions[role][i]);
		json_append_str(list, text);
	}
	snprintf(text, sizeof(text), "Mangrove %s", roles[role]);
	json_set_str(j, "Name", text);
	json_set(j, "DataActions", list);
	snprintf(text, sizeof(text),
		 "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Storage/"
		 "storageAccounts/%s/blobServices/default/containers/%.*s",
		 u->authority, (int)strcspn(u->path, "/"), u->path);
	json_append_str(scope, text);
	json_set(j, "AssignableScopes", scope);
	return j;
}

static struct json *gcs_policy(const struct uri *u, enum role role)
{
	struct json *j = json_object_new(), *list = json_array_new();
	char text[512];

	snprintf(text, sizeof(text), "Mangrove %s", roles[role]);
	json_set_str(j, "title", text);
	for (size_t i = 0; i < 4 && gcs_rights[role][i]; i++)
		json_append_str(list, gcs_rights[role][i]);
	json_set(j, "includedPermissions", list);
	snprintf(text, sizeof(text), "gs://%s", u->authority);
	json_set_str(j, "grantedOn", text);
	return j;
}

static struct json *policy_of(const struct config_store *s, enum role role)
{
	_cleanup_uri_ struct uri u = {};
	char err[512];

	if (uri_parse(s->url, &u, err, sizeof(err)))
		return NULL;
	if (!strcmp(u.scheme, "s3"))
		return s3_policy(&u, role);
	if (!strcmp(u.scheme, "azblob"))
		return azure_policy(&u, role);
	if (!strcmp(u.scheme, "gs"))
		return gcs_policy(&u, role);
	return NULL; /* a folder has modes */
}

int doctor_policy(const struct config *cfg, const char *role)
{
	_cleanup_(json_freep) struct json *all = json_object_new();
	_cleanup_buf_ struct buf text = BUF_INIT(MiB);
	enum role r = READER;

	while (r < ROLES && strcmp(roles[r], role) != 0)
		r++;
	if (r == ROLES) {
		ui_error("--policy %s: expected reader, writer or gc", role);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < cfg->n_stores; i++) {
		struct json *one = policy_of(&cfg->stores[i], r);

		if (one)
			json_set(all, cfg->stores[i].name, one);
	}
	if (json_write(all, 2, &text))
		return EXIT_FAILED;
	printf("%s\n", buf_str(&text));
	return EXIT_DONE;
}
