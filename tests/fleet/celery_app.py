"""The tasks of the fleet. As a program: `produce` enqueues events, `sweep` runs the sweeper."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from celery import Celery
from fleet_hooks import PLACE, URLS, NotedHooks, note, run_order

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
    with ThreadPoolExecutor(8) as pool:
        for number in range(int(start), int(stop)):
            event = f"evt_{number}"
            if number % 2:
                fan_out.send(event, URLS)
            else:
                list(pool.map(partial(deliver.send, event), URLS))
            note("confirmed", event)


if __name__ == "__main__":
    run_order(produce, sweep.run)
