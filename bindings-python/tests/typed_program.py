# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""A program of a user with types, which mypy and pyright check. No test runs it."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from typing import assert_type

from cryptography import x509

import webhook_mtls as wm
from webhook_mtls.testing import Lab, error


def deliver_one(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint) -> int:
    try:
        receipt = dispatcher.deliver(endpoint, b"{}", id="evt_1", timeout=timedelta(seconds=3))
    except wm.DeliveryError as failure:
        assert_type(failure.kind, wm.Kind)
        assert_type(failure.sent, wm.Sent)
        assert_type(failure.retry, wm.Retry)
        assert_type(failure.retry_after, float | None)
        assert_type(failure.response, wm.Response | None)
        decision = wm.RetryPolicy(attempts=3).decide(failure, attempt=1)
        return round(decision.delay) if decision.action == "retry" else -1
    assert_type(receipt, wm.Receipt)
    assert_type(receipt.peer.not_after, datetime)
    assert_type(receipt.response.headers["content-type"], str)
    return receipt.status


def deliver_all(
    dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, rows: list[tuple[int, bytes]]
) -> None:
    deliveries = (wm.Delivery.deferred(endpoint, body, tag=row) for row, body in rows)
    for outcome in dispatcher.deliver_many(deliveries, concurrency=8):
        assert_type(outcome, wm.Outcome)
        assert_type(outcome.error, wm.WebhookMtlsError | None)
        if outcome.receipt is not None:
            assert_type(outcome.receipt.id, str | None)


async def deliver_async(dispatcher: wm.AsyncDispatcher, endpoint: wm.Endpoint) -> None:
    assert_type(await dispatcher.deliver(endpoint, b"{}"), wm.Receipt)
    async for outcome in dispatcher.deliver_many([wm.Delivery(endpoint, b"{}")]):
        assert_type(outcome, wm.Outcome)


def verify(verifier: wm.Verifier, secure: ssl.SSLSocket, pem: str, der: bytes) -> None:
    certificate = x509.load_der_x509_certificate(der)
    for peer in (
        verifier.verify(pem),
        verifier.verify([der, der], at=datetime.now(UTC)),
        verifier.verify(certificate),
        verifier.verify([certificate, pem, der]),
        verifier.verify_socket(secure),
    ):
        assert_type(peer, wm.PeerIdentity)
        assert_type(peer.tenant, str | None)
    assert_type(wm.pin_of(certificate), str)
    assert_type(wm.Trust.from_pem([certificate, pem]), wm.Trust)


def refused_by_the_checkers(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint) -> None:
    # A checker that no longer reports one of these fails, because its comment is then superfluous.
    wm.colour  # type: ignore[attr-defined]  # noqa: B018
    dispatcher.deliver(endpoint, "text")  # type: ignore[arg-type]
    dispatcher.deliver(endpoint, b"", tiemout=1)  # type: ignore[call-arg]
    dispatcher.endpoint("acme", "https://a.test/")  # type: ignore[call-arg]
    wm.Verifier(role="peer", trust=Lab().trust)  # type: ignore[arg-type]
    error("internal").kind = "canceled"  # type: ignore[misc]


def main() -> None:
    with Lab() as lab:
        acme, dispatcher = lab.consumer("acme"), lab.dispatcher()
        endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))
        assert deliver_one(dispatcher, endpoint) == 200
        deliver_all(dispatcher, endpoint, [(1, b"{}")])
        asyncio.run(deliver_async(dispatcher.as_async(), endpoint))
