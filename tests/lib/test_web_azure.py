# SPDX-License-Identifier: Apache-2.0
"""The stand-in server's Azure Blob dialect."""

import base64
import datetime
import hashlib
import time
import unittest
import urllib.parse
import xml.etree.ElementTree as xml

import standin

# Of the public emulator, and as public as it: the samples below were signed with it.
EMULATOR_KEY = ("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/"
                "KBHBeksoGMGw==")
QUOTE = urllib.parse.quote


def code(answer):
    return answer.headers.get("x-ms-error-code")


class Samples(unittest.TestCase):
    samples = [
        ("GET", "/mycontainer/dir/blob%20one.bin", b"",
         "IhU5+i5QDnuCDfRGeVcL2y1OtGVdZkDbUuZQ/6YB+W0=",
         {"If-Match": '"0x8D1"', "x-ms-range": "bytes=0-1023"}),
        ("PUT", "/mycontainer/hello.txt", b"hello", "ViE6Xnjv+/oAP1V0Odx9bkTeS9O3YNxGInFLkFaEVII=",
         {"Content-MD5": "XUFAKrxLKna5cZ2REBfFkg==", "Content-Type": "application/octet-stream",
          "If-None-Match": "*", "x-ms-blob-type": "BlockBlob", "x-ms-meta-uuid": "42"}),
        ("GET", "/mycontainer?restype=container&comp=list&prefix=a%2Fb%20c&delimiter=%2F"
                "&maxresults=10&include=metadata", b"",
         "4ey7CgBXyUkP3rg/80oARWhZyIR8jC3fXvctBsOneVg=", {}),
        ("PUT", "/mycontainer/big?comp=blocklist", b"x" * 100,
         "mW2/uattF3v7d6dGXPpL7kmuDofp3OFlAA/sZ6jjtGE=",
         {"Content-Type": "application/xml", "If-Match": '"0x8D1"',
          "x-ms-blob-content-type": "application/octet-stream"}),
    ]
    options = ["--account", "devstoreaccount1", "--account-key", EMULATOR_KEY, "--now"]

    def test_shared_key(self):
        with standin.Standin("azure", *self.options, "20150626T233912Z") as server:
            for method, target, body, signature, headers in self.samples:
                for signature, accepted in ((signature, True), ("A" + signature[1:], False)):
                    answer = server.send(method, "/devstoreaccount1" + target, {
                        "x-ms-date": "Fri, 26 Jun 2015 23:39:12 GMT",
                        "x-ms-version": "2021-12-02",
                        "Authorization": f"SharedKey devstoreaccount1:{signature}",
                        **headers}, body)
                    self.assertEqual(answer.status != 403, accepted, answer.text)

    def test_sas(self):
        service = ("sp=rwdlc&st=2024-01-01T00%3A00%3A00Z&se=2030-01-01T00%3A00%3A00Z&"
                   "sv=2021-12-02&sr=c&sig=eIMMfOzQRuj6he0G7W3PpU7SXJrEqVC7LpVdGYfJqpU%3D")
        account = ("sp=rwdlac&ss=b&srt=sco&st=2024-01-01T00%3A00%3A00Z&"
                   "se=2030-01-01T00%3A00%3A00Z&sv=2021-12-02&"
                   "sig=C%2F3vhVCpSI7wKJbSumECA3g2djFAFF5HQ7HCOr3pAyE%3D")
        with standin.Standin("azure", "--bucket", "mycontainer", *self.options,
                             "20250101T000000Z") as server:
            root = "/devstoreaccount1/mycontainer"
            for sas in (service, account):
                put = server.send("PUT", f"{root}/a?{sas}", {"x-ms-blob-type": "BlockBlob"}, b"b")
                self.assertEqual(put.status, 201)
                self.assertEqual(server.send("GET", f"{root}/a?{sas}").body, b"b")
                answer = server.send("GET", f"{root}?restype=container&comp=list&{sas}")
                self.assertIn("<Name>a</Name>", answer.text)
                bad = server.send("GET", f"{root}/a?{sas[:-5]}AA%3D")
                self.assertEqual((bad.status, code(bad)), (403, "AuthenticationFailed"))
            self.assertEqual(server.send("GET", f"/devstoreaccount1/other/a?{service}").status,
                             403)
        with standin.Standin("azure", *self.options, "20310101T000000Z") as server:
            answer = server.send("GET", f"/devstoreaccount1/mycontainer/a?{account}")
            self.assertEqual((answer.status, code(answer)), (403, "AuthenticationFailed"))


