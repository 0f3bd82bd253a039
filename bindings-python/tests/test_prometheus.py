"""Metrics of deliveries in prometheus_client, compared with the counts of the core."""

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Acme
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import webhook_mtls as wm
from webhook_mtls._native import _merged_metrics, _tables
from webhook_mtls.prometheus import instrument
from webhook_mtls.testing import Lab

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def shown(registry: CollectorRegistry) -> Samples:
    """Returns what a scrape shows, without the times at which series were made."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def counted(dispatcher: wm.Dispatcher) -> Samples:
    """Returns the counts of the core, in the same form."""
    samples: Samples = {}
    for name, family in _merged_metrics([dispatcher]).items():
        for sample in family["samples"]:
            labels = sample["labels"]
            known = tuple(sorted(labels.items()))
            if family["type"] != "histogram":
                samples[name, known] = sample["value"]
                continue
            samples[f"{name}_count", known] = sample["count"]
            samples[f"{name}_sum", known] = sample["sum"]
            for bound, count in sample["buckets"]:
                with_bound = tuple(sorted({**labels, "le": str(float(bound))}.items()))
                samples[f"{name}_bucket", with_bound] = count
    return samples


def assert_equal(registry: CollectorRegistry, dispatcher: wm.Dispatcher) -> None:
    """Compares all values.

    The record of a delivery reads the clock a little after the core. On a busy machine, a sum and
    the place among the buckets below a second may differ.
    """
    ours, core = shown(registry), counted(dispatcher)
    for key, value in core.items():
        if key[0].endswith(("_left_ratio", "_timestamp_seconds")):
            assert ours[key] == pytest.approx(value, abs=1e-3), key
        elif key[0].endswith("_sum"):
            assert ours.get(key, 0) == pytest.approx(value, abs=1), key
        elif "_bucket" in key[0]:
            assert ours.get(key, 0) == value or float(dict(key[1])["le"]) < 1, key
        else:
            assert ours.get(key, 0) == value, key
    counters = [key for key in ours if key[0].endswith(("_total", "_count"))]
    for key in counters:
        assert core.get(key, 0) == ours[key], key


def test_all_counts_are_those_of_the_core(lab: Lab, acme: Acme) -> None:
    registry = CollectorRegistry()
    for _ in range(2):
        instrument(acme.dispatcher, registry=registry)

    async def deliver() -> None:
        dispatcher = acme.dispatcher.as_async()
        await asyncio.gather(*(dispatcher.deliver(acme.endpoint, b"{}") for _ in range(3)))
        many = [wm.Delivery(acme.endpoint, b"{}") for _ in range(3)]
        async for outcome in dispatcher.deliver_many(many):
            assert outcome.error is None

    acme.dispatcher.deliver(acme.endpoint, b"{}")
    many = [wm.Delivery(acme.endpoint, b"{}") for _ in range(3)]
    assert all(outcome.error is None for outcome in acme.dispatcher.deliver_many(many))
    asyncio.run(deliver())
    assert_equal(registry, acme.dispatcher)

    for how in ("expired", "never_ask", "reject_certificate", "tls_1_2", "wrong_name"):
        other = lab.consumer(how)
        other.misbehave(how, times=0)
        endpoint = acme.dispatcher.endpoint(how, other.url, pins=None)
        with pytest.raises(wm.DeliveryError):
            acme.dispatcher.deliver(endpoint, b"{}")
    acme.consumer.respond(503)
    with pytest.raises(wm.DeliveryError):
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    with pytest.raises(wm.ConfigError):
        acme.dispatcher.deliver(acme.endpoint, b"{}", headers={"x": "a\nb"})
    acme.consumer.renew(new_key=True)
    for _ in range(6):  # the circuit opens
        with pytest.raises(wm.DeliveryError):
            acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert_equal(registry, acme.dispatcher)
    samples = shown(registry)
    assert samples["webhook_mtls_circuits_open", ()] == 1
    failed = (("kind", "pin_mismatch"), ("stage", "handshake"), ("status_class", ""))
    assert samples["webhook_mtls_deliveries_total", (("blame", "theirs"), *failed)] == 5

    # Every metric of the table has a family, if it is not one of verifiers.
    names = {family.name for family in registry.collect()}
    for row in _tables()["metrics"]:
        name = row["name"].removesuffix("_total")
        assert (name in names) == (row["of"] != "verifier"), name


def test_dispatchers_share_a_registry(lab: Lab) -> None:
    registry = CollectorRegistry()
    acme = lab.consumer("acme")
    dispatchers = [lab.dispatcher() for _ in range(2)]
    for dispatcher in dispatchers:
        instrument(dispatcher, registry=registry)
        endpoint = dispatcher.endpoint("acme", acme.url, pins=None)
        dispatcher.deliver(endpoint, b"{}")
    samples = shown(registry)
    assert samples["webhook_mtls_endpoints", ()] == 2
    succeeded = (("blame", ""), ("kind", ""), ("stage", ""), ("status_class", "2xx"))
    assert samples["webhook_mtls_deliveries_total", succeeded] == 2
    del dispatcher, endpoint
    dispatchers.pop().close()
    gc.collect()
    assert shown(registry)["webhook_mtls_endpoints", ()] == 1


def test_a_certificate_that_was_replaced_is_shown_no_more(lab: Lab, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    acme, dispatcher = lab.consumer("acme"), lab.dispatcher(metrics_endpoints=8)
    instrument(dispatcher, registry=registry)
    dispatcher.deliver(dispatcher.endpoint("acme", acme.url, pins=None), b"{}")
    label = (("name", "acme"), ("owner", "consumer"))
    assert ("webhook_mtls_certificate_lifetime_left_ratio", label) in shown(registry)
    dispatcher.remove("acme")
    assert ("webhook_mtls_certificate_lifetime_left_ratio", label) not in shown(registry)
    dispatcher.close()


PREFORK = """
import os, sys
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
import webhook_mtls as wm
from webhook_mtls.prometheus import instrument

