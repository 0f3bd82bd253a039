"""The webhook cases in Python."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import webhook_mtls as wm


def run(case: Any, peer: wm.PeerIdentity, options: Callable[[Any], Any]) -> Any:
    keys = case.get("keys")
    given: Any = options(case)
    if "secrets" in case:
        given["secrets"] = case["secrets"]
    if isinstance(keys, dict):
        given["keys"] = {tenant: wm.JwtKeys(text.encode()) for tenant, text in keys.items()}
    elif keys is not None:
        given["keys"] = wm.JwtKeys(keys.encode())
    seen = case.get("seen", False)
    verifier = wm.WebhookVerifier(seen=lambda _tenant, _id, _keep_until: seen, **given)
    at = datetime.fromtimestamp(case["at"], UTC)
    headers = [(name, value) for name, value in case["headers"]]
    body = case["body"].encode()
    return verifier.verify_webhook(peer, headers, body, at=at).to_dict()
