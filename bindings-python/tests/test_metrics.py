"""What dispatchers and verifiers count, and its text, read by the parsers of prometheus_client."""

import json
import os
from typing import Any

import pytest
from conftest import Acme
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

import webhook_mtls as wm
from webhook_mtls.testing import Lab


def counted(source: wm.Dispatcher | wm.Verifier, name: str) -> dict[tuple[str, ...], float]:
    """Returns the positive values of a metric, or the counts of a histogram, by labels."""
    metric = source.metrics()[f"webhook_mtls_{name}"]
    values = {
        tuple(sample["labels"][label] for label in metric["labels"]): sample.get(
            "value", sample.get("count")
        )
        for sample in metric["samples"]
    }
    return {labels: value for labels, value in values.items() if value > 0}


def deliver_in_every_way(acme: Acme) -> None:
    """Delivers twice, then once with each of several ends."""
    acme.dispatcher.deliver(acme.endpoint, b"{}")
    acme.dispatcher.deliver(acme.endpoint, b"{}")
    for status in (404, 503):
        acme.consumer.respond(status)
        with pytest.raises(wm.DeliveryError):
            acme.dispatcher.deliver(acme.endpoint, b"{}")
    acme.consumer.misbehave("reset_after_body")
    with pytest.raises(wm.DeliveryError):
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    acme.consumer.misbehave("expired")
    with pytest.raises(wm.DeliveryError):
        acme.dispatcher.deliver(acme.endpoint, b"{}")


def test_each_end_of_a_delivery_is_counted_once(acme: Acme) -> None:
    deliver_in_every_way(acme)
    # In the order of the labels: kind, stage, blame, class of the status.
    assert counted(acme.dispatcher, "deliveries_total") == {
        ("", "", "", "2xx"): 2,
        ("http_status", "response", "theirs", "4xx"): 1,
        ("http_status", "response", "theirs", "5xx"): 1,
        ("connection_lost", "response", "unknown", ""): 1,
        ("certificate_expired", "handshake", "theirs", ""): 1,
    }
    assert counted(acme.dispatcher, "connection_reuse_total") == {(): 4}
    assert counted(acme.dispatcher, "handshakes_total") == {
        ("completed", "", "", "TLSv1.3"): 1,
        ("failed", "certificate_expired", "", "TLSv1.3"): 1,
    }
    json.dumps(acme.dispatcher.metrics())


@pytest.mark.parametrize("format", ["prometheus", "openmetrics"])
def test_the_text_has_the_values_of_the_snapshot(lab: Lab, acme: Acme, format: Any) -> None:
    deliver_in_every_way(acme)
    verifier = wm.Verifier(
        role="client", trust=lab.trust, authorization=wm.Authorization.ca_members()
    )
    with pytest.raises(wm.PeerRefused):
        verifier.verify("no certificate")
    parse = families if format == "prometheus" else open_families
    text = acme.dispatcher.metrics_text(format, others=[verifier])
    parsed = {family.name: family for family in parse(text)}
    # The parsers name a counter without its suffix.
    deliveries = parsed["webhook_mtls_deliveries"]
    seen = {
        tuple(sample.labels[name] for name in ("kind", "stage", "blame", "status_class")): sample
        for sample in deliveries.samples
    }
    assert {labels: int(sample.value) for labels, sample in seen.items()} == counted(
        acme.dispatcher, "deliveries_total"
    )
    assert (deliveries.type, bool(deliveries.documentation)) == ("counter", True)
    durations = parsed["webhook_mtls_delivery_duration_seconds"]
    assert durations.type == "histogram"
    inf = [sample.value for sample in durations.samples if sample.labels.get("le") == "+Inf"]
    assert sum(inf) == 6
    assert "webhook_mtls_verifications" in parsed
    assert "webhook_mtls_certificate_expiration_timestamp_seconds" in parsed
    assert len(parsed) >= 18
    assert "acme" not in text, "a consumer id is a label by choice"


def test_an_endpoint_is_named_by_choice(lab: Lab) -> None:
    consumers = [lab.consumer("one"), lab.consumer("two")]
    with lab.dispatcher(metrics_endpoints=1) as dispatcher:
        for consumer in consumers:
            endpoint = dispatcher.endpoint(consumer.name, consumer.url, pins=None)
            dispatcher.deliver(endpoint, b"{}")
        assert counted(dispatcher, "endpoint_deliveries_total") == {
            ("one", "succeeded"): 1,
            ("other", "succeeded"): 1,
        }


def test_verifications_are_counted_in_the_words_of_ssl_client_verify(lab: Lab) -> None:
    verifier = wm.Verifier(
        role="client", trust=lab.trust, authorization=wm.Authorization.ca_members()
    )
    verifier.verify(lab.authority.issue("acme").cert_pem)
    with pytest.raises(wm.PeerRefused):
        verifier.verify("no certificate")
    with pytest.raises(wm.PeerRefused):
        verifier.verify(b"")
    assert counted(verifier, "verifications_total") == {
        ("SUCCESS", "", ""): 1,
        ("FAILED", "unspecified certificate verification error", "pem_invalid"): 1,
        ("NONE", "", "evidence_missing"): 1,
    }


def test_a_forked_child_starts_at_zero(acme: Acme) -> None:
    acme.dispatcher.deliver(acme.endpoint, b"{}")
    child = os.fork()
    if child == 0:
        zero = counted(acme.dispatcher, "deliveries_total") == {}
        os._exit(0 if zero else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counted(acme.dispatcher, "deliveries_total") == {("", "", "", "2xx"): 1}


def test_wrong_arguments_are_refused(acme: Acme) -> None:
    metrics_text: Any = acme.dispatcher.metrics_text
    for wrong in (
        {"format": "json"},
        {"format": 7},
        {"others": acme.dispatcher},
        {"others": [7]},
        {"others": "text"},
    ):
        with pytest.raises(wm.ConfigError) as refused:
            metrics_text(**wrong)
        assert refused.value.kind == "option_invalid"
    with pytest.raises(wm.ConfigError):
        wm.metrics_content_type("json")  # type: ignore[arg-type]
    assert wm.metrics_content_type("openmetrics").startswith("application/openmetrics-text")


def test_the_log_record_of_the_longest_answer_is_below_one_kib(lab: Lab) -> None:
    acme = lab.consumer("acme")
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("ä" * 128, acme.url + "/" + "p" * 3000, pins=None)
        acme.respond(200, body=b"b" * 30_000, headers={"x-long": "h" * 8000})
        receipt = dispatcher.deliver(endpoint, b"{}", id="i" * 255)
        acme.respond(503, body=b"b" * 30_000, headers={"x-long": "h" * 8000})
        with pytest.raises(wm.DeliveryError) as failed:
            dispatcher.deliver(endpoint, b"{}", id="i" * 255)
        probe = dispatcher.probe(endpoint)
    assert len(json.dumps(receipt.to_dict())) > 8000
    levels: dict[str, list[Any]] = {"info": [receipt, probe], "warning": [failed.value]}
    for level, outcomes in levels.items():
        for outcome in outcomes:
            record = outcome.to_dict(full=False)
            line = json.dumps(record)
            assert len(line) < 1024, line
            assert not any(text in line for text in ("ppp", "bbb", "hhh")), line
            assert record["level"] == level
            assert record["consumer"].startswith("ä" * 10)
            assert outcome.to_dict() == outcome.to_dict(full=True)
    assert failed.value.to_dict(full=False)["kind"] == "http_status"
