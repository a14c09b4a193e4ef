# SPDX-License-Identifier: Apache-2.0
"""The stand-in server's dialect of Google Cloud Storage."""

import base64
import hashlib
import json
import os
import subprocess
import tempfile
import time
import unittest
import urllib.parse

import standin

OBJECTS = "/storage/v1/b/bucket/o"
UPLOAD = "/upload/storage/v1/b/bucket/o"


def quote(name):
    return urllib.parse.quote(name, safe="-_.~")


class Base(unittest.TestCase):
    options = []

    @classmethod
    def setUpClass(cls):
        cls.server = standin.Standin("gcs", "--bucket", "bucket", *cls.options)
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__)

    def send(self, method, target, headers=None, body=b""):
        return self.server.send(method, target, headers, body)

    def expect(self, answer, status, reason):
        self.assertEqual(answer.status, status, answer.text)
        self.assertEqual(answer.json["error"]["errors"][0]["reason"], reason)

    def insert(self, name, data=b"body", query="", headers=None, **description):
        body = (b"--xyz\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
                + json.dumps({"name": name, **description}).encode()
                + b"\r\n--xyz\r\nContent-Type: application/octet-stream\r\n\r\n" + data
                + b"\r\n--xyz--\r\n")
        return self.send("POST", f"{UPLOAD}?uploadType=multipart{query}",
                         {"Content-Type": "multipart/related; boundary=xyz", **(headers or {})},
                         body)

    def put(self, name, data=b"body", query="", **description):
        answer = self.insert(name, data, query, **description)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json["generation"]

    def media(self, name, query="", headers=None):
        return self.send("GET", f"{OBJECTS}/{quote(name)}?alt=media{query}", headers)


