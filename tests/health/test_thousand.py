"""A thousand consumers, of which a tenth break in each of six ways. Each is reported as its own
way, and none as another.
"""

import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import certifi
import pytest

import webhook_mtls as wm
from webhook_mtls._native import _merged_metrics
from webhook_mtls.testing import Authority, Consumer, Lab

EACH = 100
HEALTHY = 400
THEIRS = {
    "unasked": "client_auth_not_requested",
    "rekeyed": "pin_mismatch",
    "compromised": "issuer_distrusted",
}
# The failures in a row that open a circuit, and the rounds that follow.
BEFORE, AFTER = 5, 20
PUBLIC_ROOT = Path(certifi.where()).read_bytes().split(b"\n\n")[1]


class Fleet:
    """The consumers and endpoints by the way in which they break."""

    def __init__(self, lab: Lab, files: Path) -> None:
        self.lab, self.files = lab, files
        lab.write_files(files)
        identity = wm.Identity.from_files(files / "tls.crt", files / "tls.key")
        self.dispatcher = lab.dispatcher(
            identity=identity, reload=0, circuit_open=600, max_connections=2000
        )
        ways = {"healthy": HEALTHY, "expired": EACH, "behind": EACH}
        ways |= dict.fromkeys(THEIRS, EACH)
        self.consumers: dict[str, list[Consumer]] = {
            way: [lab.consumer(f"{way}-{number}") for number in range(count)]
            for way, count in ways.items()
        }
        self.endpoints: dict[str, wm.Endpoint] = {}
        for way in ways:
            self.set_endpoints(way)

    def set_endpoints(self, way: str, **options: Any) -> None:
        for consumer in self.consumers[way]:
            chosen = {"pins": wm.Pins([consumer.pin])} | options
            name = consumer.name
            self.endpoints[name] = self.dispatcher.endpoint(name, consumer.url, **chosen)

    def round(self) -> tuple[dict[str, Counter[str]], list[float]]:
        """Delivers to all; returns the kinds by way, and the durations of healthy deliveries."""
        kinds: dict[str, Counter[str]] = defaultdict(Counter)
        took = []
        deliveries = [wm.Delivery(endpoint, b"{}") for endpoint in self.endpoints.values()]
        for outcome in self.dispatcher.deliver_many(deliveries, concurrency=32):
            way = outcome.delivery.endpoint.consumer.split("-")[0]
            kinds[way][outcome.error.kind if outcome.error else ""] += 1
            if outcome.receipt and way == "healthy":
                took.append(outcome.receipt.elapsed)
        return kinds, took

    def connections(self, way: str) -> int:
        return sum(consumer.connections for consumer in self.consumers[way])

    def break_all(self) -> None:
        """Breaks a tenth of the fleet in each way."""
        following, evil = Authority("following"), Authority("evil")
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
        expiring = following.issue("dispatcher", not_after=end)
        self.set_endpoints(
            "expired", identity=wm.Identity.from_pem(expiring.cert_pem, expiring.key_pem)
        )
        for consumer in self.consumers["unasked"]:
            consumer.misbehave("never_ask", times=0)
        for consumer in self.consumers["rekeyed"]:
            consumer.renew(new_key=True)
        for consumer in self.consumers["compromised"]:
            consumer.certify(evil)
        distrusting = wm.Trust.from_pem(
            self.lab.trust_pem + evil.root_pem, distrusted=[wm.pin_of(evil.intermediate_pem)]
        )
        self.set_endpoints("compromised", pins=None, trust=distrusting)
        self.set_endpoints("unasked", concurrency=1)  # new connections
        for consumer in self.consumers["healthy"]:
            consumer.accept(following)
        issued = following.issue("dispatcher")
        (self.files / "tls.key").write_bytes(issued.key_pem)
        (self.files / "tls.crt").write_bytes(issued.cert_pem)
        assert "rotated" in {event.name for event in self.dispatcher.reload()}
        # The certificate is valid for the whole of its last second.
        while datetime.now(UTC) < end + timedelta(seconds=1):
            time.sleep(0.05)


def milliseconds(took: list[float]) -> str:
    cuts = quantiles(took, n=100)
    return f"median {cuts[49] * 1000:.1f} ms, 99 % {cuts[98] * 1000:.1f} ms"


def test_each_way_is_reported_as_itself(lab: Lab, tmp_path: Path) -> None:
    fleet = Fleet(lab, tmp_path)
    kinds, _ = fleet.round()
    kinds, sound = fleet.round()
    assert all(set(seen) == {""} for seen in kinds.values()), kinds

    # A public root in the trust is refused when it is loaded.
    for _ in range(EACH):
        with pytest.raises(wm.ConfigError) as refused:
            wm.Trust.from_pem(lab.trust_pem + PUBLIC_ROOT)
        assert refused.value.kind == "public_root_in_trust"

    fleet.break_all()
    expected = {"healthy": "", "behind": "", "expired": "client_certificate_unusable", **THEIRS}
    connections = []
    beside: list[float] = []
    for number in range(BEFORE + AFTER):
        if number in (0, BEFORE):
            connections.append({way: fleet.connections(way) for way in THEIRS})
        kinds, took = fleet.round()
        beside += took
        if number == BEFORE:
            expected |= dict.fromkeys(THEIRS, "circuit_open")
        assert {way: set(seen) for way, seen in kinds.items()} == {
            way: {kind} for way, kind in expected.items()
        }, number
    connections.append({way: fleet.connections(way) for way in THEIRS})
    for way in THEIRS:
        at_first, later = (connections[at + 1][way] - connections[at][way] for at in (0, 1))
        assert at_first >= BEFORE * EACH, (way, at_first)
        # Per round, at most 5 % of the connections before.
        assert later / AFTER <= 0.05 * at_first / BEFORE, (way, at_first, later)

    metrics = _merged_metrics([fleet.dispatcher])

    def counts(name: str, label: str) -> Counter[str]:
        counted: Counter[str] = Counter()
        for sample in metrics[f"webhook_mtls_{name}"]["samples"]:
            counted[sample["labels"].get(label, "")] += sample["value"]
        return counted

    rounds = BEFORE + AFTER
    failed = counts("deliveries_total", "kind")
    del failed[""]
    assert failed == {
        "client_certificate_unusable": EACH * rounds,
        **dict.fromkeys(THEIRS.values(), EACH * BEFORE),
        "circuit_open": len(THEIRS) * EACH * AFTER,
    }
    assert counts("events_total", "event")["circuit_opened"] == len(THEIRS) * EACH
    assert counts("circuits_open", "") == {"": len(THEIRS) * EACH}
    assert counts("identity_undistributed", "endpoint").total() == EACH
    assert counts("public_roots_refused_total", "") == {"": EACH}
    assert list(counts("distrusted_issuer_refusals_total", "issuer").values()) == [EACH * BEFORE]
    with_capsys = f"healthy deliveries: alone {milliseconds(sound)}; beside {milliseconds(beside)}"
    print(with_capsys)
