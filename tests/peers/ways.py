"""Additional deliveries to the same servers: through a proxy, and with misleading environment
variables."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinyproxy

import cases
from pki import Pki
from server import Server, free_port

# Variables that other clients use for a proxy and for anchors. No proxy listens there, and the
# anchor is untrusted.
ASTRAY = {
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
    "ALL_PROXY": "http://127.0.0.1:1",
}


# The servers for these deliveries.
TRIED_AT = ["nginx", "openssl", "node", "python"]


@dataclass(frozen=True)
class Way:
    """A delivery with additional settings, and its expected result."""

    name: str
    environment: dict[str, str]
    fault: Callable[[dict[str, Any]], str | None]


def to(server: Server, pki: Pki, work: Path, held: ExitStack) -> Iterator[Way]:
    """Yields the ways for a server. The proxies run until `held` is closed."""
    yield Way("environment ignored", ASTRAY, cases.receipt_fault)
    # The environment offers the server's real root; the client's trust is another root.
    trusting = {"WMTLS_CA": str(pki.elsewhere), "SSL_CERT_FILE": str(pki.root)}
    yield Way(
        "anchors of environment",
        trusting,
        lambda answer: cases.error_fault(answer, "issuer_unknown", ["nothing"]),
    )
    # A server that supports Expect answers it. For OpenSSL and Python, only the arrival of the
    # payload is checked.
    knows = True if server.kind in ("nginx", "node") else None
    yield Way("payload held", HELD, held_fault(knows))
    if server.kind == "node":
        origin = f"https://127.0.0.1:{server.port}"
        yield Way("held, ignored", HELD | {"WMTLS_URL": f"{origin}/ignore"}, held_fault(False))
        yield Way("held, refused", HELD | {"WMTLS_URL": f"{origin}/refuse"}, withheld)
    if server.kind == "nginx":
        open_proxy = started(server.port, work / "tinyproxy", held)
        closed_proxy = started(free_port(), work / "tinyproxy-closed", held)
        user = tinyproxy.CREDENTIALS
        yield Way("through a proxy", via(open_proxy, user), proxied(open_proxy))
        yield Way("proxy without password", via(open_proxy, None), refused(407))
        yield Way("proxy, wrong password", via(open_proxy, "dispatcher:wrong"), refused(401))
        yield Way("proxy forbids the port", via(closed_proxy, user), refused(403))


HELD = {"WMTLS_HOLD_PAYLOAD": "true"}


def held_fault(honored: bool | None) -> Callable[[dict[str, Any]], str | None]:
    """Expects a receipt that reports whether the consumer honored the hold. None: either value."""

    def fault(answer: dict[str, Any]) -> str | None:
        found = cases.receipt_fault(answer)
        if found is not None:
            return found
        seen = answer["receipt"]["hold_honored"]
        return (
            None if seen in ([True, False] if honored is None else [honored]) else f"it is {seen}"
        )

    return fault


def withheld(answer: dict[str, Any]) -> str | None:
    """Expects the response's status, and a payload that was not sent."""
    found = cases.error_fault(answer, "http_status", ["maybe"])
    if found is None and answer["error"]["context"].get("payload_sent") is not False:
        return "the context does not say that the payload was not sent"
    return found


def started(allowed: int, work: Path, held: ExitStack) -> Server:
    """Starts a proxy that accepts connections."""
    proxy = tinyproxy.start(allowed, work)
    held.callback(proxy.stop)
    proxy.wait_until_it_accepts()
    return proxy


def via(proxy: Server, credentials: str | None) -> dict[str, str]:
    """Returns the settings of a delivery through this proxy."""
    userinfo = f"{credentials}@" if credentials else ""
    return {"WMTLS_PROXY": f"http://{userinfo}127.0.0.1:{proxy.port}"}


def proxied(proxy: Server) -> Callable[[dict[str, Any]], str | None]:
    """Expects a receipt with the proxy's address and without its password."""

    def fault(answer: dict[str, Any]) -> str | None:
        found = cases.receipt_fault(answer)
        seen = None if found else answer["receipt"]["connection"]["proxy"]
        return found or (None if seen == f"127.0.0.1:{proxy.port}" else f"the proxy is {seen}")

    return fault


def refused(status: int) -> Callable[[dict[str, Any]], str | None]:
    """Expects a refusal by the proxy with this status, and no password in the error."""

    def fault(answer: dict[str, Any]) -> str | None:
        found = cases.error_fault(answer, "proxy_refused", ["nothing"])
        if found is None and answer["error"]["context"].get("status") != status:
            return f"the proxy's status is {answer['error']['context'].get('status')}"
        if found is None and ("wrong" in str(answer) or "correct-horse" in str(answer)):
            return "the error shows the password"
        return found

    return fault