class Objects(Base):
    def test_insert_get_stat_delete(self):
        answer = self.insert("dir/one", b"hello world", contentType="text/plain",
                             crc32c="yZRlqg==", metadata={"nonce": "n1"},
                             cacheControl="no-store, no-transform")
        resource = answer.json
        self.assertEqual(resource["crc32c"], "yZRlqg==")
        self.assertEqual(resource["size"], "11")
        self.assertEqual(resource["metadata"], {"nonce": "n1"})
        self.assertEqual(resource["cacheControl"], "no-store, no-transform")
        self.assertEqual(self.send("GET", f"{OBJECTS}/dir%2Fone").json, resource)
        got = self.media("dir/one")
        self.assertEqual((got.status, got.body), (200, b"hello world"))
        self.assertEqual(got.headers["x-goog-generation"], resource["generation"])
        self.assertEqual(got.headers["content-type"], "text/plain")
        self.assertEqual(self.send("DELETE", f"{OBJECTS}/dir%2Fone").status, 204)
        self.expect(self.send("DELETE", f"{OBJECTS}/dir%2Fone"), 404, "notFound")
        self.expect(self.send("GET", f"{OBJECTS}/dir%2Fone"), 404, "notFound")
        # Downloads answer errors in plain text.
        self.assertEqual((self.media("dir/one").status, self.media("dir/one").text[:7]),
                         (404, "No such"))
        self.expect(self.send("GET", f"{OBJECTS}/dir/one"), 404, "notFound")

    def test_media_upload(self):
        headers = {"Content-Type": "text/plain", "x-goog-hash": "crc32c=mnG7TA=="}
        target = f"{UPLOAD}?uploadType=media&name=m%2Fb"
        self.assertEqual(self.send("POST", target, headers, b"hello").status, 200)
        self.assertEqual(self.media("m/b").body, b"hello")
        self.expect(self.send("POST", target, headers, b"hullo"), 400, "invalid")
        self.expect(self.send("POST", f"{UPLOAD}?uploadType=media", {}, b"x"), 400, "required")

    def test_large_body(self):
        data = bytes(range(256)) * 40000
        self.put("large", data)
        self.assertEqual(self.media("large").body, data)
        part = self.media("large", headers={"Range": "bytes=70000-70009"})
        self.assertEqual(part.body, data[70000:70010])

    def test_checksums(self):
        md5 = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
        self.put("sums", b"hello", crc32c="mnG7TA==", md5Hash=md5)
        self.expect(self.insert("bad", b"hullo", crc32c="mnG7TA=="), 400, "invalid")
        self.expect(self.insert("bad", b"hullo", md5Hash=md5), 400, "invalid")
        self.assertEqual(self.media("bad").status, 404)

    def test_malformed_multipart(self):
        good = (b'--b\r\nContent-Type: application/json\r\n\r\n{"name":"x"}\r\n'
                b'--b\r\nContent-Type: a/b\r\n\r\ndata\r\n--b--')
        target, headers = UPLOAD + "?uploadType=multipart", {
            "Content-Type": 'multipart/related; boundary="b"'}
        self.assertEqual(self.send("POST", target, headers, good).status, 200)
        for bad in (b"", good[1:], good[:-1], good.replace(b"\r\n--b\r\n", b"\r\n"),
                    good.replace(b"application/json", b"text/plain")):
            self.expect(self.send("POST", target, headers, bad), 400, "badContent")
        self.expect(self.send("POST", target, headers, good.replace(b'"name"', b'"nome"')), 400,
                    "invalid")
        self.expect(self.insert("x", surprise="y"), 400, "invalid")
        self.expect(self.send("POST", target, {"Content-Type": "a/b"}, good), 400, "badContent")

    def test_preconditions(self):
        generation = self.put("cond", b"1", "&ifGenerationMatch=0")
        self.expect(self.insert("cond", b"2", "&ifGenerationMatch=0"), 412, "conditionNotMet")
        self.expect(self.insert("cond", b"2", "&ifGenerationMatch=1"), 412, "conditionNotMet")
        self.expect(self.insert("none", b"2", "&ifGenerationMatch=1"), 412, "conditionNotMet")
        self.expect(self.insert("cond", b"2", "&ifGenerationMatch=x"), 400, "invalid")
        second = self.put("cond", b"2", f"&ifGenerationMatch={generation}")
        self.assertGreater(int(second), int(generation))
        get = lambda query: self.send("GET", f"{OBJECTS}/cond?{query}")
        self.expect(get(f"ifGenerationMatch={generation}"), 412, "conditionNotMet")
        self.expect(get(f"generation={generation}"), 404, "notFound")
        self.assertEqual(get(f"ifGenerationNotMatch={second}").status, 304)
        self.assertEqual(get(f"generation={second}&ifGenerationMatch={second}").status, 200)
        self.assertEqual(self.media("cond", f"&ifGenerationMatch={generation}").status, 412)
        self.assertEqual(self.media("none", "&ifGenerationMatch=5").status, 404)
        delete = lambda query: self.send("DELETE", f"{OBJECTS}/cond?{query}")
        self.expect(delete(f"ifGenerationMatch={generation}"), 412, "conditionNotMet")
        self.expect(delete(f"generation={generation}"), 404, "notFound")
        self.assertEqual(delete(f"ifGenerationMatch={second}").status, 204)

    def test_ranges(self):
        self.put("range", b"0123456789")
        for header, body, where in (("bytes=2-4", b"234", "2-4"), ("bytes=-3", b"789", "7-9"),
                                    ("bytes=8-99", b"89", "8-9")):
            got = self.media("range", headers={"Range": header})
            self.assertEqual((got.status, got.body), (206, body))
            self.assertEqual(got.headers["content-range"], f"bytes {where}/10")
        self.assertEqual(self.media("range", headers={"Range": "bytes=10-"}).status, 416)
        self.put("nothing", b"")
        self.assertEqual(self.media("nothing", headers={"Range": "bytes=0-0"}).status, 416)

    def test_patch_and_rewrite(self):
        generation = self.put("from", b"data", metadata={"a": "1", "b": "2"})
        answer = self.send("PATCH", f"{OBJECTS}/from", {}, b'{"metadata":{"a":null,"c":"3"}}')
        self.assertEqual(answer.json["metadata"], {"b": "2", "c": "3"})
        self.assertEqual((answer.json["generation"], answer.json["metageneration"]),
                         (generation, "2"))
        target = f"{OBJECTS}/from/rewriteTo/b/bucket/o/to%2Fx"
        answer = self.send("POST", target + "?ifGenerationMatch=0", {}, b"{}")
        self.assertTrue(answer.json["done"])
        self.assertEqual(self.media("to/x").body, b"data")
        self.expect(self.send("POST", target + "?ifGenerationMatch=0"), 412, "conditionNotMet")
        self.expect(self.send("POST", target + "?ifSourceGenerationMatch=1"), 412,
                    "conditionNotMet")
        self.assertEqual(self.send("GET", f"{OBJECTS}/to%2Fx").json["metadata"], {"b": "2", "c": "3"})
        self.send("POST", target, {}, b'{"metadata":{"d":"4"}}')
        self.assertEqual(self.send("GET", f"{OBJECTS}/to%2Fx").json["metadata"], {"d": "4"})
        self.expect(self.send("POST", target, {}, b'{"surprise":1}'), 400, "invalid")

    def test_fields(self):
        self.put("fields", metadata={"k": "v"})
        got = self.send("GET", f"{OBJECTS}?prefix=fields&fields=items/name,items/size,prefixes")
        self.assertEqual(got.json, {"items": [{"size": "4"}]})
        got = self.send("GET", f"{OBJECTS}/fields?fields=name,size,metadata").json
        self.assertEqual(got, {"name": "fields", "size": "4", "metadata": {"k": "v"}})
        for bad in ("nome", "name,", "name(", "items(name", ""):
            self.expect(self.send("GET", f"{OBJECTS}/fields?fields={bad}"), 400,
                        "invalidParameter")

    def test_fault_by_name_in_the_body(self):
        self.server.fault(op="put", match="b/flaky", fault="status", status=503)
        self.assertEqual(self.insert("b/sound").status, 200)
        self.expect(self.insert("b/flaky"), 503, "backendError")
        self.assertEqual(self.insert("b/flaky").status, 200)

    def test_refusals(self):
        self.expect(self.send("GET", f"{OBJECTS}/x?surprise=1"), 400, "invalidParameter")
        self.expect(self.send("GET", "/storage/v1/b/nowhere/o"), 404, "notFound")
        self.expect(self.send("GET", "/elsewhere"), 404, "notFound")
        self.expect(self.insert("k" * 1025), 400, "invalid")
        self.expect(self.insert("a\nb"), 400, "invalid")

    def test_buckets(self):
        create = lambda: self.send("POST", "/storage/v1/b?project=p", {}, b'{"name":"second"}')
        self.assertEqual(create().status, 200)
        self.expect(create(), 409, "conflict")
        self.assertEqual(self.send("GET", "/storage/v1/b/second?fields=name").json,
                         {"name": "second"})
        names = [b["name"] for b in self.send("GET", "/storage/v1/b?project=p").json["items"]]
        self.assertEqual(names, ["bucket", "second"])
        self.assertEqual(self.send("DELETE", "/storage/v1/b/second").status, 204)


