"""The actor of the fleet. As a program: `produce` enqueues events, `sweep` runs the sweeper."""

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from fleet_hooks import PLACE, URLS, NotedHooks, note, run_order

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


if __name__ == "__main__":
    run_order(produce, deliver.sweep)
