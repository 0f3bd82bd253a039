"""Diagnosis: the same report in every language. The cases are shared."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import webhook_mtls as wm

SHARED = json.loads((Path(__file__).parents[2] / "tests" / "diagnosis" / "cases.json").read_text())
CASES = SHARED["cases"]


def status(report: wm.Report, check: str) -> str:
    return str(next(row["status"] for row in report.checks if row["id"] == check))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["how"]))
def test_a_report_says_what_the_shared_case_says(acme: Any, case: dict[str, Any]) -> None:
    if case["how"] is not None:
        acme.consumer.misbehave(case["how"], times=2)
    blocking = acme.dispatcher.diagnose(acme.endpoint, timeout=20)
    awaited = asyncio.run(acme.dispatcher.as_async().diagnose(acme.endpoint))
    for report in (blocking, awaited):
        assert isinstance(report, wm.Report)
        verdict = report.verdict
        assert (verdict["kind"], verdict["tell"]) == (case["kind"], case["tell"]), str(report)
        assert report.ok is (case["kind"] is None)
        assert (report.message_to_consumer is not None) is case["message"]
        assert status(report, "verdict_certificate") == case["verdict_certificate"]
        if case["kind"] is not None:
            assert verdict["check"] == case["check"]
            assert report.findings[0]["kind"] == case["kind"]
            assert str(case["kind"]) in str(report)
    assert acme.consumer.received == []


def test_a_diagnosis_asks_on_demand_and_refuses_other_words(acme: Any) -> None:
    report = acme.dispatcher.diagnose(acme.endpoint, request="head")
    assert status(report, "verdict_http") == "passed"
    assert (report.consumer, repr(report)) == ("acme", 'Report(consumer="acme", ok=true)')
    shown = report.to_dict()
    assert (shown["schema"], shown["elapsed_ms"]) == (
        1,
        pytest.approx(report.elapsed * 1000, abs=0.01),
    )
    assert acme.consumer.received[0].body == b""
    with pytest.raises(wm.ConfigError, match="request"):
        acme.dispatcher.diagnose(acme.endpoint, request="post")


def test_an_error_names_the_command_that_shows_more(acme: Any) -> None:
    acme.consumer.misbehave(SHARED["leads"]["how"], times=1)
    with pytest.raises(wm.DeliveryError) as failed:
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    error = failed.value
    origin = acme.consumer.url.removesuffix("/webhooks/acme")
    line = SHARED["leads"]["line"].format(origin=origin, pin=acme.consumer.pin)
    assert error.context["diagnose"] == line
    assert error.remedy.endswith(f"This shows more: {line}")
    assert "diagnose" not in json.dumps(error.public())
