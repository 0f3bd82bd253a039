"""Tests code that sends webhooks against a consumer of the testing kit.

Needs pytest and webhook-mtls[testing].
"""

from collections.abc import Iterator

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Consumer, Lab, error


def send_invoice(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, number: int) -> str:
    """The code under test: sends an invoice, and returns what the queue is to do."""
    try:
        dispatcher.deliver(endpoint, b'{"paid":true}', id=f"invoice_{number}")
    except wm.DeliveryError as failure:
        return wm.RetryPolicy().decide(failure, attempt=1).action
    return "done"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:  # a private CA, in this process
        yield lab


@pytest.fixture
def acme(lab: Lab) -> Consumer:
    return lab.consumer("acme")  # a server on 127.0.0.1 that requires our certificate


@pytest.fixture
def dispatcher(lab: Lab) -> Iterator[wm.Dispatcher]:
    with lab.dispatcher() as dispatcher:  # has an identity of the lab, and trusts only its CA
        yield dispatcher


@pytest.fixture
def endpoint(dispatcher: wm.Dispatcher, acme: Consumer) -> wm.Endpoint:
    return dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))


def test_an_invoice_arrives(
    dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, acme: Consumer
) -> None:
    assert send_invoice(dispatcher, endpoint, 7) == "done"
    [request] = acme.received
    assert (request.id, request.body) == ("invoice_7", b'{"paid":true}')
    assert request.tenant == "dispatcher"  # who we are, for the consumer


def test_a_busy_consumer_is_called_again(
    dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, acme: Consumer
) -> None:
    acme.respond(503, retry_after=30)
    assert send_invoice(dispatcher, endpoint, 7) == "retry"


def test_a_lost_answer_makes_a_duplicate_with_the_same_id(
    dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, acme: Consumer
) -> None:
    acme.misbehave("reset_after_body")
    assert send_invoice(dispatcher, endpoint, 7) == "retry"
    assert send_invoice(dispatcher, endpoint, 7) == "done"
    assert [request.id for request in acme.received] == ["invoice_7", "invoice_7"]


def test_an_unknown_key_gets_nothing(
    dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, acme: Consumer
) -> None:
    acme.renew(new_key=True)
    assert send_invoice(dispatcher, endpoint, 7) == "park"
    assert acme.received == []


@pytest.mark.parametrize(
    ("kind", "action"),
    [("client_certificate_rejected", "park"), ("circuit_open", "retry"), ("http_status", "retry")],
)
def test_verdicts_without_a_network(kind: str, action: str) -> None:
    assert wm.RetryPolicy().decide(error(kind), attempt=1).action == action
