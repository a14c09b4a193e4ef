# SPDX-License-Identifier: Apache-2.0
"""The stand-in server's S3 dialect: what it accepts, what it refuses, and how."""

import base64
import hashlib
import unittest
import xml.etree.ElementTree as xml

import standin

AWS = {"access": "AKIAIOSFODNN7EXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


def code(answer):
    return xml.fromstring(answer.body).findtext("Code")


def sample(method, target, signature, signed=(), payload=standin.EMPTY, host=None, body=b""):
    """A request that was signed elsewhere, at a fixed time."""
    headers = {"Host": host or "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z",
               "x-amz-content-sha256": payload, **dict(signed)}
    names = ";".join(sorted(name.lower() for name in headers))
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={AWS['access']}/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={names},Signature={signature}")
    return method, target, headers, body


SAMPLES = [
    sample("GET", "/test.txt", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
           {"range": "bytes=0-9"}),
    sample("PUT", "/test%24file.text",
           "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
           {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
           "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
           body=b"Welcome to Amazon S3."),
    sample("PUT", "/a%20b/k%C3%A9%2By%3D1~%27%28x%29%2A%21.bin",
           "218a7c0ec4210b5f2bf668d42f05bef7ebbb98c97093b8cb17671f2eff8c7c6d",
           {"if-none-match": "*", "x-amz-meta-a": "1", "x-amz-meta-a-b": "2",
            "x-amz-security-token": "TOKEN/+="}, "UNSIGNED-PAYLOAD"),
]


class Samples(unittest.TestCase):
    """Published signatures. They name their bucket in the host, so what follows in the path is
    no good request here; that it is refused for another reason than the signature tells that the
    signature was accepted."""

    def test_accepted_and_one_digit_off_refused(self):
        for method, target, headers, body in SAMPLES:
            token = headers.get("x-amz-security-token")
            more = ["--session-token", token] if token else []
            with self.subTest(target), standin.Standin(
                    "s3", "--now", "20130524T000000Z", "--access-key", AWS["access"],
                    "--secret-key", AWS["secret"], *more) as server:
                self.assertIn(code(server.send(method, target, headers, body)),
                              ("MethodNotAllowed", "InvalidBucketName", "NoSuchBucket"))
                last = headers["Authorization"][-1]
                headers["Authorization"] = headers["Authorization"][:-1] + "10"[last == "1"]
                refused = server.send(method, target, headers, body)
                self.assertEqual((refused.status, code(refused)), (403, "SignatureDoesNotMatch"))

    def test_presigned(self):
        target = ("/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
                  "AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date="
                  "20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
                  "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
        host = {"Host": "examplebucket.s3.amazonaws.com"}
        options = ["--access-key", AWS["access"], "--secret-key", AWS["secret"], "--now"]
        with standin.Standin("s3", *options, "20130524T235900Z") as server:
            self.expect_signature(server.send("HEAD", target, host), False)
            self.expect_signature(server.send("GET", target, host), True)
        with standin.Standin("s3", *options, "20130525T000100Z") as server:
            self.expect_signature(server.send("GET", target, host), False)

    def expect_signature(self, answer, accepted):
        self.assertEqual(answer.status, 405 if accepted else 403)

    def test_the_signer_of_these_tests(self):
        pairs = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")]
        cases = [
            ("/?Param2=value2&Param1=value1", [],
             "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
            ("/", [("my-header1", "  value1"), ("my-header2", ' "a   b   c"')],
             "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
            ("/", [("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
             "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
        ]
        for target, more, expected in cases:
            canonical, _ = standin.s3_canonical("GET", target, pairs + more, standin.EMPTY)
            signature, _ = standin.s3_signature(
                canonical, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830T123600Z",
                "us-east-1", "service")
            self.assertEqual(signature, expected)


class Base(unittest.TestCase):
    options = []

    @classmethod
    def setUpClass(cls):
        cls.server = standin.Standin("s3", "--bucket", "bucket", *cls.options)
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__)

    def setUp(self):
        self.s3 = standin.S3(self.server.port)

    def put(self, key, body=b"body", headers=None):
        answer = self.s3("PUT", f"/bucket/{key}", headers, body)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.headers["etag"]

    def expect(self, answer, status, error):
        self.assertEqual((answer.status, code(answer)), (status, error))


class Authentication(Base):
    def test_refusals(self):
        s3 = self.s3
        self.expect(self.server.send("GET", "/bucket/a"), 403, "AccessDenied")
        s3.access = "nobody"
        self.expect(s3("GET", "/bucket/a"), 403, "InvalidAccessKeyId")
        s3 = standin.S3(self.server.port, region="eu-west-1")
        answer = s3("GET", "/bucket/a")
        self.expect(answer, 400, "AuthorizationHeaderMalformed")
        self.assertIn("<Region>us-east-1</Region>", answer.text)
        s3 = standin.S3(self.server.port, secret="wrong")
        self.expect(s3("GET", "/bucket/a"), 403, "SignatureDoesNotMatch")
        self.expect(self.s3("GET", "/bucket/a", {"x-amz-security-token": "x"}),
                    403, "InvalidAccessKeyId")

    def test_session_token_unasked(self):
        self.expect(self.s3("GET", "/bucket/a", {"x-amz-security-token": "x"}), 400,
                    "InvalidToken")

    def test_clock(self):
        for offset_s in (-16 * 60, 16 * 60):
            self.s3.offset_s = offset_s
            answer = self.s3("GET", "/bucket/a")
            self.expect(answer, 403, "RequestTimeTooSkewed")
            self.assertIn("<ServerTime>", answer.text)
        self.s3.offset_s = 14 * 60
        self.expect(self.s3("GET", "/bucket/a"), 404, "NoSuchKey")

    def test_unsigned_header(self):
        headers = self.s3.sign("GET", "/bucket/a", {}, b"")
        headers["x-amz-meta-late"] = "1"
        self.expect(self.server.send("GET", "/bucket/a", headers), 403, "AccessDenied")

    def test_payload_hash(self):
        headers = {"x-amz-content-sha256": hashlib.sha256(b"other").hexdigest()}
        self.expect(self.s3("PUT", "/bucket/hash", headers, b"body"), 400,
                    "XAmzContentSHA256Mismatch")
        self.expect(self.s3("GET", "/bucket/hash"), 404, "NoSuchKey")
        self.put("hash", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        self.expect(self.s3("PUT", "/bucket/hash", {"x-amz-content-sha256": "abc"}), 400,
                    "InvalidArgument")

    def test_nasty_names(self):
        key = "a%20b/k%C3%A9%2By%3D1~%27%28x%29%2A%21.bin"
        self.put(key)
        self.assertEqual(self.s3("GET", "/bucket/" + key).body, b"body")
        # Signed as sent, yet sent otherwise than S3 spells it.
        self.expect(self.s3("GET", "/bucket/a%20b/k%C3%A9+y"), 403, "SignatureDoesNotMatch")


class Objects(Base):
    def test_put_get_head_delete(self):
        etag = self.put("one", b"hello world", {
            "x-amz-meta-nonce": "n1", "content-type": "text/plain",
            "x-amz-checksum-crc32c": "yZRlqg=="})
        self.assertEqual(etag, '"' + hashlib.md5(b"hello world").hexdigest() + '"')
        got = self.s3("GET", "/bucket/one", {"x-amz-checksum-mode": "ENABLED"})
        self.assertEqual((got.status, got.body), (200, b"hello world"))
        self.assertEqual(got.headers["x-amz-meta-nonce"], "n1")
        self.assertEqual(got.headers["content-type"], "text/plain")
        self.assertEqual(got.headers["x-amz-checksum-crc32c"], "yZRlqg==")
        self.assertIn("date", got.headers)
        self.assertIn("x-amz-request-id", got.headers)
        head = self.s3("HEAD", "/bucket/one")
        self.assertEqual((head.status, head.headers["content-length"]), (200, "11"))
        self.assertEqual(head.headers["etag"], etag)
        for _ in range(2):
            self.assertEqual(self.s3("DELETE", "/bucket/one").status, 204)
        self.assertEqual(self.s3("HEAD", "/bucket/one").status, 404)
        self.expect(self.s3("GET", "/bucket/one"), 404, "NoSuchKey")
        self.expect(self.s3("GET", "/elsewhere/one"), 404, "NoSuchBucket")
        self.expect(self.s3("PUT", "/elsewhere/one"), 404, "NoSuchBucket")

    def test_large_body(self):
        body = bytes(range(256)) * 40000
        etag = self.put("large", body)
        self.assertEqual(self.s3("GET", "/bucket/large").body, body)
        self.assertEqual(etag, self.put("large", body))
        self.assertNotEqual(etag, self.put("large", body[:-1] + b"x"))

    def test_checksums(self):
        sha256 = base64.b64encode(hashlib.sha256(b"123456789").digest()).decode()
        md5 = base64.b64encode(hashlib.md5(b"123456789").digest()).decode()
        for name, value in (("x-amz-checksum-crc32c", "4waSgw=="),
                            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
                            ("x-amz-checksum-sha256", sha256), ("content-md5", md5)):
            with self.subTest(name):
                self.put("sum", b"123456789", {name: value})
                self.expect(self.s3("PUT", "/bucket/sum", {name: value}, b"123456780"), 400,
                            "BadDigest")
        self.expect(self.s3("PUT", "/bucket/sum", {"x-amz-checksum-crc32c": "4waSgw"}), 400,
                    "InvalidRequest")
        self.expect(self.s3("PUT", "/bucket/sum", {"content-md5": "4waSgw=="}), 400,
                    "InvalidDigest")

    def test_ranges(self):
        self.put("range", b"0123456789")
        for header, body, where in (("bytes=2-4", b"234", "2-4"), ("bytes=7-", b"789", "7-9"),
                                    ("bytes=-3", b"789", "7-9"), ("bytes=8-99", b"89", "8-9"),
                                    ("bytes=-99", b"0123456789", "0-9")):
            got = self.s3("GET", "/bucket/range", {"range": header})
            self.assertEqual((got.status, got.body), (206, body), header)
            self.assertEqual(got.headers["content-range"], f"bytes {where}/10")
        for header in ("bytes=10-", "bytes=10-20", "bytes=-0"):
            self.expect(self.s3("GET", "/bucket/range", {"range": header}), 416, "InvalidRange")
        for header in ("bytes=4-2", "lines=1-2", "bytes=a-b", "bytes=0-1,3-4"):
            self.assertEqual(self.s3("GET", "/bucket/range", {"range": header}).status, 200)
        self.put("nothing", b"")
        self.expect(self.s3("GET", "/bucket/nothing", {"range": "bytes=0-0"}), 416,
                    "InvalidRange")

    def test_create(self):
        create = {"if-none-match": "*"}
        self.put("create", b"first", create)
        answer = self.s3("PUT", "/bucket/create", create, b"second")
        self.expect(answer, 412, "PreconditionFailed")
        self.assertIn("<Condition>If-None-Match</Condition>", answer.text)
        self.assertEqual(self.s3("GET", "/bucket/create").body, b"first")
        self.expect(self.s3("PUT", "/bucket/x", {"if-none-match": '"abc"'}), 501,
                    "NotImplemented")

    def test_replace(self):
        etag = self.put("replace", b"one")
        self.assertNotEqual(self.put("replace", b"two", {"if-match": etag}), etag)
        self.expect(self.s3("PUT", "/bucket/replace", {"if-match": etag}, b"three"), 412,
                    "PreconditionFailed")
        self.expect(self.s3("PUT", "/bucket/absent", {"if-match": etag}, b"three"), 404,
                    "NoSuchKey")
        self.expect(self.s3("DELETE", "/bucket/replace", {"if-match": etag}), 412,
                    "PreconditionFailed")
        # Contents that come back bring their ETag back.
        self.assertEqual(self.put("replace", b"one"), etag)
        self.assertEqual(self.s3("DELETE", "/bucket/replace", {"if-match": etag}).status, 204)

    def test_conditional_reads(self):
        etag = self.put("read")
        get = lambda **h: self.s3("GET", "/bucket/read",
                                  {k.replace("_", "-"): v for k, v in h.items()})
        self.assertEqual(get(if_match=etag).status, 200)
        self.expect(get(if_match='"0"'), 412, "PreconditionFailed")
        self.assertEqual(get(if_none_match='"0"').status, 200)
        not_modified = get(if_none_match=etag)
        self.assertEqual((not_modified.status, not_modified.body), (304, b""))

    def test_copy(self):
        etag = self.put("source", b"copied", {"x-amz-meta-a": "1"})
        answer = self.s3("PUT", "/bucket/copy", {"x-amz-copy-source": "/bucket/source"})
        self.assertIn("<CopyObjectResult>", answer.text)
        got = self.s3("GET", "/bucket/copy")
        self.assertEqual((got.body, got.headers["x-amz-meta-a"]), (b"copied", "1"))
        headers = {"x-amz-copy-source": "/bucket/source", "x-amz-copy-source-if-match": '"0"'}
        self.expect(self.s3("PUT", "/bucket/copy", headers), 412, "PreconditionFailed")
        headers["x-amz-copy-source-if-match"] = etag
        headers["if-none-match"] = "*"
        self.expect(self.s3("PUT", "/bucket/copy", headers), 412, "PreconditionFailed")
        self.expect(self.s3("PUT", "/bucket/c", {"x-amz-copy-source": "/bucket/gone"}), 404,
                    "NoSuchKey")

    def test_delete_many(self):
        self.put("m/1")
        etag = self.put("m/2")
        body = (f"<Delete><Object><Key>m/1</Key></Object><Object><Key>m/2</Key>"
                f"<ETag>\"no\"</ETag></Object><Object><Key>m/3</Key></Object></Delete>").encode()
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        self.expect(self.s3("POST", "/bucket?delete", body=body), 400, "InvalidRequest")
        answer = self.s3("POST", "/bucket?delete", {"content-md5": md5}, body)
        self.assertEqual(answer.text.count("<Deleted>"), 2)
        self.assertEqual(answer.text.count("<Error>"), 1)
        self.assertEqual(self.s3("HEAD", "/bucket/m/2").headers["etag"], etag)
        self.assertEqual(self.s3("HEAD", "/bucket/m/1").status, 404)

    def test_limits(self):
        self.expect(self.s3("PUT", "/bucket/m", {"x-amz-meta-a": "x" * 2048}), 400,
                    "MetadataTooLarge")
        self.expect(self.s3("PUT", "/bucket/" + "k" * 1025), 400, "KeyTooLongError")
        self.expect(self.s3("PUT", "/bucket/k", {"x-amz-acl": "private"}), 501, "NotImplemented")
        self.expect(self.s3("GET", "/bucket/k?acl"), 501, "NotImplemented")
        self.expect(self.s3("GET", "/bucket"), 405, "MethodNotAllowed")

    def test_buckets(self):
        self.assertEqual(self.s3("PUT", "/new-bucket").status, 200)
        self.expect(self.s3("PUT", "/new-bucket"), 409, "BucketAlreadyOwnedByYou")
        head = self.s3("HEAD", "/new-bucket")
        self.assertEqual((head.status, head.headers["x-amz-bucket-region"]), (200, "us-east-1"))
        self.assertIn("<Name>new-bucket</Name>", self.s3("GET", "/").text)
        self.s3("PUT", "/new-bucket/a")
        self.expect(self.s3("DELETE", "/new-bucket"), 409, "BucketNotEmpty")
        self.s3("DELETE", "/new-bucket/a")
        self.assertEqual(self.s3("DELETE", "/new-bucket").status, 204)
        self.assertEqual(self.s3("HEAD", "/new-bucket").status, 404)


def listing(answer):
    root = xml.fromstring(answer.body)
    ns = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    keys = [c.findtext(ns + "Key") for c in root.iter(ns + "Contents")]
    prefixes = [c.findtext(ns + "Prefix") for c in root.iter(ns + "CommonPrefixes")]
    more = root.findtext(ns + "IsTruncated") == "true"
    return keys, prefixes, root.findtext(ns + "NextContinuationToken") if more else None


class Listing(Base):
    keys = ["a", "a b+c", "b/1", "b/2", "b/3/x", "b0", "c/é", "d"]

    def setUp(self):
        super().setUp()
        for key in self.keys:
            self.put(standin.urllib.parse.quote(key))

    def walk(self, query):
        keys, prefixes, pages, token = [], [], [], ""
        while token is not None:
            more = "&continuation-token=" + standin.urllib.parse.quote(token, "") if token else ""
            got, got_prefixes, token = listing(self.s3("GET", f"/bucket?list-type=2{query}{more}"))
            keys += got
            prefixes += got_prefixes
            pages.append(len(got) + len(got_prefixes))
        return keys, prefixes, pages

    def test_pages(self):
        for n in (1, 2, 3, 5, 100):
            keys, _, pages = self.walk(f"&max-keys={n}")
            self.assertEqual(keys, self.keys)
            self.assertLessEqual(max(pages), n)
            keys, prefixes, _ = self.walk(f"&max-keys={n}&delimiter=%2F")
            self.assertEqual((keys, prefixes), (["a", "a b+c", "b0", "d"], ["b/", "c/"]))
            keys, prefixes, _ = self.walk(f"&max-keys={n}&delimiter=%2F&prefix=b%2F")
            self.assertEqual((keys, prefixes), (["b/1", "b/2"], ["b/3/"]))

    def test_start_after(self):
        self.assertEqual(self.walk("&start-after=b%2F1")[0], self.keys[3:])
        self.assertEqual(self.walk("&start-after=b%2F")[0], self.keys[2:])
        self.assertEqual(self.walk("&start-after=b%2F2&prefix=b%2F&max-keys=1")[0], ["b/3/x"])
        self.assertEqual(self.walk("&start-after=zzz")[0], [])

    def test_encoding(self):
        answer = self.s3("GET", "/bucket?list-type=2&encoding-type=url&prefix=a%20")
        self.assertIn("<EncodingType>url</EncodingType>", answer.text)
        self.assertEqual(self.walk("&encoding-type=url&prefix=a%20")[0], ["a+b%2Bc"])

    def test_refusals(self):
        self.expect(self.s3("GET", "/bucket?list-type=2&max-keys=x"), 400, "InvalidArgument")
        self.expect(self.s3("GET", "/bucket?list-type=2&continuation-token=x"), 400,
                    "InvalidArgument")
        self.expect(self.s3("GET", "/bucket?list-type=2&marker=a"), 501, "NotImplemented")
        self.expect(self.s3("GET", "/nowhere?list-type=2"), 404, "NoSuchBucket")
        self.assertEqual(self.walk("&max-keys=0"), ([], [], [0]))


class Multipart(Base):
    """The ETag and checksums of the published example: 5 MiB and ten bytes of "a"."""
    first, second = b"a" * (5 << 20), b"a" * 10

    def start(self, key):
        answer = self.s3("POST", f"/bucket/{key}?uploads", {"x-amz-meta-a": "1"})
        return xml.fromstring(answer.body).findtext("UploadId")

    def part(self, key, upload, number, body):
        answer = self.s3("PUT", f"/bucket/{key}?partNumber={number}&uploadId={upload}", {}, body)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.headers["etag"]

    def complete(self, key, upload, parts, headers=None):
        body = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag></Part>"
                       for n, e in parts)
        return self.s3("POST", f"/bucket/{key}?uploadId={upload}", headers,
                       f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode())

    def test_complete(self):
        upload = self.start("big")
        parts = [(2, self.part("big", upload, 2, self.second)),
                 (1, self.part("big", upload, 1, self.first))]
        listed = self.s3("GET", f"/bucket/big?uploadId={upload}").text
        self.assertEqual(listed.count("<Part>"), 2)
        self.expect(self.complete("big", upload, parts), 400, "InvalidPartOrder")
        parts.reverse()
        self.expect(self.complete("big", upload, [(1, parts[1][1])]), 400, "InvalidPart")
        self.expect(self.complete("big", upload, parts, {"x-amz-checksum-crc32c": "4AsdkQ=="}),
                    400, "BadDigest")
        self.assertEqual(self.s3("HEAD", "/bucket/big").status, 404)
        answer = self.complete("big", upload, parts, {"x-amz-checksum-crc64nvme": "yi2t4ymMq3E="})
        etag = '"78d79753fd5bce027159fe6b8e87628b-2"'
        self.assertEqual(xml.fromstring(answer.body).findtext("ETag"), etag)
        again = self.complete("big", upload, parts)
        self.assertEqual(xml.fromstring(again.body).findtext("ETag"), etag)
        got = self.s3("GET", "/bucket/big")
        self.assertEqual((got.body, got.headers["etag"]), (self.first + self.second, etag))
        self.assertEqual(got.headers["x-amz-meta-a"], "1")

    def test_conditional(self):
        self.put("taken")
        upload = self.start("taken")
        parts = [(1, self.part("taken", upload, 1, b"small"))]
        self.expect(self.complete("taken", upload, parts, {"if-none-match": "*"}), 412,
                    "PreconditionFailed")
        # The upload is still there.
        self.assertEqual(self.complete("taken", upload, parts).status, 200)

    def summed(self, key, *bodies):
        """An upload with CRC-32C: its id, and (number, ETag, sum) of each part."""
        answer = self.s3("POST", f"/bucket/{key}?uploads", {"x-amz-checksum-algorithm": "CRC32C"})
        upload, parts = xml.fromstring(answer.body).findtext("UploadId"), []
        for number, (body, crc) in enumerate(bodies, 1):
            answer = self.s3("PUT", f"/bucket/{key}?partNumber={number}&uploadId={upload}",
                             {"x-amz-checksum-crc32c": crc}, body)
            self.assertEqual(answer.headers["x-amz-checksum-crc32c"], crc)
            parts.append((number, answer.headers["etag"], crc))
        return upload, parts

    def complete_summed(self, key, upload, parts):
        body = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag>"
                       f"<ChecksumCRC32C>{c}</ChecksumCRC32C></Part>" for n, e, c in parts)
        return self.s3("POST", f"/bucket/{key}?uploadId={upload}", {},
                       f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode())

    def test_composite_checksum(self):
        upload, parts = self.summed("sum", (self.first, "WpuOeg=="), (self.second, "5yZkMA=="))
        self.expect(self.s3("PUT", f"/bucket/sum?partNumber=1&uploadId={upload}", {}, b"x"), 400,
                    "InvalidRequest")
        self.expect(self.complete("sum", upload, [p[:2] for p in parts]), 400, "InvalidPart")
        wrong = [parts[0], (*parts[1][:2], "WpuOeg==")]
        self.expect(self.complete_summed("sum", upload, wrong), 400, "InvalidPart")
        self.expect(self.complete_summed("sum", upload, parts[1:]), 400, "InvalidPart")
        self.assertEqual(self.complete_summed("sum", upload, parts).status, 200)
        got = self.s3("GET", "/bucket/sum", {"x-amz-checksum-mode": "ENABLED"})
        self.assertEqual((got.headers["x-amz-checksum-crc32c"], got.headers["x-amz-checksum-type"]),
                         ("p8qarg==-2", "COMPOSITE"))
        plain = self.start("plain")
        headers = {"x-amz-checksum-crc32c": "4waSgw=="}
        self.expect(self.s3("PUT", f"/bucket/plain?partNumber=1&uploadId={plain}", headers,
                            b"123456789"), 400, "InvalidRequest")

    def test_copied_part(self):
        etag = self.put("source", b"0123456789")
        upload = self.start("copied")
        target = f"/bucket/copied?partNumber=1&uploadId={upload}"
        headers = {"x-amz-copy-source": "/bucket/source", "x-amz-copy-source-range": "bytes=2-11"}
        self.expect(self.s3("PUT", target, headers), 400, "InvalidArgument")
        headers["x-amz-copy-source-range"] = "bytes=2-4"
        headers["x-amz-copy-source-if-match"] = '"0"'
        self.expect(self.s3("PUT", target, headers), 412, "PreconditionFailed")
        headers["x-amz-copy-source-if-match"] = etag
        part = xml.fromstring(self.s3("PUT", target, headers).body).findtext("ETag")
        self.assertEqual(self.complete("copied", upload, [(1, part)]).status, 200)
        self.assertEqual(self.s3("GET", "/bucket/copied").body, b"234")

    def listed(self, prefix=""):
        answer = self.s3("GET", f"/bucket?uploads&prefix={prefix}")
        return [(u.findtext("Key"), u.findtext("UploadId"))
                for u in xml.fromstring(answer.body).findall("Upload")]

    def test_uploads_are_listed_until_they_end(self):
        one, two = self.start("left/one"), self.start("left/two")
        self.assertCountEqual(self.listed("left/"), [("left/one", one), ("left/two", two)])
        self.assertEqual(self.listed("left/two"), [("left/two", two)])
        self.s3("DELETE", f"/bucket/left/one?uploadId={one}")
        part = self.part("left/two", two, 1, b"x")
        self.assertIn("left/two", self.server.control("GET", "uploads").json)
        self.complete("left/two", two, [(1, part)])
        self.assertEqual(self.listed("left/"), [])
        self.assertNotIn("left/two", self.server.control("GET", "uploads").json)

    def test_too_small_and_aborted(self):
        upload = self.start("small")
        parts = [(n, self.part("small", upload, n, b"x")) for n in (1, 2)]
        self.expect(self.complete("small", upload, parts), 400, "EntityTooSmall")
        self.expect(self.complete("other", upload, parts), 404, "NoSuchUpload")
        self.assertEqual(self.s3("DELETE", f"/bucket/small?uploadId={upload}").status, 204)
        self.expect(self.complete("small", upload, parts), 404, "NoSuchUpload")


class SmallAndEmptyPages(Listing):
    options = ["--page", "2", "--empty-pages"]

    def test_empty(self):
        pages = self.walk("")[2]
        self.assertEqual(pages, [0, 2, 0, 2, 0, 2, 0, 2])


if __name__ == "__main__":
    unittest.main()
