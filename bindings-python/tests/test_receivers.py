"""Middleware of ASGI and WSGI: real servers on loopback, without a proxy. `tests/receivers` has the
proxies.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import http.client
import json
import logging
import pickle
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from fastapi import FastAPI
from flask import Flask, request
from websockets.sync.client import connect
from werkzeug.serving import make_server

import webhook_mtls as wm
from webhook_mtls import asgi, wsgi
from webhook_mtls.fastapi import Peer
from webhook_mtls.testing import Authority, Lab
from webhook_mtls.uvicorn import H11Protocol

SECRET = "Zk2rVw8nYb4tQx7sLc9d"
END = "-----END CERTIFICATE-----\n"
LOOPBACK = wm.Hop.address("edge", "127.0.0.1")
BY_SECRET = wm.Hop.secret("edge", "X-Hop-Secret", SECRET)


class Scene:
    """A CA, a verifier of its clients and a client's certificate."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority("receivers")
        self.issued = self.authority.issue("acme")
        # A proxy forwards the leaf alone.
        self.leaf = self.issued.cert_pem.decode().split(END)[0]
        self.trust = wm.Trust.from_pem(
            self.authority.root_pem, intermediates=self.authority.intermediate_pem
        )
        self.verifier = wm.Verifier(
            role="client", trust=self.trust, authorization=wm.Authorization.ca_members()
        )
        self.folder = folder

    def header(self) -> str:
        der = ssl.PEM_cert_to_DER_cert(self.leaf + END)
        return f":{base64.b64encode(der).decode()}:"

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@contextmanager
def served(app: Any, **options: Any) -> Iterator[int]:
    """Runs uvicorn on a free port until the block ends."""
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not (server.started and server.servers) and thread.is_alive():
            threading.Event().wait(0.005)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


def ask(
    port: int,
    headers: Any = (),
    path: str = "/",
    context: ssl.SSLContext | None = None,
    body: bytes | None = None,
) -> tuple[int, Any]:
    """Sends a request: GET, or POST with a body. Returns the status and the JSON."""
    connection: http.client.HTTPConnection
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    connection.putrequest("GET" if body is None else "POST", path)
    for name, value in headers:
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("content-length", len(body))
    connection.endheaders(body)
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def fast_api(scene: Scene, **options: Any) -> Any:
    app = FastAPI()

    @app.get("/")
    async def who(peer: Peer) -> Any:
        return {"subject": peer.subject, "evidence": peer.evidence, "hop": peer.hop}

    @app.get("/health")
    async def health() -> Any:
        return {"ok": True}

    @app.get("/excluded")
    async def excluded(peer: Peer) -> Any:
        return {"subject": peer.subject}

    paths = ("/health", "/excluded")
    return asgi.PeerMiddleware(app, verifier=scene.verifier, exclude=paths, **options)


def refused_requests(scene: Scene) -> dict[str, int]:
    """Returns what the verifier has counted, by kind."""
    samples = scene.verifier.metrics()["webhook_mtls_refused_requests_total"]["samples"]
    return {each["labels"]["kind"]: each["value"] for each in samples}


def forwarded(scene: Scene) -> list[tuple[str, str]]:
    return [("Client-Cert", scene.header())]


def test_a_forwarded_peer_reaches_the_handler(scene: Scene) -> None:
    app = fast_api(scene, dialect="rfc9440", hop=LOOPBACK)
    with served(app) as port:
        assert ask(port, forwarded(scene)) == (
            200,
            {"subject": "CN=acme", "evidence": "forwarded", "hop": "edge"},
        )
        assert ask(port) == (401, {"kind": "evidence_missing"})
        twice = [*forwarded(scene), ("client_cert", "x")]
        assert ask(port, twice) == (401, {"kind": "hop_untrusted"})
        assert ask(port, path="/health") == (200, {"ok": True})
        # An excluded path has no peer, so the dependency refuses.
        assert ask(port, forwarded(scene), path="/excluded")[0] == 401
    assert app.refused == {"evidence_missing": 1, "hop_untrusted": 1}
    assert refused_requests(scene) == {"evidence_missing": 1, "hop_untrusted": 1}
    counted = scene.verifier.metrics()["webhook_mtls_verifications_total"]["samples"]
    assert sum(each["value"] for each in counted) == 3


