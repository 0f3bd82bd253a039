"""Delivers with keys of a PKCS#11 token, by `webhook_mtls.pkcs11`.

Each line of the standard input, `KEY COUNT`, asks for so many deliveries with the key, several at
once. They end early after a failed one. The answer is a line: `{"key": …, "delivered": …,
"failed": …}`, with the error or null. The same program exists in C, Node and Rust.
"""

import itertools
import json
import os
import sys
import threading
from typing import Any

import webhook_mtls as wm
from webhook_mtls import pkcs11

THREADS = 4


def deliver(sender: wm.Dispatcher, to: wm.Endpoint, count: int) -> dict[str, Any]:
    """Makes the deliveries, and returns the answer."""
    numbers, lock = itertools.count(), threading.Lock()
    delivered = 0
    failed: dict[str, Any] | None = None

    def work() -> None:
        nonlocal delivered, failed
        while next(numbers) < count and failed is None:
            try:
                sender.deliver(to, b"{}")
            except wm.DeliveryError as error:
                failed = error.to_dict()
                return
            with lock:
                delivered += 1

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"delivered": delivered, "failed": failed}


def main() -> int:
    """Answers until the standard input ends."""
    env = os.environ
    with wm.Dispatcher(
        trust=wm.Trust.from_files(env["WMTLS_CA"]),
        egress=wm.Egress("public", allow=["127.0.0.0/8"]),
        # A busy machine must not fail a delivery.
        timeout=60,
        handshake_timeout=30,
    ) as sender:
        for line in sys.stdin:
            key, count = line.split()
            signer = pkcs11.TokenSigner(
                env["TOKEN_MODULE"], token=env["TOKEN_LABEL"], key=key, pin=env["TOKEN_PIN"]
            )
            identity = signer.identity(f"{env['TOKEN_CERTS']}/{key}.pem")
            endpoint = sender.endpoint(key, env["WMTLS_URL"], pins=None, identity=identity)
            answer = deliver(sender, endpoint, int(count))
            print(json.dumps({"key": key, **answer}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
