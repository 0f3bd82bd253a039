"""Many deliveries at once, with an iterator and with asyncio."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import webhook_mtls as wm

SOON = 10.0


def deliveries(endpoint: wm.Endpoint, count: int) -> Iterator[wm.Delivery]:
    body = b"{}"
    return (wm.Delivery(endpoint, body, id=f"evt_{n}", tag=n) for n in range(count))


def stalled(lab: Any, dispatcher: wm.Dispatcher) -> tuple[Any, wm.Endpoint]:
    slow = lab.consumer("slow")
    slow.misbehave("stall", times=0)
    return slow, dispatcher.endpoint("slow", slow.url, pins=None)


class Sync:
    """Runs a check of outcomes with the iterator."""

    @staticmethod
    def outcomes(dispatcher: wm.Dispatcher, given: Any, **options: Any) -> list[wm.Outcome]:
        return list(dispatcher.deliver_many(given, **options))


class Async:
    """Runs a check of outcomes with asyncio, from an iterable."""

    @staticmethod
    def outcomes(dispatcher: wm.Dispatcher, given: Any, **options: Any) -> list[wm.Outcome]:
        async def main() -> list[wm.Outcome]:
            many = dispatcher.as_async().deliver_many(given, **options)
            return [outcome async for outcome in many]

        return asyncio.run(main())


class AsyncFed:
    """Runs a check of outcomes with asyncio, from an asynchronous iterable."""

    @staticmethod
    def outcomes(dispatcher: wm.Dispatcher, given: Any, **options: Any) -> list[wm.Outcome]:
        async def fed() -> AsyncIterator[wm.Delivery]:
            for delivery in given:
                await asyncio.sleep(0)
                yield delivery

        async def main() -> list[wm.Outcome]:
            many = dispatcher.as_async().deliver_many(fed(), **options)
            return [outcome async for outcome in many]

        return asyncio.run(main())


@pytest.fixture(params=[Sync, Async, AsyncFed])
def run(request: pytest.FixtureRequest) -> Any:
    return request.param.outcomes


def test_each_delivery_has_one_outcome(acme: Any, run: Any) -> None:
    outcomes = run(acme.dispatcher, deliveries(acme.endpoint, 300))
    assert sorted(outcome.delivery.tag for outcome in outcomes) == list(range(300))
    for outcome in outcomes:
        assert outcome.error is None
        assert outcome.receipt.id == outcome.delivery.id == f"evt_{outcome.delivery.tag}"
        assert outcome.delivery.endpoint == acme.endpoint
    assert len(acme.consumer.received) == 300


def test_a_failure_is_an_outcome(acme: Any, run: Any) -> None:
    acme.consumer.respond(410)
    bad = wm.Delivery(acme.endpoint, b"{}", headers={"host": "elsewhere"})
    given = [*deliveries(acme.endpoint, 2), bad]
    errors = [outcome.error for outcome in run(acme.dispatcher, given, concurrency=1)]
    raised = sorted(error.kind for error in errors if error is not None)
    assert raised == ["header_invalid", "http_status"]
    assert all(error is None or error.consumer == "acme" for error in errors)


def test_an_exception_of_the_iterable_comes_after_the_outcomes(acme: Any, run: Any) -> None:
    def broken() -> Iterator[wm.Delivery]:
        yield from deliveries(acme.endpoint, 3)
        raise LookupError("the row is gone")

    with pytest.raises(LookupError, match="the row is gone"):
        run(acme.dispatcher, broken())
    assert len(acme.consumer.received) == 3


def test_an_item_that_is_not_a_delivery_is_refused(acme: Any, run: Any) -> None:
    with pytest.raises(wm.ConfigError, match="a Delivery each"):
        run(acme.dispatcher, [b"{}"])
    for options in ({"concurrency": 0}, {"concurrency": "many"}, {"concurency": 3}):
        with pytest.raises(wm.ConfigError, match="option_invalid"):
            run(acme.dispatcher, [], **options)
    assert run(acme.dispatcher, []) == []


@pytest.mark.parametrize("given", [None, 7, object()])
def test_a_value_that_is_not_iterable_is_refused(acme: Any, given: Any) -> None:
    with pytest.raises(wm.ConfigError, match="deliveries"):
        acme.dispatcher.deliver_many(given)
    with pytest.raises(wm.ConfigError, match="deliveries"):
        acme.dispatcher.as_async().deliver_many(given)


def test_a_delivery_is_checked_at_construction(acme: Any) -> None:
    with pytest.raises(wm.ConfigError, match="body"):
        wm.Delivery(acme.endpoint, "text")  # type: ignore[arg-type]
    with pytest.raises(wm.ConfigError, match="endpoint"):
        wm.Delivery("acme", b"{}")  # type: ignore[arg-type]
    with pytest.raises(wm.ConfigError, match="option_invalid"):
        wm.Delivery(acme.endpoint, b"{}", colour="red")  # type: ignore[call-arg]
    assert repr(wm.Delivery(acme.endpoint, b"{}", id="x")) == 'Delivery("acme", 2 bytes)'


def test_a_deferred_delivery_fails_alone(acme: Any, run: Any) -> None:
    rows: list[tuple[Any, dict[str, Any]]] = [
        (b"{}", {"id": "evt_1"}),
        ("text", {"id": "evt_2"}),
        (b"{}", {"id": "evt_3", "headers": {"x a": "1"}}),
        (b"{}", {"id": 4}),
        (b"{}", {"timeout": -1}),
        (b"{}", {"colour": "red"}),
        (bytes(33 * 1024 * 1024), {"id": "evt_7"}),
        (bytearray(b"{}"), {"id": "evt_8"}),
    ]
    given = (
        wm.Delivery.deferred(acme.endpoint, body, tag=number, **options)
        for number, (body, options) in enumerate(rows, 1)
    )
    outcomes = {outcome.delivery.tag: outcome for outcome in run(acme.dispatcher, given)}
    kinds = {tag: getattr(outcome.error, "kind", None) for tag, outcome in outcomes.items()}
    invalid = "option_invalid"
    assert kinds == {
        1: None,
        2: invalid,
        3: "header_invalid",
        4: invalid,
        5: invalid,
        6: invalid,
        7: "body_too_large",
        8: None,
    }
    error = outcomes[2].error
    assert isinstance(error, wm.ConfigError)
    assert (error.consumer, error.context["option"], error.sent) == ("acme", "body", "nothing")
    assert outcomes[2].delivery.endpoint == acme.endpoint
    assert outcomes[2].delivery.id == "evt_2"
    assert outcomes[4].delivery.id is None
    assert sorted(str(received.id) for received in acme.consumer.received) == ["evt_1", "evt_8"]
    with pytest.raises(wm.ConfigError, match="endpoint"):
        wm.Delivery.deferred(None, b"{}")  # type: ignore[arg-type]


def test_an_exception_of_an_argument_is_not_deferred(acme: Any) -> None:
    class Broken(dict[str, str]):
        def items(self) -> Any:
            raise LookupError("the row is gone")

    with pytest.raises(LookupError, match="the row is gone"):
        wm.Delivery.deferred(acme.endpoint, b"{}", headers=Broken(a="b"))


def test_deferred_deliveries_alone_are_a_run(acme: Any, run: Any) -> None:
    given: Any = (wm.Delivery.deferred(acme.endpoint, None) for _ in range(300))  # type: ignore[arg-type]
    outcomes = run(acme.dispatcher, given, concurrency=1)
    assert [outcome.error.kind for outcome in outcomes] == ["option_invalid"] * 300


def test_deliveries_are_taken_on_demand(acme: Any) -> None:
    taken = 0

    def counted() -> Iterator[wm.Delivery]:
        nonlocal taken
        for delivery in deliveries(acme.endpoint, 100):
            taken += 1
            yield delivery

    outcomes = acme.dispatcher.deliver_many(counted(), concurrency=4)
    assert taken == 0
    for given, _ in enumerate(outcomes, 1):
        assert taken <= given + 4 * 4
        assert outcomes.progress.in_flight <= 4
    assert (outcomes.progress.done, outcomes.progress.failed) == (100, 0)


def test_a_slow_consumer_delays_no_other(lab: Any, acme: Any) -> None:
    slow, endpoint = stalled(lab, acme.dispatcher)
    given = [*deliveries(endpoint, 200), *deliveries(acme.endpoint, 100)]
    outcomes = acme.dispatcher.deliver_many(given)
    for _ in range(100):
        assert next(outcomes).delivery.endpoint == acme.endpoint
    progress = outcomes.progress
    assert (progress.done, progress.in_flight, progress.waiting) == (100, 8, 192)
    del outcomes
    acme.dispatcher.close(drain=SOON)
    assert len(slow.received) <= 8


def test_leaving_a_loop_cancels_deliveries_in_flight(lab: Any, acme: Any) -> None:
    slow, endpoint = stalled(lab, acme.dispatcher)
    for outcome in acme.dispatcher.deliver_many(
        [*deliveries(endpoint, 5), *deliveries(acme.endpoint, 1)]
    ):
        assert outcome.receipt is not None
        break
    started = time.monotonic()
    acme.dispatcher.close(drain=SOON)
    assert time.monotonic() - started < SOON
    assert len(slow.received) <= 5


def test_leaving_an_asynchronous_loop_cancels_deliveries_in_flight(lab: Any, acme: Any) -> None:
    slow, endpoint = stalled(lab, acme.dispatcher)
    closed = asyncio.Event()

    async def fed() -> AsyncIterator[wm.Delivery]:
        try:
            for delivery in [*deliveries(endpoint, 5), *deliveries(acme.endpoint, 1)]:
                yield delivery
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def main() -> None:
        dispatcher = acme.dispatcher.as_async()
        async for outcome in dispatcher.deliver_many(fed()):
            assert outcome.receipt is not None
            break
        gc.collect()
        await dispatcher.close(drain=SOON)
        async with asyncio.timeout(SOON):
            await closed.wait()

    asyncio.run(main())
    assert len(slow.received) <= 5


def test_close_ends_a_run(lab: Any, acme: Any) -> None:
    slow, endpoint = stalled(lab, acme.dispatcher)
    outcomes = acme.dispatcher.deliver_many(deliveries(endpoint, 5))
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.extend(outcomes))
    thread.start()
    assert slow.wait(5, within=SOON)
    with pytest.raises(wm.ConfigError, match="one thread"):
        next(outcomes)
    outcomes.close()
    thread.join(SOON)
    assert not thread.is_alive()
    assert ended == []
    with acme.dispatcher.deliver_many(deliveries(acme.endpoint, 5)) as outcomes:
        assert next(outcomes).receipt is not None


def test_an_asynchronous_run_can_be_closed(lab: Any, acme: Any) -> None:
    _, endpoint = stalled(lab, acme.dispatcher)

    async def main() -> None:
        many = acme.dispatcher.as_async().deliver_many(deliveries(endpoint, 5))
        waiting = asyncio.ensure_future(anext(many))
        await asyncio.sleep(0)
        await many.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert many.progress.in_flight == 0

    asyncio.run(main())


def test_closing_the_dispatcher_gives_each_an_outcome(lab: Any, acme: Any) -> None:
    slow, endpoint = stalled(lab, acme.dispatcher)
    outcomes = acme.dispatcher.deliver_many(deliveries(endpoint, 20))
    closing = threading.Thread(target=lambda: slow.wait(8, within=SOON) and acme.dispatcher.close())
    closing.start()
    kinds = {outcome.error.kind for outcome in outcomes}
    closing.join()
    assert kinds == {"canceled"}