def test_a_peer_that_is_not_allowed_gets_403(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    others = wm.Authorization.san_uris(["spiffe://lab.test/tenant/globex"])
    scene.verifier = wm.Verifier(role="client", trust=scene.trust, authorization=others)
    with (
        caplog.at_level(logging.WARNING, "webhook_mtls"),
        served(fast_api(scene, dialect="rfc9440", hop=LOOPBACK)) as port,
    ):
        assert ask(port, forwarded(scene)) == (403, {"kind": "not_authorized"})
    [record] = [each for each in caplog.records if each.name == "webhook_mtls"]
    fields: dict[str, Any] = record.__dict__["webhook_mtls"]
    assert (fields["event"], fields["kind"]) == ("verification", "not_authorized")
    assert "not_authorized" in record.getMessage()
    assert scene.header()[1:40] not in caplog.text


def test_an_address_that_a_header_has_replaced_is_refused(scene: Scene) -> None:
    app = fast_api(scene, dialect="rfc9440", hop=LOOPBACK)
    # uvicorn believes X-Forwarded-For of 127.0.0.1 by default.
    for value in ("127.0.0.1", "127.0.0.1:4711", "unix", "10.0.0.1"):
        headers = [*forwarded(scene), ("X-Forwarded-For", value)]
        with served(app) as port:
            assert ask(port, headers) == (401, {"kind": "hop_untrusted"}), value
        # This protocol knows the address of the transport.
        with served(app, http=H11Protocol) as port:
            assert ask(port, headers)[0] == 200, value
    elsewhere = fast_api(scene, dialect="rfc9440", hop=wm.Hop.address("edge", "10.0.0.1"))
    for protocol in ("h11", H11Protocol):
        with served(elsewhere, http=protocol) as port:
            headers = [*forwarded(scene), ("X-Forwarded-For", "10.0.0.1")]
            assert ask(port, headers) == (401, {"kind": "hop_untrusted"})


def test_a_hop_with_a_secret_needs_no_address(scene: Scene) -> None:
    with served(fast_api(scene, dialect="rfc9440", hop=BY_SECRET)) as port:
        headers = [*forwarded(scene), ("X-Forwarded-For", "192.0.2.1")]
        assert ask(port, headers)[0] == 401
        assert ask(port, [*headers, ("X-Hop-Secret", SECRET)])[0] == 200
        assert ask(port, [*headers, ("X-Hop-Secret", SECRET[:-1])])[0] == 401


def tls_options(scene: Scene) -> dict[str, Any]:
    server = scene.authority.issue("localhost", role="server")
    return {
        "http": H11Protocol,
        "ssl_certfile": scene.file("server.pem", server.cert_pem),
        "ssl_keyfile": scene.file("server.key", server.key_pem),
        "ssl_ca_certs": scene.file("root.pem", scene.authority.root_pem),
        "ssl_cert_reqs": ssl.CERT_OPTIONAL,
    }


def client_context(scene: Scene, *, with_certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=scene.authority.root_pem.decode())
    context.check_hostname = False
    if with_certificate:
        key = scene.file("client.key", scene.issued.key_pem)
        context.load_cert_chain(scene.file("client.pem", scene.issued.cert_pem), key)
    return context


def test_tls_that_ends_in_uvicorn_gives_a_peer_of_the_socket(scene: Scene) -> None:
    seen: list[Any] = []
    inner = fast_api(scene)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["extensions"]["tls"])
        await inner(scope, receive, send)

    with served(app, **tls_options(scene)) as port:
        known = client_context(scene, with_certificate=True)
        assert ask(port, context=known) == (
            200,
            {"subject": "CN=acme", "evidence": "socket", "hop": None},
        )
        # A header means nothing here.
        unknown = client_context(scene, with_certificate=False)
        headers = forwarded(scene)
        assert ask(port, headers, context=unknown) == (401, {"kind": "evidence_missing"})
    assert seen[0]["client_cert_chain"][0].startswith("-----BEGIN CERTIFICATE-----")
    assert (seen[0]["tls_version"], seen[1]["client_cert_chain"]) == (0x0304, [])
    assert seen[0]["cipher_suite"] in range(0x1301, 0x1306)


