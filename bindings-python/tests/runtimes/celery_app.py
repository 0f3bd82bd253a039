"""Tasks of Celery that deliver. A prefork worker makes the dispatcher, and delivers with it, before
it forks its children.
"""

import os
from typing import Any

from celery import Celery, signals

import webhook_mtls as wm
from scene import dispatcher

app = Celery("deliveries", broker=os.environ["WMTLS_REDIS"], backend=os.environ["WMTLS_REDIS"])
app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=8)

DELIVERER = dispatcher()
ACME = DELIVERER.endpoint("acme", os.environ["WMTLS_URL"], pins=None)
BARRIER = DELIVERER.endpoint("barrier", os.environ["WMTLS_BARRIER_URL"], pins=None, concurrency=64)


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def deliver_before_the_fork(**_: Any) -> None:
    assert DELIVERER.deliver(ACME, b"before").status == 200


@app.task(name="deliver")  # type: ignore[untyped-decorator]
def deliver(consumer: str, body: str) -> dict[str, Any]:
    endpoint = {"acme": ACME, "barrier": BARRIER}[consumer]
    receipt = DELIVERER.deliver(endpoint, body.encode(), id=f"evt_{body}")
    return {"worker": os.getpid(), "receipt": receipt.to_dict()}


@app.task(name="deliver_with_retry", bind=True, max_retries=3)  # type: ignore[untyped-decorator]
def deliver_with_retry(self: Any, body: str) -> dict[str, Any]:
    attempt = self.request.retries + 1
    try:
        receipt = DELIVERER.deliver(ACME, body.encode(), id=f"evt_{body}")
    except wm.DeliveryError as error:
        decision = wm.RetryPolicy(attempts=3, first=0.01).decide(error, attempt=attempt)
        if decision.action == "retry":
            raise self.retry(exc=error, countdown=decision.delay) from None
        raise
    return {"attempt": attempt, "status": receipt.status}