class Resumable(Base):
    data = bytes(range(256)) * 3000        # 750 KiB
    unit = 256 << 10

    def start(self, name, query="", **description):
        return self.send("POST", f"{UPLOAD}?uploadType=resumable{query}",
                         {"Content-Type": "application/json", "X-Upload-Content-Type": "a/b"},
                         json.dumps({"name": name, **description}).encode())

    def chunk(self, session, what, body=b"", **headers):
        target = session[session.index("/upload"):]
        return self.send("PUT", target, {"Content-Range": f"bytes {what}", **headers}, body)

    def test_chunks(self):
        session = self.start("big", metadata={"n": "1"}).headers["location"]
        total, unit = len(self.data), self.unit
        answer = self.chunk(session, f"*/{total}")
        self.assertEqual((answer.status, "range" in answer.headers), (308, False))
        # Of this chunk only the whole units are kept.
        answer = self.chunk(session, f"0-{unit + 99}/{total}", self.data[:unit + 100])
        self.assertEqual((answer.status, answer.headers["range"]), (308, f"bytes=0-{unit - 1}"))
        answer = self.chunk(session, f"{unit + 100}-{unit + 199}/*",
                            self.data[unit + 100:unit + 200])
        self.assertEqual(answer.status, 503)
        self.assertEqual(self.media("big").status, 404)
        answer = self.chunk(session, f"{unit}-{total - 1}/{total}", self.data[unit:])
        self.assertEqual((answer.status, answer.json["size"]), (200, str(total)))
        self.assertEqual(answer.json["metadata"], {"n": "1"})
        again = self.chunk(session, f"*/{total}")
        self.assertEqual((again.status, again.json), (200, answer.json))
        got = self.media("big")
        self.assertEqual((got.body, got.headers["content-type"]), (self.data, "a/b"))

    def test_at_once_and_no_308(self):
        session = self.start("once").headers["location"]
        answer = self.chunk(session, "*/*", **{"X-GUploader-No-308": "yes"})
        self.assertEqual((answer.status, answer.headers["x-http-status-code-override"]),
                         (200, "308"))
        target = session[session.index("/upload"):]
        self.assertEqual(self.send("PUT", target, {}, self.data).status, 200)
        self.assertEqual(self.media("once").body, self.data)

    def test_preconditions(self):
        session = self.start("cond", "&ifGenerationMatch=0").headers["location"]
        generation = self.put("cond", b"first")
        self.expect(self.chunk(session, "0-4/5", b"other"), 412, "conditionNotMet")
        self.expect(self.start("cond", "&ifGenerationMatch=0"), 412, "conditionNotMet")
        session = self.start("cond", f"&ifGenerationMatch={generation}").headers["location"]
        self.assertEqual(self.chunk(session, "0-4/5", b"other").status, 200)

    def test_checksum_cancel_and_refusals(self):
        session = self.start("sum", crc32c="mnG7TA==").headers["location"]
        self.expect(self.chunk(session, "0-4/5", b"hullo"), 400, "invalid")
        session = self.start("sum").headers["location"]
        self.expect(self.chunk(session, "0-4/6/7", b"hullo"), 400, "badRequest")
        self.expect(self.chunk(session, "0-9/10", b"hullo"), 400, "badRequest")
        target = session[session.index("/upload"):]
        self.assertEqual(self.send("DELETE", target).status, 499)
        self.expect(self.chunk(session, "0-4/5", b"hello"), 404, "notFound")


