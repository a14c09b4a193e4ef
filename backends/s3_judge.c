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
int s3_hidden_error(struct exchange *x)
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
	    hidden = error ? s3_hidden_error(x) : 0;

	return hidden ? hidden : exchange_listed(x, error, &l);
}

/*
 * The ETag is the MD5 of what was put at once: of what came in parts it has a dash, and with keys
 * of the customer's or of KMS it is something else.
 */
static void read_md5(struct exchange *x)
{
	struct span etag = span_str(x->call->version);
	char sse[32];

	request_header_copy(x->req, "x-amz-server-side-encryption-customer-algorithm", sse,
			    sizeof(sse));
	if (!*sse)
		request_header_copy(x->req, "x-amz-server-side-encryption", sse, sizeof(sse));
	if (etag.len == 34 && etag.data[0] == '"' && (!*sse || !strcmp(sse, "AES256")))
		exchange_read_md5(x, span_sub(etag, 1, 32));
}

static int headed(struct exchange *x)
{
	read_md5(x);
	x->call->modified_s = request_header_date(x->req, "last-modified");
	exchange_read_meta(x, S3_META);
	if (x->looked) /* it has come into being meanwhile */
		return exchange_because(x, -EAGAIN, "the object appeared just now");
	if (request_header_uint(x->req, "content-length", &x->call->size) < 0)
		return exchange_because(x, fail(-EIO), "no length");
	return 0;
}

/* Of a describe: the look, or the copy. */
static int looked_or_copied(struct exchange *x)
{
	if (x->req->method == HTTP_HEAD)
		return s3_described(x);
	if (x->req->method == HTTP_GET) /* the second look */
		return exchange_because(x, -EAGAIN, "the object appeared just now");
	return s3_upload_succeeded(x);
}

static int got(struct exchange *x)
{
	exchange_read_meta(x, S3_META);
	return exchange_got(x);
}

static int succeeded(struct exchange *x)
{
	struct span etag = SPAN_NULL;

	if (x->call->op == STORE_COPY && x->looked)
		return s3_copy_looked(x);
	(void)request_header(x->req, "etag", &etag);
	etag_copy(etag, x->call->version);
	switch (x->call->op) {
	case STORE_GET:
		return got(x);
	case STORE_LIST:
		return listed(x);
	case STORE_HEAD:
		return headed(x);
	case STORE_PUT:
	case STORE_REMOVE:
		break;
	case STORE_DESCRIBE:
		return looked_or_copied(x);
	case STORE_COPY:
	case STORE_UPLOAD_BEGIN:
	case STORE_UPLOAD_PART:
	case STORE_UPLOAD_FINISH:
	case STORE_UPLOAD_ABORT:
		return s3_upload_succeeded(x);
	}
	return s3_hidden_error(x);
}

static int refused_credentials(struct exchange *x)
{
	static const char *const needs[] = {
		[STORE_GET] = "the credentials lack s3:GetObject",
		[STORE_PUT] = "the credentials lack s3:PutObject",
		[STORE_HEAD] = "the credentials lack s3:GetObject",
		[STORE_LIST] = "the credentials lack s3:ListBucket",
		[STORE_REMOVE] = "the credentials lack s3:DeleteObject",
		[STORE_COPY] = "the credentials lack s3:GetObject or s3:PutObject",
		[STORE_UPLOAD_BEGIN] = "the credentials lack s3:PutObject",
		[STORE_UPLOAD_PART] = "the credentials lack s3:PutObject",
		[STORE_UPLOAD_FINISH] = "the credentials lack s3:PutObject",
		[STORE_UPLOAD_ABORT] = "the credentials lack s3:AbortMultipartUpload",
		[STORE_DESCRIBE] = "the credentials lack s3:GetObject or s3:PutObject",
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

static int no_upload(struct exchange *x)
{
	switch (x->call->op) {
	case STORE_UPLOAD_PART:
	case STORE_UPLOAD_FINISH:
		exchange_explain(x, NULL);
		return STORE_GONE;
	case STORE_UPLOAD_ABORT:
		return 0;
	default:
		return exchange_because(x, fail(-EIO), NULL);
	}
}

static int missing(struct exchange *x)
{
	const char *code = x->fault.code;

	if (strcmp(code, "NoSuchBucket") == 0)
		return exchange_because(x, fail(-EIO),
					"create the bucket first, or correct its name");
	if (strcmp(code, "XAdminUserNotFound") == 0)
		return exchange_because(x, -EACCES, "the access key is not known");
	if (strcmp(code, "NoSuchUpload") == 0)
		return no_upload(x);
	if (strcmp(code, "NoSuchKey") != 0 && strcmp(code, "NoSuchVersion") != 0)
		return exchange_because(x, fail(-EIO), "it does not say what is missing");
	switch (x->call->op) {
	case STORE_GET:
	case STORE_HEAD:
	case STORE_DESCRIBE:
		return STORE_MISSING;
	case STORE_UPLOAD_PART: /* that is copied of another object */
		if (pairs_get(&x->req->headers, "x-amz-copy-source"))
			return STORE_MISSING;
		break;
	case STORE_COPY: /* which of the two? */
		return x->conditional ? AGAIN_LOOK : STORE_MISSING;
	case STORE_REMOVE:
		return x->conditional ? STORE_CHANGED : 0;
	case STORE_PUT:
	case STORE_UPLOAD_FINISH:
		if (x->conditional)
			return STORE_CHANGED;
		break;
	case STORE_LIST:
	case STORE_UPLOAD_BEGIN:
	case STORE_UPLOAD_ABORT:
		break;
	}
	return exchange_because(x, fail(-EIO), NULL);
}

/* 412 */
static int refused_condition(struct exchange *x)
{
	if (x->cond == PUT_IF_ABSENT) /* or was it that of a copy's source? */
		return x->source_match ? AGAIN_LOOK : STORE_EXISTS;
	return x->conditional || x->source_match ? STORE_CHANGED
						 : exchange_because(x, fail(-EIO), NULL);
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

/* 5 GiB are copied at once. */
static bool is_too_large(const struct exchange *x)
{
	return strcmp(x->fault.code, "EntityTooLarge") == 0 ||
	       (strcmp(x->fault.code, "InvalidRequest") == 0 &&
		strstr(x->fault.message, "larger than the maximum allowable size"));
}

int s3_judge(struct exchange *x)
{
	int status = x->req->status, result;

	if (status == 200 || status == 204 || status == 206)
		return succeeded(x);
	fault_parse_xml(buf_span(&x->req->text), &x->fault);
	if (status < 300) /* whatever its body says, it proves no refusal (J3) */
		return exchange_by_status(x);
	if ((status == 301 || status == 307 || status == 400) && moved(x))
		return AGAIN_ELSEWHERE;
	if (x->call->op == STORE_COPY && x->looked)
		return s3_copy_looked(x);
	if (x->req->method == HTTP_HEAD && status >= 400 && status < 500)
		return AGAIN_LOOK;
	result = by_code(x);
	if (result)
		return result;
	if ((x->call->op == STORE_COPY || x->call->op == STORE_DESCRIBE) && is_too_large(x))
		return STORE_TOO_LARGE;
	switch (status) {
	case 403:
		return refused_credentials(x);
	case 404:
		return missing(x);
	case 412:
		return refused_condition(x);
	case 416:
		if (x->call->op == STORE_HEAD || x->call->op == STORE_DESCRIBE)
			return exchange_because(x, -EAGAIN, "the object appeared just now");
		return exchange_no_such_range(x);
	}
	return exchange_by_status(x);
}
