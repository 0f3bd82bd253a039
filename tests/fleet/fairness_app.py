"""The tasks of the fairness measurement."""

import json
import os
import time
from pathlib import Path

import redis
from celery import Celery

import webhook_mtls as wm
from webhook_mtls.celery import DeliverTask
from webhook_mtls.queues import Job, RedisIndex

DIRECTORY = Path(os.environ["FLEET"])
PLACE = os.environ["FLEET_REDIS"]
URLS: dict[str, str] = json.loads((DIRECTORY / "urls.json").read_text())

app = Celery("fairness", broker=f"redis+socket://{PLACE}")
app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1)


class Deliver(DeliverTask):
    name = "deliver"
    dispatcher = wm.Dispatcher(
        identity=wm.Identity.from_files(DIRECTORY / "tls.crt", DIRECTORY / "tls.key"),
        trust=wm.Trust.from_files(DIRECTORY / "ca.pem"),
        egress=wm.Egress(allow=["127.0.0.0/8"]),
    )
    index = RedisIndex(redis.Redis(unix_socket_path=PLACE))

    def endpoint(self, consumer: str) -> wm.Endpoint:
        return self.dispatcher.endpoint(consumer, URLS[consumer], pins=None)

    def body(self, event: str) -> bytes:
        return b"x" * 1024

    def on_delivered(self, job: Job, receipt: wm.Receipt) -> None:
        # The event's id ends with the time at which it was enqueued.
        sent = int(job.event.rsplit("-", 1)[1])
        line = f"{job.consumer} {job.event} {(time.time_ns() - sent) / 1e6:.1f}\n"
        log = os.open(DIRECTORY / "delivered", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, line.encode())
        os.close(log)


if os.environ.get("FLEET_WAIT") == "until the end":
    Deliver.task_wait = None
deliver = app.register_task(Deliver())
# Before the workers fork: a service that has just started would make them one by one.
for consumer in URLS:
    deliver.endpoint(consumer)
