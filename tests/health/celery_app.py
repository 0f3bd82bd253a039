"""A Celery worker whose children deliver and share their metrics through a directory."""

import os
from pathlib import Path
from typing import Any

from celery import Celery, signals
from prometheus_client import multiprocess

import webhook_mtls as wm
from webhook_mtls.prometheus import instrument

DIRECTORY = Path(os.environ["WMTLS_DIRECTORY"])

app = Celery("health", broker=os.environ["WMTLS_REDIS"], backend=os.environ["WMTLS_REDIS"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    # The delivery of a killed child is made again by another one.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)

dispatcher = wm.Dispatcher(
    identity=wm.Identity.from_files(DIRECTORY / "tls.crt", DIRECTORY / "tls.key"),
    trust=wm.Trust.from_files(DIRECTORY / "ca.pem"),
    egress=wm.Egress(allow=["127.0.0.0/8"]),
    circuit_open=1,
)
instrument(dispatcher)


@app.task(name="deliver")
def deliver(consumer: str, url: str, number: int) -> list[Any]:
    endpoint = dispatcher.endpoint(consumer, url, pins=None)
    try:
        dispatcher.deliver(endpoint, b"%d" % number, id=f"evt_{number}")
    except wm.DeliveryError as error:
        return [os.getpid(), error.kind]
    return [os.getpid(), ""]


@signals.worker_process_shutdown.connect
def forget(pid: int, **_: Any) -> None:
    multiprocess.mark_process_dead(pid)
