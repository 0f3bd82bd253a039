"""What the tasks of the fleet know, whatever the queue."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import redis

import webhook_mtls as wm
from webhook_mtls.queues import Hooks, Job, RedisIndex

DIRECTORY = Path(os.environ["FLEET"])
PLACE = os.environ["FLEET_REDIS"]
URLS: dict[str, str] = json.loads((DIRECTORY / "urls.json").read_text())


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


class NotedHooks(Hooks):
    """The hooks of each queue. They write every attempt and every delivery to the log."""

    # Circuits would hold jobs back, for a time that depends on the machine.
    dispatcher = wm.Dispatcher(
        identity=wm.Identity.from_files(DIRECTORY / "tls.crt", DIRECTORY / "tls.key"),
        trust=wm.Trust.from_files(DIRECTORY / "ca.pem"),
        egress=wm.Egress(allow=["127.0.0.0/8"]),
        circuit_failures=0,
        reload=0.2,
    )
    index = RedisIndex(redis.Redis(unix_socket_path=PLACE))
    # The time after which the sweeper replaces a message that the queue has lost.
    guard = int(os.environ["FLEET_GUARD"])
    policy: Any = Policy()

    def endpoint(self, consumer: str) -> wm.Endpoint:
        # The file changes meanwhile.
        known = json.loads((DIRECTORY / "pins.json").read_text())
        pins = wm.Pins(known[consumer]) if consumer in known else None
        return self.dispatcher.endpoint(consumer, URLS[consumer], pins=pins)

    def body(self, event: str) -> bytes:
        return b'{"event":"%s"}' % event.encode()

    def options(self, job: Job) -> Mapping[str, Any]:
        note("started", job.consumer, job.event, os.getpid())
        return {}

    def on_delivered(self, job: Job, receipt: wm.Receipt) -> None:
        note("delivered", job.consumer, job.event)


def run_order(produce: Callable[[str, str], object], sweep: Callable[[], object]) -> None:
    """Runs the order of the command line, which is `produce START STOP` or `sweep`.

    `sweep` enqueues jobs that are due until it is killed, also after the broker was gone.
    """
    order, *arguments = sys.argv[1:]
    if order == "produce":
        produce(*arguments)
        return
    assert order == "sweep", order
    while True:
        try:
            sweep()
        except Exception as fault:
            print(fault, flush=True)
        time.sleep(0.25)
