"""Keys of a PKCS#11 token (SoftHSM) sign for four languages."""

import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

import tools
from receiver import OneRequest, Receiver

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
LABEL = "webhooks"
PIN = "571934"
KEYS = {
    "p256": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ed25519": ("ED25519",),
}
# For each of four keys in each of four languages.
HANDSHAKES = 63
# More than a client can make before the test ends it.
ENDLESS = 10**8


class Counting(Receiver):
    """Counts the requests of each path."""

    def __init__(self, *files: Path):
        self.counts: dict[str, int] = {}
        super().__init__(*files, OneRequest)

    def record(self, path: str, serial: str) -> None:
        with self.lock:
            self.counts[path] = self.counts.get(path, 0) + 1
            self.lock.notify_all()
        super().record(path, serial)

    def wait_for_requests(self, path: str, number: int) -> None:
        with self.lock:
            came = self.lock.wait_for(lambda: self.counts.get(path, 0) >= number, tools.LIMIT)
            assert came, (path, self.counts)


def config(place: Path, files: Path) -> Path:
    """Writes a configuration of SoftHSM for the tokens in a directory."""
    file = place / "softhsm2.conf"
    file.write_text(f"directories.tokendir = {files}\nlog.level = ERROR\n")
    return file


class Token:
    """A token with a key of each type, and a CA that has certified them."""

    def __init__(self) -> None:
        self.place = tools.directory()
        self.files = self.place / "tokens"
        self.files.mkdir()
        self.config = config(self.place, self.files)
        self.util("--init-token", "--free", "--label", LABEL, "--so-pin", "5719340000")
        self.ca = self.place / "ca.pem"
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self.authority = ("-CA", self.ca, "-CAkey", self.place / "ca.key", "-days", "1")
        key = self.place / "ca.key"
        tools.openssl("req", "-x509", *new, "-subj", "/CN=CA", "-keyout", key, "-out", self.ca)
        for number, (name, kind) in enumerate(KEYS.items(), 1):
            key = self.place / f"{name}.key"
            tools.openssl("genpkey", "-out", key, "-algorithm", *kind)
            self.certify(name, key, "extendedKeyUsage = clientAuth")
            imported = ("--token", LABEL, "--label", name, "--id", f"{number:02}")
            self.util("--import", key, *imported)
            key.unlink()
        self.server = self.place / "server.key"
        tools.openssl("genpkey", "-out", self.server, "-algorithm", *KEYS["p256"])
        self.certify("server", self.server, "subjectAltName = IP:127.0.0.1")

    def util(self, *arguments: str | Path) -> None:
        call = ["softhsm2-util", *map(str, arguments), "--pin", PIN]
        env = {**os.environ, "SOFTHSM2_CONF": str(self.config)}
        subprocess.run(call, env=env, capture_output=True, timeout=tools.LIMIT, check=True)

    def certify(self, name: str, key: Path, extension: str) -> None:
        request, config = self.place / f"{name}.csr", self.place / f"{name}.cnf"
        config.write_text(extension + "\n")
        tools.openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        cert = self.place / f"{name}.pem"
        call = ("x509", "-req", "-in", request, *self.authority, "-extfile", config, "-out", cert)
        tools.openssl(*call)


