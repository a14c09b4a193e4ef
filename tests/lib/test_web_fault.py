# SPDX-License-Identifier: Apache-2.0
"""Faults, counters and the objects behind the protocol."""

import http.client
import json
import threading
import time
import unittest

import standin

BROKEN = (ConnectionResetError, http.client.RemoteDisconnected, BrokenPipeError)


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = standin.Standin("s3", "--bucket", "bucket")
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__)

    def setUp(self):
        self.server.clear()
        self.server.control("POST", "reset")
        self.s3 = standin.S3(self.server.port)
        self.s3("PUT", "/bucket/there", body=b"0123456789")

    def exists(self, key):
        self.server.clear()
        return self.s3("HEAD", "/bucket/" + key).status == 200

    def test_refuse(self):
        self.server.fault(fault="refuse", count=0)
        for _ in range(3):
            with self.assertRaises(BROKEN):
                self.s3("GET", "/bucket/there")
        self.assertEqual(self.server.stats()["faults"]["refuse"], 3)
        self.assertTrue(self.exists("there"))

    def test_reset(self):
        for when, applied in (("before", False), ("after", True)):
            self.server.fault(op="put", match="new", fault="reset_" + when)
            with self.assertRaises(BROKEN):
                self.s3("PUT", "/bucket/new-" + when)
            self.assertEqual(self.exists("new-" + when), applied)

    def test_stall(self):
        self.server.fault(op="get", fault="stall", ms=1)
        with self.assertRaises(BROKEN):
            self.s3("GET", "/bucket/there")
        for attempt in range(100):
            if self.stalls_until_cleared(0.01 * attempt):
                return
        self.fail("no request was stalled")

    def stalls_until_cleared(self, seconds):
        """Whether the request was there when the rules were cleared; it ends in either case."""
        self.server.fault(op="get", fault="stall")
        seen = []

        def get():
            try:
                seen.append(self.s3("GET", "/bucket/there").status)
            except BROKEN:
                seen.append("broken")
        thread = threading.Thread(target=get)
        thread.start()
        time.sleep(seconds)
        self.assertEqual(self.s3("HEAD", "/bucket/there").status, 200)
        self.assertEqual(seen, [])
        self.server.clear()
        thread.join(standin.LIMIT_S)
        self.assertIn(seen, (["broken"], [200]))
        return seen == ["broken"]

    def test_short_body(self):
        for more, expected in (({}, b"01234"), ({"bytes": 3}, b"012"), ({"bytes": 0}, b"")):
            self.server.fault(op="get", fault="short_body", **more)
            with self.assertRaises(http.client.IncompleteRead) as caught:
                self.s3("GET", "/bucket/there")
            self.assertEqual((caught.exception.partial, caught.exception.expected),
                             (expected, 10 - len(expected)))

    def test_wrong_length(self):
        self.server.fault(op="get", fault="wrong_length")
        with self.assertRaises(http.client.IncompleteRead):
            self.s3("GET", "/bucket/there")
        self.server.fault(op="get", fault="wrong_length", delta=-3)
        self.assertEqual(self.s3("GET", "/bucket/there").body, b"0123456")

    def test_status(self):
        self.server.fault(op="put", fault="status", retry_after=2)
        answer = self.s3("PUT", "/bucket/status")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "2"))
        self.assertIn("<Code>SlowDown</Code>", answer.text)
        self.assertFalse(self.exists("status"))
        self.server.fault(op="put", fault="status", status=500, apply=True)
        self.assertEqual(self.s3("PUT", "/bucket/status").status, 500)
        self.assertTrue(self.exists("status"))
        self.server.fault(fault="status", status=400, code="ExpiredToken")
        self.assertIn("<Code>ExpiredToken</Code>", self.s3("GET", "/bucket/there").text)

    def test_error_200(self):
        self.server.fault(op="put", fault="error_200", status=500)
        answer = self.s3("PUT", "/bucket/error")
        self.assertEqual(answer.status, 200)
        self.assertIn("<Code>InternalError</Code>", answer.text)
        self.assertFalse(self.exists("error"))

    def test_delay_apply(self):
        self.server.fault(op="put", fault="delay_apply")
        connection = standin.connect(self.server.port)
        headers = self.s3.sign("PUT", "/bucket/late", {}, b"")
        connection.request("PUT", "/bucket/late", headers=headers)
        connection.close()
        self.assertEqual(self.s3("HEAD", "/bucket/late").status, 404)
        self.server.clear()     # ends the wait; the client is gone, the request is still executed
        while self.server.stats()["ops"]["put"]["requests"] < 2:
            pass
        self.assertEqual(self.s3("HEAD", "/bucket/late").status, 200)

    def test_twice(self):
        self.server.fault(op="put", fault="twice")
        answer = self.s3("PUT", "/bucket/twice", {"if-none-match": "*"})
        self.assertEqual(answer.status, 412)
        self.assertTrue(self.exists("twice"))

    def test_bit_flip(self):
        self.server.fault(op="get", fault="bit_flip")
        got = self.s3("GET", "/bucket/there").body
        difference = int.from_bytes(got, "big") ^ int.from_bytes(b"0123456789", "big")
        self.assertEqual(bin(difference).count("1"), 1)
        self.assertEqual(self.s3("GET", "/bucket/there").body, b"0123456789")

    def test_slow(self):
        self.server.fault(op="get", fault="slow", ms=1, bytes_per_s=1000)
        self.server.fault(op="get", fault="status", status=503)
        self.assertEqual(self.s3("GET", "/bucket/there").status, 503)
        self.assertEqual(self.s3("GET", "/bucket/there").body, b"0123456789")

    def test_selection(self):
        self.server.fault(op="get", match="here", fault="status", skip=1, count=2)
        self.s3("PUT", "/bucket/other")
        self.assertEqual(self.s3("GET", "/bucket/other").status, 200)
        seen = [self.s3("GET", "/bucket/there").status for _ in range(5)]
        self.assertEqual(seen, [200, 503, 503, 200, 200])

    def test_probability(self):
        def draw(seed):
            self.server.clear()
            self.server.fault(fault="status", prob=0.5, seed=seed, count=0)
            return [self.s3("HEAD", "/bucket/there").status for _ in range(40)]
        first = draw(1)
        self.assertEqual(first, draw(1))
        self.assertNotEqual(first, draw(2))
        self.assertGreater(first.count(503), 5)
        self.assertGreater(first.count(200), 5)

    def test_refused_rules(self):
        for rule in ({"fault": "none"}, {"fault": "nothing"}, {"fault": "slow", "op": "x"},
                     {"fault": "slow", "speed": 1}, {"fault": "status", "status": 1}, 5):
            answer = self.server.send("POST", "/-/fault", body=json.dumps(rule).encode())
            self.assertEqual(answer.status, 400, rule)

    def test_stats(self):
        self.s3("GET", "/bucket/there")
        self.s3("GET", "/bucket/gone")
        stats = self.server.stats()
        self.assertEqual(stats["ops"]["put"]["bytes_in"], 10)
        self.assertEqual(stats["ops"]["get"]["status"], {"200": 1, "404": 1})
        self.assertEqual(stats["requests"], 3)
        self.server.control("POST", "reset")
        self.assertEqual(self.server.stats()["requests"], 0)

    def test_objects(self):
        etag = self.s3("HEAD", "/bucket/there").headers["etag"]
        control = self.server.control
        self.assertEqual(control("GET", "object/bucket/there").body, b"0123456789")
        control("PUT", "object/bucket/there?silent=1", b"damaged")
        got = self.s3("GET", "/bucket/there")
        self.assertEqual((got.body, got.headers["etag"]), (b"damaged", etag))
        control("PUT", "object/bucket/there", b"replaced")
        got = self.s3("GET", "/bucket/there")
        self.assertEqual(got.body, b"replaced")
        self.assertNotEqual(got.headers["etag"], etag)
        self.assertIn("there", control("GET", "objects/bucket").json)
        control("DELETE", "object/bucket/there")
        self.assertEqual(self.s3("GET", "/bucket/there").status, 404)
        self.assertEqual(self.server.send("GET", "/-/object/bucket/there").status, 404)