class Listing(Base):
    names = ["a", "a b+c", "b/1", "b/2", "b/3/x", "b0", "c/é", "d"]

    def setUp(self):
        for name in self.names:
            self.put(name)

    def walk(self, query=""):
        items, prefixes, pages, token = [], [], [], ""
        while token is not None:
            more = f"&pageToken={quote(token)}" if token else ""
            answer = self.send("GET", f"{OBJECTS}?fields=nextPageToken,prefixes,items(name)"
                                      f"{query}{more}").json
            items += [i["name"] for i in answer.get("items", [])]
            prefixes += answer.get("prefixes", [])
            pages.append(len(answer.get("items", [])) + len(answer.get("prefixes", [])))
            token = answer.get("nextPageToken")
        return items, prefixes, pages

    def test_pages(self):
        for n in (1, 2, 5, 100):
            self.assertEqual(self.walk(f"&maxResults={n}")[0], self.names)
            items, prefixes, pages = self.walk(f"&maxResults={n}&delimiter=%2F")
            self.assertEqual((items, prefixes), (["a", "a b+c", "b0", "d"], ["b/", "c/"]))
            self.assertLessEqual(max(pages), n)

    def test_offsets(self):
        self.assertEqual(self.walk("&startOffset=b%2F2")[0], self.names[3:])
        self.assertEqual(self.walk("&startOffset=b%2F2&endOffset=c")[0], self.names[3:6])
        self.assertEqual(self.walk("&startOffset=b%2F2&prefix=b%2F")[0], ["b/2", "b/3/x"])

    def test_refusals(self):
        self.expect(self.send("GET", f"{OBJECTS}?maxResults=0"), 400, "invalid")
        self.expect(self.send("GET", f"{OBJECTS}?pageToken=x"), 400, "invalid")


class SmallAndEmptyPages(Listing):
    options = ["--page", "3", "--empty-pages"]

    def test_empty(self):
        self.assertEqual(self.walk()[2], [0, 3, 0, 3, 0, 2])


class Steps(Base):
    options = ["--copy-steps", "2"]

    def test_rewrite_in_steps(self):
        self.put("from", b"data")
        target, answers = f"{OBJECTS}/from/rewriteTo/b/bucket/o/to", []
        for token in ("", "&rewriteToken=1", "&rewriteToken=2"):
            self.assertEqual(self.media("to").status, 404)
            answers.append(self.send("POST", f"{target}?ifGenerationMatch=0{token}").json)
        self.assertEqual([a["done"] for a in answers], [False, False, True])
        self.assertEqual([a.get("rewriteToken") for a in answers], ["1", "2", None])
        self.assertEqual(self.media("to").body, b"data")


