"""The tasks of the fleet. As a program: `produce` enqueues events, `sweep` runs the sweeper."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
from celery import Celery

import webhook_mtls as wm
from webhook_mtls.celery import DeliverTask, FanOutTask, SweepTask
from webhook_mtls.queues import Job, RedisIndex

DIRECTORY = Path(os.environ["FLEET"])
PLACE = os.environ["FLEET_REDIS"]
URLS: dict[str, str] = json.loads((DIRECTORY / "urls.json").read_text())
# Half of it is the longest countdown.
VISIBILITY = 10

app = Celery("fleet", broker=f"redis+socket://{PLACE}")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBILITY},
    worker_prefetch_multiplier=1,
)


def note(*facts: object) -> None:
    """Adds a line to the log of all processes."""
    log = os.open(DIRECTORY / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{' '.join(map(str, facts))}\n".encode())
    os.close(log)


class Policy:
    """The policy, which notes each failure."""

    known = wm.RetryPolicy(attempts=12, first=0.05)

    def decide(self, error: wm.WebhookMtlsError, *, attempt: int) -> wm.Decision:
        note("failed", error.consumer, error.id, error.sent, error.kind)
        return self.known.decide(error, attempt=attempt)


class Deliver(DeliverTask):
    name = "deliver"
    # Circuits would hold jobs back, for a time that depends on the machine.
    dispatcher = wm.Dispatcher(
        identity=wm.Identity.from_files(DIRECTORY / "tls.crt", DIRECTORY / "tls.key"),
        trust=wm.Trust.from_files(DIRECTORY / "ca.pem"),
        egress=wm.Egress(allow=["127.0.0.0/8"]),
        circuit_failures=0,
    )
    index = RedisIndex(redis.Redis(unix_socket_path=PLACE))
    # The time after which the sweeper replaces a message that Redis has lost.
    guard = 8
    policy: Any = Policy()

    def endpoint(self, consumer: str) -> wm.Endpoint:
        return self.dispatcher.endpoint(consumer, URLS[consumer], pins=None)

    def body(self, event: str) -> bytes:
        return b'{"event":"%s"}' % event.encode()

    def options(self, job: Job) -> Mapping[str, Any]:
        note("started", job.consumer, job.event, os.getpid())
        return {}

    def on_delivered(self, job: Job, receipt: wm.Receipt) -> None:
        note("delivered", job.consumer, job.event)


deliver = app.register_task(Deliver())
fan_out = app.register_task(FanOutTask(deliver, size=10, concurrency=4))
sweep = app.register_task(SweepTask(deliver))


def produce(start: str, stop: str) -> None:
    """Enqueues half of the events as fan-outs, and half one by one."""
    for number in range(int(start), int(stop)):
        event = f"evt_{number}"
        if number % 2:
            fan_out.send(event, URLS)
        else:
            for consumer in URLS:
                deliver.send(event, consumer)
        note("confirmed", event)


def sweep_always() -> None:
    """Enqueues jobs that are due until it is killed, also after the broker was gone for a while."""
    while True:
        try:
            sweep.run()
        except Exception as fault:
            print(fault, flush=True)
        time.sleep(0.25)


if __name__ == "__main__":
    order, *arguments = sys.argv[1:]
    {"produce": produce, "sweep": sweep_always}[order](*arguments)
