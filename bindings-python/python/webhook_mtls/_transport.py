"""The facts of a transport of asyncio for the scope of ASGI: its peer, and the TLS extension."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

from ._receiver import address

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    _Scope = MutableMapping[str, Any]
    _Receive = Callable[[], Awaitable[Any]]
    _Send = Callable[[Any], Awaitable[None]]
    _App = Callable[[Any, Any, Any], Awaitable[None]]

TRANSPORT = "webhook_mtls.transport"
"""The extension of the scope with the facts of the transport itself, which no header changes."""

_TLS_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class Carrying:
    """A base of protocols whose application, `app`, gets the facts of the transport."""

    app: Any

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begins a connection."""
        self.app = carrying(self.app, transport)
        super().connection_made(transport)  # type: ignore[misc]


def carrying(app: _App, transport: Any) -> _App:
    """Returns an application that gets the facts of the transport in the scope's extensions."""
    facts: dict[str, Any] = {}

    async def carried(scope: _Scope, receive: _Receive, send: _Send) -> None:
        if not facts:
            facts.update(facts_of(transport))
        add_facts(scope, facts)
        await app(scope, receive, send)

    return carried


def add_facts(scope: _Scope, facts: Mapping[str, Any]) -> None:
    """Adds facts to the extensions of a scope."""
    scope["extensions"] = {**(scope.get("extensions") or {}), **facts}


def facts_of(transport: Any) -> dict[str, Any]:
    connection = transport.get_extra_info("socket")
    peer = transport.get_extra_info("peername")
    is_unix = connection is not None and connection.family == socket.AF_UNIX
    remote = "unix" if is_unix else address(peer[0]) if peer else None
    secured = transport.get_extra_info("ssl_object")
    facts: dict[str, Any] = {TRANSPORT: {"remote": remote, "ssl_object": secured}}
    if secured is not None:
        facts["tls"] = _tls(secured)
    return facts


def _tls(connection: ssl.SSLObject) -> dict[str, Any]:
    """Returns the TLS extension of ASGI. Before Python 3.13, the chain is the leaf alone."""
    leaf = connection.getpeercert(binary_form=True)
    read = getattr(connection, "get_unverified_chain", None)
    # Python 3.13 fails to read the chain of a client without a certificate.
    chain = (read() or []) if read is not None and leaf else []
    ders = chain or ([leaf] if leaf else [])
    suite = connection.cipher()
    numbers = {each["name"]: each["id"] & 0xFFFF for each in connection.context.get_ciphers()}
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(bytes(der)) for der in ders],
        # The verified peer has the subject. Without a verification, a name is no evidence.
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": _TLS_VERSIONS.get(connection.version() or ""),
        "cipher_suite": numbers.get(suite[0]) if suite else None,
    }