class NameRate(Base):
    options = ["--gcs-name-rate"]

    def test_second_change_at_once(self):
        # On a machine so slow that a second passes in between, the next attempt is quicker.
        for _ in range(20):
            self.insert("hot")
            answer = self.insert("hot")
            if answer.status == 429:
                break
        self.expect(answer, 429, "rateLimitExceeded")
        self.expect(self.send("DELETE", f"{OBJECTS}/hot"), 429, "rateLimitExceeded")


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Tokens(Base):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.key = os.path.join(folder.name, "key.pem")
        public = os.path.join(folder.name, "public.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", cls.key,
                        "-pkeyopt", "rsa_keygen_bits:2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", cls.key, "-pubout", "-out", public], check=True)
        cls.options = ["--token", "fixed", "--jwt-pubkey", public, "--refresh-token", "again",
                       "--token-life", "0"]
        super().setUpClass()

    def jwt(self, alg="RS256", **claims):
        now = int(time.time())
        claims = {"iss": "me@test", "iat": now, "exp": now + 3600, **claims}
        text = ".".join(b64url(json.dumps(part).encode())
                        for part in ({"alg": alg, "typ": "JWT"}, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key],
                                   input=text.encode(), check=True, capture_output=True).stdout
        return f"{text}.{b64url(signature)}"

    def status(self, token):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.send("GET", OBJECTS, headers).status

    def test_bearer(self):
        self.expect(self.send("GET", OBJECTS), 401, "required")
        self.assertEqual(self.status("wrong"), 401)
        self.assertEqual(self.status("fixed"), 200)

    def test_jwt(self):
        good = {"sub": "me@test", "scope": "devstorage"}
        self.assertEqual(self.status(self.jwt(**good)), 200)
        late = int(time.time()) - 7200
        for bad in ({"sub": "other"}, {"scope": ""}, {"aud": "x"}, {"alg": "RS384"},
                    {"iat": late, "exp": late + 3600}, {"exp": int(time.time()) + 7200}):
            self.assertEqual(self.status(self.jwt(**{**good, **bad})), 401, bad)
        token = self.jwt(**good)
        self.assertEqual(self.status(token[:-8] + "AAAAAAAA"), 401)

    def exchange(self, **form):
        return self.send("POST", "/token", {"Content-Type": "application/x-www-form-urlencoded"},
                         urllib.parse.urlencode(form).encode())

    def test_exchange(self):
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        jwt = self.jwt(aud="http://127.0.0.1/token", scope="s")
        answer = self.exchange(grant_type=grant, assertion=jwt)
        self.assertEqual((answer.status, answer.json["expires_in"]), (200, 0))
        self.assertEqual(self.status(answer.json["access_token"]), 401)  # its life is over
        answer = self.exchange(grant_type=grant, assertion=self.jwt(scope="s"))
        self.assertEqual((answer.status, answer.json["error"]), (400, "invalid_grant"))

    def test_refresh(self):
        with standin.Standin("gcs", "--bucket", "bucket", "--refresh-token", "again") as server:
            form = {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s",
                    "refresh_token": "again"}
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = server.send("POST", "/token", kind, urllib.parse.urlencode(form).encode())
            bearer = {"Authorization": "Bearer " + answer.json["access_token"]}
            self.assertEqual(server.send("GET", OBJECTS, bearer).status, 200)
            form["refresh_token"] = "other"
            answer = server.send("POST", "/token", kind, urllib.parse.urlencode(form).encode())
            self.assertEqual(answer.json["error"], "invalid_grant")
            target = "/computeMetadata/v1/instance/service-accounts/default/token"
            self.assertEqual(server.send("GET", target).status, 403)
            answer = server.send("GET", target, {"Metadata-Flavor": "Google"})
            bearer = {"Authorization": "Bearer " + answer.json["access_token"]}
            self.assertEqual(server.send("GET", OBJECTS, bearer).status, 200)


if __name__ == "__main__":
    unittest.main()
