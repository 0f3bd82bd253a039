"""Servers of ASGI that end TLS themselves: the TLS extension and the peer, for HTTP/1.1, HTTP/2 and
WebSockets.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h2.connection
import h2.events
import pytest
from test_receivers import Scene, ask, client_context, fast_api, served, tls_options
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from barrier import LONG, environment_of, running
from webhook_mtls import asgi
from webhook_mtls.uvicorn import HttpToolsProtocol

LEAF = "-----BEGIN CERTIFICATE-----"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def told(version: str) -> dict[str, str]:
    return {"subject": "CN=acme", "evidence": "socket", "http": version, "leaf": LEAF}


def ask_by_http2(port: int, context: ssl.SSLContext) -> tuple[int, Any]:
    """Sends a request by HTTP/2; returns the status and the JSON."""
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", port), LONG)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as secured:
        assert secured.selected_alpn_protocol() == "h2"
        own = h2.connection.H2Connection()
        own.initiate_connection()
        names = {":method": "GET", ":path": "/", ":scheme": "https", ":authority": "localhost"}
        own.send_headers(1, list(names.items()), end_stream=True)
        status, body = 0, b""
        while True:
            secured.sendall(own.data_to_send())
            for event in own.receive_data(secured.recv(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    return status, json.loads(body)


SERVERS = {
    "gunicorn": [
        *("-m", "gunicorn", "--worker-class", "webhook_mtls.gunicorn.AsgiWorker"),
        *("--workers", "1", "--cert-reqs", "1", "--http-protocols", "h2,h1", "--keyfile"),
        *("server.key", "--certfile", "server.pem", "--ca-certs", "root.pem"),
    ],
    "hypercorn": [
        *("-m", "hypercorn", "--verify-mode", "CERT_OPTIONAL", "--keyfile"),
        *("server.key", "--certfile", "server.pem", "--ca-certs", "root.pem"),
    ],
}


@contextmanager
def started(scene: Scene, server: str, app: str) -> Iterator[int]:
    """Runs a server until the block ends. Its socket exists before, so that a client can wait."""
    tls_options(scene)
    environment = environment_of(scene.folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        bind = ["--bind", f"fd://{listener.fileno()}"]
        command = ["env", "-C", str(scene.folder), sys.executable, *SERVERS[server], *bind]
        log, fds = scene.folder / "log", [listener.fileno()]
        with running([*command, f"receiver_app:{app}"], log, environment, fds):
            yield listener.getsockname()[1]


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_ends_tls_gives_a_peer_of_the_socket(scene: Scene, server: str) -> None:
    app = "wrapped" if server == "hypercorn" else "bare"
    with started(scene, server, app) as port:
        known = client_context(scene, with_certificate=True)
        unknown = client_context(scene, with_certificate=False)
        absent = (401, {"kind": "evidence_missing"})
        for _ in range(2):
            assert ask(port, context=known) == (200, told("1.1"))
            assert ask(port, context=unknown) == absent
        # hypercorn 0.18 closes some connections of WebSockets without an answer, with any
        # application.
        if server != "hypercorn":
            address = f"wss://127.0.0.1:{port}"
            with connect(address, ssl=known, open_timeout=LONG) as connection:
                assert json.loads(connection.recv(LONG)) == told("1.1")
            # The servers without the extension for such answers send 403.
            refused = pytest.raises(InvalidStatus, match=r"HTTP 40[13]")
            with refused, connect(address, ssl=unknown, open_timeout=LONG):
                pass
        assert ask_by_http2(port, known) == (200, told("2"))
        assert ask_by_http2(port, unknown) == absent


def test_a_request_without_the_extension_is_refused(scene: Scene) -> None:
    with started(scene, "hypercorn", "bare") as port:
        known = client_context(scene, with_certificate=True)
        assert ask(port, context=known) == (401, {"kind": "evidence_missing"})


def test_httptools_of_uvicorn_gives_a_peer_of_the_socket(scene: Scene) -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["state"]["peer"].subject})

    options = {**tls_options(scene), "http": HttpToolsProtocol}
    known = client_context(scene, with_certificate=True)
    unknown = client_context(scene, with_certificate=False)
    with served(fast_api(scene), **options) as port:
        passed = {"subject": "CN=acme", "evidence": "socket", "hop": None}
        assert ask(port, context=known) == (200, passed)
        assert ask(port, context=unknown) == (401, {"kind": "evidence_missing"})
    for protocol in ("wsproto", "websockets-sansio"):
        app = asgi.PeerMiddleware(echo, verifier=scene.verifier)
        with served(app, **options, ws=protocol) as port:
            address = f"wss://127.0.0.1:{port}"
            with connect(address, ssl=known, open_timeout=LONG) as connection:
                assert connection.recv(LONG) == "CN=acme", protocol
            refused = pytest.raises(InvalidStatus, match="HTTP 401")
            with refused, connect(address, ssl=unknown, open_timeout=LONG):
                pass
