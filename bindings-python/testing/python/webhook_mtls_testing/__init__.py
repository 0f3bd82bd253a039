"""The testing kit of webhook-mtls. Import it as `webhook_mtls.testing`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook_mtls._native import _set_clock, _signatures_checked

from ._kit import Authority, Consumer, Issued, Lab, Nginx, Received, __version__, _make_error

if TYPE_CHECKING:
    from datetime import datetime

    from webhook_mtls import WebhookMtlsError

__all__ = [
    "Authority",
    "Consumer",
    "Issued",
    "Lab",
    "Nginx",
    "Received",
    "__version__",
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


def set_clock(at: datetime | None) -> None:
    """Sets the clock of the library for the whole process. The clock then runs on.

    Use it to test expiry and rotation. The lab's consumers and certificates use the system clock.

    Args:
        at: an aware datetime; None uses the system clock again.

    Raises:
        ConfigError: `option_invalid` if `at` is not an aware datetime.
    """
    _set_clock(at)


def signatures_checked() -> int:
    """Returns how many signatures of certificates and CRLs this process has checked.

    A cached signature is not checked again; see `remember_signatures`.
    """
    return _signatures_checked()
