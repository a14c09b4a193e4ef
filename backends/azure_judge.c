/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer of Azure means.
 *
 * (J1) The error code decides, never the status alone: 409 and 412 each mean many things here.
 * (J2) The code is taken from its header, which a HEAD has as well, or else from the body.
 */
#include "backends/azure_i.h"

#include <stdio.h>

#define SKEW_S 300 /* a larger difference explains a refusal */

static bool is_creation(enum store_op op)
{
	return op == STORE_PUT || op == STORE_UPLOAD_PART || op == STORE_UPLOAD_FINISH;
}

static int succeeded(struct exchange *x)
{
	struct store_call *c = x->call;
	struct listing l = {};
	struct span etag = SPAN_NULL, folder = SPAN_NULL, md5 = SPAN_NULL;
	int error;

	(void)request_header(x->req, "etag", &etag);
	etag_copy(etag, c->version);
	if (c->op == STORE_GET || c->op == STORE_HEAD)
		exchange_read_meta(x, AZURE_META);
	if (c->op == STORE_GET)
		return exchange_got(x);
	if (c->op == STORE_COPY) /* looked: what is in the copy's way */
		return x->looked ? STORE_EXISTS : azure_copied(x);
	if (c->op == STORE_LIST) {
		error = listing_parse_azure(buf_span(&x->req->text), &l);
		return exchange_listed(x, error, &l);
	}
	if (c->op == STORE_DESCRIBE && x->req->method == HTTP_HEAD)
		return azure_described(x);
	/* who says "created" alone has stored it */
	if (is_creation(c->op) && x->req->status != 201) {
		exchange_explain(x, "an answer that means nothing to a put");
		return x->writes ? STORE_UNKNOWN : -EAGAIN;
	}
	c->modified_s = request_header_date(x->req, "last-modified");
	if (request_header(x->req, "x-ms-meta-hdi_isfolder", &folder))
		c->is_folder = span_equal(folder, SPAN_LITERAL("true"));
	if (c->op == STORE_HEAD && request_header(x->req, "content-md5", &md5))
		exchange_read_md5(x, md5);
	if (c->op == STORE_HEAD && request_header_uint(x->req, "content-length", &c->size) < 0)
		return exchange_because(x, fail(-EIO), "no length");
	return 0;
}

/* (J2) */
static void read_fault(struct exchange *x)
{
	char code[64], *end;

	fault_parse_xml(buf_span(&x->req->text), &x->fault);
	if (request_header_copy(x->req, "x-ms-error-code", code, sizeof(code))[0])
		memcpy(x->fault.code, code, sizeof(code));
	end = strstr(x->fault.message, " RequestId:"); /* of no use to people */
	if (end)
		*end = '\0';
}

static bool clocks_differ(const struct exchange *x)
{
	uint64_t theirs = request_header_date(x->req, "date"), ours = web_now(x->web);

	return theirs && (theirs > ours ? theirs - ours : ours - theirs) > SKEW_S;
}

static int refused_credentials(struct exchange *x)
{
	const char *code = x->fault.code;

	if (x->req->status == 401)
		return x->value ? AGAIN_RENEW
				: exchange_because(x, -EACCES, "credentials are needed");
	if (strcmp(code, "AuthenticationFailed") == 0 && clocks_differ(x))
		return AGAIN_CLOCK;
	if (strcmp(code, "AuthenticationFailed") == 0 && x->value && x->value->kind != CREDS_KEY)
		return AGAIN_RENEW; /* expired */
	if (strcmp(code, "AuthenticationFailed") == 0 || strcmp(code, "AuthorizationFailure") == 0)
		return exchange_because(x, -EACCES,
					"the account key is wrong, or a firewall keeps us out");
	if (strcmp(code, "AuthorizationPermissionMismatch") == 0)
		return exchange_because(
			x, -EACCES, "the identity lacks the role Storage Blob Data Contributor");
	if (strcmp(code, "KeyBasedAuthenticationNotPermitted") == 0)
		return exchange_because(
			x, -EACCES,
			"the account allows no keys: use a client secret or a managed identity");
	return exchange_because(x, -EACCES, NULL);
}

