"""Middleware for ASGI: the verified peer of each request in `scope["state"]["peer"]`.

    hop = Hop.address("edge", "10.0.0.7")
    app = PeerMiddleware(app, verifier=verifier, dialect="nginx", hop=hop)

It answers 401 if there is no evidence for a peer, and 403 if the peer is known but not allowed. The
body has the kind of the error only. With `webhooks`, it also verifies the signature or the token of
each request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import ConfigError, PeerRefused
from ._receiver import Receiver, address, most_of_a_body
from ._transport import TRANSPORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._native import Hop, PeerIdentity, Verifier, WebhookVerifier, _Dialect
    from ._transport import _App, _Receive, _Scope, _Send


class PeerMiddleware:
    """Verifies the peer of every HTTP request and WebSocket.

    With a dialect and a hop, the peer is the client whose certificate the hop forwards. Without, it
    is the TLS peer of the server itself, which must fill the TLS extension of ASGI, as
    `webhook_mtls.uvicorn`, `webhook_mtls.gunicorn` and `webhook_mtls.hypercorn` do. A server that
    replaces the client's address by one of a header (`proxy_headers` of uvicorn) hides the address
    of the hop: such a request is refused with `remote_unknown`, unless one of these modules is in
    use or the hop has a secret.

    Args:
        app: the application.
        verifier: a verifier of clients.
        dialect: how the proxy writes the certificate.
        hop: the proxy that is believed.
        exclude: paths that need no peer, such as that of a health check, compared whole.
        webhooks: a verifier of webhooks. The body of each HTTP request is then read first, at most
            32 MiB, and the request must be a webhook of the peer. The webhook is in
            `scope["state"]["webhook"]`; if its `duplicate` is true, answer 2xx and do not process
            it again. A WebSocket has a peer only.

    Raises:
        ConfigError: `option_invalid`.
    """

    def __init__(
        self,
        app: _App,
        *,
        verifier: Verifier,
        dialect: _Dialect | None = None,
        hop: Hop | None = None,
        exclude: Iterable[str] = (),
        webhooks: WebhookVerifier | None = None,
    ) -> None:
        self.app = app
        self._receiver = Receiver(verifier, dialect, hop, exclude, webhooks)

    @property
    def refused(self) -> Mapping[str, int]:
        """How many requests were refused, by kind."""
        return dict(self._receiver.refused)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Handles one connection of ASGI."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            raise NotImplementedError("PeerMiddleware verifies http and websocket only")
        state = scope.setdefault("state", {})
        state.pop("peer", None)
        state.pop("webhook", None)
        if scope["path"] not in self._receiver.exclude:
            try:
                state["peer"] = self._peer(scope)
                if self._receiver.webhooks is not None and scope["type"] == "http":
                    body = await _body(receive)
                    if body is None:
                        return
                    if len(body) > most_of_a_body():
                        await _answer(scope, send, *self._receiver.refuse_body())
                        return
                    state["webhook"] = await self._receiver.webhooks.verify_webhook_async(
                        state["peer"], scope["headers"], body
                    )
                    receive = _replayed(body, receive)
            except (PeerRefused, ConfigError) as error:
                await _answer(scope, send, *self._receiver.refuse(error))
                return
        await self.app(scope, receive, send)

    def _peer(self, scope: _Scope) -> PeerIdentity:
        receiver = self._receiver
        if receiver.hop is not None:
            return receiver.forwarded(scope["headers"], _remote(scope))
        extensions = scope.get("extensions") or {}
        connection = extensions.get(TRANSPORT, {}).get("ssl_object")
        if connection is not None:
            return receiver.verifier.verify_socket(connection)
        chain = (extensions.get("tls") or {}).get("client_cert_chain") or ()
        return receiver.verifier.verify("".join(chain).encode())


async def _body(receive: _Receive) -> bytes | None:
    """Reads the body, to one byte beyond the limit. Returns None if the client has disconnected."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > most_of_a_body():
            return bytes(body)


def _replayed(body: bytes, receive: _Receive) -> _Receive:
    """Returns a function that gives the body again, and then what follows it."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Any:
        return parts.pop() if parts else await receive()

    return replayed


async def _answer(scope: _Scope, send: _Send, status: int, body: bytes) -> None:
    prefix = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            # The server answers 403 to a handshake that is closed before it is accepted.
            await send({"type": "websocket.close", "code": 1008})
            return
        prefix = "websocket.http"
    length = str(len(body)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": f"{prefix}.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": body})


def _remote(scope: _Scope) -> str | None:
    """Returns the peer of the transport; None if it is not known."""
    transport = (scope.get("extensions") or {}).get(TRANSPORT)
    if transport is not None:
        remote: str | None = transport["remote"]
        return remote
    client = scope.get("client")
    if not client or _is_rewritten(client, scope["headers"]):
        return None
    return address(client[0])


def _is_rewritten(client: Any, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the address of the client comes from a header.

    Servers then set port 0, or the port that the header has.
    """
    host, port = client[0], client[1]
    if not port:
        return True
    spelled = [f"{host}:{port}".encode(), f"[{host}]:{port}".encode()]
    return any(
        text in value
        for name, value in headers
        if name.lower() in (b"x-forwarded-for", b"forwarded", b"x-real-ip")
        for text in spelled
    )
