"""What the middleware of ASGI and WSGI share: its arguments, and the answer to a refusal."""

from __future__ import annotations

import ipaddress
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from . import _native

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._errors import WebhookMtlsError
    from ._native import Hop, PeerIdentity, Verifier, WebhookVerifier, _Dialect

_LOGGER = logging.getLogger("webhook_mtls")


class Receiver:
    """Verifies the peer of a request, and says how to answer if that fails."""

    def __init__(
        self,
        verifier: Verifier,
        dialect: _Dialect | None,
        hop: Hop | None,
        exclude: Iterable[str],
        webhooks: WebhookVerifier | None,
    ) -> None:
        self.verifier = verifier
        self.webhooks = webhooks
        self.dialect = dialect
        self.hop = hop
        self.exclude = frozenset([exclude] if isinstance(exclude, str) else exclude)
        self.refused: Counter[str] = Counter()
        if dialect is not None or hop is not None:
            # Raises ConfigError for an argument that no request could use.
            verifier._check_forwarding(dialect, hop)

    def forwarded(
        self, headers: Iterable[tuple[str | bytes, str | bytes]], remote: str | None
    ) -> PeerIdentity:
        """Verifies the certificate that the hop forwards."""
        given: dict[str, Any] = {"dialect": self.dialect, "hop": self.hop}
        given = {name: value for name, value in given.items() if value is not None}
        return self.verifier.verify_forwarded(headers, remote=remote, **given)

    def refuse(self, error: WebhookMtlsError) -> tuple[int, bytes]:
        """Counts and logs a refusal. Returns the status and the body, which has the kind only."""
        fields = error.to_dict(full=False)
        del fields["level"], fields["message"]
        reason = error.context.get("reason") or error.context.get("cause")
        return self._refuse(str(error), {**fields, "reason": reason})

    def refuse_body(self) -> tuple[int, bytes]:
        """Refuses a request whose body exceeds the limit, before all of it is read."""
        return self._refuse("the body exceeds the limit", {"kind": "body_too_large"})

    def _refuse(self, message: str, fields: dict[str, Any]) -> tuple[int, bytes]:
        kind: str = fields["kind"]
        self.refused[kind] += 1
        self.verifier._count_refused_request(kind)
        _LOGGER.warning("request refused: %s", message, extra={"webhook_mtls": fields})
        return answer(kind), b'{"kind":"%s"}' % kind.encode()


def answer(kind: str) -> int:
    """Returns the HTTP status of a kind, from the core's table."""
    if not _answers:
        _answers.update((row["name"], row["answer"]) for row in _native._tables()["kinds"])
    return _answers[kind]


_answers: dict[str, int] = {}


def most_of_a_body() -> int:
    """Returns the most bytes of a body that a verifier of webhooks accepts."""
    if not _limits:
        _limits.update(_native._tables()["limits"])
    return _limits["body"]


_limits: dict[str, int] = {}


def address(host: object) -> str | None:
    """Returns the text if it is an IP address, possibly with a scope."""
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return None
    return str(host)
