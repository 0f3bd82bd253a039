"""Delivers many times, and prints the resources of the process after a fifth of them and at the
end.

Prints `{"early": {"rss_kib": …, "descriptors": …}, "late": {…}}`. The environment is that of
`deliver.py`, and `WMTLS_COUNT` is the number of deliveries. Each tenth delivery goes to
`WMTLS_REFUSING_URL`, where our certificate is refused. The same program exists in C, Node and Rust.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import webhook_mtls as wm


def held() -> dict[str, int]:
    """Returns the kernel's figures."""
    status = Path("/proc/self/status").read_text()
    rss = next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]
    return {"rss_kib": int(rss), "descriptors": len(os.listdir("/proc/self/fd"))}


async def deliver(dispatcher: wm.Dispatcher) -> None:
    """Delivers on an event loop, and cancels some deliveries."""
    env = os.environ
    sender = dispatcher.as_async()
    good = dispatcher.endpoint("good", env["WMTLS_URL"], pins=None)
    refusing = dispatcher.endpoint("refusing", env["WMTLS_REFUSING_URL"], pins=None)
    count = int(env["WMTLS_COUNT"])
    early = {}
    for number in range(1, count + 1):
        refused = number % 10 == 0
        try:
            await sender.deliver(refusing if refused else good, b'{"event":"ping"}')
            assert not refused
        except wm.DeliveryError as error:
            if not refused or error.kind != "client_certificate_rejected":
                raise
        if number % 50 == 0:
            task = asyncio.ensure_future(sender.deliver(good, b"{}"))
            await asyncio.sleep(0)
            task.cancel()
        if number == count // 5:
            early = held()
    print(json.dumps({"early": early, "late": held()}))


def main() -> int:
    """Runs the deliveries."""
    with wm.Dispatcher(
        identity=wm.Identity.from_files(os.environ["WMTLS_CERT"], os.environ["WMTLS_KEY"]),
        trust=wm.Trust.from_files(os.environ["WMTLS_CA"]),
        egress=wm.Egress("public", allow=["127.0.0.0/8"]),
    ) as dispatcher:
        asyncio.run(deliver(dispatcher))
    return 0


if __name__ == "__main__":
    sys.exit(main())
