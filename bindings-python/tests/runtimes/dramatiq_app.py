"""A Dramatiq worker with the actor of `webhook_mtls.dramatiq`. As a program, it is the producer."""

import json
import os

import dramatiq
import queue_app
import redis
from dramatiq.brokers.redis import RedisBroker

from webhook_mtls.dramatiq import DeliverActor
from webhook_mtls.queues import Hooks

client = redis.Redis(unix_socket_path=os.environ["WMTLS_REDIS"])
broker = RedisBroker(client=client)  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)


class Deliveries(Hooks):
    dispatcher = queue_app.Deliver.dispatcher
    index = queue_app.Deliver.index
    policy = queue_app.Deliver.policy
    endpoint = queue_app.Deliver.endpoint
    body = queue_app.Deliver.body
    on_delivered = queue_app.Deliver.on_delivered
    on_park = queue_app.Deliver.on_park
    on_drop = queue_app.Deliver.on_drop


deliver = DeliverActor(Deliveries())

if __name__ == "__main__":
    order = json.loads(os.environ["WMTLS_ORDER"])
    deliver.send_all("evt_1", order.get("consumers", []))
    if order.get("sweep"):
        deliver.sweep()
