/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an S3 answer means.
 *
 * (J1) Codes first, status last: clones differ in the status more than in the code.
 * (J2) 409 means that somebody else was at work: whether our write happened is not known.
 * (J3) 200 may carry an error in its body: of a write it is not known either, of a read nonsense.
 */
#include "backends/s3_i.h"

#include <stdio.h>

bool s3_region_is_good(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && s[n] == '\0' && n < 40;
}

/* The bucket's region, from the header, the error, or the address of a redirect. "" : not told. */
static void told_region(const struct exchange *x, char *ret, size_t size)
{
	char location[256], *at, *end;

	if (request_header_copy(x->req, "x-amz-bucket-region", ret, size)[0])
		return;
	snprintf(ret, size, "%s", x->fault.region);
	if (ret[0])
		return;
	request_header_copy(x->req, "location", location, sizeof(location));
	end = strstr(location, ".amazonaws.com");
	if (!end)
		return;
	*end = '\0';
	for (at = location; (at = strstr(at, "s3"));
	     at += 2) /* "//BUCKET.s3.REGION" or "//BUCKET.s3-REGION": the last */
		if (at[2] == '.' || at[2] == '-')
			snprintf(ret, size, "%s", at + 3);
}

/* Another region than the one we signed for? Takes note of it. */
static bool moved(struct exchange *x)
{
	struct s3 *s = s3_of(x->web);
	char region[48];
	bool other;

	told_region(x, region, sizeof(region));
	if (!s3_region_is_good(region))
		return false;
	LOCK_SCOPE(&s->web.store.sync.lock);
	other = strcmp(region, s->region) != 0;
	memcpy(s->region, region, sizeof(region));
	return other;
}

static bool is_any(const char *code, const char *const *list)
{
	for (; *list; list++) {
		size_t n = strlen(*list);
		bool open_end = (*list)[n - 1] == '*';

		if (open_end ? strncmp(code, *list, n - 1) == 0 : strcmp(code, *list) == 0)
			return true;
	}
	return false;
}

/* Refused before execution, and another time it may work. */
static const char *const passing[] = {
	"SlowDown*",
	"Throttling*",
	"RequestLimitExceeded",
	"TooManyRequests*",
	"RequestThrottled*",
	"BandwidthLimitExceeded",
	"ProvisionedThroughputExceeded*",
	"ServerBusy",
	"Busy",
	"PriorRequestNotComplete",
	"TransactionInProgress",
	/* the body did not arrive whole */
	"RequestTimeout",
	"IncompleteBody",
	"BadDigest",
	"InvalidDigest",
	"XAmzContentSHA256Mismatch",
	"XAmzContentChecksumMismatch",
	NULL,
};
static const char *const outdated[] = { "ExpiredToken*", "InvalidToken", "TokenRefreshRequired",
					NULL };
static const char *const full[] = { "QuotaExceeded*", "XMinioStorageFull",
				    "XMinioAdminBucketQuotaExceeded", NULL };
static const char *const unsettled[] = { "ConditionalRequestConflict", "OperationAborted", NULL };

/* (J3) */
static int hidden_error(struct exchange *x)
{
	if (!fault_parse_xml(buf_span(&x->req->text), &x->fault))
		return 0;
	exchange_explain(x, NULL);
	return x->writes ? STORE_UNKNOWN : fail(-EIO);
}

static int listed(struct exchange *x)
{
	struct listing l = {};
	int error = listing_parse_s3(buf_span(&x->req->text), &l),
	    hidden = error ? hidden_error(x) : 0;

	return hidden ? hidden : exchange_listed(x, error, &l);
}

static int headed(struct exchange *x)
{
	x->call->modified_s = request_header_date(x->req, "last-modified");
	if (x->looked) /* it has come into being meanwhile */
		return exchange_because(x, -EAGAIN, "the object appeared just now");
	if (request_header_uint(x->req, "content-length", &x->call->size) < 0)
		return exchange_because(x, fail(-EIO), "no length");
	return 0;
}

