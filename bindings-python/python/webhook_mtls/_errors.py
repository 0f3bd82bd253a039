"""The exceptions. Defined here and not in the native module, so that type checkers see them.

The state of an exception is one dict in its `args`, in the JSON form of every language. It survives
pickle, copy, and queues that rebuild an exception as `cls(*args)`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._words import Blame, Kind, Retry, Scope, Sent, Stage

_REQUIRED_FIELDS = ("kind", "stage", "blame", "scope", "sent", "retry", "message", "remedy")


class WebhookMtlsError(Exception):
    """Tells why a delivery or a verification failed, whose fault it is, and how much was sent.

    The library raises one of its three subclasses.

    Args:
        fields: the dict that `to_dict` returned.

    Raises:
        TypeError: `fields` is not a dict or lacks a required field.

    >>> from webhook_mtls.testing import error
    >>> failure = error("http_status", sent="all")
    >>> failure.retry, failure.sent, type(failure)(*failure.args).kind
    ('later', 'all', 'http_status')
    """

    __module__ = "webhook_mtls"

    args: tuple[dict[str, Any]]

    def __init__(self, fields: Mapping[str, Any]) -> None:
        if not isinstance(fields, dict) or any(name not in fields for name in _REQUIRED_FIELDS):
            raise TypeError("a WebhookMtlsError is made of the dict that to_dict() returns")
        super().__init__(fields)

    @property
    def kind(self) -> Kind:
        """The kind of failure: a stable name, equal in every language."""
        kind: Kind = self.args[0]["kind"]
        return kind

    @property
    def number(self) -> int:
        """The stable number of the kind, which is the status in C."""
        number: int = self.args[0]["number"]
        return number

    @property
    def stage(self) -> Stage:
        """The stage that the delivery or the verification had reached."""
        stage: Stage = self.args[0]["stage"]
        return stage

    @property
    def blame(self) -> Blame:
        """Whose fault it is, as far as this side can tell."""
        blame: Blame = self.args[0]["blame"]
        return blame

    @property
    def scope(self) -> Scope:
        """What it affects: the payload, the endpoint, all users of the identity, or the process."""
        scope: Scope = self.args[0]["scope"]
        return scope

    @property
    def sent(self) -> Sent:
        """How much of the request was sent: with `nothing`, the consumer lacks the payload."""
        sent: Sent = self.args[0]["sent"]
        return sent

    @property
    def retry(self) -> Retry:
        """Whether a retry helps: `later`, `after_repair` by a person, or `never`."""
        retry: Retry = self.args[0]["retry"]
        return retry

    @property
    def retry_after(self) -> float | None:
        """The wait that the consumer requested, in seconds."""
        millis: int | None = self.args[0].get("retry_after_ms")
        return None if millis is None else millis / 1000

    @property
    def consumer(self) -> str | None:
        """The consumer id, if the failure concerns an endpoint."""
        consumer: str | None = self.args[0].get("consumer")
        return consumer

    @property
    def id(self) -> str | None:
        """The event's id, if the error ended a delivery that had one."""
        event: str | None = self.args[0].get("id")
        return event

    @property
    def attempts(self) -> int | None:
        """How many attempts began, if the error ended a delivery or a probe."""
        attempts: int | None = self.args[0].get("attempts")
        return attempts

    @property
    def elapsed(self) -> float | None:
        """The total duration in seconds, if the error ended a delivery or a probe."""
        millis: float | None = self.args[0].get("elapsed_ms")
        return None if millis is None else millis / 1000

    @property
    def message(self) -> str:
        """The observed and the expected state, in a sentence."""
        message: str = self.args[0]["message"]
        return message

    @property
    def remedy(self) -> str:
        """How to fix it, in a sentence."""
        remedy: str = self.args[0]["remedy"]
        return remedy

    @property
    def help(self) -> str:
        """The address of the page about the kind: its causes, and the cure of each."""
        # An error of an older version has none.
        page: str = self.args[0].get("help", "")
        return page

    @property
    def context(self) -> Mapping[str, Any]:
        """Facts about the failure by name, such as `observed_pin`."""
        return dict(self.args[0].get("context") or {})

    @property
    def response(self) -> Response | None:
        """The response of the consumer, if it sent one."""
        fields = self.args[0].get("response")
        return None if fields is None else Response(fields)

    def to_dict(self, *, full: bool = True) -> dict[str, Any]:
        """Returns the error in the JSON form of every language. Durations are milliseconds.

        Args:
            full: False returns the log record instead: level, message and fields, below 1 KiB.
        """
        if not full:
            from ._native import _log_record_of

            return _log_record_of(self.args[0])
        from copy import deepcopy

        return deepcopy(self.args[0])

    def public(self) -> dict[str, Any]:
        """Returns the part that may be shown to the consumer: no addresses, no internals."""
        from ._native import _public

        return _public(self.args[0])

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class ConfigError(WebhookMtlsError, ValueError):
    """An option, an argument or material is invalid. This process sent nothing."""

    __module__ = "webhook_mtls"


class DeliveryError(WebhookMtlsError):
    """A delivery failed. `retry`, `scope` and `sent` determine how to handle it."""

    __module__ = "webhook_mtls"


class PeerRefused(WebhookMtlsError):
    """A verifier refused a peer."""

    __module__ = "webhook_mtls"


class Response:
    """The response of the consumer."""

    __module__ = "webhook_mtls"
    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    @property
    def status(self) -> int:
        """The HTTP status."""
        status: int = self._fields["status"]
        return status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names in lower case, values of equal names joined with a comma."""
        return dict(self._fields["headers"])

    @property
    def header_lines(self) -> list[tuple[str, str]]:
        """Each header line in order; a name may occur more than once."""
        # An error of an earlier version has only `headers`.
        lines = self._fields.get("header_lines", self._fields["headers"].items())
        return [(name, value) for name, value in lines]

    @property
    def excerpt(self) -> bytes:
        """The first bytes of the body: 1 KiB, or as many as `response_excerpt` says."""
        from binascii import a2b_base64

        return a2b_base64(self._fields["excerpt_base64"])

    @property
    def truncated(self) -> bool:
        """Whether the body was longer than the excerpt, or broke off."""
        truncated: bool = self._fields.get("truncated", False)
        return truncated

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        return self._fields == other._fields

    def __hash__(self) -> int:
        return hash((self.status, self._fields["excerpt_base64"]))

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.excerpt)} bytes>"
