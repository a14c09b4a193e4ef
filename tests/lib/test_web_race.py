# SPDX-License-Identifier: Apache-2.0
"""Many clients at once: a create and a replace have one winner, whose bytes are the ones stored."""

import threading
import unittest

import standin

RACERS = 8
ROUNDS = 25


class Race(unittest.TestCase):
    def start(self, dialect):
        server = standin.Standin(dialect, "--bucket", "bucket")
        server.__enter__()
        self.addCleanup(server.__exit__)
        return server

    def race(self, put, get, won, lost):
        """put(connection, name, body) -> status, from each racer in each round."""
        line = threading.Barrier(RACERS, timeout=standin.LIMIT_S)
        statuses = [[0] * RACERS for _ in range(ROUNDS)]

        def racer(number):
            connection = standin.connect(self.port)
            for turn in range(ROUNDS):
                line.wait()
                statuses[turn][number] = put(connection, f"key{turn}", b"%d" % number * 5000)
            connection.close()
        threads = [threading.Thread(target=racer, args=(n,)) for n in range(RACERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for turn, seen in enumerate(statuses):
            self.assertEqual(sorted(seen), sorted([won] + [lost] * (RACERS - 1)))
            self.assertEqual(get(f"key{turn}"), b"%d" % seen.index(won) * 5000)

    def test_s3(self):
        server = self.start("s3")
        self.port = server.port
        s3 = standin.S3(server.port)
        put = lambda connection, name, body: s3(
            "PUT", f"/bucket/{name}", {"if-none-match": "*"}, body, connection=connection).status
        self.race(put, lambda name: s3("GET", f"/bucket/{name}").body, 200, 412)

    def test_s3_replace(self):
        server = self.start("s3")
        self.port = server.port
        s3 = standin.S3(server.port)
        etags = {}
        for turn in range(ROUNDS):
            answer = s3("PUT", f"/bucket/key{turn}", body=b"first")
            etags[f"key{turn}"] = answer.headers["etag"]
        put = lambda connection, name, body: s3(
            "PUT", f"/bucket/{name}", {"if-match": etags[name]}, body,
            connection=connection).status
        self.race(put, lambda name: s3("GET", f"/bucket/{name}").body, 200, 412)

    def test_azure(self):
        server = self.start("azure")
        self.port = server.port
        azure = standin.Azure(server.port)
        headers = {"If-None-Match": "*", "x-ms-blob-type": "BlockBlob"}
        put = lambda connection, name, body: azure(
            "PUT", f"/bucket/{name}", headers, body, connection=connection).status
        self.race(put, lambda name: azure("GET", f"/bucket/{name}").body, 201, 409)

    def test_gcs(self):
        server = self.start("gcs")
        self.port = server.port
        put = lambda connection, name, body: server.send(
            "POST", f"/upload/storage/v1/b/bucket/o?uploadType=media&ifGenerationMatch=0"
                    f"&name={name}", {}, body, connection=connection).status
        get = lambda name: server.send("GET", f"/storage/v1/b/bucket/o/{name}?alt=media").body
        self.race(put, get, 200, 412)


if __name__ == "__main__":
    unittest.main()
