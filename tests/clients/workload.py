"""Delivers every 100 ms with the identity of a SPIFFE Workload API, until the standard input ends.

Prints a line for each event (`{"event": …}`) and each delivery (`{"failed": …}` with the error, or
`{"delivered": …}` with their number). SPIFFE_ENDPOINT_SOCKET is the API, WMTLS_SERVER_URI the
consumer.
"""

import json
import os
import select
import sys
import threading
from typing import Any

from spiffe import X509Source

import webhook_mtls as wm
from webhook_mtls.spiffe import WorkloadSource

printing = threading.Lock()


def report(line: dict[str, Any]) -> None:
    """Prints one line. Events come on a thread of their own."""
    with printing:
        print(json.dumps(line), flush=True)


def main() -> int:
    """Delivers until the standard input ends."""
    env = os.environ
    delivered = 0
    with (
        X509Source(timeout_in_seconds=60) as x509,
        WorkloadSource(x509, directory=env["TMPDIR"]) as workload,
        wm.Dispatcher(
            identity=workload.identity(),
            trust=workload.trust(),
            egress=wm.Egress("public", allow=["127.0.0.0/8"]),
            reload=0.2,
            # The end of a federation is no reason to wait afterwards.
            circuit_failures=0,
        ) as dispatcher,
    ):
        dispatcher.on_event(lambda event: report({"event": event.to_dict()}))
        consumer = workload.consumer(env["WMTLS_SERVER_URI"])
        endpoint = dispatcher.endpoint("acme", env["WMTLS_URL"], **consumer)
        while not select.select([sys.stdin], [], [], 0.1)[0]:
            try:
                dispatcher.deliver(endpoint, b"{}")
            except wm.DeliveryError as error:
                report({"failed": error.to_dict()})
            else:
                delivered += 1
                report({"delivered": delivered})
        try:
            workload.trust("nowhere.example")
        except LookupError as error:
            report({"unknown": str(error)})
    report({"left": os.listdir(env["TMPDIR"])})
    return 0


if __name__ == "__main__":
    sys.exit(main())
