"""A consumer's CA signs our requests, and its endpoint's identity rotates under load."""

import subprocess
from pathlib import Path

import tools
from case import Case


class ConsumerCa(Case):
    def test_signed_by_openssl_for_one_endpoint(self):
        self.renewed_while_deliveries_run("openssl.md", self.server_of_openssl)

    def test_signed_by_easy_rsa_for_one_endpoint(self):
        self.renewed_while_deliveries_run("easy-rsa.md", self.server_of_easy_rsa)

    def renewed_while_deliveries_run(self, guide, make_server) -> None:
        """Follows a guide. Its CA also issues the certificate of the receiver."""
        place = tools.directory()
        for step in ("request", "ca", "sign"):
            tools.run(guide, step, place)
        self.receive(*make_server(place), place / "ca.pem")
        serials = [tools.serial(place / "tls.crt")]
        clients = self.clients(place, WMTLS_ENDPOINT_IDENTITY="1")
        for _ in range(3):
            for step in ("request-again", "sign-again", "install"):
                tools.run(guide, step, place)
            serials.append(tools.serial(place / "tls.crt"))
            self.seen_by_all(serials[-1:])
        self.finish(clients, 3)
        assert len(set(serials)) == 4

    def server_of_openssl(self, place: Path) -> tuple[Path, Path]:
        (place / "server.cnf").write_text("subjectAltName = IP:127.0.0.1\n")
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        server = (place / "server.crt", place / "server.key")
        request = place / "server.csr"
        tools.openssl("req", *new, "-subj", "/CN=server", "-keyout", server[1], "-out", request)
        ca = ("-CA", place / "ca.pem", "-CAkey", place / "ca.key", "-days", "1")
        ext = ("-extfile", place / "server.cnf")
        tools.openssl("x509", "-req", "-in", request, *ca, *ext, "-out", server[0])
        return server

    def server_of_easy_rsa(self, place: Path) -> tuple[Path, Path]:
        call = ["/usr/share/easy-rsa/easyrsa", "--subject-alt-name=IP:127.0.0.1"]
        call += ["build-server-full", "server", "nopass"]
        env = tools.environment(EASYRSA_BATCH="1")
        subprocess.run(call, cwd=place, env=env, capture_output=True, check=True)
        return place / "pki" / "issued" / "server.crt", place / "pki" / "private" / "server.key"
