"""Circuits that processes share through Redis, by the program of docs/circuit.md."""

import threading
from typing import Any

import pytest
import redis
from redis_server import redis_server

import webhook_mtls as wm
from barrier import LONG, example
from webhook_mtls.testing import Lab


class Telling(redis.Redis):
    """A client that notes when a key is stored, and the answer read: it may be closed then."""

    def __init__(self, place: str) -> None:
        super().__init__(unix_socket_path=place)
        self.told = threading.Event()

    def set(self, *arguments: Any, **options: Any) -> Any:
        stored = super().set(*arguments, **options)
        self.told.set()
        return stored


@pytest.mark.slow
@pytest.mark.runtime
def test_a_circuit_that_opens_is_open_elsewhere(lab: Lab) -> None:
    hint = example("circuit_hint")
    acme = lab.consumer("acme")
    with redis_server() as place, Telling(str(place)) as shared:
        failing, other = lab.dispatcher(circuit_failures=1), lab.dispatcher()
        pins = wm.Pins([acme.pin])
        here, there = (each.endpoint("acme", acme.url, pins=pins) for each in (failing, other))
        hint.share(failing, shared)
        hint.heed(there, shared)
        other.deliver(there, b"{}")

        acme.misbehave("expired")
        with pytest.raises(wm.DeliveryError):
            failing.deliver(here, b"{}")
        # The callback is called after the delivery has failed.
        assert shared.told.wait(LONG)
        assert shared.get(f"{hint.KEY}acme") == b"certificate_expired"
        hint.heed(there, shared)
        with pytest.raises(wm.DeliveryError) as refused:
            other.deliver(there, b"{}")
        assert refused.value.kind == "circuit_open"
        assert 20 < (refused.value.retry_after or 0) < 34
