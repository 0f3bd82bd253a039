"""Delivers every 100 ms with files that are renewed, until the standard input ends.

Prints a line for each event (`{"event": …}`) and each failed delivery (`{"failed": …}`), and at the
end `{"delivered": …}`. `WMTLS_ENDPOINT_IDENTITY=1` gives the files to the endpoint instead of the
dispatcher, WMTLS_SERVER_URI is the consumer's SAN URI, instead of its name. The same program exists
in C, Node and Rust.
"""

import json
import os
import select
import sys
import threading
from typing import Any

import webhook_mtls as wm

printing = threading.Lock()


def report(line: dict[str, Any]) -> None:
    """Prints one line. Events come on a thread of their own."""
    with printing:
        print(json.dumps(line), flush=True)


def main() -> int:
    """Delivers until the standard input ends."""
    env = os.environ
    identity = wm.Identity.from_files(env["WMTLS_CERT"], env["WMTLS_KEY"])
    own: dict[str, Any] = {"identity": identity} if "WMTLS_ENDPOINT_IDENTITY" in env else {}
    if "WMTLS_SERVER_URI" in env:
        own["server_uri"] = env["WMTLS_SERVER_URI"]
    delivered = 0
    with wm.Dispatcher(
        identity=None if "identity" in own else identity,
        trust=wm.Trust.from_files(env["WMTLS_CA"]),
        egress=wm.Egress("public", allow=["127.0.0.0/8"]),
        reload=int(env["WMTLS_RELOAD_MS"]) / 1000,
    ) as dispatcher:
        dispatcher.on_event(lambda event: report({"event": event.to_dict()}))
        endpoint = dispatcher.endpoint("receiver", env["WMTLS_URL"], pins=None, **own)
        while not select.select([sys.stdin], [], [], 0.1)[0]:
            try:
                dispatcher.deliver(endpoint, b"{}")
                delivered += 1
            except wm.DeliveryError as error:
                report({"failed": error.to_dict()})
    report({"delivered": delivered})
    return 0


if __name__ == "__main__":
    sys.exit(main())
