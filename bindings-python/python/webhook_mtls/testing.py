"""The testing kit: a private CA and receivers on loopback, to test the use of a dispatcher.

It contains no mocks: certificates, sockets and handshakes are real. Do not import this module in
production code.
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
    """Creates a well-formed exception of a kind, to test error handling without a network.

    Args:
        kind: the name of the kind, such as `pin_mismatch`.
        fields: fields that differ from the defaults of the kind: `stage`, `blame`, `scope`, `sent`,
            `retry`, `retry_after` (seconds), `consumer`, `message`, `remedy`, `context`, or
            `response` (a dict as in `to_dict`).

    Returns:
        The exception, which is not raised. Its stage determines its class.

    Raises:
        ConfigError: `option_invalid` if the kind, a field or a value is unknown.

    >>> failure = error("http_status", sent="all", retry_after=30)
    >>> failure.kind, failure.retry_after, type(failure).__name__
    ('http_status', 30.0, 'DeliveryError')
    """
    if "retry_after" in fields:
        seconds = fields.pop("retry_after")
        fields["retry_after_ms"] = None if seconds is None else round(seconds * 1000)
    return _make_error(kind, fields)
