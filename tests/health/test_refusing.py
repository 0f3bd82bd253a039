"""A real consumer that refuses our certificate opens its circuit, which closes only after the
consumer has taken a delivery.
"""

import shutil
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import eventually

import nginx
import node_tls
import webhook_mtls as wm
from cases import REQUIRES
from pki import Pki

FAILURES = 5

# How each consumer tells that it refuses a certificate.
VIA = {"nginx": "http", "node": "close"}


@contextmanager
def consumer(kind: str, pki: Pki, work: Path) -> Any:
    work.mkdir()
    if kind == "nginx":
        server = nginx.start(pki, REQUIRES, work)
    else:
        node = shutil.which("node")
        assert node is not None
        server = node_tls.start(pki, REQUIRES, work, node)
    try:
        server.wait_until_it_accepts()
        yield server
    finally:
        server.stop()


def identity(directory: Path) -> wm.Identity:
    return wm.Identity.from_files(directory / "tls.crt", directory / "tls.key")


@pytest.mark.parametrize("kind", VIA)
def test_a_refusing_consumer_opens_its_circuit_until_it_takes_a_delivery(
    kind: str, tmp_path: Path
) -> None:
    pki = Pki.make(tmp_path / "pki")
    events: list[str] = []
    with (
        consumer(kind, pki, tmp_path / kind) as server,
        closing(
            wm.Dispatcher(
                identity=identity(pki.stranger),
                trust=wm.Trust.from_files(pki.root),
                egress=wm.Egress(allow=["127.0.0.0/8"]),
                circuit_open=600,
            )
        ) as dispatcher,
    ):
        dispatcher.on_event(lambda event: events.append(event.name))

        def endpoint(material: Path) -> wm.Endpoint:
            known: wm.Endpoint = dispatcher.endpoint(
                "acme", server.url, pins=wm.Pins([pki.server_pin]), identity=identity(material)
            )
            return known

        def refused(acme: wm.Endpoint) -> dict[str, Any]:
            with pytest.raises(wm.DeliveryError) as failed:
                dispatcher.deliver(acme, b"{}")
            return {"kind": failed.value.kind, "via": failed.value.context.get("via")}

        acme = endpoint(pki.stranger)
        kinds = [refused(acme)["kind"] for _ in range(FAILURES)]
        assert kinds == ["client_certificate_rejected"] * FAILURES
        assert acme.status().circuit == "open"
        assert refused(acme)["kind"] == "circuit_open"

        # A trial that is refused again opens the circuit again.
        acme.reset_circuit()
        assert acme.status().circuit == "half_open"
        trial = refused(acme)
        assert trial == {"kind": "client_certificate_rejected", "via": VIA[kind]}
        assert acme.status().circuit == "open"

        acme = endpoint(pki.ours)
        assert acme.status().circuit == "half_open"
        assert "circuit_closed" not in events
        assert dispatcher.deliver(acme, b"{}").status == 200
        assert acme.status().circuit == "closed"
        eventually("circuit_closed", lambda: "circuit_closed" in events)
        assert events.count("circuit_opened") == 1 + 1
