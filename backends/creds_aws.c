/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where AWS's own tools look for credentials, in their order: environment, web identity,
 * profile, container, instance. A file or profile of the store's configuration stands alone.
 */
#include "backends/creds_aws_i.h"
#include "base/ini.h"
#include "base/log.h"

#include <stdio.h>
#include <strings.h>

#define SOURCES_DEEP 5 /* a role of a role of a role ... */

static const char *profile_name(const struct aws *a)
{
	const char *of_env = creds_env("AWS_PROFILE");

	return a->profile ? a->profile : of_env ? of_env : "default";
}

/* ---- the shared files ---- */

struct section {
	const char *name;
	struct pairs *ret;
	bool found;
};

static int on_key(const char *section, const char *name, const char *value, int line, void *arg)
{
	struct section *s = arg;
	bool ours = strcmp(section, s->name) == 0 ||
		    (strncmp(section, "profile ", 8) == 0 && strcmp(section + 8, s->name) == 0);

	if (!ours)
		return 0;
	s->found = true;
	if (name && value[0] &&
	    !pairs_get(s->ret, name)) /* the first word stands: credentials before config */
		pairs_add(s->ret, name, value);
	return pairs_error(s->ret);
}

static int read_section(const char *file, struct section *s, struct aws_answer *ret)
{
	int line = 0, error = ini_read(file, on_key, s, &line);

	if (error == -EBADMSG)
		return aws_answer_error(ret, -EACCES, "%s:%d is not INI", file, line);
	if (error == -EACCES || error == -EPERM)
		return aws_answer_error(ret, -EACCES, "%s cannot be read", file);
	return error == -ENOMEM ? error : 0;
}

static int read_default_file(const char *env, const char *below_home, struct section *s,
			     struct aws_answer *ret)
{
	const char *file = creds_env(env), *home = creds_env("HOME");
	_cleanup_free_ char *path = NULL;

	if (!file) {
		if (asprintf(&path, "%s/.aws/%s", home ? home : "/root", below_home) < 0) {
			path = NULL;
			return fail(-ENOMEM);
		}
		file = path;
	}
	return read_section(file, s, ret);
}

/* 0 with the profile's keys; AWS_NEXT: there is no such profile. */
static int profile_read(const struct aws *a, const char *name, struct pairs *ret_keys,
			struct aws_answer *ret)
{
	struct section s = { .name = name, .ret = ret_keys };
	int error;

	if (a->file) {
		error = read_section(a->file, &s, ret);
	} else {
		error = read_default_file("AWS_SHARED_CREDENTIALS_FILE", "credentials", &s, ret);
		if (error == 0)
			error = read_default_file("AWS_CONFIG_FILE", "config", &s, ret);
	}
	return error < 0 ? error : s.found ? 0 : AWS_NEXT;
}

/* ---- one profile ---- */

static int from_env(struct aws_answer *ret)
{
	const char *id = creds_env("AWS_ACCESS_KEY_ID"),
		   *secret = creds_env("AWS_SECRET_ACCESS_KEY");

	if (!id || !secret)
		return AWS_NEXT;
	ret->value = creds_value_new(CREDS_AWS, id, secret, creds_env("AWS_SESSION_TOKEN"), 0);
	return ret->value ? 0 : fail(-ENOMEM);
}

static int from_profile(struct creds *c, const struct aws *a, const char *name, bool local,
			unsigned deep, struct aws_answer *ret);

/* Who signs for the role: another profile, or where the machine runs. */
static int role_signer(struct creds *c, const struct aws *a, const struct pairs *keys,
		       const char *name, unsigned deep, struct aws_answer *ret)
{
	const char *profile = pairs_get(keys, "source_profile"),
		   *source = pairs_get(keys, "credential_source");
	int result = AWS_NEXT;

	if (profile && strcmp(profile, name) == 0 && pairs_get(keys, "aws_access_key_id")) {
		ret->value = creds_value_new(CREDS_AWS, pairs_get(keys, "aws_access_key_id"),
					     pairs_get(keys, "aws_secret_access_key"),
					     pairs_get(keys, "aws_session_token"), 0);
		return ret->value ? 0 : fail(-ENOMEM);
	}
	if (profile)
		result = from_profile(c, a, profile, false, deep + 1, ret);
	else if (source && strcmp(source, "Environment") == 0)
		result = from_env(ret);
	else if (source && strcmp(source, "Ec2InstanceMetadata") == 0)
		result = aws_from_instance(c, ret);
	else if (source && strcmp(source, "EcsContainer") == 0)
		result = aws_from_container(c, ret);
	if (result == AWS_NEXT)
		result = aws_answer_error(ret, -EACCES,
					  "profile %s: nobody to sign for role_arn "
					  "(source_profile or credential_source)",
					  name);
	return result;
}

static int from_role(struct creds *c, const struct aws *a, const struct pairs *keys,
		     const char *name, unsigned deep, struct aws_answer *ret)
{
	_cleanup_(creds_value_unrefp) struct creds_value *signer = NULL;
	const struct aws_role role = {
		.arn = pairs_get(keys, "role_arn"),
		.session_name = pairs_get(keys, "role_session_name"),
		.external_id = pairs_get(keys, "external_id"),
		.duration_s = pairs_get(keys, "duration_seconds"),
		.token_file = pairs_get(keys, "web_identity_token_file"),
	};
	int result = 0;

	if (!role.token_file) {
		result = role_signer(c, a, keys, name, deep, ret);
		signer = take_ptr(&ret->value);
	}
	return result ? result : aws_assume_role(c, a, &role, signer, ret);
}