url, directory = sys.argv[1:]
dispatcher = wm.Dispatcher(
    identity=wm.Identity.from_files(f"{directory}/tls.crt", f"{directory}/tls.key"),
    trust=wm.Trust.from_files(f"{directory}/ca.pem"),
    egress=wm.Egress(allow=["127.0.0.0/8"]),
    metrics_endpoints=1,
)
instrument(dispatcher)
endpoint = dispatcher.endpoint("acme", url, pins=None)
for _ in range(2):
    dispatcher.probe(endpoint)
dispatcher.deliver(endpoint, b"{}")
children = []
for number in range(1, 4):
    child = os.fork()
    if child == 0:
        dispatcher.probe(endpoint)
        for _ in range(number):
            dispatcher.deliver(endpoint, b"{}")
        if number == 3:
            dispatcher.remove("acme")
            import webhook_mtls.prometheus as ours
            for feeder in ours._feeders.values():
                feeder.refresh()
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0


def text():
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry).decode()


print(text())
for child in children:
    multiprocess.mark_process_dead(child)
print("---")
print(text())
"""


@pytest.mark.slow
def test_processes_share_a_directory(lab: Lab, tmp_path: Path) -> None:
    lab.write_files(tmp_path)
    shared = tmp_path / "prometheus"
    shared.mkdir()
    acme = lab.consumer("acme")
    ended = subprocess.run(
        [sys.executable, "-c", PREFORK, acme.url, str(tmp_path)],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(acme.received) == 7

    def value(text: str, metric: str, **labels: Any) -> float:
        (found,) = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        ]
        return found

    before, after = ended.stdout.split("---")
    assert value(before, "webhook_mtls_deliveries_total", kind="") == 7
    assert value(before, "webhook_mtls_delivery_duration_seconds_count") == 7
    # Two of the parent, and one of each child, whose counts start at zero.
    assert value(before, "webhook_mtls_probes_total", kind="") == 5
    # The parent and two children have an endpoint. The third child has removed its own, so its
    # consumer never expires there, and the least of the others is shown.
    assert value(before, "webhook_mtls_endpoints") == 3
    left = "webhook_mtls_certificate_lifetime_left_ratio"
    assert 0 < value(before, left, owner="consumer", name="acme") <= 1
    assert value(after, "webhook_mtls_deliveries_total", kind="") == 7
    assert value(after, "webhook_mtls_endpoints") == 1
