"""Deliveries over real TLS: fields of receipts and of refusals."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Lab

UNUSED_PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def test_a_receipt_describes_the_peer_and_the_response(lab: Lab, acme: Any) -> None:
    receipt = acme.dispatcher.deliver(
        acme.endpoint, b'{"event":"ping"}', id="evt_1", headers={"x-event": "ping"}
    )
    assert (receipt.consumer, receipt.id, receipt.status) == ("acme", "evt_1", 200)
    assert (receipt.pin, receipt.attempts, receipt.reused) == ("current", 1, False)
    assert 0 < receipt.elapsed < 30
    assert (receipt.tls.version, receipt.tls.client_auth_requested) == ("TLSv1.3", True)
    assert receipt.tls.key_exchange == "X25519MLKEM768"
    assert receipt.tls.cipher_suite.startswith("TLS13_")
    peer = receipt.peer
    assert (peer.spki_pin, peer.evidence, peer.purpose) == (acme.consumer.pin, "socket", "present")
    assert peer.matched_pin == acme.consumer.pin
    assert peer.not_before < datetime.now(UTC) < peer.not_after
    assert 0.9 < peer.lifetime_left < 1
    assert re.fullmatch("[0-9a-f]{64}", peer.fingerprint)
    assert peer.path[-1] == peer.anchor
    (got,) = acme.consumer.received
    assert (got.id, got.body, got.tenant) == ("evt_1", b'{"event":"ping"}', "dispatcher")
    assert (got.method, got.headers["x-event"]) == ("POST", "ping")
    assert got.headers["content-type"] == "application/json"


def test_a_receipt_is_shown_as_json(acme: Any) -> None:
    acme.consumer.respond(202, body=b"thanks")
    shown = acme.dispatcher.deliver(acme.endpoint, b"{}").to_dict()
    assert shown["peer"]["spki_pin"] == acme.consumer.pin
    assert shown["response"]["excerpt_base64"] == "dGhhbmtz"
    assert shown["connection"]["address"] in acme.consumer.url
    assert set(shown["timings"]) == {"resolve_ms", "connect_ms", "handshake_ms", "response_ms"}


@pytest.mark.parametrize(
    ("body", "sent"),
    [(b"\x00\xff", b"\x00\xff"), (bytearray(b"ab"), b"ab"), (memoryview(b"abcd")[::2], b"ac")],
)
def test_every_bytes_like_body_arrives(acme: Any, body: Any, sent: bytes) -> None:
    acme.dispatcher.deliver(acme.endpoint, body)
    assert acme.consumer.received[0].body == sent


def test_connections_are_kept_and_endpoints_are_upserts(lab: Lab, acme: Any) -> None:
    for _ in range(3):
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    url, pins = acme.consumer.url, wm.Pins([acme.consumer.pin])
    same = acme.dispatcher.endpoint("acme", url, pins=pins)
    assert same == acme.endpoint
    assert hash(same) == hash(acme.endpoint)
    assert acme.dispatcher.deliver(same, b"{}").reused
    assert acme.consumer.connections == 1
    # Different pins make a new generation and a new connection; the handle stays.
    both = wm.Pins([acme.consumer.pin], next=[UNUSED_PIN])
    assert acme.dispatcher.endpoint("acme", url, pins=both) == acme.endpoint
    assert not acme.dispatcher.deliver(acme.endpoint, b"{}").reused
    assert lab.dispatcher().endpoint("acme", url, pins=pins) != acme.endpoint


def test_the_endpoint_status_reflects_deliveries(acme: Any) -> None:
    before = acme.endpoint.status()
    assert (before.pin_seen, before.peer_not_after) == (None, None)
    assert before.pins_never_seen == [acme.consumer.pin]
    receipt = acme.dispatcher.deliver(acme.endpoint, b"{}")
    after = acme.endpoint.status()
    assert (after.pin_seen, after.pins_never_seen) == (acme.consumer.pin, [])
    assert after.peer_not_after == receipt.peer.not_after
    assert (acme.endpoint.consumer, acme.endpoint.url) == ("acme", acme.consumer.url)


def test_a_circuit_is_opened_and_reset(acme: Any) -> None:
    assert (acme.endpoint.status().circuit, acme.endpoint.status().circuit_open_until) == (
        "closed",
        None,
    )
    for wrong in (0, -1, math.nan, math.inf, True, "60", timedelta(days=2)):
        with pytest.raises(wm.ConfigError) as caught:
            acme.endpoint.open_circuit(wrong)
        assert (caught.value.kind, caught.value.context["option"]) == ("option_invalid", "duration")
    acme.endpoint.open_circuit(timedelta(minutes=1))
    status = acme.endpoint.status()
    assert status.circuit == "open"
    assert timedelta(seconds=50) < status.circuit_open_until - datetime.now(UTC)
    with pytest.raises(wm.DeliveryError) as refused:
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert (refused.value.kind, refused.value.context) == ("circuit_open", {})
    assert acme.consumer.connections == 0
    acme.endpoint.reset_circuit()
    assert repr(acme.endpoint.status()).endswith("circuit='half_open')")
    acme.dispatcher.deliver(acme.endpoint, b"{}")


def test_a_removed_endpoint_is_forgotten(acme: Any) -> None:
    assert acme.dispatcher.remove("acme")
    assert not acme.dispatcher.remove("acme")


def test_an_announced_key_is_accepted(acme: Any) -> None:
    old = acme.consumer.pin
    acme.consumer.renew(new_key=True)
    assert acme.consumer.previous_pin == old
    pins = wm.Pins([old], next=[acme.consumer.pin])
    endpoint = acme.dispatcher.endpoint("acme", acme.consumer.url, pins=pins)
    assert acme.dispatcher.deliver(endpoint, b"{}").pin == "next"


def test_an_unannounced_key_is_refused_with_its_pin(acme: Any) -> None:
    acme.consumer.renew(new_key=True)
    with pytest.raises(wm.DeliveryError) as raised:
        acme.dispatcher.deliver(acme.endpoint, b"{}", id="evt_1")
    error = raised.value
    assert (error.kind, error.sent, error.retry) == ("pin_mismatch", "nothing", "after_repair")
    assert error.context["observed_pin"] == acme.consumer.pin
    assert error.context["chain_valid"] is True
    assert (error.id, error.attempts) == ("evt_1", 1)
    assert error.elapsed is not None
    assert error.elapsed > 0
    assert acme.consumer.received == []


@pytest.mark.parametrize(
    ("how", "kind", "sent", "received"),
    [
        ("never_ask", "client_auth_not_requested", "nothing", 0),
        ("reject_certificate", "client_certificate_rejected", "nothing", 0),
        ("expired", "certificate_expired", "nothing", 0),
        ("wrong_name", "name_mismatch", "nothing", 0),
        ("other_ca", "issuer_unknown", "nothing", 0),
        ("reset_after_body", "connection_lost", "all", 1),
        ("stall", "deadline_exceeded", "all", 1),
    ],
)
def test_each_misbehavior_has_its_kind(
    acme: Any, how: Any, kind: str, sent: str, received: int
) -> None:
    acme.consumer.misbehave(how, times=0)
    with pytest.raises(wm.DeliveryError) as raised:
        acme.dispatcher.deliver(acme.endpoint, b"{}", timeout=timedelta(seconds=2))
    error = raised.value
    assert (error.kind, error.sent, error.consumer) == (kind, sent, "acme")
    assert len(acme.consumer.received) == received
    acme.consumer.behave()
    assert acme.dispatcher.deliver(acme.endpoint, b"{}").status == 200


def test_a_refusal_by_three_consumers_is_our_fault(lab: Lab) -> None:
    with lab.dispatcher() as dispatcher:

        def refused_by(name: str) -> tuple[str, object]:
            consumer = lab.consumer(name)
            consumer.misbehave("reject_certificate", times=1)
            endpoint = dispatcher.endpoint(name, consumer.url, pins=None)
            with pytest.raises(wm.DeliveryError) as raised:
                dispatcher.deliver(endpoint, b"{}")
            assert raised.value.kind == "client_certificate_rejected"
            assert raised.value.sent == "nothing"
            return raised.value.blame, raised.value.context["refused_by"]

        assert refused_by("one") == ("unknown", 1)
        assert refused_by("one") == ("unknown", 1)
        assert refused_by("two") == ("unknown", 2)
        assert refused_by("three") == ("ours", 3)


def test_a_status_other_than_2xx_is_an_error_with_the_response(acme: Any) -> None:
    acme.consumer.respond(503, retry_after=7, body=b"busy", headers={"x-why": "load"})
    with pytest.raises(wm.DeliveryError) as raised:
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    error = raised.value
    assert (error.kind, error.stage, error.sent) == ("http_status", "response", "all")
    assert (error.retry, error.retry_after) == ("later", 7.0)
    response = error.response
    assert response is not None
    assert (response.status, response.excerpt) == (503, b"busy")
    assert response.headers["x-why"] == "load"


def test_loopback_is_denied_unless_it_is_allowed(lab: Lab) -> None:
    consumer = lab.consumer("acme")
    for egress in ("public", "private", wm.Egress(deny=["127.0.0.1"], allow=["127.0.0.0/8"])):
        with lab.dispatcher(egress=egress) as dispatcher:
            endpoint = dispatcher.endpoint("acme", consumer.url, pins=None)
            with pytest.raises(wm.DeliveryError) as raised:
                dispatcher.deliver(endpoint, b"{}")
        assert (raised.value.kind, raised.value.sent) == ("egress_denied", "nothing")
    assert consumer.connections == 0


def test_an_endpoint_may_have_its_own_material(lab: Lab) -> None:
    with Lab() as other, lab.dispatcher() as dispatcher:
        consumer = other.consumer("bank")
        own: Any = {"identity": other.identity, "trust": other.trust}
        endpoint = dispatcher.endpoint(
            "bank", consumer.url, pins=wm.Pins([consumer.pin]), min_tls="1.2", **own
        )
        assert dispatcher.deliver(endpoint, b"{}").status == 200
        theirs = dispatcher.endpoint("stranger", consumer.url, pins=None, trust=other.trust)
        with pytest.raises(wm.DeliveryError) as raised:
            dispatcher.deliver(theirs, b"{}")
    assert raised.value.kind == "client_certificate_rejected"


def test_the_one_shot_form_needs_no_dispatcher(lab: Lab, tmp_path: Path) -> None:
    lab.write_files(tmp_path)
    consumer = lab.consumer("acme")
    (tmp_path / "pins").write_text(f"# acme\n{UNUSED_PIN}\nnext {consumer.pin}\n")
    receipt = wm.deliver(
        consumer.url,
        b"{}",
        identity=wm.Identity.from_files(tmp_path / "tls.crt", str(tmp_path / "tls.key")),
        trust=wm.Trust.from_files(tmp_path / "ca.pem"),
        pins=wm.Pins.from_file(tmp_path / "pins"),
        egress=wm.Egress(allow=["127.0.0.1"]),
        timeout=10,
        id="evt_1",
    )
    assert (receipt.status, receipt.pin, receipt.id) == (200, "next", "evt_1")
    assert receipt.consumer in consumer.url


def test_closing_refuses_deliveries_and_may_be_repeated(acme: Any) -> None:
    acme.dispatcher.close(drain=timedelta(seconds=1))
    acme.dispatcher.close()
    uses: tuple[Callable[[], object], ...] = (
        lambda: acme.dispatcher.deliver(acme.endpoint, b"{}"),
        lambda: acme.dispatcher.endpoint("acme", acme.consumer.url, pins=None),
    )
    for use in uses:
        with pytest.raises(wm.ConfigError) as raised:
            use()
        assert raised.value.kind == "handle_closed"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_material_from_bytes_equals_material_from_files(
    lab: Lab, version: Literal["1.2", "1.3"]
) -> None:
    chain, key = lab.identity_pem
    identity = wm.Identity.from_pem(bytearray(chain), memoryview(key))
    trust = wm.Trust.from_pem(lab.trust_pem)
    assert (identity, trust) == (lab.identity, lab.trust)
    egress = wm.Egress("public", allow=["127.0.0.0/8", "::1"])
    with wm.Dispatcher(identity=identity, trust=trust, egress=egress) as dispatcher:
        endpoint = dispatcher.endpoint("acme", lab.consumer("acme").url, pins=None, min_tls=version)
        assert dispatcher.deliver(endpoint, b"{}").status == 200


def test_a_payload_is_held_until_100_continue(lab: Lab) -> None:
    acme = lab.consumer("acme")
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("acme", acme.url, pins=None, hold_payload=True)
        receipt = dispatcher.deliver(endpoint, b"{}")
        assert receipt.hold_honored is True
        assert dispatcher.deliver(endpoint, b"").hold_honored is None
        plain = dispatcher.endpoint("plain", acme.url, pins=None)
        assert dispatcher.deliver(plain, b"{}").hold_honored is None
    assert [got.headers.get("expect") for got in acme.received] == ["100-continue", None, None]


def test_an_unreachable_proxy_stops_every_delivery(lab: Lab) -> None:
    acme = lab.consumer("acme")
    said: Any = {"proxy": "http://dispatcher:hunter2@127.0.0.1:1"}
    with lab.dispatcher(**said) as dispatcher:
        endpoint = dispatcher.endpoint("acme", acme.url, pins=None)
        with pytest.raises(wm.DeliveryError) as raised:
            dispatcher.deliver(endpoint, b"{}")
    error = raised.value
    assert (error.kind, error.scope, error.sent) == ("connect_failed", "process", "nothing")
    assert error.context["proxy"] == "127.0.0.1:1"
    assert "hunter2" not in f"{error!r} {error.to_dict()}"
    assert acme.received == []
