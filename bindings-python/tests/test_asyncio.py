"""The asyncio interface: many deliveries, cancellation, several loops, and early exits."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
from functools import partial
from typing import Any

import pytest

import webhook_mtls as wm
from webhook_mtls import _asyncio, _native
from webhook_mtls.testing import Lab

LONG = 20.0


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(params=["eventfd", "sockets", "threaded"])
def loop_factory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loops that watch an eventfd or a socket, and one that cannot watch descriptors."""
    if request.param == "sockets":
        monkeypatch.setattr(_asyncio, "Completions", partial(_native.Completions, eventfd=False))

    class Blind(asyncio.SelectorEventLoop):
        def add_reader(self, *_: Any) -> None:  # type: ignore[override]
            raise NotImplementedError

        # The loop itself needs this for its own wake-up.
        def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
            return super()._add_reader(fd, callback, *args)  # type: ignore[misc]

    return Blind if request.param == "threaded" else asyncio.SelectorEventLoop


def run(loop_factory: Any, main: Any) -> Any:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


def test_64_deliveries_at_once(acme: Any, loop_factory: Any) -> None:
    async def main() -> Any:
        dispatcher = acme.dispatcher.as_async()
        deliveries = (
            dispatcher.deliver(acme.endpoint, b"%d" % n, id=f"evt_{n}", headers={"x-n": str(n)})
            for n in range(64)
        )
        return await asyncio.gather(*deliveries)

    receipts = run(loop_factory, main())
    assert [receipt.id for receipt in receipts] == [f"evt_{n}" for n in range(64)]
    got = {(received.id, received.body) for received in acme.consumer.received}
    assert got == {(f"evt_{n}", b"%d" % n) for n in range(64)}


def test_a_failure_is_raised_where_it_is_awaited(acme: Any, loop_factory: Any) -> None:
    async def main() -> None:
        dispatcher = acme.dispatcher.as_async()
        acme.consumer.respond(503)
        with pytest.raises(wm.DeliveryError) as raised:
            await dispatcher.deliver(acme.endpoint, b"{}")
        assert raised.value.kind == "http_status"
        for bad in ({"colour": "red"}, {"timeout": "5"}, {"id": 7}, {"timeout": 0}):
            with pytest.raises(wm.ConfigError, match="option_invalid"):
                await dispatcher.deliver(acme.endpoint, b"{}", **bad)
        with pytest.raises(wm.ConfigError, match="body"):
            await dispatcher.deliver(acme.endpoint, "text")
        with pytest.raises(wm.ConfigError, match="header_invalid"):
            await dispatcher.deliver(acme.endpoint, b"{}", headers={"a": "b\r\n"})
        with pytest.raises(wm.ConfigError, match="drain"):
            await dispatcher.close(drain=-1)

    run(loop_factory, main())
    assert len(acme.consumer.received) == 1


def test_canceling_the_task_cancels_the_delivery(acme: Any, loop_factory: Any) -> None:
    acme.consumer.misbehave("stall", times=0)

    async def main() -> None:
        dispatcher = acme.dispatcher.as_async()
        tasks = [asyncio.create_task(dispatcher.deliver(acme.endpoint, b"{}")) for _ in range(8)]
        await asyncio.to_thread(acme.consumer.wait, 8, within=LONG)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        # If a delivery were still in flight, this drain time would pass.
        await asyncio.wait_for(dispatcher.close(drain=600), LONG)
        assert not _asyncio.notifier_of(asyncio.get_running_loop()).waiting

    run(loop_factory, main())


def test_asyncio_timeouts_cancel_as_well(acme: Any) -> None:
    acme.consumer.misbehave("stall", times=0)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await acme.dispatcher.as_async().deliver(acme.endpoint, b"{}")
        await asyncio.wait_for(acme.dispatcher.as_async().close(drain=600), LONG)

    asyncio.run(main())


def test_async_with_closes_the_dispatcher(acme: Any) -> None:
    async def main() -> None:
        async with acme.dispatcher.as_async() as dispatcher:
            assert (await dispatcher.deliver(acme.endpoint, b"{}")).status == 200
        with pytest.raises(wm.ConfigError, match="handle_closed"):
            await dispatcher.deliver(acme.endpoint, b"{}")

    asyncio.run(main())
    with pytest.raises(wm.ConfigError, match="handle_closed"):
        acme.dispatcher.deliver(acme.endpoint, b"{}")


def test_closing_lets_deliveries_finish_or_cancels_them(acme: Any) -> None:
    acme.consumer.misbehave("stall", times=0)

    async def main() -> None:
        dispatcher = acme.dispatcher.as_async()
        task = asyncio.create_task(dispatcher.deliver(acme.endpoint, b"{}"))
        await asyncio.to_thread(acme.consumer.wait, 1, within=LONG)
        await dispatcher.close(drain=0.05)
        with pytest.raises(wm.DeliveryError) as raised:
            await task
        assert (raised.value.kind, raised.value.blame) == ("canceled", "caller")
        # The consumer may have read the request before our own write has returned.
        assert raised.value.sent in ("all", "maybe")

    asyncio.run(main())


def test_two_loops_share_one_dispatcher(acme: Any) -> None:
    meeting = threading.Barrier(2, timeout=LONG)
    statuses: list[int] = []

    async def main() -> None:
        dispatcher = acme.dispatcher.as_async()
        meeting.wait()
        receipts = await asyncio.gather(
            *(dispatcher.deliver(acme.endpoint, b"{}") for _ in range(32))
        )
        statuses.extend(receipt.status for receipt in receipts)

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 64


