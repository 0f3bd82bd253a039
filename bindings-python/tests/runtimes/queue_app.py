"""A Celery worker with the tasks of `webhook_mtls.celery`, which notes what its hooks are told."""

import os
from collections.abc import Mapping
from typing import Any

import redis
from celery import Celery

import webhook_mtls as wm
from scene import DIRECTORY, dispatcher
from webhook_mtls.celery import DeliverTask, FanOutTask, SweepTask
from webhook_mtls.queues import DeadLetter, Hooks, Job, RedisIndex

PLACE = os.environ["WMTLS_REDIS"]
# The broker delivers a message again that a worker holds for longer.
VISIBILITY = 4

app = Celery("queue", broker=f"redis+socket://{PLACE}")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBILITY},
    worker_prefetch_multiplier=1,
)


def note(what: str, job: Job, *facts: object) -> None:
    """Adds a line to the log of all processes."""
    line = " ".join([what, job.consumer, job.event, str(job.attempt), *map(str, facts)])
    log = os.open(DIRECTORY / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{line}\n".encode())
    os.close(log)


class Noted(Hooks):
    """Hooks that note what they are told."""

    dispatcher = dispatcher()
    index = RedisIndex(redis.Redis(unix_socket_path=PLACE))
    policy = wm.RetryPolicy(attempts=2, first=0.05)
    task_wait = float(os.environ.get("WMTLS_TASK_WAIT", "0.1"))

    def endpoint(self, consumer: str) -> wm.Endpoint:
        if consumer == "unknown":
            raise KeyError(consumer)
        url = (DIRECTORY / consumer).read_text()
        return self.dispatcher.endpoint(consumer, url, pins=None)

    def body(self, event: str) -> bytes:
        return event.encode()

    def options(self, job: Job) -> Mapping[str, Any]:
        note("started", job, os.getpid())
        return {"headers": {"x-attempt": str(job.attempt)}}

    def on_delivered(self, job: Job, receipt: wm.Receipt) -> None:
        note("delivered", job, os.getpid())
        raise RuntimeError("a hook that fails changes nothing")

    def on_park(self, job: Job, decision: wm.Decision, error: wm.WebhookMtlsError) -> None:
        note("parked", job, error.kind)

    def on_drop(self, letter: DeadLetter, error: wm.WebhookMtlsError) -> None:
        note("dropped", letter.job, error.kind, letter.sent)


class Deliver(Noted, DeliverTask):
    name = "deliver"


deliver = app.register_task(Deliver())
fan_out = app.register_task(FanOutTask(deliver, size=3))
sweep = app.register_task(SweepTask(deliver))