class Http(unittest.TestCase):
    """Requests that are no good HTTP, and how connections live on."""

    @classmethod
    def setUpClass(cls):
        cls.server = standin.Standin("s3", "--bucket", "bucket")
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__)

    def raw(self, text):
        with standin.socket.create_connection(("127.0.0.1", self.server.port),
                                              standin.LIMIT_S) as connection:
            connection.sendall(text.encode())
            connection.shutdown(standin.socket.SHUT_WR)
            return connection.makefile("rb").read().decode()

    def test_malformed(self):
        for request in ("GET\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
                        "GET /\u00e9 HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                        "GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET x HTTP/1.1\r\nHost: h\r\n\r\n",
                        "GET /?a=%4 HTTP/1.1\r\nHost: h\r\n\r\n",
                        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
                        "PUT /a/b HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
                        "PUT /a/b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
                        "Content-Length: 1\r\n\r\n"):
            self.assertRegex(self.raw(request), "^HTTP/1.1 400 ", request)
        self.assertEqual(self.raw("GET / HTTP/1.1\r\nHost:"), "")

    def test_framing(self):
        host = " HTTP/1.1\r\nHost: h\r\n"
        self.assertRegex(self.raw("PUT /bucket/b" + host + "\r\n"), "^HTTP/1.1 411 ")
        self.assertRegex(self.raw("PUT /bucket/b" + host + "Transfer-Encoding: chunked\r\n\r\n"),
                         "^HTTP/1.1 501 ")

    def test_pipelined_and_kept_alive(self):
        answers = self.raw("GET /bucket/x HTTP/1.1\r\nHost: h\r\n\r\n" * 3)
        self.assertEqual(answers.count("HTTP/1.1 403"), 3)
        connection = standin.connect(self.server.port)
        s3 = standin.S3(self.server.port)
        s3("PUT", "/bucket/kept", body=b"x" * 100000, connection=connection)
        sock = connection.sock
        for _ in range(3):
            got = s3("GET", "/bucket/kept", connection=connection)
            self.assertEqual(len(got.body), 100000)
        self.assertIs(connection.sock, sock)
        connection.close()

    def test_expect(self):
        s3 = standin.S3(self.server.port)
        for sign, final in ((s3, 200), (standin.S3(self.server.port, secret="wrong"), 403)):
            headers = sign.sign("PUT", "/bucket/expect", {}, b"hello")
            head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
            answer = self.raw(f"PUT /bucket/expect HTTP/1.1\r\n{head}Expect: 100-continue\r\n"
                              f"Content-Length: 5\r\n\r\n" + ("hello" if final == 200 else ""))
            self.assertEqual("HTTP/1.1 100 " in answer, final == 200)
            self.assertIn(f"HTTP/1.1 {final} ", answer)

    def test_cut_upload(self):
        s3 = standin.S3(self.server.port)
        headers = s3.sign("PUT", "/bucket/cut", {}, b"hello")
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        self.raw(f"PUT /bucket/cut HTTP/1.1\r\n{head}Content-Length: 5\r\n\r\nhel")
        self.assertEqual(s3("HEAD", "/bucket/cut").status, 404)


if __name__ == "__main__":
    unittest.main()
