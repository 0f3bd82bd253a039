"""Traces and metrics of a dispatcher for OpenTelemetry. It needs the package opentelemetry-api.

    pip install 'webhook-mtls[opentelemetry]'

A delivery is a span of kind CLIENT, a child of the caller's active span. Its `traceparent` is sent
with the request. Attempts and handshakes are spans below it, made from facts once the delivery has
ended. No span or metric has a path, a query, a body, a header or a key.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ._native import __version__
from ._telemetry import dispatcher_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from ._asyncio import AsyncDispatcher
    from ._native import Dispatcher
    from ._telemetry import Record

__all__ = ["instrument"]

# The boundaries that the semantic conventions advise for durations in seconds.
_BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

# The version of the semantic conventions that the names are from.
_SCHEMA = "https://opentelemetry.io/schemas/1.44.0"


def instrument(
    dispatcher: Dispatcher | AsyncDispatcher,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Makes spans and metrics of all deliveries of a dispatcher that start after this call.

    A second call for the same dispatcher replaces the first. Call it in the process that delivers.

    Args:
        dispatcher: the dispatcher. All ways to deliver with it are instrumented.
        tracer_provider: by default the global one.
        meter_provider: by default the global one.

    The spans and their attributes:

    - `POST`, kind CLIENT: `http.request.method`, `server.address`, `server.port`,
      `http.response.status_code`, `error.type`, `http.request.resend_count`,
      `network.peer.address`, `network.peer.port`, `network.protocol.version` and
      `webhook_mtls.{consumer,delivery_id,stage,blame,scope,sent,retry}`.
    - `attempt`: `webhook_mtls.attempt`, `webhook_mtls.reused`, `webhook_mtls.sent`,
      `webhook_mtls.repeat`, `network.peer.address`, `network.peer.port`,
      `network.protocol.version`, `http.response.status_code`, `error.type`.
    - `TLS client handshake`: `server.address`, `tls.protocol.version`, `error.type`,
      `webhook_mtls.alert`.

    `error.type` is the kind of the failure. The status of a span is an error exactly if it has one.

    The metrics are histograms of seconds: `http.client.request.duration` for each attempt,
    `webhook_mtls.delivery.duration` and `webhook_mtls.handshake.duration`.
    """
    known = dispatcher_of(dispatcher)
    instrument = _OpenTelemetry(tracer_provider, meter_provider)
    known._telemetry().add(__name__, instrument)


