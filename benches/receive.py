"""Measures what the middleware of ASGI costs with a chain seen before. The limit is 40 µs.

    target/python/shipped/bin/python benches/receive.py

`cargo xtask build python` installs the wheel there. Each round also calls an empty middleware, and
the result is the median of the differences. Exits with 1 if it exceeds the limit.
"""

import asyncio
import statistics
import sys
import time
from typing import Any

import webhook_mtls as wm
from webhook_mtls.asgi import PeerMiddleware
from webhook_mtls.testing import Lab

ROUNDS, CALLS, LIMIT = 31, 500, 40.0
USUAL = {
    "host": "hooks.example",
    "user-agent": "webhooks/1.0",
    "accept": "*/*",
    "content-type": "application/json",
    "content-length": "412",
    "webhook-id": "evt_2b6f8f1d",
    "webhook-timestamp": "1780272000",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}


class Empty:
    """Middleware that only calls the application."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Does nothing."""


def main() -> int:
    """Prints the result for each dialect; returns the exit status."""
    worst = 0.0
    with Lab() as lab:
        client = lab.authority.issue("acme")
        trust = wm.Trust.from_pem(lab.trust_pem, intermediates=lab.authority.intermediate_pem)
        rule = wm.TenantRule.san_uri("spiffe://lab.test/tenant/{tenant}")
        verifier = wm.Verifier(role="client", trust=trust, tenant=rule)
        hop = wm.Hop.address("edge", "10.0.0.7")
        for dialect in ("nginx", "rfc9440", "envoy"):
            lines = [*USUAL.items(), *client.forwarded(dialect)]
            headers = [(name.encode(), value.encode()) for name, value in lines]
            guarded = PeerMiddleware(application, verifier=verifier, dialect=dialect, hop=hop)
            cost = asyncio.run(compare(guarded, Empty(application), headers))
            print(f"python, {dialect}: {cost:.1f} µs (less than {LIMIT:.0f})")
            worst = max(worst, cost)
    return int(worst >= LIMIT)


async def compare(guarded: Any, empty: Any, headers: list[tuple[bytes, bytes]]) -> float:
    """Returns the median of the differences, in µs for each request."""
    await per_call(guarded, headers)
    rounds = [
        await per_call(guarded, headers) - await per_call(empty, headers) for _ in range(ROUNDS)
    ]
    return statistics.median(rounds)


async def per_call(app: Any, headers: list[tuple[bytes, bytes]]) -> float:
    """Returns the CPU time of one request in µs."""
    started = time.process_time()
    for _ in range(CALLS):
        scope = {"type": "http", "path": "/in", "headers": headers, "client": ("10.0.0.7", 4711)}
        await app(scope, None, None)
        if isinstance(app, PeerMiddleware) and scope["state"]["peer"].tenant != "acme":
            raise AssertionError("another tenant")
    return (time.process_time() - started) / CALLS * 1e6


if __name__ == "__main__":
    sys.exit(main())
