"""Protocols for uvicorn that fill the TLS extension of ASGI, which uvicorn leaves empty.

    uvicorn.run(app, http=webhook_mtls.uvicorn.H11Protocol, ssl_cert_reqs=ssl.CERT_REQUIRED, …)

They also tell `PeerMiddleware` the address of the transport itself, whatever `proxy_headers` puts
in its place. WebSockets have the same. On a command line:
`uvicorn --http webhook_mtls.uvicorn:H11Protocol`. `HttpToolsProtocol` exists if httptools is
installed.
"""

from __future__ import annotations

import functools
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol as _H11Protocol

from ._transport import Carrying


class _WithWebSockets(Carrying):
    """Passes WebSockets on to a protocol that carries the facts too."""

    ws_protocol_class: Any

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        of_websockets: Any = self.ws_protocol_class
        if isinstance(of_websockets, type):
            self.ws_protocol_class = _carrying(of_websockets)


@functools.cache
def _carrying(of_websockets: type) -> type:
    """Returns a protocol that carries the facts. Each connection asks for it."""
    return type("WebSocketProtocol", (Carrying, of_websockets), {})


class H11Protocol(_WithWebSockets, _H11Protocol):  # type: ignore[misc]
    """HTTP/1.1 by h11. Its arguments are those of uvicorn's own."""


try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _HttpToolsProtocol
except ImportError:
    pass
else:

    class HttpToolsProtocol(_WithWebSockets, _HttpToolsProtocol):  # type: ignore[misc]
        """HTTP/1.1 by httptools. Its arguments are those of uvicorn's own."""
