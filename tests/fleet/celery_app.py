"""The tasks of the fleet. As a program: `produce` enqueues events, `sweep` runs the sweeper."""

import sys
import time

from celery import Celery
from fleet_hooks import PLACE, URLS, NotedHooks, note

from webhook_mtls.celery import DeliverTask, FanOutTask, SweepTask

# Half of it is the longest countdown.
VISIBILITY = 10

app = Celery("fleet", broker=f"redis+socket://{PLACE}")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBILITY},
    worker_prefetch_multiplier=1,
)


class Deliver(NotedHooks, DeliverTask):
    name = "deliver"


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