class _OpenTelemetry:
    """The spans of deliveries that have not ended, and the instruments."""

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None
    ) -> None:
        self._tracer = trace.get_tracer("webhook_mtls", __version__, tracer_provider, _SCHEMA)
        self._propagator = TraceContextTextMapPropagator()
        self._lock = threading.Lock()
        self._spans: dict[int, tuple[Span, int]] = {}
        meter = metrics.get_meter("webhook_mtls", __version__, meter_provider, _SCHEMA)

        def duration(name: str, description: str) -> metrics.Histogram:
            return meter.create_histogram(
                name, "s", description, explicit_bucket_boundaries_advisory=_BOUNDARIES
            )

        self._request = duration("http.client.request.duration", "Duration of HTTP requests.")
        self._delivery = duration("webhook_mtls.delivery.duration", "Duration of deliveries.")
        self._handshake = duration("webhook_mtls.handshake.duration", "Duration of handshakes.")

    def begin(
        self, number: int, consumer: str, server: str, port: int
    ) -> Sequence[tuple[str, str]]:
        began = time.time_ns()
        attributes = {**_server(server, port), "webhook_mtls.consumer": consumer}
        span = self._tracer.start_span(
            "POST", kind=SpanKind.CLIENT, attributes=attributes, start_time=began
        )
        with self._lock:
            self._spans[number] = (span, began)
        # Baggage and tracestate stay here: the consumer is another company.
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, trace.set_span_in_context(span))
        parent = carrier.get("traceparent")
        return [("traceparent", parent)] if parent is not None else []

    def end(self, record: Record) -> None:
        with self._lock:
            span, began = self._spans.pop(record["number"], (None, 0))
        if span is not None:
            if span.is_recording():
                self._end_span(record, span, began)
            else:
                span.end()
        self._measure(record)

    def _end_span(self, record: Record, span: Span, began: int) -> None:
        context = trace.set_span_in_context(span)

        def child(name: str, facts: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
            start = began + _nanos(facts["began_ms"])
            made = self._tracer.start_span(
                name, context, attributes=_known(attributes), start_time=start
            )
            _set_status(made, facts)
            made.end(start + _nanos(facts["took_ms"]))

        for attempt in record["attempt_list"]:
            child("attempt", attempt, _of_attempt(attempt))
        for handshake in record["handshake_list"]:
            attributes = {
                "server.address": record["server"],
                "error.type": _error_type(handshake),
                "tls.protocol.version": _tls_version(handshake),
                "webhook_mtls.alert": handshake["alert"],
            }
            child("TLS client handshake", handshake, attributes)
        span.set_attributes(_known(_of_delivery(record)))
        _set_status(span, record)
        ended = began + _nanos(record["ended_ms"])
        span.end(ended)

    def _measure(self, record: Record) -> None:
        server = _server(record["server"], record["port"])
        for attempt in record["attempt_list"]:
            # An attempt that is repeated without a failure was no request.
            if attempt["outcome"] in ("succeeded", "failed"):
                attributes = {**server, **_answer(attempt)}
                self._request.record(attempt["took_ms"] / 1000, _known(attributes))
        of_delivery = {
            "error.type": _error_type(record),
            "webhook_mtls.stage": record["stage"],
            "webhook_mtls.blame": record["blame"],
        }
        self._delivery.record(record["elapsed_ms"] / 1000, _known(of_delivery))
        for handshake in record["handshake_list"]:
            of_handshake = {
                "error.type": _error_type(handshake),
                "tls.protocol.version": _tls_version(handshake),
            }
            self._handshake.record(handshake["took_ms"] / 1000, _known(of_handshake))


def _server(server: str, port: int) -> dict[str, Any]:
    return {"http.request.method": "POST", "server.address": server, "server.port": port}


def _answer(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "http.response.status_code": facts["status"],
        "network.protocol.version": "1.1" if facts["status"] else None,
        "error.type": _error_type(facts),
    }


def _of_delivery(record: Record) -> dict[str, Any]:
    resent = record["attempts"] - 1
    return {
        **_peer(record["address"]),
        **_answer(record),
        "http.request.resend_count": resent if resent > 0 else None,
        "webhook_mtls.delivery_id": record["id"],
        "webhook_mtls.stage": record["stage"],
        "webhook_mtls.blame": record["blame"],
        "webhook_mtls.scope": record["scope"],
        "webhook_mtls.retry": record["retry"],
        "webhook_mtls.sent": record["sent"],
    }


def _of_attempt(attempt: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_peer(attempt["address"]),
        **_answer(attempt),
        "webhook_mtls.attempt": attempt["number"],
        "webhook_mtls.reused": attempt["reused"],
        "webhook_mtls.sent": attempt["sent"],
        "webhook_mtls.repeat": attempt["repeat"],
    }


def _error_type(facts: Mapping[str, Any]) -> str | None:
    """Returns the kind of the failure; None for a success."""
    kind: str | None = facts["kind"]
    return "canceled" if facts["outcome"] == "abandoned" else kind


def _set_status(span: Span, facts: Mapping[str, Any]) -> None:
    if (kind := _error_type(facts)) is not None:
        span.set_status(Status(StatusCode.ERROR, kind))


def _tls_version(handshake: Mapping[str, Any]) -> str | None:
    """Returns the version as the semantic conventions write it, such as `1.3`."""
    version: str | None = handshake["tls_version"]
    return None if version is None else version.removeprefix("TLSv")


def _peer(address: str | None) -> dict[str, Any]:
    if address is None:
        return {}
    host, _, port = address.rpartition(":")
    return {"network.peer.address": host.strip("[]"), "network.peer.port": int(port)}


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _nanos(millis: float) -> int:
    return int(millis * 1_000_000)
