"""Shares open circuits between processes through Redis."""

import time

import redis

import webhook_mtls as wm

KEY = "webhook-mtls:circuit:"


def share(dispatcher: wm.Dispatcher, shared: redis.Redis) -> None:
    """Tells the other processes about circuits that open here."""

    def tell(event: wm.Event) -> None:
        if event.name == "circuit_opened":
            left = event.fields["open_until_ms"] - time.time() * 1000
            shared.set(f"{KEY}{event.consumer}", event.fields["kind"], px=max(1, int(left)))

    dispatcher.on_event(tell)


def heed(endpoint: wm.Endpoint, shared: redis.Redis) -> None:
    """Opens the circuit here if it is open in another process. Call it before a delivery."""
    left = shared.pttl(f"{KEY}{endpoint.consumer}")
    if left > 0:
        endpoint.open_circuit(left / 1000)
