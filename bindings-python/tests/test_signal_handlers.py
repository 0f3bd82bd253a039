"""Calls of a signal handler while its own thread waits for a delivery."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import webhook_mtls as wm

LONG = 20.0


@contextmanager
def held(acme: Any, handle: Callable[[], Any], *, after: int = 1) -> Iterator[list[Any]]:
    """Calls `handle` from a signal handler while the consumer holds `after` deliveries.

    Yields its results and exceptions.
    """
    results: list[Any] = []

    def handler(*_: object) -> None:
        try:
            results.append(handle())
        except wm.WebhookMtlsError as error:
            results.append(error)

    def tell() -> None:
        assert acme.consumer.wait(after, within=LONG)
        os.kill(os.getpid(), signal.SIGUSR1)

    # A handler that waits for itself must fail the test instead of hanging it.
    watch = threading.Timer(LONG, os._exit, (9,))
    watch.daemon = True
    watch.start()
    former = signal.signal(signal.SIGUSR1, handler)
    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield results
    finally:
        teller.join(LONG)
        signal.signal(signal.SIGUSR1, former)
        watch.cancel()


def deliver(acme: Any, how: str) -> wm.WebhookMtlsError | None:
    """Delivers and returns the error, or None."""
    try:
        if how == "deliver":
            acme.dispatcher.deliver(acme.endpoint, b"held", timeout=LONG)
        else:
            delivery = wm.Delivery(acme.endpoint, b"held", timeout=LONG)
            (outcome,) = acme.dispatcher.deliver_many([delivery])
            error: wm.WebhookMtlsError | None = outcome.error
            return error
    except wm.WebhookMtlsError as error:
        return error
    return None


def deliver_for(acme: Any, timeout: float) -> wm.WebhookMtlsError:
    with pytest.raises(wm.WebhookMtlsError) as raised:
        acme.dispatcher.deliver(acme.endpoint, b"held", timeout=timeout)
    return raised.value


@pytest.mark.parametrize("how", ["deliver", "deliver_many"])
@pytest.mark.parametrize("drain", [0.0, 0.3])
def test_close_returns_in_a_handler_and_the_delivery_is_canceled(
    acme: Any, how: str, drain: float
) -> None:
    acme.consumer.misbehave("stall", times=1)
    with held(acme, lambda: acme.dispatcher.close(drain)) as results:
        error = deliver(acme, how)
    assert results == [None]
    assert error is not None and error.kind == "canceled"
    with pytest.raises(wm.ConfigError) as refused:
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert refused.value.kind == "handle_closed"


def test_a_delivery_has_its_drain_after_the_handler(acme: Any) -> None:
    """The handler does not wait for the delivery of its own thread, which is not canceled."""
    acme.consumer.misbehave("stall", times=1)
    with held(acme, lambda: acme.dispatcher.close(LONG)) as results:
        error = deliver_for(acme, 1.0)
    assert results == [None]
    assert error.kind == "deadline_exceeded"


def test_close_in_a_handler_waits_for_the_deliveries_of_other_threads(acme: Any) -> None:
    acme.consumer.misbehave("stall", times=2)
    others: list[wm.WebhookMtlsError | None] = []
    other = threading.Thread(target=lambda: others.append(deliver(acme, "deliver")))
    ended: list[bool] = []

    def close() -> None:
        acme.dispatcher.close(0.1)
        other.join(LONG)
        ended.append(not other.is_alive())

    other.start()
    with held(acme, close, after=2):
        error = deliver(acme, "deliver")
    assert ended == [True]
    assert error is not None and error.kind == "canceled"
    assert [error.kind for error in others if error] == ["canceled"]


@pytest.mark.slow
def test_reload_retire_and_upserts_in_a_handler_return(acme: Any, lab: Any) -> None:
    acme.consumer.misbehave("stall", times=1)
    other = lab.consumer("other")

    def all_of_them() -> Any:
        events = acme.dispatcher.reload()
        with pytest.raises(wm.ConfigError) as refused:
            acme.dispatcher.retire(lab.identity)
        assert refused.value.kind == "identity_in_use"
        elsewhere = acme.dispatcher.endpoint("other", other.url, pins=None)
        assert acme.dispatcher.deliver(elsewhere, b"nested").status == 200
        assert acme.dispatcher.probe(elsewhere).consumer == "other"
        assert acme.dispatcher.remove("other")
        acme.dispatcher.remove("acme")
        return events

    with held(acme, all_of_them) as results:
        error = deliver_for(acme, 2.0)
    assert results == [[]]
    assert error.kind in ("deadline_exceeded", "handle_closed")


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["turn", "connection"])
@pytest.mark.parametrize("how", ["deliver", "deliver_many"])
def test_a_delivery_that_would_wait_for_the_interrupted_one_fails_at_once(
    lab: Any, limit: str, how: str
) -> None:
    consumer = lab.consumer("acme")
    consumer.misbehave("stall", times=1)
    dispatcher = wm.Dispatcher(
        identity=lab.identity,
        trust=lab.trust,
        egress=wm.Egress(allow=["127.0.0.0/8"]),
        max_connections=1 if limit == "connection" else 8,
    )
    concurrency = 1 if limit == "turn" else 8
    endpoint = dispatcher.endpoint("acme", consumer.url, pins=None, concurrency=concurrency)

    class Scene:
        pass

    scene: Any = Scene()
    scene.consumer, scene.dispatcher, scene.endpoint = consumer, dispatcher, endpoint
    with held(scene, lambda: deliver(scene, how)) as results:
        error = deliver_for(scene, 2.0)
    dispatcher.close()
    (nested,) = results
    assert nested is not None and nested.kind == "overloaded"
    assert nested.blame == "ours" and nested.sent == "nothing"
    assert "signal handler" in str(nested)
    assert error.kind == "deadline_exceeded"


def test_a_listener_closes_its_dispatcher(lab: Any, tmp_path: Any) -> None:
    lab.write_files(tmp_path)
    (tmp_path / "tls.key").chmod(0o644)
    dispatcher = wm.Dispatcher(
        identity=wm.Identity.from_files(tmp_path / "tls.crt", tmp_path / "tls.key"),
        trust=lab.trust,
    )
    closed = threading.Event()

    def listen(event: wm.Event) -> None:
        assert event.name == "key_readable"
        dispatcher.retire(lab.identity)
        dispatcher.reload()
        dispatcher.close(LONG)
        closed.set()

    dispatcher.on_event(listen)
    dispatcher.reload()
    assert closed.wait(LONG)


ALARMED = """
import signal
import webhook_mtls as wm
from webhook_mtls.testing import Lab

with Lab() as lab:
    acme, dispatcher = lab.consumer("acme"), lab.dispatcher()
    endpoint = dispatcher.endpoint("acme", acme.url, pins=None)
    acme.misbehave("stall")

    def stop(*_):
        dispatcher.close()
        raise SystemExit(3)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    while True:
        dispatcher.deliver(endpoint, b"{}")
"""


def test_a_handler_closes_and_exits_the_program() -> None:
    finished = subprocess.run([sys.executable, "-c", ALARMED], timeout=60, check=False)
    assert finished.returncode == 3