def test_a_websocket_has_a_peer_too(scene: Scene) -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["state"]["peer"].subject})

    app = asgi.PeerMiddleware(echo, verifier=scene.verifier)
    with served(app, **tls_options(scene)) as port:
        known = client_context(scene, with_certificate=True)
        with connect(f"wss://127.0.0.1:{port}", ssl=known) as connection:
            assert connection.recv() == "CN=acme"
        unknown = client_context(scene, with_certificate=False)
        with pytest.raises(Exception, match="401"), connect(f"wss://127.0.0.1:{port}", ssl=unknown):
            pass


def test_a_scope_of_another_kind_is_never_passed_on(scene: Scene) -> None:
    reached: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    app = asgi.PeerMiddleware(inner, verifier=scene.verifier)
    asyncio.run(app({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError):
        asyncio.run(app({"type": "webtransport"}, None, None))  # type: ignore[arg-type]
    assert reached == ["lifespan"]


@pytest.mark.parametrize(
    "wrong", [{"dialect": "nginxx", "hop": LOOPBACK}, {"dialect": "nginx"}, {"hop": LOOPBACK}]
)
def test_an_argument_that_no_request_could_use_is_refused_at_once(
    scene: Scene, wrong: dict[str, Any]
) -> None:
    middlewares: list[Callable[..., Any]] = [asgi.PeerMiddleware, wsgi.PeerMiddleware]
    for middleware in middlewares:
        with pytest.raises(wm.ConfigError) as caught:
            middleware(None, verifier=scene.verifier, **wrong)
        assert caught.value.kind == "option_invalid"


def flask(scene: Scene, **options: Any) -> Flask:
    app = Flask("receiver")

    @app.get("/")
    def who() -> Any:
        peer = request.environ[wsgi.PEER]
        return {"subject": peer.subject, "evidence": peer.evidence, "hop": peer.hop}

    @app.get("/health")
    def health() -> Any:
        return {"peer": wsgi.PEER in request.environ}

    app.wsgi_app = wsgi.PeerMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, verifier=scene.verifier, exclude=["/health"], **options
    )
    return app


def test_flask_behind_a_hop(scene: Scene) -> None:
    app = flask(scene, dialect="rfc9440", hop=LOOPBACK)
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        expected = {"subject": "CN=acme", "evidence": "forwarded", "hop": "edge"}
        assert ask(server.port, forwarded(scene)) == (200, expected)
        assert ask(server.port) == (401, {"kind": "evidence_missing"})
        assert ask(server.port, path="/health") == (200, {"peer": False})
        # Werkzeug drops headers with an underscore, and joins two lines.
        assert ask(server.port, [*forwarded(scene), ("client_cert", "x")])[0] == 200
        assert ask(server.port, forwarded(scene) * 2) == (401, {"kind": "evidence_missing"})
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()


def test_a_server_that_may_fold_underscores_is_refused(scene: Scene) -> None:
    app = flask(scene, dialect="rfc9440", hop=LOOPBACK)
    environ = {"SERVER_SOFTWARE": "gunicorn/21.2.0", "REMOTE_ADDR": "127.0.0.1"}
    environ |= {"HTTP_CLIENT_CERT": scene.header()}
    for software in ("gunicorn/21.2.0", "uWSGI", ""):
        with pytest.raises(RuntimeError, match="underscore"):
            app.wsgi_app(environ | {"SERVER_SOFTWARE": software}, None)  # type: ignore[arg-type]
    for dialect in ("envoy", "envoy_json", "traefik"):
        with pytest.raises(ValueError, match="joins"):
            flask(scene, dialect=dialect, hop=LOOPBACK)


def test_an_address_of_proxy_fix_is_not_that_of_the_transport(scene: Scene) -> None:
    app = flask(scene, dialect="rfc9440", hop=LOOPBACK, drops_underscores=True)
    answers: list[str] = []
    environ = {
        "REMOTE_ADDR": "127.0.0.1",
        "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "192.0.2.1"},
        "HTTP_CLIENT_CERT": scene.header(),
        "PATH_INFO": "/",
    }
    app.wsgi_app(environ, lambda status, headers: answers.append(status))  # type: ignore[arg-type]
    assert answers == ["401 Unauthorized"]


def test_the_programs_of_the_guide_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs" / "receive" / "README.md"
    blocks = re.findall(r"```python\n(.*?)```\n", page.read_text(), re.DOTALL)
    assert len(blocks) == 4
    scene.file("clients-ca.pem", scene.authority.root_pem)
    scene.file("clients-issuing.pem", scene.authority.intermediate_pem)
    program = "\n".join(blocks)
    for shown, ours in {"10.0.0.7": "127.0.0.1", "corp.example": "lab.test"}.items():
        assert shown in program
        program = program.replace(shown, ours)
    monkeypatch.chdir(scene.folder)
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(program, str(page), "exec"), names)
    headers = [
        ("ssl-client-cert", quote(scene.leaf + END, safe="")),
        ("ssl-client-verify", "SUCCESS"),
    ]
    with served(names["app"]) as port:
        assert ask(port, headers, "/hooks", body=b"{}") == (200, {"tenant": "acme"})
        assert ask(port, headers[:1]) == (401, {"kind": "hop_untrusted"})
        assert ask(port, path="/health")[0] == 404
    assert isinstance(names["site"].wsgi_app, wsgi.PeerMiddleware)
    with served(names["receiver"]) as port:
        assert ask(port, headers) == (401, {"kind": "signature_invalid"})


