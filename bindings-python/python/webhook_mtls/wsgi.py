"""Middleware for WSGI (Flask, Django): the verified peer in `environ["webhook_mtls.peer"]`.

    app.wsgi_app = PeerMiddleware(app.wsgi_app, verifier=verifier, dialect="nginx", hop=hop)

WSGI joins the lines of a header and writes `-` and `_` alike, so that a client's own
`ssl_client_cert` looks like the proxy's `ssl-client-cert`. So the server must drop headers with
`_`: gunicorn from version 22, waitress, Werkzeug, cheroot and mod_wsgi do.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ._errors import ConfigError, PeerRefused
from ._receiver import Receiver, address, most_of_a_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ._native import Hop, PeerIdentity, Verifier, WebhookVerifier, _Dialect

    _App = Callable[[dict[str, Any], Any], Iterable[bytes]]

PEER = "webhook_mtls.peer"
"""The key of the peer in the environ."""

WEBHOOK = "webhook_mtls.webhook"
"""The key of the verified webhook in the environ."""

# Servers that drop headers with an underscore by default.
_DROPS_UNDERSCORES = re.compile(r"gunicorn/(2[2-9]|[3-9]\d)\.|waitress|Werkzeug/|cheroot/", re.I)

# In these dialects, a comma separates values, so that two lines look like one.
_LISTS = ("envoy", "envoy_json", "traefik")


class PeerMiddleware:
    """Verifies the peer of every request.

    With a dialect and a hop, the peer is the client whose certificate the hop forwards. Without, it
    is the TLS peer of the server itself: gunicorn and Werkzeug pass the socket.

    Args:
        app: the application.
        verifier: a verifier of clients.
        dialect: how the proxy writes the certificate; not `envoy`, `envoy_json` or `traefik`,
            whose values are lists, as are two lines that WSGI has joined.
        hop: the proxy that is believed.
        exclude: paths that need no peer, such as that of a health check, compared whole.
        drops_underscores: whether the server drops headers with an underscore in their name. By
            default, this is known for the servers above, and requests of others are refused.
        webhooks: a verifier of webhooks, whose store is not asynchronous. The body of each request
            is then read first, at most 32 MiB, and the request must be a webhook of the peer. The
            webhook is `environ["webhook_mtls.webhook"]`; if its `duplicate` is true, answer 2xx and
            do not process it again.

    Raises:
        ValueError: an argument that no request could use; `ConfigError` if the core says so.
    """

    def __init__(
        self,
        app: _App,
        *,
        verifier: Verifier,
        dialect: _Dialect | None = None,
        hop: Hop | None = None,
        exclude: Iterable[str] = (),
        drops_underscores: bool | None = None,
        webhooks: WebhookVerifier | None = None,
    ) -> None:
        if dialect in _LISTS:
            raise ValueError(f"the dialect {dialect} needs every header line, which WSGI joins")
        self.app = app
        self._receiver = Receiver(verifier, dialect, hop, exclude, webhooks)
        self._drops_underscores = drops_underscores

    @property
    def refused(self) -> Mapping[str, int]:
        """How many requests were refused, by kind."""
        return dict(self._receiver.refused)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Handles one request of WSGI."""
        environ.pop(PEER, None)
        environ.pop(WEBHOOK, None)
        if environ.get("PATH_INFO", "") not in self._receiver.exclude:
            try:
                environ[PEER] = self._peer(environ)
                if self._receiver.webhooks is not None:
                    body = _body(environ)
                    if len(body) > most_of_a_body():
                        return _answer(start_response, *self._receiver.refuse_body())
                    environ[WEBHOOK] = self._receiver.webhooks.verify_webhook(
                        environ[PEER], _headers(environ), body
                    )
                    environ["wsgi.input"] = io.BytesIO(body)
                    environ["CONTENT_LENGTH"] = str(len(body))
            except (PeerRefused, ConfigError) as error:
                return _answer(start_response, *self._receiver.refuse(error))
        return self.app(environ, start_response)

    def _peer(self, environ: dict[str, Any]) -> PeerIdentity:
        receiver = self._receiver
        if receiver.hop is not None:
            if not self._is_server_known(environ):
                raise RuntimeError(
                    "this WSGI server is not known to drop headers with an underscore; "
                    "if it does, say drops_underscores=True"
                )
            return receiver.forwarded(_headers(environ), _remote(environ))
        connection = _socket(environ)
        if isinstance(connection, ssl.SSLSocket):
            return receiver.verifier.verify_socket(connection)
        is_verified = environ.get("SSL_CLIENT_VERIFY") == "SUCCESS"
        chain = environ.get("SSL_CLIENT_CERT", "") if is_verified else ""
        return receiver.verifier.verify(chain.encode())

    def _is_server_known(self, environ: dict[str, Any]) -> bool:
        if self._drops_underscores is not None:
            return self._drops_underscores
        software = str(environ.get("SERVER_SOFTWARE", ""))
        return "mod_wsgi.version" in environ or bool(_DROPS_UNDERSCORES.match(software))


def _answer(start_response: Any, status: int, body: bytes) -> Iterable[bytes]:
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body]


def _headers(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name[5:].replace("_", "-"), value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]


def _body(environ: Mapping[str, Any]) -> bytes:
    """Reads the body, to one byte beyond the limit."""
    most = most_of_a_body() + 1
    length = environ.get("CONTENT_LENGTH") or "0"
    if environ.get("wsgi.input_terminated"):
        length = str(most)
    if not length.isascii() or not length.isdecimal():
        return b""
    body: bytes = environ["wsgi.input"].read(min(int(length), most))
    return body


def _socket(environ: dict[str, Any]) -> Any:
    return environ.get("gunicorn.socket") or environ.get("werkzeug.socket")


def _remote(environ: dict[str, Any]) -> str | None:
    """Returns the peer of the transport; None if it is not known."""
    connection = _socket(environ)
    if connection is not None:
        if connection.family == socket.AF_UNIX:
            return "unix"
        try:
            return address(connection.getpeername()[0])
        except OSError:
            return None
    # ProxyFix of Werkzeug keeps the address that it has replaced.
    original = environ.get("werkzeug.proxy_fix.orig") or environ
    return address(original.get("REMOTE_ADDR"))
