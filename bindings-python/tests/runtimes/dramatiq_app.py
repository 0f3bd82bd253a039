"""A Dramatiq worker with the actor of `webhook_mtls.dramatiq`. As a program, it is the producer."""

import json
import os

import dramatiq
import queue_app
import redis
from dramatiq.brokers.redis import RedisBroker

from webhook_mtls.dramatiq import DeliverActor

client = redis.Redis(unix_socket_path=os.environ["WMTLS_REDIS"])
broker = RedisBroker(client=client)  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)

deliver = DeliverActor(queue_app.Noted())

if __name__ == "__main__":
    order = json.loads(os.environ["WMTLS_ORDER"])
    deliver.send_all("evt_1", order.get("consumers", []))
    if order.get("sweep"):
        deliver.sweep()