static int missing(struct exchange *x)
{
	const char *code = x->fault.code;

	if (strcmp(code, "ContainerNotFound") == 0)
		return exchange_because(x, fail(-EIO),
					"create the container first, or correct its name");
	if (x->call->op == STORE_COPY &&
	    x->looked) /* nothing is in its way: so it was the source */
		return STORE_CHANGED;
	/* its source; the other would be a condition */
	if (x->call->op == STORE_COPY ||
	    (x->call->op == STORE_UPLOAD_PART && pairs_get(&x->req->headers, "x-ms-copy-source")))
		return STORE_MISSING;
	if (strcmp(code, "BlobNotFound") != 0)
		return exchange_because(x, fail(-EIO), "it does not say what is missing");
	switch (x->call->op) {
	case STORE_REMOVE:
		return x->conditional ? STORE_CHANGED : 0;
	case STORE_GET:
	case STORE_HEAD:
	case STORE_DESCRIBE:
		return STORE_MISSING;
	case STORE_PUT:
	case STORE_UPLOAD_FINISH:
		if (x->conditional)
			return STORE_CHANGED;
		break;
	default: /* they need no blob */
		break;
	}
	return exchange_because(x, fail(-EIO), NULL);
}

/* (J1) */
static int conflict(struct exchange *x)
{
	const char *code = x->fault.code;
	bool creates = x->cond == PUT_IF_ABSENT;

	if (x->source_match &&
	    (strcmp(code, "SourceConditionNotMet") == 0 ||
	     (strcmp(code, "CannotVerifyCopySource") == 0 && x->call->op == STORE_COPY)))
		return STORE_CHANGED;
	if (creates && x->source_match && strcmp(code, "ConditionNotMet") == 0)
		return AGAIN_LOOK; /* of which of the two? */
	if (creates &&
	    (strcmp(code, "BlobAlreadyExists") == 0 || strcmp(code, "ConditionNotMet") == 0 ||
	     strcmp(code, "UnauthorizedBlobOverwrite") == 0))
		return STORE_EXISTS;
	if ((x->conditional || x->source_match) && strcmp(code, "ConditionNotMet") == 0)
		return STORE_CHANGED;
	if (strcmp(code, "PendingCopyOperation") == 0)
		return exchange_because(x, -EAGAIN, "somebody copies to this name");
	if (strcmp(code, "ContainerBeingDeleted") == 0)
		return exchange_because(x, fail(-EIO), "the container is being deleted");
	if (strcmp(code, "BlobArchived") == 0 || strcmp(code, "BlobBeingRehydrated") == 0)
		return exchange_because(x, fail(-EIO),
					"the blob is archived and must be rehydrated first");
	return exchange_because(x, fail(-EIO), NULL);
}

int azure_judge(struct exchange *x)
{
	int status = x->req->status;
	const char *code = x->fault.code;

	if (status >= 200 && status <= 206)
		return succeeded(x);
	read_fault(x);
	if (x->begun)
		return azure_copy_unseen(x);
	if (status < 300) /* whatever its code says, it proves no refusal */
		return exchange_by_status(x);
	if (strcmp(code, "ServerBusy") == 0) /* says itself that nothing was done */
		return exchange_throttled(x);
	if (strcmp(code, "Md5Mismatch") == 0 || strcmp(code, "Crc64Mismatch") == 0)
		return exchange_throttled(x); /* the body was damaged on the way */
	if (strcmp(code, "InsufficientAccountPermissions") == 0)
		return exchange_because(x, -EACCES, NULL);
	/* committed or dropped, by somebody who wrote the blob meanwhile or by our own earlier try
	 */
	if (strcmp(code, "InvalidBlockList") == 0 && x->call->op == STORE_UPLOAD_FINISH) {
		exchange_explain(x, NULL);
		return STORE_GONE;
	}
	switch (status) {
	case 401:
	case 403:
		return refused_credentials(x);
	case 404:
		return missing(x);
	case 409:
	case 412:
		return conflict(x);
	case 416:
		return exchange_no_such_range(x);
	}
	return exchange_by_status(x);
}
