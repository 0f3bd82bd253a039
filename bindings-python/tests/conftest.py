"""Shared fixtures: a lab, and an endpoint of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from webhook_mtls import Dispatcher, Endpoint, Pins
from webhook_mtls.testing import Consumer, Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@dataclass
class Acme:
    """A consumer and a dispatcher with its pin."""

    consumer: Consumer
    dispatcher: Dispatcher
    endpoint: Endpoint


@pytest.fixture
def acme(lab: Lab) -> Iterator[Acme]:
    consumer, dispatcher = lab.consumer("acme"), lab.dispatcher()
    with dispatcher:
        endpoint = dispatcher.endpoint("acme", consumer.url, pins=Pins([consumer.pin]))
        yield Acme(consumer, dispatcher, endpoint)
