"""Shared fixtures: a lab, an endpoint of it, and files that rotate."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rotation_scene import Scene
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


@pytest.fixture
def scene(lab: Lab, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(lab, tmp_path)
    with scene.dispatcher:
        yield scene