static int succeeded(struct exchange *x)
{
	struct span etag = SPAN_NULL;

	(void)request_header(x->req, "etag", &etag);
	etag_copy(etag, x->call->version);
	switch (x->call->op) {
	case STORE_GET:
		return exchange_got(x);
	case STORE_LIST:
		return listed(x);
	case STORE_HEAD:
		return headed(x);
	case STORE_PUT:
	case STORE_REMOVE:
		break;
	}
	return hidden_error(x);
}

static int refused_credentials(struct exchange *x)
{
	static const char *const needs[] = {
		[STORE_GET] = "the credentials lack s3:GetObject",
		[STORE_PUT] = "the credentials lack s3:PutObject",
		[STORE_HEAD] = "the credentials lack s3:GetObject",
		[STORE_LIST] = "the credentials lack s3:ListBucket",
		[STORE_REMOVE] = "the credentials lack s3:DeleteObject",
	};
	const char *code = x->fault.code;

	if (strcmp(code, "InvalidObjectState") == 0)
		return exchange_because(x, fail(-EIO),
					"the object is archived and must be restored first");
	if (strcmp(code, "AccessDenied") == 0)
		return exchange_because(x, -EACCES,
					x->value ? needs[x->call->op] : "credentials are needed");
	if (strcmp(code, "SignatureDoesNotMatch") == 0)
		return exchange_because(x, -EACCES, "the secret key is wrong");
	return exchange_because(x, -EACCES, NULL);
}

static int missing(struct exchange *x)
{
	const char *code = x->fault.code;

	if (strcmp(code, "NoSuchBucket") == 0)
		return exchange_because(x, fail(-EIO),
					"create the bucket first, or correct its name");
	if (strcmp(code, "XAdminUserNotFound") == 0)
		return exchange_because(x, -EACCES, "the access key is not known");
	if (strcmp(code, "NoSuchKey") != 0 && strcmp(code, "NoSuchVersion") != 0)
		return exchange_because(x, fail(-EIO), "it does not say what is missing");
	if (x->call->op == STORE_LIST || (x->call->op == STORE_PUT && !x->conditional))
		return exchange_because(x, fail(-EIO), NULL);
	if (x->call->op == STORE_REMOVE)
		return x->conditional ? STORE_CHANGED : 0;
	return x->call->op == STORE_PUT ? STORE_CHANGED : STORE_MISSING;
}

static int by_code(struct exchange *x)
{
	const char *code = x->fault.code;

	if (strcmp(code, "RequestTimeTooSkewed") == 0)
		return AGAIN_CLOCK;
	if (is_any(code, outdated))
		return AGAIN_RENEW;
	if (is_any(code, passing))
		return exchange_throttled(x);
	if (is_any(code, full))
		return exchange_because(x, -ENOSPC, NULL);
	if (is_any(code, unsettled) && x->writes) { /* (J2) */
		exchange_explain(x, NULL);
		return STORE_UNKNOWN;
	}
	return 0;
}

int s3_judge(struct exchange *x)
{
	int status = x->req->status, result;

	if (status == 200 || status == 204 || status == 206)
		return succeeded(x);
	fault_parse_xml(buf_span(&x->req->text), &x->fault);
	if ((status == 301 || status == 307 || status == 400) && moved(x))
		return AGAIN_ELSEWHERE;
	if (x->req->method == HTTP_HEAD && status >= 400 && status < 500)
		return AGAIN_LOOK;
	result = by_code(x);
	if (result)
		return result;
	switch (status) {
	case 403:
		return refused_credentials(x);
	case 404:
		return missing(x);
	case 412:
		if (x->call->op == STORE_PUT && x->cond == PUT_IF_ABSENT)
			return STORE_EXISTS;
		return x->conditional ? STORE_CHANGED : exchange_because(x, fail(-EIO), NULL);
	case 416:
		if (x->call->op == STORE_HEAD)
			return exchange_because(x, -EAGAIN, "the object appeared just now");
		return exchange_no_such_range(x);
	}
	return exchange_by_status(x);
}
