/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What S3 verifies of a body: the signed hash, one x-amz-checksum-*, Content-MD5.
 */
#include "web_s3.h"

#include <string.h>

/* Up to here an ETag is the MD5 of the contents, as in a bucket without KMS keys. */
enum { MD5_ALWAYS_BELOW = 64 << 10 };

static const struct {
	const char *header;
	enum web_sum sum;
	size_t len;
} kinds[] = {
	{ "x-amz-checksum-crc32c", WEB_CRC32C, 4 },
	{ "x-amz-checksum-crc64nvme", WEB_CRC64, 8 },
	{ "x-amz-checksum-sha256", WEB_SHA256, 32 },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void ask_checksum_headers(struct web_req *req)
{
	uint8_t bytes[64];
	size_t given = 0;
	for (size_t i = 0; i < KINDS; i++) {
		const char *value = web_header(req, kinds[i].header);
		if (!value)
			continue;
		given++;
		req->want_sums |= kinds[i].sum;
		if (web_base64_decode(value, bytes, sizeof(bytes)) != (ssize_t)kinds[i].len)
			return web_s3_fail(req, 400, "InvalidRequest",
					   "Value for a x-amz-checksum header is invalid.", "");
	}
	if (given > 1)
		web_s3_fail(req, 400, "InvalidRequest",
			    "Expecting a single x-amz-checksum- header.", "");
}

void web_s3_sums_ask(struct web_req *req)
{
	uint8_t md5[16];
	const char *content_md5 = web_header(req, "content-md5");
	const char *hash = web_header(req, "x-amz-content-sha256");
	req->want_sums = WEB_CRC32C;
	if (content_md5 || req->length <= MD5_ALWAYS_BELOW || req->verb == S3_UPLOAD_PART)
		req->want_sums |= WEB_MD5;
	if (hash && strcmp(hash, "UNSIGNED-PAYLOAD") != 0)
		req->want_sums |= WEB_SHA256;
	ask_checksum_headers(req);
	if (content_md5 && web_base64_decode(content_md5, md5, sizeof(md5)) != sizeof(md5))
		web_s3_fail(req, 400, "InvalidDigest",
			    "The Content-MD5 you specified was invalid.", "");
}

static bool fail_digest(struct web_req *req)
{
	web_s3_fail(req, 400, "BadDigest",
		    "The checksum you specified did not match what we received.", "");
	return false;
}

static size_t computed(const struct web_req *req, enum web_sum sum, uint8_t ret[32])
{
	switch (sum) {
	case WEB_CRC32C:
		web_crc32c_bytes(req->sums.crc32c, ret);
		return 4;
	case WEB_CRC64:
		web_crc64_bytes(req->sums.crc64, false, ret);
		return 8;
	case WEB_MD5:
		memcpy(ret, req->sums.md5, 16);
		return 16;
	default:
		memcpy(ret, req->sums.sha256, 32);
		return 32;
	}
}

static bool is_as_announced(const struct web_req *req, const char *header, enum web_sum sum)
{
	uint8_t given[32], got[32];
	const char *value = web_header(req, header);
	if (!value)
		return true;
	size_t n = computed(req, sum, got);
	return web_base64_decode(value, given, sizeof(given)) == (ssize_t)n &&
	       memcmp(given, got, n) == 0;
}

bool web_s3_sums_verify(struct web_req *req)
{
	const char *hash = web_header(req, "x-amz-content-sha256");
	uint8_t sha256[32];
	if (hash && web_hex_decode(hash, sha256, sizeof(sha256)) &&
	    memcmp(sha256, req->sums.sha256, sizeof(sha256)) != 0) {
		web_s3_fail(req, 400, "XAmzContentSHA256Mismatch",
			    "The provided 'x-amz-content-sha256' header does not match what was "
			    "computed.", "");
		return false;
	}
	for (size_t i = 0; i < KINDS; i++) {
		/* At the end of a multipart upload the header speaks of the whole object. */
		if (req->verb == S3_UPLOAD_COMPLETE)
			break;
		if (!is_as_announced(req, kinds[i].header, kinds[i].sum))
			return fail_digest(req);
	}
	if (!is_as_announced(req, "content-md5", WEB_MD5))
		return fail_digest(req);
	return true;
}
