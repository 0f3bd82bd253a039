"""A case, and what it needs: certificates, servers, and a delivery with one fault."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import consumers
from certificates import Certificates, openssl
from said import Heard, Said
from servers import Programs

import webhook_mtls as wm
from webhook_mtls.testing import set_clock

CLIENT_SECONDS = 60

BODY = b'{"event":"ping"}'


class Lab:
    """The certificates and the servers of all cases. Servers start when a case needs them."""

    def __init__(self, work: Path, node: str, clients: dict[str, list[str]]) -> None:
        self.work = work
        self.certificates = Certificates(work / "certificates")
        silent = consumers.serve(consumers.silent)
        self.programs = Programs(self.certificates, work / "servers", node, silent)
        self._ports: dict[object, int] = {}
        self.clients = clients
        self._told: dict[str, dict[str, Any]] = {}

    def port(self, of: object, handler: Callable[[], consumers.Handler]) -> int:
        """Returns the port of a socket in this process, which listens from the first use on."""
        if of not in self._ports:
            self._ports[of] = consumers.serve(handler())
        return self._ports[of]

    def file(self, name: str, content: bytes | None = None) -> Path:
        """Returns the path of a file with this content, or of no file."""
        folder = self.work / "files"
        folder.mkdir(exist_ok=True)
        path = folder / name
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o600)
        return path

    def pem(self, name: str) -> bytes:
        """Returns the chain of a certificate, by its name."""
        return self.certificates.of(name).chain.read_bytes()

    def key(self, name: str) -> bytes:
        """Returns the key of a certificate, by its name."""
        return self.certificates.of(name).key.read_bytes()

    def identity(self, name: str = "ours") -> wm.Identity:
        """Loads an identity from its files."""
        made = self.certificates.identity(name)
        return wm.Identity.from_files(made.chain, made.key)

    def told(self, language: str, case: str) -> Heard:
        """Returns what the client of another language heard about a wrong argument."""
        if language not in self._told:
            self._told[language] = self._run(language)
        error = self._told[language][case]
        return Heard({"kind": "none"}, "") if error is None else Heard.of_json(error)

    def _run(self, language: str) -> dict[str, Any]:
        ours = self.certificates.identity("ours")
        by = ["-in", ours.chain, "-inkey", ours.key, "-passout", "pass:secret"]
        environment = {
            "WMTLS_CERT": str(ours.chain),
            "WMTLS_KEY": str(ours.key),
            "WMTLS_CA": str(self.certificates.of("Acme Root").cert),
            "WMTLS_PKCS12": str(self.file("tls.p12", openssl("pkcs12", "-export", *by))),
        }
        done = subprocess.run(
            self.clients[language],
            check=True,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            timeout=CLIENT_SECONDS,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return {line["case"]: line["error"] for line in lines}

    def trust(self, name: str = "Acme Root", **others: Any) -> wm.Trust:
        """Loads the trust in a root from its file."""
        return wm.Trust.from_files(self.certificates.of(name).cert, **others)


@dataclass(frozen=True)
class Case:
    """A misconfiguration: how it is made, and what must be said.

    `make` raises the error, or returns what says it. If `probed` is set, a probe of the same
    endpoint must say that.
    """

    id: str
    title: str
    make: Callable[[Lab], object]
    says: Said
    probed: Said | None = None

    def heard(self, lab: Lab) -> Heard:
        """Makes the fault, and returns what the library says."""
        return heard(lambda: self.make(lab))

    def heard_by_probe(self, lab: Lab) -> Heard:
        """The same, by a probe."""
        assert isinstance(self.make, Delivery)
        made = self.make
        return heard(lambda: made.probe(lab))


@contextmanager
def clock(days: int) -> Iterator[None]:
    """Lets the clock of the library be wrong by this many days."""
    if days:
        set_clock(datetime.now(UTC) + timedelta(days=days))
    try:
        yield
    finally:
        set_clock(None)


def heard(make: Callable[[], object]) -> Heard:
    """Returns what the library says when it is used so."""
    try:
        return Heard.of(make())
    except wm.WebhookMtlsError as error:
        return Heard.of(error)


@dataclass(frozen=True)
class Delivery:
    """One delivery to a consumer, with everything right unless a field says otherwise.

    `to` returns the URL, or names a server: `nginx strict`, or `python expired`, which shows the
    certificate of that name.
    """

    to: str | Callable[[Lab], str]
    shows: str | Callable[[Lab], wm.Identity] = "ours"
    trusts: str | Callable[[Lab], wm.Trust] = "Acme Root"
    pins: Callable[[Lab], wm.Pins | None] = field(default=lambda _: None)
    dispatcher: Mapping[str, Any] = field(default_factory=dict)
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    path: str = "/in"
    body: Any = BODY
    # The days by which our clock is wrong.
    days: int = 0

    def __call__(self, lab: Lab) -> object:
        """Delivers once."""
        with clock(self.days), self._dispatcher(lab) as dispatcher:
            endpoint = self._endpoint(dispatcher, lab)
            return dispatcher.deliver(endpoint, self.body, **self.options)

    def probe(self, lab: Lab) -> object:
        """Probes once."""
        with clock(self.days), self._dispatcher(lab) as dispatcher:
            return dispatcher.probe(self._endpoint(dispatcher, lab))

    def but(self, **fields: Any) -> "Delivery":
        """Returns a copy with other values."""
        return replace(self, **fields)

    def url(self, lab: Lab) -> str:
        """Returns the URL of the consumer."""
        if not isinstance(self.to, str):
            return self.to(lab)
        if "://" in self.to:
            return self.to
        return f"https://hooks.acme.test:{port_of(self.to, lab)}{self.path}"

    def _dispatcher(self, lab: Lab) -> wm.Dispatcher:
        trust = lab.trust(self.trusts) if isinstance(self.trusts, str) else self.trusts(lab)
        identity = lab.identity(self.shows) if isinstance(self.shows, str) else self.shows(lab)
        given = {
            name: value(lab) if callable(value) else value
            for name, value in self.dispatcher.items()
        }
        options = {
            "identity": identity,
            "trust": trust,
            "egress": egress(),
        }
        return wm.Dispatcher(**(options | given))

    def _endpoint(self, dispatcher: wm.Dispatcher, lab: Lab) -> wm.Endpoint:
        options = {"pins": self.pins(lab), **self.endpoint}
        return dispatcher.endpoint("acme", self.url(lab), **options)


def egress() -> wm.Egress:
    """Returns a policy that allows the loopback, where all servers listen."""
    return wm.Egress("public", allow=["127.0.0.0/8"])


def port_of(server: str, lab: Lab) -> int:
    """Returns the port of a server by its name; starts it if it does not run."""
    program, _, shown = server.partition(" ")
    if program != "python":
        return lab.programs.port(server)

    def handler() -> consumers.Handler:
        certificates = lab.certificates
        return consumers.https(
            consumers.context(certificates.shown_by(shown), certificates, "Sender Root")
        )

    return lab.port(server, handler)


def peer(id: str, title: str, delivery: Delivery, says: Said, probed: Said | None = None) -> Case:
    """A case with a consumer. A probe must say the same, unless `probed` says otherwise."""
    return Case(id, title, delivery, says, probed or says)


def socket_at(handler: consumers.Handler, host: str = "hooks.acme.test") -> Callable[[Lab], str]:
    """Returns the URL of a socket in this process that behaves so."""
    return lambda lab: f"https://{host}:{lab.port(handler, lambda: handler)}/in"


def tls_at(end: Callable[["Lab"], consumers.Handler], key: str) -> Callable[[Lab], str]:
    """Returns the URL of a TLS receiver that needs the certificates of the lab."""
    return lambda lab: f"https://hooks.acme.test:{lab.port(key, lambda: end(lab))}/in"
