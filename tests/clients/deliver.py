"""Makes one delivery, described by environment variables, and prints one JSON line.

Prints `{"receipt": …}` or `{"error": …}` and exits with 0 in both cases. Any other failure ends
with a traceback. The same program exists in C, Node and Rust.
"""

import json
import os
import sys
from typing import Any

import webhook_mtls as wm


def deliver() -> wm.Receipt:
    """Delivers once, as the environment describes."""
    env = os.environ
    pin = env["WMTLS_PIN"]
    with wm.Dispatcher(
        identity=wm.Identity.from_files(env["WMTLS_CERT"], env["WMTLS_KEY"]),
        trust=wm.Trust.from_files(env["WMTLS_CA"]),
        egress=wm.Egress(
            "private" if env.get("WMTLS_EGRESS") == "private" else "public",
            allow=networks(env.get("WMTLS_ALLOW", "127.0.0.0/8,::1/128")),
            deny=networks(env.get("WMTLS_DENY", "")),
            nat64=networks(env.get("WMTLS_NAT64", "")),
        ),
        proxy=env.get("WMTLS_PROXY"),
        timeout=int(env.get("WMTLS_TIMEOUT_MS", "10000")) / 1000,
    ) as dispatcher:
        endpoint = dispatcher.endpoint(
            "consumer",
            env["WMTLS_URL"],
            pins=None if pin == "none" else wm.Pins([pin]),
            hold_payload=env.get("WMTLS_HOLD_PAYLOAD") == "true",
            min_tls="1.2" if env.get("WMTLS_MIN_TLS") == "1.2" else "1.3",
        )
        return dispatcher.deliver(endpoint, env.get("WMTLS_BODY", '{"event":"ping"}').encode())


def networks(text: str) -> list[str]:
    """Splits a comma-separated list."""
    return [network for network in text.split(",") if network]


def main() -> int:
    """Prints the outcome."""
    answer: dict[str, Any]
    try:
        answer = {"receipt": deliver().to_dict()}
    except wm.WebhookMtlsError as error:
        answer = {"error": error.to_dict()}
    except KeyError as missing:
        print(f"deliver: set {missing}", file=sys.stderr)
        return 2
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