@pytest.mark.parametrize("token", ["", SECRET])
def test_the_whole_program_of_the_guide_runs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    page = Path(__file__).parents[2] / "docs" / "receive" / "programs.md"
    [program] = re.findall(r"```python\n(.*?)```\n", page.read_text(), re.DOTALL)
    scene.file("root.pem", scene.authority.root_pem)
    scene.file("issuing.pem", scene.authority.intermediate_pem)
    for shown, ours in {"/ca/": f"{scene.folder}/", "corp.example": "lab.test"}.items():
        assert shown in program
        program = program.replace(shown, ours)
    monkeypatch.setenv("EDGE_TOKEN", token)
    names: dict[str, Any] = {"__name__": "program"}
    exec(compile(program, str(page), "exec"), names)

    def post(port: int, path: str, headers: Any, *, with_certificate: bool = True) -> Any:
        context = client_context(scene, with_certificate=with_certificate)
        return ask(port, headers, path, None if token else context, b"{}")

    options = {} if token else tls_options(scene)
    with served(names["api"], **options) as port:
        lines = scene.issued.forwarded("nginx") if token else []
        headers = [*lines, ("x-edge-token", token)] if token else []
        evidence = "forwarded" if token else "socket"
        expected = {"seen": scene.issued.pin, "evidence": evidence}
        assert post(port, "/in/acme", headers) == (200, expected)
        assert post(port, "/in/globex", headers)[0] == 403
        forged = scene.issued.forwarded("nginx")
        refused, answer = post(port, "/in/acme", forged, with_certificate=False)
        assert (refused, answer["kind"]) in [(401, "hop_untrusted"), (401, "evidence_missing")]


