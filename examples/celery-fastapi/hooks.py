"""The worker of the shop: delivers events to its consumers, retries, parks and gives up.

celery --app hooks worker --beat
"""

import os
import tomllib
from pathlib import Path

import redis
from celery import Celery

import webhook_mtls as wm
from webhook_mtls.celery import DeliverTask, FanOutTask, SweepTask
from webhook_mtls.queues import DeadLetter, Job, RedisIndex

SOCKET = os.environ.get("REDIS_SOCKET", "/run/redis/redis-server.sock")
# A private network of consumers, such as 127.0.0.0/8; by default only public addresses are allowed.
ALLOW = os.environ.get("WMTLS_ALLOW", "").split()
CONSUMERS = tomllib.loads(Path("consumers.toml").read_text())

store = redis.Redis(unix_socket_path=SOCKET)
app = Celery("shop", broker=f"redis+socket://{SOCKET}")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 600},
    worker_prefetch_multiplier=1,
    beat_schedule={
        "sweep": {"task": "shop.deliver.sweep", "schedule": 5, "options": {"expires": 5}}
    },
)


class Deliver(DeliverTask):
    name = "shop.deliver"
    dispatcher = wm.Dispatcher(
        identity=wm.Identity.from_files("tls.crt", "tls.key"),  # watched, and renewed together
        trust=wm.Trust.from_files("ca.pem"),
        egress=wm.Egress(allow=ALLOW),
    )
    index = RedisIndex(store)

    def endpoint(self, consumer: str) -> wm.Endpoint:
        row = CONSUMERS[consumer]
        pins = wm.Pins(row["pins"], next=row.get("next_pins", []))
        return self.dispatcher.endpoint(consumer, row["url"], pins=pins)

    def body(self, event: str) -> bytes:
        return store.hget("events", event)

    def on_delivered(self, job: Job, receipt: wm.Receipt) -> None:
        note(job, f"delivered: {receipt.status} over {receipt.tls.version}")

    def on_park(self, job: Job, decision: wm.Decision, error: wm.WebhookMtlsError) -> None:
        note(job, f"parked: {error.kind}. {error.remedy}")

    def on_drop(self, letter: DeadLetter, error: wm.WebhookMtlsError) -> None:
        note(letter.job, f"given up: {letter.reason}, sent {letter.sent}")


def note(job: Job, state: str) -> None:
    """Keeps the state of a delivery for the API."""
    store.hset(f"deliveries:{job.event}", job.consumer, state)


deliver = app.register_task(Deliver())
fan_out = app.register_task(FanOutTask(deliver))
sweep = app.register_task(SweepTask(deliver))
