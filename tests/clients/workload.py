"""Delivers every 100 ms with the identity of a SPIFFE Workload API, until the standard input ends.

Prints a line for each event (`{"event": …}`) and each delivery (`{"failed": …}` with the error, or
`{"delivered": …}` with their number). SPIFFE_ENDPOINT_SOCKET is the API, WMTLS_SERVER_URI the
consumer. With WMTLS_FORK, a child delivers.
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


def deliver(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint) -> None:
    """Delivers until the standard input ends."""
    delivered = 0
    dispatcher.on_event(lambda event: report({"event": event.to_dict()}))
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        try:
            dispatcher.deliver(endpoint, b"{}")
        except wm.DeliveryError as error:
            report({"failed": error.to_dict()})
        else:
            delivered += 1
            report({"delivered": delivered})


def deliver_in_a_child(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint) -> int:
    """Delivers in a forked process, which has no connection to the agent. Returns its status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            deliver(dispatcher, endpoint)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    """Follows the API while it delivers, or while a child does."""
    env = os.environ
    status = 0
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
        consumer = workload.consumer(env["WMTLS_SERVER_URI"])
        endpoint = dispatcher.endpoint("acme", env["WMTLS_URL"], **consumer)
        if "WMTLS_FORK" in env:
            status = deliver_in_a_child(dispatcher, endpoint)
        else:
            deliver(dispatcher, endpoint)
        try:
            workload.trust("nowhere.example")
        except LookupError as error:
            report({"unknown": str(error)})
    report({"left": os.listdir(env["TMPDIR"])})
    return status


if __name__ == "__main__":
    sys.exit(main())
