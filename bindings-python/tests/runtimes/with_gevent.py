"""Delivers under gevent. Patched first, as an application of gevent does. Prints `well`."""

from gevent import monkey

monkey.patch_all()

import os
import threading

import gevent
from gevent.event import Event

import webhook_mtls as wm
from webhook_mtls.testing import Consumer, Lab


def ticks_until(end: Event) -> int:
    ticks = 0
    while not end.wait(0.01):
        ticks += 1
    return ticks


def others_run_meanwhile(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, acme: Consumer) -> None:
    acme.misbehave("stall", 3)
    end = Event()
    ticker = gevent.spawn(ticks_until, end)

    def stalled() -> str:
        try:
            dispatcher.deliver(endpoint, b"{}", timeout=0.5)
        except wm.DeliveryError as error:
            return error.kind
        return "delivered"

    stalls = [gevent.spawn(stalled) for _ in range(3)]
    gevent.joinall(stalls, timeout=20)
    end.set()
    assert [each.value for each in stalls] == ["deadline_exceeded"] * 3
    assert ticker.get() > 10


def many_at_once(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, acme: Consumer) -> None:
    # More than the hub's thread pool has threads.
    before = len(acme.received)
    spawned = [gevent.spawn(dispatcher.deliver, endpoint, b"{}") for _ in range(200)]
    gevent.joinall(spawned, timeout=60)
    assert [each.get().status for each in spawned] == [200] * 200
    outcomes = list(dispatcher.deliver_many(wm.Delivery(endpoint, b"{}") for _ in range(200)))
    assert len(outcomes) == 200
    assert all(outcome.receipt for outcome in outcomes)
    assert len(acme.received) == before + 400


def a_timeout_cancels(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, acme: Consumer) -> None:
    acme.misbehave("stall", 2)
    try:
        with gevent.Timeout(0.2):
            dispatcher.deliver(endpoint, b"{}")
    except gevent.Timeout as timeout:
        assert (timeout.outcome.kind, timeout.outcome.sent) == ("canceled", "all")
    else:
        raise AssertionError("the delivery ended before its timeout")
    killed = gevent.spawn(dispatcher.deliver, endpoint, b"{}")
    gevent.sleep(0.1)
    killed.kill()
    assert isinstance(killed.value, gevent.GreenletExit)
    assert dispatcher.deliver(endpoint, b"{}").status == 200


def other_calls(lab: Lab, dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, acme: Consumer) -> None:
    assert dispatcher.probe(endpoint).peer.spki_pin == acme.pin
    assert dispatcher.reload() == []
    receipt = wm.deliver(
        acme.url,
        b"{}",
        pins=None,
        identity=lab.identity,
        trust=lab.trust,
        egress=wm.Egress(allow=["127.0.0.0/8"]),
    )
    assert receipt.status == 200
    pool = gevent.get_hub().threadpool
    assert pool.apply(dispatcher.deliver, (endpoint, b"{}")).status == 200
    try:
        dispatcher.deliver(endpoint, b"{}", tiemout=1)  # type: ignore[call-arg]
    except wm.ConfigError as error:
        assert error.kind == "option_invalid"
    else:
        raise AssertionError("an unknown option was taken")


def a_child_delivers(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint) -> None:
    child = os.fork()
    if child == 0:
        status = dispatcher.deliver(endpoint, b"{}").status
        os._exit(0 if status == 200 else 1)
    assert dispatcher.deliver(endpoint, b"{}").status == 200
    assert os.waitpid(child, 0)[1] == 0


def main() -> None:
    assert threading.current_thread() is threading.main_thread()
    with Lab() as lab:
        acme = lab.consumer("acme")
        dispatcher = lab.dispatcher()
        endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))
        others_run_meanwhile(dispatcher, endpoint, acme)
        many_at_once(dispatcher, endpoint, acme)
        a_timeout_cancels(dispatcher, endpoint, acme)
        other_calls(lab, dispatcher, endpoint, acme)
        a_child_delivers(dispatcher, endpoint)
        dispatcher.close(drain=1)
    # Ends only if no watcher of ours keeps the hub running.
    gevent.wait()
    print("well")


main()
