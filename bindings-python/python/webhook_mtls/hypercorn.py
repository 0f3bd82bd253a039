"""Fills the TLS extension of ASGI under hypercorn, which leaves it empty.

    app = TlsExtension(PeerMiddleware(app, verifier=verifier))

    hypercorn --verify-mode CERT_REQUIRED --certfile … --keyfile … --ca-certs … module:app

It also tells `PeerMiddleware` the address of the transport itself. HTTP/1.1, HTTP/2 and WebSockets
have the same, with hypercorn's workers asyncio and uvloop. hypercorn 0.18 itself closes about one
in a hundred WebSockets over TLS without an answer, also with other applications.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any

from ._transport import add_facts, facts_of

if TYPE_CHECKING:
    from ._transport import _App, _Receive, _Scope, _Send


class TlsExtension:
    """Wraps an application, and all its middleware.

    hypercorn 0.18 gives an application no access to the connection. The wrapper finds it behind
    the function `send`, which other middleware replaces, so the wrapper must be the outermost one.
    If it finds no connection, as in the worker trio, the scope stays as it is, and
    `PeerMiddleware` refuses the request.

    Args:
        app: the application.
    """

    def __init__(self, app: _App) -> None:
        self.app = app
        self._facts: weakref.WeakKeyDictionary[asyncio.StreamWriter, dict[str, Any]]
        self._facts = weakref.WeakKeyDictionary()

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Handles one connection of ASGI."""
        writer = _writer(send)
        if writer is not None:
            facts = self._facts.get(writer)
            if facts is None:
                facts = self._facts[writer] = facts_of(writer)
            add_facts(scope, facts)
        await self.app(scope, receive, send)


def _writer(send: object) -> asyncio.StreamWriter | None:
    """Returns the connection of the server.

    `send` is a method of the stream, whose own `send` is one of the HTTP protocol, whose own `send`
    is one of the server.
    """
    owner = getattr(send, "__self__", None)
    for _ in range(2):
        owner = getattr(getattr(owner, "send", None), "__self__", None)
    writer = getattr(owner, "writer", None)
    return writer if isinstance(writer, asyncio.StreamWriter) else None
