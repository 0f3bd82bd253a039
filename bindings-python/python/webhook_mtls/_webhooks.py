"""Verification of a webhook whose store for ids may be asynchronous."""

from __future__ import annotations

import inspect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._native import PeerIdentity, VerifiedWebhook, WebhookVerifier


async def verify(
    verifier: WebhookVerifier,
    peer: PeerIdentity,
    headers: Any,
    body: Any,
    at: Any,
    unknown: dict[str, Any],
) -> VerifiedWebhook:
    """Verifies a webhook, and awaits the store's answer if it is awaitable."""
    webhook, answer = verifier._check(peer, headers, body, at, unknown)
    if answer is None:
        return webhook
    if inspect.isawaitable(answer):
        answer = await answer
    return webhook._marked(answer)
