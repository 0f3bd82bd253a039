"""Threads, forked processes and signals."""

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import webhook_mtls as wm
from barrier import in_child, status_of

LONG = 20.0


def test_threads_share_a_dispatcher(acme: Any) -> None:
    def deliver(n: int) -> str | None:
        receipt: wm.Receipt = acme.dispatcher.deliver(acme.endpoint, b"%d" % n, id=f"evt_{n}")
        return receipt.id

    with ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(deliver, range(200)))
    assert ids == [f"evt_{n}" for n in range(200)]
    assert len(acme.consumer.received) == 200


def test_a_waiting_delivery_does_not_hold_the_interpreter(acme: Any) -> None:
    acme.consumer.misbehave("stall", times=1)
    failures: list[str] = []

    def deliver() -> None:
        try:
            acme.dispatcher.deliver(acme.endpoint, b"{}")
        except wm.DeliveryError as error:
            failures.append(error.kind)

    thread = threading.Thread(target=deliver)
    thread.start()
    assert acme.consumer.wait(1, within=LONG)
    # This delivery hangs; the others continue.
    assert acme.dispatcher.deliver(acme.endpoint, b"{}").status == 200
    acme.dispatcher.close()
    thread.join(LONG)
    assert failures == ["canceled"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forks with threads on purpose
def test_a_forked_child_delivers_with_an_inherited_dispatcher(acme: Any) -> None:
    dispatcher, endpoint = acme.dispatcher, acme.endpoint
    assert dispatcher.deliver(endpoint, b"before").status == 200

    def work() -> None:
        for _ in range(3):
            assert dispatcher.deliver(endpoint, b"child").status == 200

    children = [in_child(work) for _ in range(3)]
    for _ in range(20):
        assert dispatcher.deliver(endpoint, b"parent").status == 200
    assert [status_of(child) for child in children] == [0, 0, 0]
    assert dispatcher.deliver(endpoint, b"parent").reused
    bodies = [received.body for received in acme.consumer.received]
    assert {body: bodies.count(body) for body in set(bodies)} == {
        b"before": 1,
        b"child": 9,
        b"parent": 21,
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_during_deliveries(acme: Any) -> None:
    dispatcher, endpoint = acme.dispatcher, acme.endpoint
    stop = threading.Event()
    failures: list[BaseException] = []

    def forever() -> None:
        try:
            while not stop.is_set():
                dispatcher.deliver(endpoint, b"parent")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=forever) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert acme.consumer.wait(20, within=LONG)
    children = [in_child(lambda: dispatcher.deliver(endpoint, b"child")) for _ in range(8)]
    statuses = [status_of(child) for child in children]
    stop.set()
    for thread in threads:
        thread.join(LONG)
    assert statuses == [0] * 8
    assert failures == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_may_close_what_it_inherited(acme: Any) -> None:
    acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert status_of(in_child(acme.dispatcher.close)) == 0
    assert acme.dispatcher.deliver(acme.endpoint, b"{}").reused


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_multiprocessing_workers_deliver(acme: Any) -> None:
    assert acme.dispatcher.deliver(acme.endpoint, b"before").status == 200
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def work() -> None:
        receipt = acme.dispatcher.deliver(acme.endpoint, b"child")
        answers.put((receipt.status, receipt.reused))

    workers = [context.Process(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert acme.dispatcher.deliver(acme.endpoint, b"parent").reused
    for worker in workers:
        worker.join(LONG)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    # None of them used the parent's connection.
    assert sorted(answers.get() for _ in workers) == [(200, False)] * 3
    assert acme.dispatcher.deliver(acme.endpoint, b"after").reused


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_asyncio_in_a_child(acme: Any) -> None:
    import asyncio

    async def main() -> int:
        receipt = await acme.dispatcher.as_async().deliver(acme.endpoint, b"{}")
        status: int = receipt.status
        return status

    def work() -> None:
        assert asyncio.run(main()) == 200

    assert asyncio.run(main()) == 200
    assert status_of(in_child(work)) == 0
    assert asyncio.run(main()) == 200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_inside_a_loop_during_deliveries(acme: Any) -> None:
    import asyncio

    dispatcher = acme.dispatcher.as_async()

    def work() -> None:
        assert asyncio.run(dispatcher.deliver(acme.endpoint, b"child")).status == 200

    async def main() -> tuple[list[int], int]:
        tasks = [asyncio.ensure_future(dispatcher.deliver(acme.endpoint, b"{}")) for _ in range(64)]
        await tasks[0]
        child = in_child(work)
        receipts = await asyncio.gather(*tasks)
        return [receipt.status for receipt in receipts], await asyncio.to_thread(status_of, child)

    assert asyncio.run(main()) == ([200] * 64, 0)


STALLED = """
import signal, threading, time
import webhook_mtls as wm
from webhook_mtls.testing import Lab

# A shell ignores SIGINT in background processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
with Lab() as lab:
    acme, dispatcher = lab.consumer("acme"), lab.dispatcher()
    endpoint = dispatcher.endpoint("acme", acme.url, pins=None)
    def tell(count):
        acme.wait(count, within=20)
        print("stalled", flush=True)
    for count in range(1, 6):
        acme.misbehave("stall", times=1)
        threading.Thread(target=tell, args=(count,)).start()
        try:
            dispatcher.deliver(endpoint, b"{}")
        except KeyboardInterrupt:
            print(time.monotonic(), flush=True)
    # Nothing is in flight any more: a drain of ten minutes ends at once.
    assert dispatcher.deliver(endpoint, b"{}").status == 200
    dispatcher.close(drain=600)
    print("closed", flush=True)
"""


def test_ctrl_c_ends_a_stalled_delivery_at_once() -> None:
    delays = []
    with subprocess.Popen(
        [sys.executable, "-c", STALLED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        watch = threading.Timer(LONG, program.kill)
        watch.start()
        assert program.stdout is not None
        for _ in range(5):
            assert program.stdout.readline() == "stalled\n"
            pressed = time.monotonic()
            program.send_signal(signal.SIGINT)
            # The machine's clock, so both processes read the same.
            released = program.stdout.readline()
            assert released, program.communicate(timeout=LONG)
            delays.append(float(released) - pressed)
        output, errors = program.communicate(timeout=LONG)
        watch.cancel()
    assert (program.returncode, output) == (0, "closed\n"), errors
    # The median: a busy machine may be late once.
    assert sorted(delays)[2] < 0.1, delays
