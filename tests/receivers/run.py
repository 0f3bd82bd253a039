"""Runs every proxy in front of every application, and sends honest and forged requests.

    run.py --work FOLDER --command PROGRAM --proxies PYTHON --node COMMAND

The last line counts the checks.
"""

import argparse
import json
import socket
import ssl
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from certificates import Pki
from forged import DIALECTS, Lines, attacks, lines
from guide import checks
from process import Running, application
from proxies import Programs, start

HERE = Path(__file__).resolve().parent
APPLICATIONS = ["fastapi", "flask", "express", "fastify"]
SECONDS = 60

# WSGI joins the lines of a header, so its middleware refuses dialects whose values are lists.
LISTS = ("envoy", "envoy_json", "traefik")

# The source of a request that goes around the proxy. The hop is 127.0.0.1 alone.
ELSEWHERE = ("127.0.0.2", 0)


@dataclass
class Tally:
    """The checks so far."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)

    def check(self, what: str, holds: bool, seen: object) -> None:
        """Counts one check."""
        if holds:
            self.passed += 1
        else:
            self.failed.append(f"{what}: {seen}")
            print(f"  FAILED {what}: {seen}", flush=True)


@dataclass(frozen=True)
class Answer:
    """The status (0 without an answer) and the name of the peer in it."""

    status: int
    cn: str | None = None
    kind: str | None = None
    evidence: str | None = None


def main() -> int:
    """Runs all pairs; returns the exit status."""
    parser = argparse.ArgumentParser()
    for name in ("work", "command", "proxies", "node"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    work = Path(given.work)
    node = json.loads(given.node)
    pki = Pki(work / "pki")
    programs = Programs(given.command, given.proxies)
    tally = Tally()
    for app in APPLICATIONS:
        for dialect in sorted(set(DIALECTS.values())):
            if app == "flask" and dialect in LISTS:
                continue
            command = commands(node)[app]
            home = work / f"{app}-{dialect}"
            running = application(app, [*command, dialect, str(pki.home)], home)
            try:
                direct(tally, f"{app}, {dialect}", dialect, pki, running)
                if (app, dialect) == ("fastapi", "nginx"):
                    found = checks(pki, given.command, running.port, home / "guide")
                    for name, holds, seen in found:
                        tally.check(f"guide: {name}", holds, seen)
                for proxy in (each for each, of in DIALECTS.items() if of == dialect):
                    served = start(proxy, pki, programs, running.port, home / proxy)
                    try:
                        through(tally, f"{proxy} before {app}", dialect, pki, served)
                    finally:
                        served.stop()
            except BaseException:
                print(running.said(), flush=True)
                raise
            finally:
                running.stop()
    for fault in tally.failed:
        print(f"  {fault}")
    print(f"receivers: {tally.passed} passed, {len(tally.failed)} failed")
    return int(bool(tally.failed))


def commands(node: dict[str, list[str]]) -> dict[str, list[str]]:
    """Returns the command of each application."""
    python = {name: [sys.executable, str(HERE / f"{name}_app.py")] for name in ("fastapi", "flask")}
    return python | node


def direct(tally: Tally, who: str, dialect: str, pki: Pki, app: Running) -> None:
    """Sends requests around the proxy."""
    victim = lines(dialect, pki.clients["victim"])
    forged: dict[str, Lines] = {
        "around the proxy": victim,
        "around the proxy with an address": [*victim, ("X-Forwarded-For", "127.0.0.1")],
        "around the proxy with an address and a port": [
            *victim,
            ("X-Forwarded-For", "127.0.0.1:80"),
        ],
        "around the proxy with Forwarded": [*victim, ("Forwarded", "for=127.0.0.1")],
    }
    for name, sent in forged.items():
        answer = ask(app.port, sent, source=ELSEWHERE)
        refused = answer == Answer(401, kind="hop_untrusted")
        tally.check(f"{who}: {name}", refused, answer)
    answer = ask(app.port, [], source=ELSEWHERE, path="/health")
    tally.check(f"{who}: health check", answer.status == 200, answer)
    # What the hop itself sends passes, so the refusals above are not due to the lines.
    answer = ask(app.port, victim)
    tally.check(f"{who}: the hop", (answer.status, answer.cn) == (200, "victim"), answer)


def through(tally: Tally, who: str, dialect: str, pki: Pki, proxy: Running) -> None:
    """Sends requests through the proxy."""

    def send(client: str | None, sent: Lines) -> Answer:
        return ask(proxy.port, sent, tls=context(pki, client))

    # Traefik accepts connections before it has read the configuration, and answers 404 meanwhile.
    deadline = time.monotonic() + Running.start_seconds
    while send("good", []).status in (0, 404) and time.monotonic() < deadline:
        time.sleep(0.02)
    good = send("good", [])
    expected = (200, "good", "forwarded")
    tally.check(f"{who}: good", (good.status, good.cn, good.evidence) == expected, good)
    for client in (None, "expired", "stranger", "revoked"):
        answer = send(client, [])
        refused = answer.status != 200 and answer.cn is None
        tally.check(f"{who}: {client or 'no certificate'}", refused, answer)
    for name, sent in attacks(dialect, pki):
        # A client that is known claims to be another: it is itself, or refused.
        answer = send("good", sent)
        honest = answer.cn == "good" if answer.status == 200 else answer.cn is None
        tally.check(f"{who}: forged, {name}", honest, answer)
        answer = send(None, sent)
        refused = answer.status != 200 and answer.cn is None
        tally.check(f"{who}: forged without a certificate, {name}", refused, answer)
    # After all this, an honest client still passes.
    good = send("good", [])
    tally.check(f"{who}: good again", (good.status, good.cn) == (200, "good"), good)


def context(pki: Pki, client: str | None) -> ssl.SSLContext:
    """Returns a context that presents the client's certificate."""
    made = ssl.create_default_context(cafile=str(pki.path("root.pem")))
    if client is not None:
        made.load_cert_chain(pki.path(f"{client}.crt"), pki.path(f"{client}.key"))
    return made


def ask(
    port: int,
    sent: Lines,
    *,
    tls: ssl.SSLContext | None = None,
    source: tuple[str, int] = ("127.0.0.1", 0),
    path: str = "/",
) -> Answer:
    """Sends a request with these lines, byte by byte as given."""
    given = [("Host", "localhost"), *sent]
    if not any(name == "Connection" for name, _ in sent):
        given.append(("Connection", "close"))
    head = "".join(f"{name}: {value}\r\n" for name, value in given)
    request = f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS, source) as plain:
            if tls is None:
                return read(plain, request)
            with tls.wrap_socket(plain, server_hostname="localhost") as secured:
                return read(secured, request)
    except (ssl.SSLError, ConnectionError):
        return Answer(0)


def read(connection: socket.socket, request: bytes) -> Answer:
    """Sends the request and reads the answer until its end."""
    connection.sendall(request)
    received = b""
    while part := connection.recv(65536):
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        return Answer(0)
    status = int(head.split(b" ", 2)[1])
    start, end = body.find(b"{"), body.rfind(b"}")
    try:
        fields = json.loads(body[start : end + 1]) if start >= 0 else {}
    except ValueError:
        fields = {}
    return Answer(status, fields.get("cn"), fields.get("kind"), fields.get("evidence"))


if __name__ == "__main__":
    sys.exit(main())
