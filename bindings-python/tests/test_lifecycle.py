"""A removal, a replacement or a retirement takes effect when the call returns, also for waiting
deliveries."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Authority, Lab

LONG = 10


class Relay:
    """A forwarder to a consumer that holds new connections while it is shut."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self.target = (str(target.hostname), int(target.port or 443))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}{target.path}"
        self.gate = threading.Event()
        self.gate.set()
        self.came = threading.Semaphore(0)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client: socket.socket) -> None:
        self.came.release()
        self.gate.wait(LONG)
        # The lab may have ended while this connection was held.
        with suppress(OSError), client, socket.create_connection(self.target) as server:
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()

    def wait(self) -> None:
        """Returns after one more connection has arrived."""
        assert self.came.acquire(timeout=LONG)

    def close(self) -> None:
        self.gate.set()
        self.listener.close()


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


class Started(threading.Thread):
    """Deliveries on threads, each with its outcome."""

    def __init__(self, deliver: Callable[[], wm.Receipt]) -> None:
        super().__init__(daemon=True)
        self.deliver = deliver
        self.outcome: wm.Receipt | wm.WebhookMtlsError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.deliver()
        except wm.WebhookMtlsError as error:
            self.outcome = error

    def end(self) -> Any:
        self.join(LONG)
        assert self.outcome is not None
        return self.outcome


@pytest.fixture
def relay(lab: Lab) -> Iterator[Relay]:
    relay = Relay(lab.consumer("acme").url)
    yield relay
    relay.close()


@pytest.mark.slow
def test_a_delivery_waiting_for_a_turn_ends_with_its_endpoint(lab: Lab) -> None:
    acme = lab.consumer("acme")
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("acme", acme.url, pins=None, concurrency=1)
        acme.misbehave("stall")
        running = Started(lambda: dispatcher.deliver(endpoint, b"running", timeout=3))
        assert acme.wait(1, within=LONG)
        waiting = [Started(lambda: dispatcher.deliver(endpoint, b"{}")) for _ in range(9)]
        assert dispatcher.remove("acme") is True
        assert {(it.end().kind, it.end().sent) for it in waiting} == {("handle_closed", "nothing")}
        # The delivery that has left continues.
        assert running.end().kind == "deadline_exceeded"
        assert [received.body for received in acme.received] == [b"running"]
        assert acme.connections == 1


def test_a_delivery_in_its_handshake_ends_with_its_endpoint_or_uses_new_values(
    lab: Lab, relay: Relay
) -> None:
    acme, other = lab.consumer("acme"), lab.consumer("other")
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("acme", relay.url, pins=None)
        relay.gate.clear()
        moved = Started(lambda: dispatcher.deliver(endpoint, b"moved"))
        relay.wait()
        dispatcher.endpoint("acme", other.url, pins=None)
        assert moved.end().attempts == 2
        dispatcher.endpoint("acme", relay.url, pins=None)
        removed = Started(lambda: dispatcher.deliver(endpoint, b"removed"))
        relay.wait()
        dispatcher.remove("acme")
        assert (removed.end().kind, removed.end().sent) == ("handle_closed", "nothing")
        relay.gate.set()
    assert [received.body for received in other.received] == [b"moved"]
    assert acme.received == []


def test_a_retired_identity_starts_no_request(lab: Lab, relay: Relay) -> None:
    acme = lab.consumer("acme")
    issued = Authority("next").issue("new")
    new = wm.Identity.from_pem(issued.cert_pem, issued.key_pem)
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("acme", relay.url, pins=None)
        dispatcher.deliver(endpoint, b"first")
        dispatcher.endpoint("acme", relay.url, pins=None, identity=new)
        assert dispatcher.deliver(endpoint, b"under the former").attempts == 2
        # The next delivery needs a connection, and opens one under the former identity.
        acme.renew(new_key=False)
        while relay.came.acquire(blocking=False):
            pass
        relay.gate.clear()
        late = Started(lambda: dispatcher.deliver(endpoint, b"late"))
        relay.wait()
        assert dispatcher.retire(lab.identity, force=True) == ["acme"]
        relay.gate.set()
        assert late.end().kind == "client_certificate_rejected"
        assert late.end().context["attempts"] == 2
    bodies = [received.body for received in acme.received]
    assert bodies == [b"first", b"under the former"]


def test_an_error_reports_whether_the_payload_left(acme: Any) -> None:
    acme.consumer.respond(503)
    with pytest.raises(wm.DeliveryError) as refused:
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert (refused.value.sent, refused.value.context["payload_sent"]) == ("all", True)
