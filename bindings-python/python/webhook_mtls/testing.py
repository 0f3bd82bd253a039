"""The testing kit: a private CA and receivers on loopback, to test one's own dispatcher with.

Nothing here is a mock: certificates, sockets and handshakes are real. Production code never
imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._native import (
    Authority,
    Consumer,
    Issued,
    Lab,
    Received,
    _make_error,
    set_clock,
    signatures_checked,
)

if TYPE_CHECKING:
    from . import WebhookMtlsError

__all__ = [
    "Authority",
    "Consumer",
    "Issued",
    "Lab",
    "Received",
    "error",
    "set_clock",
    "signatures_checked",
]


def error(kind: str, **fields: Any) -> WebhookMtlsError:
    """A well-formed exception of a kind, to test one's own handling without a network.

    Args:
        kind: its name, such as `pin_mismatch`.
        fields: what differs from the table's defaults: `stage`, `blame`, `scope`, `sent`, `retry`,
            `retry_after` (seconds), `consumer`, `message`, `remedy`, `context`, or `response` (a
            dict as in `to_dict`).

    Returns:
        The exception, not raised; its class follows from its stage.

    Raises:
        ConfigError: `option_invalid` if there is no such kind, field or word.

    >>> failure = error("http_status", sent="all", retry_after=30)
    >>> failure.kind, failure.retry_after, type(failure).__name__
    ('http_status', 30.0, 'DeliveryError')
    """
    if "retry_after" in fields:
        seconds = fields.pop("retry_after")
        fields["retry_after_ms"] = None if seconds is None else round(seconds * 1000)
    return _make_error(kind, fields)
