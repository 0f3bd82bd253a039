"""Runs the forwarded cases of the shared vectors."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import webhook_mtls as wm


def judge(
    case: Any,
    fixtures: Any,
    trust: Callable[[Any], wm.Trust],
    verifier: Callable[[Any, wm.Trust], wm.Verifier],
) -> Any:
    """Returns the JSON of the peer."""
    judged = verifier(case, trust(case.get("trust", fixtures["trust"])))
    peer = judged.verify_forwarded(
        headers(case),
        dialect=case["dialect"],
        hop=hop(case["hop"]),
        remote=case.get("remote"),
        at=datetime.fromtimestamp(case["at"], UTC),
    )
    return peer.to_dict()


def hop(given: Any) -> wm.Hop:
    name = given["name"]
    if "address" in given:
        return wm.Hop.address(name, *given["address"])
    if "secret" in given:
        return wm.Hop.secret(name, **given["secret"])
    if "certificate" in given:
        return wm.Hop.certificate(name, wm.Pins(given["certificate"]))
    return wm.Hop.unix(name)


def headers(case: Any) -> list[tuple[bytes, bytes]]:
    lines = [
        (name.encode(), value.encode() * (repeat[0] if repeat else 1))
        for name, value, *repeat in case["headers"]
    ]
    return lines + [(b"X-Filler", b"1")] * case.get("filler", 0)
