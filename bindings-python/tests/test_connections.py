"""A dispatcher that delivers to more endpoints than it may have connections."""

import queue
from collections.abc import Iterator

import webhook_mtls as wm
from webhook_mtls.testing import Lab


def test_thrashed_connections_are_an_event(lab: Lab) -> None:
    heard: queue.Queue[wm.Event] = queue.Queue()

    def listener(event: wm.Event) -> None:
        heard.put(event)

    with lab.dispatcher(max_connections=2) as dispatcher:
        dispatcher.on_event(listener)
        consumers = [lab.consumer(name) for name in "abc"]
        endpoints = [dispatcher.endpoint(it.name, it.url, pins=None) for it in consumers]
        for number in range(30):
            dispatcher.deliver(endpoints[number % 3], b"{}")
        event = heard.get(timeout=20)
        assert event.name == "connections_thrashed"
        assert (event.fields["closed"], event.fields["max_connections"]) == (16, 2)
    assert heard.empty()


def test_the_payloads_of_a_run_are_bounded_by_their_bytes(lab: Lab) -> None:
    # 256 MiB: the run takes no further delivery. Zeroed pages that nothing writes take no memory.
    # The first delivery ends alone, when a slow machine has taken the others, too.
    size = 8 * 1024 * 1024
    slow = lab.consumer("slow")
    slow.misbehave("stall", times=0)
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("slow", slow.url, pins=None, concurrency=1)
        taken = 0

        def deliveries() -> Iterator[wm.Delivery]:
            nonlocal taken
            for _ in range(100):
                taken += 1
                yield wm.Delivery(endpoint, bytes(size), timeout=2 if taken == 1 else None)

        run = dispatcher.deliver_many(deliveries(), concurrency=200)
        assert isinstance(next(run).error, wm.DeliveryError)
        assert 32 <= taken <= 34
        run.close()
