"""The actor of the fleet. As a program: `produce` enqueues events, `sweep` runs the sweeper."""

import sys
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from fleet_hooks import PLACE, URLS, NotedHooks, note

from webhook_mtls.dramatiq import DeliverActor

# A worker whose heartbeat is missing for this long is dead, in ms. The sweeper is faster.
HEARTBEAT = 15_000

dramatiq.set_broker(
    RedisBroker(client=redis.Redis(unix_socket_path=PLACE), heartbeat_timeout=HEARTBEAT)
)
deliver = DeliverActor(NotedHooks(), long_wait=2.0)


def produce(start: str, stop: str) -> None:
    """Enqueues events."""
    for number in range(int(start), int(stop)):
        deliver.send_all(f"evt_{number}", URLS)
        note("confirmed", f"evt_{number}")


def sweep_always() -> None:
    """Enqueues jobs that are due until it is killed, also after the broker was gone for a while."""
    while True:
        try:
            deliver.sweep()
        except Exception as fault:
            print(fault, flush=True)
        time.sleep(0.25)


if __name__ == "__main__":
    order, *arguments = sys.argv[1:]
    {"produce": produce, "sweep": sweep_always}[order](*arguments)
