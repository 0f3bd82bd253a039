"""Keys in a token of SoftHSM sign handshakes: P-256, P-384 and RSA."""

import datetime
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key

import webhook_mtls as wm
from barrier import in_child, status_of
from webhook_mtls.pkcs11 import TokenSigner
from webhook_mtls.testing import Lab

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "571934"
KEYS = ("p256", "p384", "rsa")
HANDSHAKES = 1000

pytestmark = pytest.mark.slow


class Authority:
    """A CA of the test: that of the lab certifies no key of others."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of the token")])
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        self.cert = self._sign(self.name, self.key.public_key(), constraint)

    def certify(self, name: str, public: Any) -> bytes:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._sign(subject, public, usage).public_bytes(Encoding.PEM)

    def _sign(
        self, subject: x509.Name, public: Any, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=True)
        )
        return builder.sign(self.key, SHA256())


class Receiver:
    """A TLS server that accepts certificates of one CA, and answers each request with 204."""

    def __init__(self, folder: Path, lab: Lab, anchors: bytes) -> None:
        issued = lab.consumer("acme").issued
        (folder / "server.pem").write_bytes(issued.cert_pem + issued.key_pem)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "server.pem")
        self.context.load_verify_locations(cadata=anchors.decode())
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.accepting = threading.Thread(target=self._accept)
        self.serving = ThreadPoolExecutor(16)
        self.accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.serving.submit(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        try:
            with self.context.wrap_socket(connection, server_side=True) as secure:
                while secure.recv(65536):
                    secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        except OSError:
            connection.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.accepting.join()
        self.serving.shutdown()


class Token:
    """A token of SoftHSM in a folder, with a key of each type and its certificate."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder, self.files = folder, folder / "tokens"
        self.files.mkdir()
        config = folder / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {self.files}\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(config)
        command = ["softhsm2-util", "--init-token", "--free", "--label", "webhooks"]
        command += ["--so-pin", "5719340000", "--pin", PIN]
        subprocess.run(command, check=True, capture_output=True)
        library = pkcs11.lib(MODULE)
        library.reinitialize()
        token = library.get_token(token_label="webhooks")
        with token.open(rw=True, user_pin=PIN) as session:
            for name in KEYS:
                public = load_der_public_key(self._generate(session, name))
                (folder / f"{name}.pem").write_bytes(authority.certify(name, public))
        library.reinitialize()

    def _generate(self, session: Any, name: str) -> bytes:
        if name == "rsa":
            public, _ = session.generate_keypair(pkcs11.KeyType.RSA, 2048, label=name, store=True)
            return encode_rsa_public_key(public)
        curve = {"p256": "secp256r1", "p384": "secp384r1"}[name]
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)},
            local=True,
        )
        public, _ = parameters.generate_keypair(label=name, store=True)
        return encode_ec_public_key(public)

    def identity(self, name: str, pin: str = PIN) -> wm.Identity:
        signer = TokenSigner(MODULE, token="webhooks", key=name, pin=lambda: pin)
        return signer.identity(self.folder / f"{name}.pem")


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Token, Receiver, Lab]]:
    folder, authority = tmp_path_factory.mktemp("token"), Authority()
    with Lab() as lab:
        token = Token(folder, authority)
        receiver = Receiver(folder, lab, authority.cert.public_bytes(Encoding.PEM))
        yield token, receiver, lab
        receiver.close()
    del os.environ["SOFTHSM2_CONF"]


@pytest.mark.parametrize("name", KEYS)
def test_a_key_of_a_token_signs_for_several_threads(
    token: tuple[Token, Receiver, Lab], name: str
) -> None:
    keys, receiver, lab = token
    with lab.dispatcher(identity=keys.identity(name), timeout=60, handshake_timeout=30) as sender:
        endpoint = sender.endpoint("token", receiver.url, pins=None)
        receipt = sender.deliver(endpoint, b"{}")
        assert receipt.status == 204
        assert receipt.tls.signature is not None
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: sender.probe(endpoint), range(HANDSHAKES)))
        samples = sender.metrics()["webhook_mtls_signatures_total"]["samples"]
        assert [one["value"] for one in samples] == [HANDSHAKES + 1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_opens_the_token_anew(token: tuple[Token, Receiver, Lab]) -> None:
    keys, receiver, lab = token
    with lab.dispatcher(identity=keys.identity("p256"), handshake_timeout=30) as sender:
        endpoint = sender.endpoint("token", receiver.url, pins=None)
        sender.probe(endpoint)
        child = in_child(lambda: [sender.probe(endpoint) for _ in range(5)])
        assert status_of(child) == 0
        sender.probe(endpoint)


def test_a_token_that_is_removed_fails_and_comes_back(token: tuple[Token, Receiver, Lab]) -> None:
    keys, receiver, lab = token
    with lab.dispatcher(identity=keys.identity("p384"), handshake_timeout=30) as sender:
        endpoint = sender.endpoint("token", receiver.url, pins=None)
        sender.probe(endpoint)
        away = keys.folder / "away"
        shutil.move(keys.files, away)
        keys.files.mkdir()
        try:
            with pytest.raises(wm.DeliveryError) as raised:
                sender.deliver(endpoint, b"{}")
        finally:
            keys.files.rmdir()
            shutil.move(away, keys.files)
        error = raised.value
        assert (error.kind, error.sent, error.retry) == ("signer_failed", "nothing", "later")
        assert isinstance(error.__cause__, pkcs11.PKCS11Error)
        assert sender.deliver(endpoint, b"{}").status == 204


class Logins:
    """The module of the tests, with a count of its logins."""

    def __init__(self) -> None:
        self.library = pkcs11.lib(MODULE)
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.library, name)

    def get_token(self, token_label: str) -> Any:
        token = self.library.get_token(token_label=token_label)

        class Counted:
            @staticmethod
            def open(user_pin: str | None = None) -> Any:
                self.count += user_pin is not None
                return token.open(user_pin=user_pin)

        return Counted


def test_a_wrong_pin_is_tried_once_and_not_shown(
    token: tuple[Token, Receiver, Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, receiver, lab = token
    pins = ["842756"]
    signers = [
        TokenSigner(MODULE, token="webhooks", key=key, pin=lambda: pins[-1])
        for key in ("p256", "p384")
    ]
    pkcs11.lib(MODULE).reinitialize()
    logins = Logins()
    monkeypatch.setattr(pkcs11, "lib", lambda _: logins)
    with lab.dispatcher(handshake_timeout=30, timeout=60) as sender:
        first, second = (
            sender.endpoint(
                f"token-{key}",
                receiver.url,
                pins=None,
                identity=signer.identity(keys.folder / f"{key}.pem"),
            )
            for key, signer in zip(("p256", "p384"), signers, strict=True)
        )
        for endpoint in (first, first, second):
            with pytest.raises(wm.DeliveryError) as raised:
                sender.deliver(endpoint, b"{}")
            assert isinstance(raised.value.__cause__, pkcs11.PinIncorrect)
            assert "842756" not in f"{raised.value.to_dict()} {signers}"
        assert logins.count == 1
        pins.append(PIN)
        assert sender.deliver(first, b"{}").status == 204
        assert logins.count == 2
