"""`listen` shows the clients of other libraries, and why it refuses one."""

import base64
import http.client
import json
import ssl
import subprocess
import unittest

import tools

NODE = """
const https = require('https'), fs = require('fs');
const request = https.request({
  port: process.argv[1], host: 'localhost', method: 'POST', path: '/node',
  cert: fs.readFileSync('sender.crt'), key: fs.readFileSync('sender.key'),
  ca: fs.readFileSync('ca.pem'),
}, (response) => {
  response.resume();
  response.on('end', () => console.log(response.statusCode));
});
request.end('from node');
"""


def called(*arguments, cwd, stdin=None) -> subprocess.CompletedProcess:
    return subprocess.run(
        list(map(str, arguments)),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env=tools.environment(),
        timeout=tools.LIMIT,
        check=False,
    )


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tools.lab()

    def accepted(self, report: dict, path: str, body: bytes) -> None:
        assert report["event"] == "request", report
        assert report["peer"]["cn"] == "sender"
        assert report["peer"]["san_uri"] == ["spiffe://lab.test/webhooks"]
        assert report["request"]["path"] == path
        assert base64.b64decode(report["request"]["body_base64"]) == body

    def test_curl(self):
        with tools.Receiver(self.place, "--status", "202") as receiver:
            url = f"https://localhost:{receiver.port}/curl"
            ours = ("--cert", "sender.crt", "--key", "sender.key", "--cacert", "ca.pem")
            for extra in ((), ("--tls-max", "1.2"), ("-H", "transfer-encoding: chunked")):
                done = called(
                    "curl",
                    "-sS",
                    "-o",
                    "/dev/null",
                    "-w",
                    "%{http_code}",
                    *ours,
                    *extra,
                    "-d",
                    "from curl",
                    url,
                    cwd=self.place,
                )
                assert done.stdout == b"202", done.stderr
                self.accepted(receiver.next(), "/curl", b"from curl")
            # The body of a megabyte is counted, and its start kept.
            (self.place / "large").write_bytes(b"x" * 1_000_000)
            called("curl", "-sS", *ours, "--data-binary", "@large", url, cwd=self.place)
            report = receiver.next()
            assert report["request"]["length"] == 1000000
            assert len(base64.b64decode(report["request"]["body_base64"])) == 65536

    def test_curl_without_a_certificate_or_without_our_ca(self):
        with tools.Receiver(self.place) as receiver:
            url = f"https://localhost:{receiver.port}/"
            called("curl", "-sS", "--cacert", "ca.pem", url, cwd=self.place)
            report = receiver.next()
            assert report["event"] == "refused"
            assert "it sent no certificate" in report["reason"]
            called(
                "curl", "-sS", "--cert", "sender.crt", "--key", "sender.key", url, cwd=self.place
            )
            report = receiver.next()
            assert report["event"] == "refused"
            assert "does not trust the CA" in report["reason"]
            called("curl", "-sS", f"http://localhost:{receiver.port}/", cwd=self.place)
            assert "HTTP without TLS" in receiver.next()["reason"]

    def test_openssl(self):
        with tools.Receiver(self.place) as receiver:
            call = (
                "openssl",
                "s_client",
                "-connect",
                f"127.0.0.1:{receiver.port}",
                "-quiet",
                "-CAfile",
                "ca.pem",
                "-servername",
                "localhost",
            )
            request = b"POST /openssl HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi"
            ours = ("-cert", "sender.crt", "-cert_chain", "sender.crt", "-key", "sender.key")
            done = called(*call, *ours, cwd=self.place, stdin=request)
            report = receiver.next()
            self.accepted(report, "/openssl", b"hi")
            assert report["tls"]["server_name"] == "localhost"
            assert b"HTTP/1.1 200" in done.stdout
            # Without the intermediate, the reason and the one certificate are shown.
            called(*call, *ours[:2], *ours[4:], cwd=self.place, stdin=request)
            report = receiver.next()
            assert report["error"]["kind"] == "issuer_unknown"
            assert [one["cn"] for one in report["certificates"]] == ["sender"]

    def test_node(self):
        with tools.Receiver(self.place) as receiver:
            done = called(tools.NODE, "-e", NODE, receiver.port, cwd=self.place)
            assert done.stdout.strip() == b"200", done.stderr
            self.accepted(receiver.next(), "/node", b"from node")

    def test_python(self):
        with tools.Receiver(self.place) as receiver:
            context = ssl.create_default_context(cafile=self.place / "ca.pem")
            context.load_cert_chain(self.place / "sender.crt", self.place / "sender.key")
            client = http.client.HTTPSConnection("localhost", receiver.port, context=context)
            client.request("POST", "/python", b"from python", {"expect": "100-continue"})
            assert client.getresponse().read() == b"received\n"
            client.close()
            self.accepted(receiver.next(), "/python", b"from python")

    def test_expired_and_revoked_clients(self):
        tools.done("lab", "issue", self.place, "late", "--expired")
        tools.done("lab", "issue", self.place, "gone")
        tools.done("lab", "revoke", self.place, "gone")
        with tools.Receiver(self.place, "--crl", "crl.pem") as receiver:
            for name, kind in (("late", "certificate_expired"), ("gone", "certificate_revoked")):
                called(
                    "curl",
                    "-sS",
                    "--cert",
                    f"{name}.crt",
                    "--key",
                    f"{name}.key",
                    "--cacert",
                    "ca.pem",
                    f"https://localhost:{receiver.port}/",
                    cwd=self.place,
                )
                report = receiver.next()
                assert report["error"]["kind"] == kind
                assert report["certificates"][0]["cn"] == name

    def test_our_own_delivery(self):
        with tools.Receiver(self.place) as receiver:
            url = f"https://localhost:{receiver.port}/own"
            ours = (
                "--cert",
                "sender.crt",
                "--key",
                "sender.key",
                "--ca",
                "ca.pem",
                "--allow",
                "127.0.0.0/8",
                "--allow",
                "::1",
            )
            tools.done("deliver", url, *ours, "--data", "@-", cwd=self.place, stdin=b"from us")
            self.accepted(receiver.next(), "/own", b"from us")
            shown = tools.run("deliver", url, *ours, "--json", "--data", "", cwd=self.place)
            assert json.loads(shown.stdout)["receipt"]["status"] == 200
            receiver.next()

    def test_an_address_in_use_is_named_with_what_to_do(self):
        arguments = ["listen", "--json", "--cert", "receiver.crt", "--key", "receiver.key"]
        with tools.Receiver(self.place) as receiver:
            address = f"127.0.0.1:{receiver.port}"
            arguments += ["--ca", "ca.pem", "--address", address]
            done = tools.run(*arguments, cwd=self.place)
        assert done.returncode == 3, done
        error = json.loads(done.stdout)["error"]
        assert error["message"] == f"{address} cannot be listened on: address already in use"
        assert f"listens on {address}: stop it" in error["remedy"], error["remedy"]
        assert "--address 127.0.0.1:0 takes a free one" in error["remedy"], error["remedy"]

    def test_requests_that_are_none(self):
        hostile = {
            b"\x00\x01\x02\r\n\r\n": "400",
            b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n": "400",
            b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n": "413",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n": "400",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffffff\r\n": "413",
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200: "431",
            b"GET /" + b"a" * 100_000: "431",
            b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf": None,
        }
        with tools.Receiver(self.place) as receiver:
            for request, status in hostile.items():
                with tools.connected(self.place, receiver.port) as client:
                    client.sendall(request)
                    if status is not None:
                        answer = client.recv(100)
                        assert f"HTTP/1.1 {status}".encode() in answer, request[:60]
                report = receiver.next()
                assert report["event"] == "no_request", request[:60]
                assert report["peer"]["cn"] == "sender"
