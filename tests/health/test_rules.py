"""The rules, the runbook and the dashboard of docs/operate fit each other and the metrics."""

import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import OPERATE, dashboard_queries

import webhook_mtls as wm
from webhook_mtls._native import _tables

URL = "https://example.invalid/webhook-mtls/blob/main/docs/operate/runbook.md#"


def promtool(*arguments: str | Path, text: str | None = None) -> str:
    ended = subprocess.run(
        ["promtool", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        input=text,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_promtool_accepts_the_metrics(lab: Any) -> None:
    dispatcher = lab.dispatcher(metrics_endpoints=10)
    acme = lab.consumer("acme")
    for pin in (acme.pin, wm.pin_of(lab.trust_pem)):
        endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([pin]))
        with suppress(wm.DeliveryError):
            dispatcher.deliver(endpoint, b"{}")
    text = dispatcher.metrics_text()
    assert 'kind="pin_mismatch"' in text
    promtool("check", "metrics", text=text)
    with pytest.raises(AssertionError, match="no help text"):
        promtool("check", "metrics", text="a 1\n")


def test_promtool_accepts_the_rules() -> None:
    told = promtool("check", "rules", OPERATE / "alerts.yml", OPERATE / "recording.yml")
    assert told.count("SUCCESS") == 2


def test_each_alert_fires_in_its_case_and_not_in_another() -> None:
    assert "SUCCESS" in promtool("test", "rules", OPERATE / "alerts_test.yml")
    alerts = re.findall(r"- alert: (\w+)", (OPERATE / "alerts.yml").read_text())
    cases = re.findall(r"- name: (\w+), (firing|quiet)", (OPERATE / "alerts_test.yml").read_text())
    assert len(alerts) >= 20
    assert cases == [(alert, case) for alert in alerts for case in ("firing", "quiet")]


def test_each_alert_links_to_its_entry_in_the_runbook() -> None:
    rules, runbook = ((OPERATE / name).read_text() for name in ("alerts.yml", "runbook.md"))
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert re.findall(r"runbook_url: (\S+)", rules) == [URL + alert.lower() for alert in alerts]
    assert re.findall(r"^## (\w+)$", runbook, re.MULTILINE) == alerts


def test_only_metrics_of_the_table_are_used() -> None:
    rows = _tables()["metrics"]
    known = {row["name"] for row in rows}
    known |= {
        row["name"] + end
        for row in rows
        if row["type"] == "histogram"
        for end in ("_bucket", "_count")
    }
    texts = [(OPERATE / name).read_text() for name in ("alerts.yml", "recording.yml")]
    used = set(re.findall(r"\bwebhook_mtls_\w+", "\n".join([*texts, *dashboard_queries()])))
    used -= {"webhook_mtls_alerts", "webhook_mtls_records"}  # the names of the groups
    assert used <= known, used - known
    assert len(used) >= 20
    records = set(re.findall(r"- record: (\S+)", texts[1]))
    assert set(re.findall(r"\bwebhook_mtls:[\w:]+", texts[0])) <= records