class TokenClient(tools.Running):
    """A program that delivers when it is told to. It has a copy of the token.

    SoftHSM writes to a token at each login, and another process that reads it then does not see it.
    """

    def __init__(self, language: str, receiver: Receiver, token: Token, pin: str = PIN):
        self.place = tools.directory()
        self.files, self.away = self.place / "tokens", self.place / "away"
        shutil.copytree(token.files, self.files)
        self.language, self.receiver = language, receiver
        self.path = f"/{language}"
        self.asked = 0
        self.answers: list[dict] = []
        env = {
            "SOFTHSM2_CONF": str(config(self.place, self.files)),
            "TOKEN_MODULE": MODULE,
            "TOKEN_LABEL": LABEL,
            "TOKEN_PIN": pin,
            "TOKEN_CERTS": str(token.place),
            "WMTLS_CA": str(token.ca),
            "WMTLS_URL": f"https://127.0.0.1:{receiver.server_address[1]}{self.path}",
        }
        call = tools.TOKEN_CLIENTS[language]
        super().__init__(call, token.place, tools.environment(**env), stdin=subprocess.PIPE)

    def remove_token(self) -> None:
        self.files.rename(self.away)
        self.files.mkdir()

    def return_token(self) -> None:
        self.files.rmdir()
        self.away.rename(self.files)

    def writes(self) -> dict[Path, int]:
        """Returns when the token was written. SoftHSM does it at each login."""
        return {it: it.stat().st_mtime_ns for it in self.files.rglob("token.object")}

    def heard(self, line: str) -> None:
        # Others are of a program that cannot go on.
        if line.startswith("{"):
            self.answers.append(json.loads(line))

    def ask(self, line: str) -> None:
        self.asked += 1
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict:
        """Waits for the answer to the last line."""
        self.wait_for(lambda: len(self.answers) == self.asked or self.process.poll() is not None)
        assert len(self.answers) == self.asked, (self.language, self.lines)
        return self.answers[-1]

    def delivers(self, line: str, number: int) -> None:
        """Asserts that the answer to this line tells of so many deliveries and no failure."""
        answer = self.answer()
        assert answer["failed"] is None, (self.language, line, answer)
        assert answer["delivered"] == number, (self.language, line, answer)

    def stop(self) -> None:
        self.process.stdin.close()
        super().stop()


class Pkcs11(unittest.TestCase):
    def setUp(self):
        self.token = Token()
        files = (self.token.place / "server.pem", self.token.server, self.token.ca)
        self.receiver = self.enterContext(Counting(*files))
        self.clients = self.start()

    def start(self, **more: str) -> list[TokenClient]:
        return [
            self.enterContext(TokenClient(language, self.receiver, self.token, **more))
            for language in tools.TOKEN_CLIENTS
        ]

    def all_deliver(self, line: str, number: int) -> None:
        for client in self.clients:
            client.ask(f"{line} {number}")
        for client in self.clients:
            client.delivers(line, number)

    def test_a_thousand_handshakes_of_each_type_of_key(self):
        for name in KEYS:
            self.all_deliver(name, HANDSHAKES)
        serials = {tools.serial(self.token.place / f"{name}.pem") for name in KEYS}
        for client in self.clients:
            # Each connection has one request.
            assert self.receiver.counts[client.path] == len(KEYS) * HANDSHAKES
            assert set(self.receiver.seen[client.path]) == serials

    def test_a_token_that_is_removed_in_mid_flight_and_comes_back(self):
        for client in self.clients:
            client.ask(f"p256 {ENDLESS}")
        for client in self.clients:
            self.receiver.wait_for_requests(client.path, 10)
        for client in self.clients:
            client.remove_token()
        self.all_fail()
        for client in self.clients:
            client.ask("rsa 1")
        self.all_fail()
        for client in self.clients:
            client.return_token()
        for name in KEYS:
            self.all_deliver(name, 3)

    def all_fail(self) -> None:
        for client in self.clients:
            failed = client.answer()["failed"]
            assert failed is not None, client.language
            told = (failed["kind"], failed["sent"], failed["retry"], failed["blame"])
            assert told == ("signer_failed", "nothing", "later", "ours"), (client.language, failed)

    def test_a_wrong_pin_is_tried_once(self):
        self.clients = self.start(pin="842756")
        unused = [client.writes() for client in self.clients]
        for client in self.clients:
            client.ask("p256 1")
        self.all_fail()
        after_one = [client.writes() for client in self.clients]
        assert all(one != other for one, other in zip(unused, after_one, strict=True))
        for line in ("p256 1", "rsa 1"):
            for client in self.clients:
                client.ask(line)
            self.all_fail()
        for client, before in zip(self.clients, after_one, strict=True):
            assert client.writes() == before, client.language

    def test_a_child_opens_the_token_anew(self):
        client = next(it for it in self.clients if it.language == "c")
        for line in ("p256 5", "fork p256 5", "fork rsa 5", "p256 5"):
            client.ask(line)
            client.delivers(line, 5)
