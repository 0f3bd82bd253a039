"""The rate of an endpoint. No test waits for a token: the next one is due in a thousand seconds."""

import asyncio
import math

import pytest
from conftest import Acme

import webhook_mtls as wm

SELDOM = 0.001
A_DAY = 24 * 3600


def limit(acme: Acme, rate: float | None) -> wm.Endpoint:
    return acme.dispatcher.endpoint("acme", acme.consumer.url, pins=None, rate=rate)


def test_a_rate_out_of_range_is_refused(acme: Acme) -> None:
    for wrong in (0, -1, math.nan, math.inf, 1_000_001, True, "10"):
        with pytest.raises(wm.ConfigError) as caught:
            limit(acme, wrong)  # type: ignore[arg-type]
        assert (caught.value.kind, caught.value.context["option"]) == ("option_invalid", "rate")


def test_a_delivery_that_would_start_after_its_deadline_is_refused_at_once(acme: Acme) -> None:
    endpoint = limit(acme, SELDOM)
    acme.dispatcher.deliver(endpoint, b"{}")
    with pytest.raises(wm.DeliveryError) as caught:
        acme.dispatcher.deliver(endpoint, b"{}")
    error = caught.value
    assert (error.kind, error.stage, error.sent) == ("overloaded", "admit", "nothing")
    assert error.context["cause"] == "rate_awaited"
    assert error.retry_after is not None and 500 < error.retry_after <= 1000
    decision = wm.RetryPolicy().decide(error, attempt=1)
    assert (decision.action, decision.counts) == ("retry", False)
    assert decision.delay == pytest.approx(error.retry_after, abs=0.01)
    assert len(acme.consumer.received) == 1


def test_a_waiting_delivery_starts_when_the_rate_is_raised(acme: Acme) -> None:
    endpoint = limit(acme, SELDOM)
    acme.dispatcher.deliver(endpoint, b"{}")

    async def main() -> None:
        dispatcher = acme.dispatcher.as_async()
        waiting = [
            asyncio.ensure_future(dispatcher.deliver(endpoint, b"{}", timeout=A_DAY))
            for _ in range(2)
        ]
        done, _ = await asyncio.wait(waiting, timeout=0)
        assert not done
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        limit(acme, 1000)
        assert (await waiting[1]).status == 200

    asyncio.run(main())
    assert len(acme.consumer.received) == 2
    limit(acme, None)
    for outcome in acme.dispatcher.deliver_many(wm.Delivery(endpoint, b"{}") for _ in range(20)):
        assert outcome.error is None
