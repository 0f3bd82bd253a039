"""A consumer's CA signs our requests, and its endpoint's identity rotates under load."""

import tools
from case import Case


class ConsumerCa(Case):
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
        self.receive(*server, place / "ca.pem")
        serials = [tools.serial(place / "tls.crt")]
        clients = self.clients(place, WMTLS_ENDPOINT_IDENTITY="1")
        for _ in range(3):
            for step in ("request-again", "sign-again", "install"):
                tools.run(guide, step, place)
            serials.append(tools.serial(place / "tls.crt"))
            self.seen_by_all(serials[-1:])
        self.finish(clients, 3)
        assert len(set(serials)) == 4