static int from_process(struct creds *c, const char *command, struct aws_answer *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);
	int error = creds_process(c, command, &text);

	if (error == -EACCES)
		return aws_answer_error(ret, error, "credential_process failed");
	return error < 0 ? error : aws_parse_json(buf_span(&text), ret);
}

static int from_profile(struct creds *c, const struct aws *a, const char *name, bool local,
			unsigned deep, struct aws_answer *ret)
{
	_cleanup_pairs_ struct pairs keys = {};
	const char *process, *id, *secret;
	int result = deep > SOURCES_DEEP
			     ? aws_answer_error(ret, -EACCES,
						"profile %s: source_profile goes round in a circle",
						name)
			     : profile_read(a, name, &keys, ret);

	if (result)
		return result;
	process = pairs_get(&keys, "credential_process");
	id = pairs_get(&keys, "aws_access_key_id");
	secret = pairs_get(&keys, "aws_secret_access_key");
	if (local && (pairs_get(&keys, "role_arn") || (process && !id)))
		return CREDS_LATER;
	if (pairs_get(&keys, "role_arn"))
		return from_role(c, a, &keys, name, deep, ret);
	if (id && secret) {
		ret->value = creds_value_new(CREDS_AWS, id, secret,
					     pairs_get(&keys, "aws_session_token"), 0);
		return ret->value ? 0 : fail(-ENOMEM);
	}
	if (process)
		return from_process(c, process, ret);
	if (pairs_get(&keys, "sso_session") || pairs_get(&keys, "sso_start_url"))
		return aws_answer_error(ret, -EACCES,
					"profile %s uses SSO: add credential_process = "
					"aws configure export-credentials --profile %s",
					name, name);
	return AWS_NEXT;
}

/* ---- the chain ---- */

static int from_web_identity(struct creds *c, const struct aws *a, bool local,
			     struct aws_answer *ret)
{
	const struct aws_role role = {
		.arn = creds_env("AWS_ROLE_ARN"),
		.session_name = creds_env("AWS_ROLE_SESSION_NAME"),
		.token_file = creds_env("AWS_WEB_IDENTITY_TOKEN_FILE"),
	};

	if (!role.arn || !role.token_file)
		return AWS_NEXT;
	return local ? CREDS_LATER : aws_assume_role(c, a, &role, NULL, ret);
}

static int explicit_profile(struct creds *c, const struct aws *a, bool local,
			    struct aws_answer *ret)
{
	int result = from_profile(c, a, profile_name(a), local, 0, ret);

	if (result == AWS_NEXT)
		return aws_answer_error(ret, -EACCES, "no credentials for profile %s%s%s",
					profile_name(a), a->file ? " in " : "",
					a->file ? a->file : "");
	return result;
}

static int chain(struct creds *c, const struct aws *a, bool local, struct aws_answer *ret)
{
	int result;

	if (a->file || a->profile)
		return explicit_profile(c, a, local, ret);
	result = from_env(ret);
	if (result == AWS_NEXT)
		result = from_web_identity(c, a, local, ret);
	if (result == AWS_NEXT)
		result = from_profile(c, a, profile_name(a), local, 0, ret);
	if (result != AWS_NEXT)
		return result;
	if (local)
		return CREDS_LATER;
	result = aws_from_container(c, ret);
	if (result == AWS_NEXT)
		result = aws_from_instance(c, ret);
	if (result == AWS_NEXT)
		result = aws_answer_error(
			ret, -EACCES,
			"no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
			"a profile, or credentials = FILE");
	return result;
}

static int aws_fetch(struct creds *c, void *self, bool local, struct creds_value **ret, char *err,
		     size_t err_size)
{
	struct aws_answer answer = { .err = err, .err_size = err_size };
	int result = chain(c, self, local, &answer);

	if (result == 0)
		*ret = answer.value;
	else
		creds_value_unref(answer.value);
	return result;
}

static void aws_free(void *self)
{
	struct aws *a = self;

	free(a->file);
	free(a->profile);
	free(a->region);
	free(a->ca_file);
	free(a);
}

static const struct creds_source source = { .fetch = aws_fetch, .free = aws_free };

static struct aws *aws_new(const struct creds_aws_options *o)
{
	struct aws *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->file = o->file ? strdup(o->file) : NULL;
	a->profile = o->profile ? strdup(o->profile) : NULL;
	a->region = strdup(o->region && o->region[0] ? o->region : "us-east-1");
	a->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
	if ((o->file && !a->file) || (o->profile && !a->profile) || !a->region ||
	    (o->ca_file && !a->ca_file)) {
		aws_free(a);
		return NULL;
	}
	return a;
}

int creds_aws_new(const struct creds_aws_options *o, struct creds **ret, char *err, size_t err_size)
{
	struct aws *a = aws_new(o);

	return a ? creds_new(&source, a, ret, err, err_size) : fail(-ENOMEM);
}

int creds_aws_setting(const struct creds_aws_options *o, const char *key, char **ret)
{
	struct aws a = { .file = (char *)o->file, .profile = (char *)o->profile };
	_cleanup_pairs_ struct pairs keys = {};
	char err[256];
	struct aws_answer answer = { .err = err, .err_size = sizeof(err) };
	const char *value;

	if (profile_read(&a, profile_name(&a), &keys, &answer) != 0)
		return -ENOENT;
	value = pairs_get(&keys, key);
	if (!value)
		return -ENOENT;
	*ret = strdup(value);
	return *ret ? 0 : fail(-ENOMEM);
}
