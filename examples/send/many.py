"""Delivers a hundred events, eight at a time, and takes the outcomes as they come.

Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN.
"""

import os
import sys
from collections.abc import Iterator

import webhook_mtls as wm

dispatcher = wm.Dispatcher(
    identity=wm.Identity.from_files("tls.crt", "tls.key"),
    trust=wm.Trust.from_files("ca.pem"),
    egress=wm.Egress(allow=["127.0.0.0/8"]),  # a receiver on this machine
)
pins = wm.Pins([os.environ["WMTLS_PIN"]])
acme = dispatcher.endpoint("acme", os.environ["WMTLS_URL"], pins=pins)


def deliveries() -> Iterator[wm.Delivery]:
    """Yields each delivery when the run has room for it."""
    for row in range(100):  # the rows of a table, or the messages of a queue
        yield wm.Delivery(acme, b'{"event":"invoice.paid"}', id=f"evt_{row}", tag=row)


delivered, failed = [], {}
for outcome in dispatcher.deliver_many(deliveries(), concurrency=8):
    row = outcome.delivery.tag
    if outcome.error is None:
        delivered.append(row)
    else:
        failed[row] = outcome.error  # for RetryPolicy
dispatcher.close()
print(len(delivered), "delivered,", len(failed), "failed")
sys.exit(1 if failed else 0)
