"""Protocols for uvicorn that fill the TLS extension of ASGI, which uvicorn leaves empty.

    uvicorn.run(app, http=webhook_mtls.uvicorn.H11Protocol, ssl_cert_reqs=ssl.CERT_REQUIRED, …)

They also tell `PeerMiddleware` the address of the transport itself, whatever `proxy_headers` puts
in its place. WebSockets have the same. On a command line:
`uvicorn --http webhook_mtls.uvicorn:H11Protocol`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol as _H11Protocol

from .asgi import _carrying

if TYPE_CHECKING:
    import asyncio


class _Carrying:
    """Gives the application the facts of the transport."""

    app: Any

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self.app = _carrying(self.app, transport)


class H11Protocol(_Carrying, _H11Protocol):  # type: ignore[misc]
    """HTTP/1.1 by h11. Its arguments are those of uvicorn's own."""

    ws_protocol_class: Any

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        of_websockets: Any = self.ws_protocol_class
        if isinstance(of_websockets, type):
            self.ws_protocol_class = _carrying_class(of_websockets)


def _carrying_class(of_websockets: Any) -> Any:
    return type("WebSocketProtocol", (_Carrying, of_websockets), {})
