"""Signed deliveries, verified with the official package for consumers."""

from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

import webhook_mtls as wm
from webhook_mtls.testing import Lab, Received

CURRENT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FORMER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ED25519 = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
BODY = '{"event":"order.created","name":"Zoë"}'.encode()


def verify(secret: str, received: Received) -> Any:
    return Webhook(secret).verify(received.body, dict(received.headers))


@pytest.mark.parametrize("secrets", [[CURRENT], [CURRENT, FORMER], [ED25519, CURRENT]])
def test_a_consumer_verifies_with_the_official_package(lab: Lab, secrets: list[str]) -> None:
    acme = lab.consumer("acme")
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint(
            "acme", acme.url, pins=None, signing=wm.StandardWebhooks(secrets)
        )
        dispatcher.deliver(endpoint, BODY, id="evt_1")
    (received,) = acme.received
    for secret in secrets:
        if secret.startswith("whsec_"):
            assert verify(secret, received)["event"] == "order.created"
    with pytest.raises(WebhookVerificationError):
        verify("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", received)


def test_a_signed_delivery_needs_an_id(lab: Lab) -> None:
    acme = lab.consumer("acme")
    with lab.dispatcher() as dispatcher:
        signing = wm.StandardWebhooks([CURRENT])
        endpoint = dispatcher.endpoint("acme", acme.url, pins=None, signing=signing)
        with pytest.raises(wm.ConfigError) as raised:
            dispatcher.deliver(endpoint, BODY)
    assert (raised.value.kind, raised.value.context["option"]) == ("option_invalid", "id")
    assert (raised.value.scope, raised.value.retry) == ("delivery", "never")
    assert acme.received == []


def test_a_secret_is_never_shown() -> None:
    signing = wm.StandardWebhooks([CURRENT, ED25519])
    assert repr(signing) == "StandardWebhooks(v1, v1a)"
    assert signing == wm.StandardWebhooks([CURRENT, ED25519])
    assert signing != wm.StandardWebhooks([ED25519, CURRENT])
    with pytest.raises(wm.ConfigError) as raised:
        wm.StandardWebhooks([CURRENT, "whsec_hunter2hunter2"])
    assert raised.value.context["position"] == 2
    assert "hunter2" not in f"{raised.value!r} {raised.value.to_dict()}"


@pytest.mark.parametrize("given", [CURRENT, b"", None, 5, [5], [b"whsec_"]])
def test_secrets_of_another_type_are_refused(given: Any) -> None:
    with pytest.raises(wm.ConfigError) as raised:
        wm.StandardWebhooks(given)
    assert raised.value.kind == "option_invalid"


def test_signing_of_another_type_is_refused(lab: Lab) -> None:
    given: Any = CURRENT
    with lab.dispatcher() as dispatcher, pytest.raises(wm.ConfigError) as raised:
        dispatcher.endpoint("acme", "https://acme.example/", pins=None, signing=given)
    assert raised.value.context["option"] == "signing"
    assert CURRENT not in str(raised.value)
