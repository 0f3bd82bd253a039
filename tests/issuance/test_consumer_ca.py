"""A consumer's CA signs our requests, and its endpoint's identity rotates under load."""

import unittest

import tools
from receiver import Receiver


class ConsumerCa(unittest.TestCase):
    def test_signed_by_openssl_for_one_endpoint(self):
        place = tools.directory()
        guide = "openssl.md"
        for step in ("request", "ca", "sign"):
            tools.run(guide, step, place)
        (place / "server.cnf").write_text("subjectAltName = IP:127.0.0.1\n")
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        server = (place / "server.crt", place / "server.key")
        request = place / "server.csr"
        tools.openssl("req", *new, "-subj", "/CN=server", "-keyout", server[1], "-out", request)
        ca = ("-CA", place / "ca.pem", "-CAkey", place / "ca.key", "-days", "1")
        ext = ("-extfile", place / "server.cnf")
        tools.openssl("x509", "-req", "-in", request, *ca, *ext, "-out", server[0])
        receiver = self.enterContext(Receiver(*server, place / "ca.pem"))
        url = f"https://127.0.0.1:{receiver.server_address[1]}"
        more = {"WMTLS_ENDPOINT_IDENTITY": "1"}
        clients = [
            self.enterContext(tools.Client(language, url, place, place / "ca.pem", **more))
            for language in tools.CLIENTS
        ]
        serials = [tools.serial(place / "tls.crt")]
        for _ in range(3):
            for client in clients:
                receiver.wait_for(f"/{client.language}", serials[-1], tools.LIMIT)
            for step in ("request-again", "sign-again", "install"):
                tools.run(guide, step, place)
            serials.append(tools.serial(place / "tls.crt"))
        for client in clients:
            receiver.wait_for(f"/{client.language}", serials[-1], tools.LIMIT)
            client.wait_for(lambda it=client: len(it.named("rotated")) >= 3)
            client.finish()
            assert client.failed == [], (client.language, client.failed)
            assert client.delivered > 0
            assert len(client.named("rotated")) == 3, (client.language, client.events)
        assert len(set(serials)) == 4
