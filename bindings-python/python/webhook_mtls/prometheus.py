"""Metrics of a dispatcher in the client library of Prometheus. It needs prometheus_client.

    pip install 'webhook-mtls[prometheus]'

The metrics are ordinary counters, histograms and gauges of prometheus_client, which are fed when a
delivery ends. So they work under `PROMETHEUS_MULTIPROC_DIR`, in gunicorn and in Celery, where a
collector that reads at the scrape shows nothing. docs/metrics.md lists them.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.registry import Collector

from ._native import _merged_metrics, _tables
from ._telemetry import dispatcher_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prometheus_client import Metric

    from ._asyncio import AsyncDispatcher
    from ._native import Dispatcher, Event
    from ._telemetry import Record

__all__ = ["instrument"]

_PREFIX = "webhook_mtls_"

# The values of processes that have ended count no more, once `mark_process_dead` has been called.
_MODES = {"sum": "livesum", "min": "livemin", "max": "livemax"}

# How long gauges may stay as they are while deliveries end, in seconds. Reading them looks at every
# endpoint.
_PAUSE = 1.0

# The phases of an attempt, which are stages after the admission.
_PHASES = ("resolve", "connect", "handshake", "request", "response")


def instrument(
    dispatcher: Dispatcher | AsyncDispatcher, *, registry: CollectorRegistry = REGISTRY
) -> None:
    """Feeds metrics of all deliveries of a dispatcher that start after this call.

    Deliveries, handshakes, phases and reuse are counted when a delivery ends. All other counters
    and the gauges follow at most a second later, with each event, and with each scrape of this
    process.

    Under `PROMETHEUS_MULTIPROC_DIR`, call `prometheus_client.multiprocess.mark_process_dead` when a
    worker has ended, as its documentation says. Gauges are added over the live processes, except
    expiries and remaining lifetimes, of which the least is shown.

    A second call for the same dispatcher and registry has no further effect. Several dispatchers
    may share a registry: their values are combined.

    Args:
        dispatcher: the dispatcher. All ways to deliver with it are counted.
        registry: where the metrics are registered; by default that of prometheus_client.

    Raises:
        ValueError: the registry has other metrics with these names.
    """
    known = dispatcher_of(dispatcher)
    feeder = _feeders.get(registry)
    if feeder is None:
        feeder = _feeders[registry] = _Feeder(registry)
    hub, key = known._telemetry(), (__name__, id(registry))
    if hub.get(key) is None:
        hub.add(key, feeder)
        feeder.add(known)


class _Feeder:
    """The metrics in one registry, and the dispatchers that feed them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lock = threading.Lock()
        self._dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()
        self._process = os.getpid()
        self._is_multiprocess = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        # The counts that were added already, and the labels of the gauges that are shown.
        self._counted: dict[tuple[str, tuple[str, ...]], float] = {}
        self._shown: dict[str, set[tuple[str, ...]]] = {}
        self._due = 0.0
        rows = [row for row in _tables()["metrics"] if row["of"] != "verifier"]
        self._rows = {row["name"]: row for row in rows}
        if not self._is_multiprocess:
            # Registered first, so that a scrape finds current values.
            registry.register(_Refresh(self))
        self._families = {row["name"]: _family(row, registry) for row in rows}

    def add(self, dispatcher: Dispatcher) -> None:
        """Counts the deliveries of one more dispatcher."""
        self._dispatchers.add(dispatcher)
        feeder = weakref.ref(self)

        def refresh(_event: Event) -> None:
            if (living := feeder()) is not None:
                living.refresh()

        dispatcher.on_event(refresh)
        self.refresh()
        # The first delivery shows more, for instance its endpoint.
        self._due = 0.0

    def begin(
        self, number: int, consumer: str, server: str, port: int
    ) -> Sequence[tuple[str, str]]:
        return ()

    def end(self, record: Record) -> None:
        status = record["status"]
        facts = {
            "kind": record["kind"] or "",
            "stage": record["stage"] or "",
            "blame": record["blame"] or "",
            "status_class": f"{status // 100}xx" if status else "",
        }
        self._inc("deliveries_total", facts)
        self._observe("delivery_duration_seconds", facts, record["elapsed_ms"])
        for attempt in record["attempt_list"]:
            stages = attempt["stages_ms"]
            for phase in _PHASES:
                if phase in stages:
                    self._observe("phase_duration_seconds", {"phase": phase}, stages[phase])
            if attempt["reused"]:
                self._inc("connection_reuse_total", {})
        for handshake in record["handshake_list"]:
            kind, outcome = handshake["kind"] or "", handshake["outcome"]
            facts = {
                "kind": kind,
                "outcome": outcome,
                "alert": handshake["alert"] or "",
                "tls_version": handshake["tls_version"] or "",
            }
            self._inc("handshakes_total", facts)
            facts["kind"] = "canceled" if outcome == "abandoned" else kind
            self._observe("handshake_duration_seconds", facts, handshake["took_ms"])
        if time.monotonic() >= self._due or self._process != os.getpid():
            self.refresh()

    def refresh(self) -> None:
        """Brings the gauges, and the counters that no delivery feeds, up to date."""
        with self._lock:
            self._due = time.monotonic() + _PAUSE
            if self._process != os.getpid():
                # Counts of a forked child start at zero.
                self._process = os.getpid()
                self._counted = {}
            metrics = _merged_metrics(list(self._dispatchers))
            for name, row in self._rows.items():
                samples = {
                    tuple(sample["labels"][label] for label in row["labels"]): sample
                    for sample in metrics.get(name, {"samples": ()})["samples"]
                }
                if row["type"] == "counter" and name not in _FED:
                    self._add_counts(name, samples)
                elif row["type"] in ("gauge", "info"):
                    self._set_gauges(name, samples)

    def _add_counts(self, name: str, samples: Mapping[tuple[str, ...], Any]) -> None:
        for labels, sample in samples.items():
            # The count falls if a dispatcher was collected as garbage.
            grown = sample["value"] - self._counted.get((name, labels), 0)
            self._counted[name, labels] = sample["value"]
            child = _child(self._families[name], labels)
            child.inc(max(grown, 0))

    def _set_gauges(self, name: str, samples: Mapping[tuple[str, ...], Any]) -> None:
        family = self._families[name]
        for labels, sample in samples.items():
            _child(family, labels).set(sample["value"])
        for labels in self._shown.get(name, set()) - samples.keys():
            if not self._is_multiprocess:
                family.remove(*labels)
            else:
                # No label can be removed there: a certificate that is gone never expires.
                is_least = self._rows[name]["combine"] == "min"
                _child(family, labels).set(math.inf if is_least else 0)
        self._shown[name] = set(samples)

    def _inc(self, name: str, facts: Mapping[str, str]) -> None:
        self._of(name, facts).inc()

    def _observe(self, name: str, facts: Mapping[str, str], millis: float) -> None:
        self._of(name, facts).observe(millis / 1000)

    def _of(self, name: str, facts: Mapping[str, str]) -> Any:
        name = _PREFIX + name
        labels = tuple(facts[label] for label in self._rows[name]["labels"])
        return _child(self._families[name], labels)


# The counters that deliveries feed.
_FED = frozenset(
    _PREFIX + name for name in ("deliveries_total", "handshakes_total", "connection_reuse_total")
)


class _Refresh(Collector):
    """Has no metrics of its own."""

    def __init__(self, feeder: _Feeder) -> None:
        self._feeder = feeder

    def collect(self) -> Iterable[Metric]:
        self._feeder.refresh()
        return ()

    def describe(self) -> Iterable[Metric]:
        return ()


def _family(row: Mapping[str, Any], registry: CollectorRegistry) -> Any:
    """Registers the metric of a row of the table."""
    name, doc, labels = row["name"], row["doc"], row["labels"]
    if row["type"] == "counter":
        return Counter(name, doc, labels, registry=registry)
    if row["type"] == "histogram":
        return Histogram(name, doc, labels, registry=registry, buckets=row["buckets"])
    mode: Any = _MODES[row["combine"]]
    return Gauge(name, doc, labels, registry=registry, multiprocess_mode=mode)


def _child(family: Any, labels: tuple[str, ...]) -> Any:
    return family.labels(*labels) if labels else family


_feeders: weakref.WeakKeyDictionary[CollectorRegistry, _Feeder] = weakref.WeakKeyDictionary()