def test_the_kit_starts_nginx_and_writes_what_it_forwards(lab: Lab) -> None:
    trust = wm.Trust.from_pem(lab.trust_pem, intermediates=lab.authority.intermediate_pem)
    members = wm.Authorization.ca_members()
    verifier = wm.Verifier(role="client", trust=trust, authorization=members)
    app = FastAPI()

    @app.post("/")
    @app.get("/")
    async def who(peer: Peer) -> Any:
        return {"subject": peer.subject}

    guarded = asgi.PeerMiddleware(app, verifier=verifier, dialect="nginx", hop=LOOPBACK)
    with served(guarded, http=H11Protocol) as port, lab.dispatcher() as dispatcher:
        nginx = lab.nginx(f"127.0.0.1:{port}")
        endpoint = dispatcher.endpoint("app", nginx.url, pins=wm.Pins([nginx.pin]))
        receipt = dispatcher.deliver(endpoint, b"{}")
        assert receipt.response.excerpt == b'{"subject":"CN=dispatcher"}'
        nginx.close()
        client = lab.authority.issue("acme")
        assert ask(port, client.forwarded("nginx")) == (200, {"subject": "CN=acme"})
        forgeries: list[Any] = ["repeated", "capitals", "underscore", "underscore_alone"]
        for forgery in [*forgeries, "not_verified", "absent", "malformed"]:
            assert ask(port, client.forwarded("nginx", forgery=forgery))[0] == 401, forgery
    large = client.forwarded("nginx", forgery="too_large")
    with pytest.raises(wm.PeerRefused) as refused:
        verifier.verify_forwarded(large, dialect="nginx", hop=LOOPBACK, remote="127.0.0.1")
    assert refused.value.context["reason"] == "too_large"
    wrong: list[dict[str, Any]] = [
        {"dialect": "nginxx"},
        {"dialect": "nginx", "forgery": "x"},
        {"dialect": "caddy", "forgery": "not_verified"},
    ]
    for words in wrong:
        with pytest.raises(wm.ConfigError):
            client.forwarded(**words)
    with pytest.raises(wm.ConfigError):
        lab.nginx("localhost")


def test_header_lines_of_a_wrong_type_are_named(scene: Scene) -> None:
    verify: Any = scene.verifier.verify_forwarded
    good: dict[str, Any] = {"dialect": "rfc9440", "hop": LOOPBACK, "remote": "127.0.0.1"}
    lines = [("host", "a"), ("Client-Cert", scene.header())]
    assert verify(lines, **good).hop == "edge"
    assert verify([(n.encode(), v.encode()) for n, v in lines], **good).hop == "edge"
    assert verify(iter([*lines, ("x", "\udcff")]), **good).evidence == "forwarded"
    for wrong in (dict(lines), None, 1, [("a",)], [("a", 1)], ["ab", "cde"], "abc"):
        with pytest.raises(wm.ConfigError) as caught:
            verify(wrong, **good)
        assert caught.value.context["option"] == "headers", wrong
    for name, value in {"dialect": 1, "hop": "edge", "remote": 1, "at": 1, "hops": 1}.items():
        with pytest.raises(wm.ConfigError) as caught:
            verify(lines, **good | {name: value})
        assert caught.value.context["option"] == name
    endless = (("a", "b") for _ in iter(int, 1))
    with pytest.raises(wm.PeerRefused) as refused:
        verify(endless, **good)
    assert refused.value.context["reason"] == "too_large"


def test_a_hop_shows_no_secret_and_is_not_pickled() -> None:
    assert SECRET not in repr(BY_SECRET)
    assert copy.deepcopy(BY_SECRET) is BY_SECRET
    with pytest.raises(TypeError):
        pickle.dumps(BY_SECRET)
    with pytest.raises(wm.ConfigError) as caught:
        wm.Hop.secret("edge", "X-Hop-Secret", SECRET[:8])
    assert SECRET[:8] not in str(caught.value)