def test_loops_leave_no_descriptor_behind(acme: Any) -> None:
    async def main() -> None:
        await acme.dispatcher.as_async().deliver(acme.endpoint, b"{}")

    asyncio.run(main())
    gc.collect()
    before, known = descriptors(), len(_asyncio._notifiers)
    for _ in range(20):
        asyncio.run(main())
    gc.collect()
    # A connection of an earlier test may end meanwhile.
    assert descriptors() <= before
    assert len(_asyncio._notifiers) <= known


def test_a_changed_bytearray_is_not_torn(acme: Any) -> None:
    async def main() -> None:
        body = bytearray(b"a" * 100_000)
        task = asyncio.create_task(acme.dispatcher.as_async().deliver(acme.endpoint, body))
        await asyncio.sleep(0)  # one iteration of the loop: the delivery has started
        body[:] = b"b" * len(body)
        await task

    asyncio.run(main())
    assert acme.consumer.received[0].body == b"a" * 100_000


PROLOGUE = """
import asyncio, sys, threading
import webhook_mtls as wm
from webhook_mtls.testing import Lab

lab = Lab()
acme, dispatcher = lab.consumer("acme"), lab.dispatcher()
endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))

async def many():
    tasks = [asyncio.create_task(dispatcher.as_async().deliver(endpoint, b"{}")) for _ in range(16)]
    await asyncio.to_thread(acme.wait, 8, within=20)
    return tasks
"""


@pytest.mark.parametrize(
    "leave",
    [
        """
        acme.misbehave("stall", times=0)
        asyncio.run(many())
        """,
        """
        acme.misbehave("stall", times=0)
        loop = asyncio.new_event_loop()
        tasks = loop.run_until_complete(many())
        import os
        sys.stdout.flush()
        """,
        """
        async def forever():
            while True:
                await asyncio.gather(
                    *(dispatcher.as_async().deliver(endpoint, b"{}") for _ in range(16))
                )
        threading.Thread(target=asyncio.run, args=(forever(),), daemon=True).start()
        acme.wait(200, within=20)
        """,
        """
        def forever():
            while True:
                dispatcher.deliver(endpoint, b"{}")
        for _ in range(4):
            threading.Thread(target=forever, daemon=True).start()
        acme.wait(200, within=20)
        """,
        """
        def deliveries():
            while True:
                yield wm.Delivery(endpoint, b"{}")
        def forever():
            for outcome in dispatcher.deliver_many(deliveries()):
                pass
        threading.Thread(target=forever, daemon=True).start()
        acme.wait(200, within=20)
        """,
        """
        def deliveries():
            while True:
                yield wm.Delivery(endpoint, b"{}")
        async def forever():
            async for outcome in dispatcher.as_async().deliver_many(deliveries()):
                pass
        threading.Thread(target=asyncio.run, args=(forever(),), daemon=True).start()
        acme.wait(200, within=20)
        """,
        """
        acme.misbehave("stall", times=0)
        for _ in range(4):
            deliver = threading.Thread(
                target=lambda: dispatcher.deliver(endpoint, b"{}"), daemon=True
            )
            deliver.start()
        acme.wait(4, within=20)
        """,
    ],
    ids=[
        "run",
        "loop left open",
        "loop in a daemon",
        "daemons",
        "many in a daemon",
        "many in a daemon's loop",
        "stalled daemons",
    ],
)
def test_a_process_may_end_in_the_middle_of_deliveries(leave: str) -> None:
    program = PROLOGUE + textwrap.dedent(leave) + "\nsys.exit(0)\n"
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    for word in ("panic", "fatal", "Fatal", "abort"):
        assert word not in ended.stderr, ended.stderr


def test_a_canceled_delivery_tells_what_was_sent(lab: Lab, acme: Any) -> None:
    async def canceled(stage: str) -> BaseException:
        # A consumer that has received nothing.
        consumer = lab.consumer(stage)
        endpoint = acme.dispatcher.endpoint(stage, consumer.url, pins=None)
        consumer.misbehave("stall", 1)
        deliverer = acme.dispatcher.as_async()
        task = asyncio.create_task(deliverer.deliver(endpoint, b"{}"))
        if stage == "sent":
            assert await asyncio.to_thread(consumer.wait, 1, within=20)
        else:
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as raised:
            return raised
        raise AssertionError("the task was not canceled")

    for stage in ("begun", "sent"):
        raised = asyncio.run(canceled(stage))
        outcome = raised.outcome  # type: ignore[attr-defined]
        assert isinstance(outcome, wm.DeliveryError)
        assert outcome.kind == "canceled"
        assert f"sent: {outcome.sent}" in raised.__notes__[0]
        if stage == "sent":
            # The consumer may have read the request before our own write has returned.
            assert outcome.sent in ("all", "maybe")

    async def timed_out() -> BaseException | None:
        acme.consumer.misbehave("stall", 1)
        try:
            async with asyncio.timeout(0.3):
                await acme.dispatcher.as_async().deliver(acme.endpoint, b"{}")
        except TimeoutError as error:
            return error.__cause__
        return None

    assert asyncio.run(timed_out()).outcome.kind == "canceled"  # type: ignore[union-attr]