class Base(unittest.TestCase):
    options = []

    @classmethod
    def setUpClass(cls):
        cls.server = standin.Standin("azure", "--bucket", "box", *cls.options)
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__)

    def setUp(self):
        self.azure = standin.Azure(self.server.port)

    def put(self, name, body=b"body", headers=None):
        answer = self.write(name, body, headers)
        self.assertEqual(answer.status, 201, answer.text)
        return answer.headers["etag"]

    def write(self, name, body=b"body", headers=None):
        return self.azure("PUT", f"/box/{name}", {"x-ms-blob-type": "BlockBlob",
                                                  **(headers or {})}, body)

    def get(self, name, **headers):
        return self.azure("GET", f"/box/{name}",
                          {k.replace("_", "-"): v for k, v in headers.items()})

    def expect(self, answer, status, error):
        self.assertEqual((answer.status, code(answer)), (status, error), answer.text)


class Authentication(Base):
    options = ["--token", "entra"]

    def test_refusals(self):
        self.expect(self.server.send("GET", "/mangrovetest/box/a", {"x-ms-version": "2021-12-02"}),
                    401, "NoAuthenticationInformation")
        azure = standin.Azure(self.server.port, key="b3RoZXI=")
        answer = azure("GET", "/box/a")
        self.expect(answer, 403, "AuthenticationFailed")
        self.assertIn("<AuthenticationErrorDetail>", answer.text)
        self.assertTrue(answer.body.startswith(b"\xef\xbb\xbf<?xml"))

    def test_clock(self):
        for offset_s in (-16 * 60, 16 * 60):
            self.azure.offset_s = offset_s
            self.expect(self.get("a"), 403, "AuthenticationFailed")
        self.azure.offset_s = 14 * 60
        self.expect(self.get("a"), 404, "BlobNotFound")

    def test_bearer(self):
        headers = {"x-ms-version": "2021-12-02", "Authorization": "Bearer entra"}
        self.assertEqual(self.server.send("GET", "/mangrovetest/box/a", headers).status, 404)
        headers["Authorization"] = "Bearer other"
        self.expect(self.server.send("GET", "/mangrovetest/box/a", headers), 401,
                    "InvalidAuthenticationInfo")
        form = "grant_type=client_credentials&client_id=i&client_secret=s&scope=x%2F.default"
        answer = self.server.send("POST", "/tenant/oauth2/v2.0/token",
                                  {"Content-Type": "application/x-www-form-urlencoded"},
                                  form.encode())
        headers["Authorization"] = "Bearer " + answer.json["access_token"]
        self.assertEqual(self.server.send("GET", "/mangrovetest/box/a", headers).status, 404)

    def sas(self, permissions, resource, kind, end):
        fields = [permissions, "", end, f"/blob/mangrovetest/{resource}", "", "", "",
                  "2021-12-02", kind] + [""] * 7
        signature = QUOTE(self.azure.signature("\n".join(fields)), "")
        return f"sp={permissions}&se={QUOTE(end)}&sv=2021-12-02&sr={kind}&sig={signature}"

    def test_sas_permissions(self):
        self.put("sas")
        end = (datetime.datetime.now() + datetime.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        blob = "/mangrovetest/box/sas?"
        read = self.sas("r", "box/sas", "b", end)
        self.assertEqual(self.server.send("GET", blob + read).status, 200)
        self.expect(self.server.send("DELETE", blob + read), 403,
                    "AuthorizationPermissionMismatch")
        self.expect(self.server.send("GET", "/mangrovetest/box/other?" + read), 403,
                    "AuthenticationFailed")


class Blobs(Base):
    def test_put_get_head_delete(self):
        etag = self.put("dir/one", b"hello world", {"x-ms-meta-nonce": "n1",
                                                    "Content-Type": "text/plain"})
        self.assertRegex(etag, '^"0x8D[0-9A-F]+"$')
        got = self.get("dir/one")
        self.assertEqual((got.status, got.body, got.headers["etag"]), (200, b"hello world", etag))
        self.assertEqual(got.headers["x-ms-meta-nonce"], "n1")
        self.assertEqual(got.headers["content-type"], "text/plain")
        self.assertEqual(got.headers["x-ms-version"], "2021-12-02")
        head = self.azure("HEAD", "/box/dir/one", {"x-ms-client-request-id": "me"})
        self.assertEqual((head.status, head.headers["content-length"]), (200, "11"))
        self.assertEqual(head.headers["x-ms-client-request-id"], "me")
        self.assertEqual(self.azure("DELETE", "/box/dir/one").status, 202)
        self.expect(self.azure("DELETE", "/box/dir/one"), 404, "BlobNotFound")
        self.expect(self.get("dir/one"), 404, "BlobNotFound")
        self.expect(self.azure("HEAD", "/box/dir/one"), 404, "BlobNotFound")
        self.expect(self.azure("GET", "/none/one"), 404, "ContainerNotFound")

    def test_nasty_names(self):
        for name in ("a b+c%~", "k\u00e9/'(x)*!", "x\ny"):
            self.put(QUOTE(name))
            self.assertEqual(self.get(QUOTE(name)).body, b"body")

    def test_large_body(self):
        body = bytes(range(256)) * 40000
        self.put("large", body)
        self.assertEqual(self.get("large").body, body)
        self.assertEqual(self.get("large", x_ms_range="bytes=70000-70009").body,
                         body[70000:70010])

    def test_checksums(self):
        md5 = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
        self.put("sums", b"hello", {"Content-MD5": md5})
        self.assertEqual(self.get("sums").headers["content-md5"], md5)
        self.put("sums", b"hello", {"x-ms-content-crc64": "V0JSBnCFdzM="})
        self.expect(self.write("bad", b"hullo", {"Content-MD5": md5}), 400, "Md5Mismatch")
        self.expect(self.write("bad", b"hullo", {"x-ms-content-crc64": "V0JSBnCFdzM="}), 400,
                    "Crc64Mismatch")
        self.expect(self.write("bad", b"hello", {"x-ms-content-crc64": "M3eFcAZSQlc="}), 400,
                    "Crc64Mismatch")     # the big-endian form of S3
        self.expect(self.write("bad", b"hello", {"Content-MD5": "abc"}), 400, "InvalidMd5")
        self.assertEqual(self.get("bad").status, 404)
        part = self.get("sums", x_ms_range="bytes=0-3", x_ms_range_get_content_md5="true")
        self.assertEqual(part.headers["content-md5"],
                         base64.b64encode(hashlib.md5(b"hell").digest()).decode())

    def test_conditions(self):
        etag = self.put("cond", b"1", {"If-None-Match": "*"})
        self.expect(self.write("cond", b"2", {"If-None-Match": "*"}), 409, "BlobAlreadyExists")
        self.expect(self.write("cond", b"2", {"If-Match": '"0x8D1"'}), 412, "ConditionNotMet")
        self.expect(self.write("none", b"2", {"If-Match": etag}), 412, "ConditionNotMet")
        self.expect(self.write("none", b"2", {"If-Match": "*"}), 412, "ConditionNotMet")
        self.expect(self.write("cond", b"2", {"If-Match": etag.strip('"')}), 400,
                    "InvalidHeaderValue")
        second = self.put("cond", b"1", {"If-Match": etag})
        self.assertNotEqual(second, etag)      # unlike S3's, of equal contents too
        self.expect(self.get("cond", if_match=etag), 412, "ConditionNotMet")
        self.expect(self.get("none", if_match=etag), 404, "BlobNotFound")
        self.assertEqual(self.get("cond", if_none_match=second).status, 304)
        self.expect(self.azure("DELETE", "/box/cond", {"If-Match": etag}), 412, "ConditionNotMet")
        self.expect(self.azure("DELETE", "/box/none", {"If-Match": etag}), 404, "BlobNotFound")
        self.assertEqual(self.azure("DELETE", "/box/cond", {"If-Match": second}).status, 202)

    def test_ranges(self):
        self.put("range", b"0123456789")
        for header, body, where in (("bytes=2-4", b"234", "2-4"), ("bytes=7-", b"789", "7-9"),
                                    ("bytes=8-99", b"89", "8-9")):
            for name in ("x_ms_range", "range"):
                got = self.get("range", **{name: header})
                self.assertEqual((got.status, got.body), (206, body))
                self.assertEqual(got.headers["content-range"], f"bytes {where}/10")
        self.expect(self.get("range", x_ms_range="bytes=10-"), 416, "InvalidRange")
        for header in ("bytes=-3", "bytes=4-2", "0-1"):
            self.expect(self.get("range", x_ms_range=header), 400, "InvalidHeaderValue")
        self.put("nothing", b"")
        self.expect(self.get("nothing", x_ms_range="bytes=0-0"), 416, "InvalidRange")

    def test_metadata_and_copy(self):
        etag = self.put("from", b"data", {"x-ms-meta-a": "1"})
        answer = self.azure("PUT", "/box/from?comp=metadata", {"x-ms-meta-b": "2"})
        self.assertEqual(answer.status, 200)
        self.assertNotEqual(answer.headers["etag"], etag)
        got = self.get("from")
        self.assertEqual((got.headers["x-ms-meta-b"], "x-ms-meta-a" in got.headers), ("2", False))
        source = f"http://127.0.0.1:{self.server.port}/mangrovetest/box/from"
        answer = self.azure("PUT", "/box/to", {"x-ms-copy-source": source})
        self.assertEqual((answer.status, answer.headers["x-ms-copy-status"]), (202, "success"))
        got = self.get("to")
        self.assertEqual((got.body, got.headers["x-ms-meta-b"]), (b"data", "2"))
        self.azure("PUT", "/box/other", {"x-ms-copy-source": source, "x-ms-meta-c": "3"})
        got = self.get("other")
        self.assertEqual((got.headers["x-ms-meta-c"], "x-ms-meta-b" in got.headers), ("3", False))

    def test_refusals(self):
        self.expect(self.azure("PUT", "/box/x", {}, b"x"), 400, "MissingRequiredHeader")
        self.expect(self.write("x", headers={"x-ms-blob-type": "PageBlob"}), 400,
                    "InvalidHeaderValue")
        self.expect(self.write("x", headers={"x-ms-surprise": "1"}), 400, "UnsupportedHeader")
        self.expect(self.write("x", headers={"x-ms-meta-a-b": "1"}), 400, "InvalidMetadata")
        self.expect(self.write("x", headers={"x-ms-meta-a": "x" * 8200}), 400, "MetadataTooLarge")
        self.expect(self.write("x", headers={"x-ms-version": "yesterday"}), 400,
                    "InvalidHeaderValue")
        self.expect(self.azure("GET", "/box/x?comp=tags"), 400, "InvalidUri")
        self.expect(self.azure("GET", "/box/x?surprise=1"), 400, "UnsupportedQueryParameter")
        self.expect(self.write("k" * 1025), 400, "OutOfRangeInput")
        headers = {"Authorization": "SharedKey mangrovetest:x"}
        self.expect(self.server.send("GET", "/mangrovetest/box/x", headers), 400,
                    "MissingRequiredHeader")

    def test_containers(self):
        create = lambda: self.azure("PUT", "/second?restype=container")
        self.assertEqual(create().status, 201)
        self.expect(create(), 409, "ContainerAlreadyExists")
        self.assertEqual(self.azure("HEAD", "/second?restype=container").status, 200)
        self.assertIn("<Name>second</Name>", self.azure("GET", "/?comp=list").text)
        self.assertEqual(self.azure("DELETE", "/second?restype=container").status, 202)
        self.expect(self.azure("HEAD", "/second?restype=container"), 404, "ContainerNotFound")


class Blocks(Base):
    def block(self, name, number, body, size=24):
        block = base64.b64encode(b"%0*d" % (size, number)).decode()
        answer = self.azure("PUT", f"/box/{name}?comp=block&blockid={QUOTE(block, '')}", {}, body)
        return block, answer

    def commit(self, name, blocks, headers=None, kind="Uncommitted"):
        body = "".join(f"<{kind}>{block}</{kind}>" for block in blocks)
        return self.azure("PUT", f"/box/{name}?comp=blocklist", headers,
                          f'<?xml version="1.0"?><BlockList>{body}</BlockList>'.encode())

    def test_commit(self):
        blocks = [self.block("big", n, b"%d" % n * 1000)[0] for n in (1, 2, 3)]
        self.expect(self.get("big"), 404, "BlobNotFound")
        listed = self.azure("GET", "/box/big?comp=blocklist&blocklisttype=uncommitted")
        self.assertEqual(listed.text.count("<Block>"), 3)
        self.expect(self.commit("big", blocks + ["bm9uZQ=="]), 400, "InvalidBlockList")
        self.expect(self.commit("big", blocks, {"If-Match": '"0x8D1"'}), 412, "ConditionNotMet")
        answer = self.commit("big", [blocks[2], blocks[0]], {
            "If-None-Match": "*", "x-ms-meta-n": "1", "x-ms-blob-content-type": "a/b"})
        self.assertEqual(answer.status, 201)
        got = self.get("big")
        self.assertEqual(got.body, b"3" * 1000 + b"1" * 1000)
        self.assertEqual((got.headers["x-ms-meta-n"], got.headers["content-type"]), ("1", "a/b"))
        self.expect(self.commit("big", [blocks[1]]), 400, "InvalidBlockList")

    def test_others_write_drops_blocks(self):
        blocks = [self.block("shared", 1, b"x")[0]]
        self.put("shared")
        self.expect(self.commit("shared", blocks), 400, "InvalidBlockList")

    def test_refusals(self):
        self.block("odd", 1, b"x")
        self.expect(self.block("odd", 1, b"x", size=20)[1], 400, "InvalidBlobOrBlock")
        self.expect(self.azure("PUT", "/box/odd?comp=block&blockid=%21", {}, b"x"), 400,
                    "InvalidQueryParameterValue")
        self.expect(self.azure("PUT", "/box/odd?comp=blocklist", {}, b"<Block"), 400,
                    "InvalidXmlDocument")


class Steps(Base):
    options = ["--copy-steps", "3"]

    def test_copy_that_takes_its_time(self):
        self.put("from", b"data")
        source = f"http://127.0.0.1:{self.server.port}/mangrovetest/box/from"
        answer = self.azure("PUT", "/box/to", {"x-ms-copy-source": source})
        self.assertEqual((answer.status, answer.headers["x-ms-copy-status"]), (202, "pending"))
        end = time.monotonic() + standin.LIMIT_S
        while self.azure("HEAD", "/box/to").headers["x-ms-copy-status"] == "pending":
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        self.assertEqual(self.get("to").headers["x-ms-copy-status"], "success")


class Listing(Base):
    names = ["a", "a b+c", "b/1", "b/2", "b/3/x", "b0", "c/é", "d"]

    def setUp(self):
        super().setUp()
        for name in self.names:
            self.put(QUOTE(name), headers={"x-ms-meta-n": "1"})

    def page(self, query):
        answer = self.azure("GET", f"/box?restype=container&comp=list{query}")
        self.assertEqual(answer.status, 200, answer.text)
        self.assertTrue(answer.body.startswith(b"\xef\xbb\xbf"))
        return xml.fromstring(answer.text)

    def walk(self, query=""):
        names, prefixes, pages, marker = [], [], [], ""
        while marker is not None:
            root = self.page(f"{query}&marker={QUOTE(marker, '')}" if marker else query)
            got = [b.findtext("Name") for b in root.iter("Blob")]
            got_prefixes = [b.findtext("Name") for b in root.iter("BlobPrefix")]
            names += got
            prefixes += got_prefixes
            pages.append(len(got) + len(got_prefixes))
            marker = root.findtext("NextMarker") or None
        return names, prefixes, pages

    def test_pages(self):
        for n in (1, 2, 5, 100):
            self.assertEqual(self.walk(f"&maxresults={n}")[0], self.names)
            names, prefixes, pages = self.walk(f"&maxresults={n}&delimiter=%2F")
            self.assertEqual((names, prefixes), (["a", "a b+c", "b0", "d"], ["b/", "c/"]))
            self.assertLessEqual(max(pages), n)
        self.assertEqual(self.walk("&prefix=b%2F&delimiter=%2F")[:2], (["b/1", "b/2"], ["b/3/"]))

    def test_properties(self):
        names = {}
        marker = ""
        while marker is not None:
            more = f"&marker={QUOTE(marker, '')}" if marker else ""
            root = self.page("&include=metadata" + more)
            names.update({b.findtext("Name"): b for b in root.iter("Blob")})
            marker = root.findtext("NextMarker") or None
        etag = names["d"].findtext("Properties/Etag")
        self.assertEqual(f'"{etag}"', self.get("d").headers["etag"])
        self.assertEqual(names["d"].findtext("Properties/Content-Length"), "4")
        self.assertEqual(names["d"].findtext("Metadata/n"), "1")

    def test_refusals(self):
        base = "/box?restype=container&comp=list"
        self.expect(self.azure("GET", base + "&maxresults=0"), 400,
                    "OutOfRangeQueryParameterValue")
        self.expect(self.azure("GET", base + "&marker=x"), 400, "InvalidQueryParameterValue")
        self.expect(self.azure("GET", base + "&startFrom=x"), 400, "UnsupportedQueryParameter")
        self.expect(self.azure("GET", "/none?restype=container&comp=list"), 404,
                    "ContainerNotFound")


class SmallAndEmptyPages(Listing):
    options = ["--page", "3", "--empty-pages"]

    def test_empty(self):
        self.assertEqual(self.walk()[2], [0, 3, 0, 3, 0, 2])


if __name__ == "__main__":
    unittest.main()
