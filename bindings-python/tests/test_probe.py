"""Probes: a handshake without a payload."""

import asyncio
from typing import Any

import pytest

import webhook_mtls as wm


def check(probe: wm.Probe, acme: Any) -> None:
    assert (probe.consumer, probe.pin, probe.tls.version) == ("acme", "current", "TLSv1.3")
    assert probe.peer.spki_pin == acme.consumer.pin
    assert acme.endpoint.status().peer_not_after == probe.peer.not_after
    assert probe.address in acme.consumer.url
    assert 0 < probe.elapsed < 30
    shown = probe.to_dict()
    assert shown["peer"]["not_after_ms"] == probe.peer.not_after.timestamp() * 1000
    assert set(shown["timings"]) == {"resolve_ms", "connect_ms", "handshake_ms"}
    assert repr(probe) == f"Probe(consumer=\"acme\", address='{probe.address}')"
    assert acme.consumer.received == []


def test_a_probe_shows_the_consumer_and_sends_nothing(acme: Any) -> None:
    check(acme.dispatcher.probe(acme.endpoint, timeout=20), acme)


def test_a_probe_in_asyncio(acme: Any) -> None:
    check(asyncio.run(acme.dispatcher.as_async().probe(acme.endpoint)), acme)


def test_a_probe_fails_as_a_delivery_would(acme: Any) -> None:
    acme.consumer.misbehave("never_ask", times=1)
    with pytest.raises(wm.DeliveryError) as raised:
        acme.dispatcher.probe(acme.endpoint)
    assert (raised.value.kind, raised.value.sent) == ("client_auth_not_requested", "nothing")
    acme.consumer.misbehave("reject_certificate", times=1)
    with pytest.raises(wm.DeliveryError) as raised:
        asyncio.run(acme.dispatcher.as_async().probe(acme.endpoint))
    assert raised.value.kind == "client_certificate_rejected"


@pytest.mark.parametrize("given", [{"timeout": 0}, {"timeout": "1"}, {"body": b""}])
def test_bad_options_of_a_probe(acme: Any, given: Any) -> None:
    with pytest.raises(wm.ConfigError) as raised:
        acme.dispatcher.probe(acme.endpoint, **given)
    assert raised.value.kind == "option_invalid"
    with pytest.raises(wm.ConfigError):
        asyncio.run(acme.dispatcher.as_async().probe(acme.endpoint, **given))
    with pytest.raises(wm.ConfigError):
        acme.dispatcher.probe("acme")


def test_the_cas_of_the_consumer_explain_a_refusal(acme: Any) -> None:
    probe = acme.dispatcher.probe(acme.endpoint)
    [ours] = probe.tls.certificate_authorities
    assert ours.startswith("CN=lab ")
    assert probe.tls.issuer_listed is True
    assert probe.note.endswith("comes with the first answer.")
    acme.consumer.misbehave("reject_by_close")
    with pytest.raises(wm.DeliveryError) as raised:
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    error = raised.value
    assert (error.kind, error.sent) == ("client_certificate_rejected", "nothing")
    assert (error.context["via"], error.context["issuer_listed"]) == ("close", False)
    [other] = error.to_dict()["tls"]["certificate_authorities"]
    assert other in error.remedy
    assert other not in str(error)
    assert other not in repr(error)
    receipt = acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert receipt.tls.certificate_authorities == [ours]
