# SPDX-License-Identifier: Apache-2.0
"""The stand-in server under TLS, in each dialect."""

import os
import ssl
import subprocess
import tempfile
import unittest

import standin


def make_certificate(folder, name):
    """A self-signed certificate and its key: paths without their endings .pem and .key."""
    path = os.path.join(folder, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path + ".key",
                    "-out", path + ".pem"], check=True, capture_output=True)
    return path


class Tls(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = make_certificate(folder.name, "server")
        self.other = make_certificate(folder.name, "other")

    def start(self, dialect):
        server = standin.Standin(dialect, "--bucket", "bucket", "--cert", self.path + ".pem",
                                 "--key", self.path + ".key")
        server.__enter__()
        self.addCleanup(server.__exit__)
        server.cafile = self.path + ".pem"
        return server

    def test_s3(self):
        server = self.start("s3")
        s3 = standin.S3(server.port, cafile=server.cafile)
        body = bytes(range(256)) * 20000
        self.assertEqual(s3("PUT", "/bucket/large", body=body).status, 200)
        self.assertEqual(s3("GET", "/bucket/large").body, body)
        self.assertEqual(server.stats()["ops"]["get"]["requests"], 1)
        server.fault(op="get", fault="short_body")
        with self.assertRaises((standin.http.client.IncompleteRead, ssl.SSLError)):
            s3("GET", "/bucket/large")
        server.fault(op="get", fault="refuse")
        with self.assertRaises((ConnectionError, ssl.SSLError)):
            s3("GET", "/bucket/large")

    def test_azure(self):
        server = self.start("azure")
        azure = standin.Azure(server.port, cafile=server.cafile)
        put = azure("PUT", "/bucket/a", {"x-ms-blob-type": "BlockBlob"}, b"body")
        self.assertEqual((put.status, azure("GET", "/bucket/a").body), (201, b"body"))

    def test_gcs(self):
        server = self.start("gcs")
        put = server.send("POST", "/upload/storage/v1/b/bucket/o?uploadType=media&name=a", {},
                          b"body")
        self.assertEqual(put.status, 200)
        got = server.send("GET", "/storage/v1/b/bucket/o/a?alt=media")
        self.assertEqual(got.body, b"body")

    def test_refused(self):
        server = self.start("s3")
        with self.assertRaises(ssl.SSLCertVerificationError):
            standin.send(server.port, "GET", "/", cafile=self.other + ".pem")
        with self.assertRaises((ConnectionError, standin.http.client.HTTPException)):
            standin.send(server.port, "GET", "/")
        # The server survives both.
        self.assertEqual(server.send("GET", "/").status, 403)


if __name__ == "__main__":
    unittest.main()
