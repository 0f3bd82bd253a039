"""Spans and metrics of deliveries, as the SDK of OpenTelemetry exports them."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Acme
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import webhook_mtls as wm
from webhook_mtls.opentelemetry import instrument


@dataclass
class Exported:
    """What the SDK has exported of a dispatcher."""

    tracers: TracerProvider
    spans: InMemorySpanExporter
    metrics: InMemoryMetricReader

    def take(self) -> list[ReadableSpan]:
        spans = list(self.spans.get_finished_spans())
        self.spans.clear()
        return spans

    def points(self) -> dict[str, list[Any]]:
        """Returns the data points by metric."""
        data = self.metrics.get_metrics_data()
        assert data is not None
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: list(metric.data.data_points) for metric in scope.metrics}


@pytest.fixture
def exported(acme: Acme) -> Iterator[Exported]:
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([metrics])
    for _ in range(2):  # the second call replaces the first
        instrument(acme.dispatcher, tracer_provider=tracers, meter_provider=meters)
    yield Exported(tracers, spans, metrics)
    meters.shutdown()
    tracers.shutdown()


def by_name(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    (span,) = [span for span in spans if span.name == name]
    return span


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def trace_parent(span: ReadableSpan) -> str:
    made = span.get_span_context()
    assert made is not None
    return f"00-{made.trace_id:032x}-{made.span_id:016x}-{made.trace_flags:02x}"


def test_a_delivery_is_a_span_with_its_attempt_and_its_handshake(
    acme: Acme, exported: Exported
) -> None:
    acme.dispatcher.deliver(acme.endpoint, b"{}", id="evt_1")
    spans = exported.take()
    assert sorted(span.name for span in spans) == ["POST", "TLS client handshake", "attempt"]
    delivery, attempt = by_name(spans, "POST"), by_name(spans, "attempt")
    handshake = by_name(spans, "TLS client handshake")
    assert delivery.kind is SpanKind.CLIENT
    assert delivery.parent is None
    assert delivery.status.status_code is StatusCode.UNSET
    port = int(acme.consumer.url.split(":")[2].split("/")[0])
    known = attributes(delivery)
    assert known == {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": port,
        "webhook_mtls.consumer": "acme",
        "webhook_mtls.delivery_id": "evt_1",
        "webhook_mtls.sent": "all",
    }
    for child in (attempt, handshake):
        assert child.parent == delivery.get_span_context()
        assert delivery.start_time is not None
        assert delivery.end_time is not None
        assert child.start_time is not None
        assert child.end_time is not None
        assert delivery.start_time <= child.start_time < child.end_time <= delivery.end_time
    assert attributes(attempt) == {
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": port,
        "webhook_mtls.attempt": 1,
        "webhook_mtls.reused": False,
        "webhook_mtls.sent": "all",
    }
    assert attributes(handshake) == {
        "server.address": "127.0.0.1",
        "tls.protocol.version": "1.3",
    }
    assert acme.consumer.received[-1].headers["traceparent"] == trace_parent(delivery)

    acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert sorted(span.name for span in exported.take()) == ["POST", "attempt"]  # no handshake


def test_the_callers_span_is_the_parent_and_its_baggage_stays_here(
    acme: Acme, exported: Exported
) -> None:
    tracer = exported.tracers.get_tracer("caller")
    token = context.attach(baggage.set_baggage("account", "secret"))
    try:
        with tracer.start_as_current_span("job") as job:
            acme.dispatcher.deliver(acme.endpoint, b"{}")
    finally:
        context.detach(token)
    delivery = by_name(exported.take(), "POST")
    assert delivery.parent == job.get_span_context()
    headers = acme.consumer.received[-1].headers
    assert headers["traceparent"] == trace_parent(delivery)
    assert not {"baggage", "tracestate"} & set(headers)


def test_a_header_of_the_caller_stays_as_it_is(acme: Acme, exported: Exported) -> None:
    mine = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    acme.dispatcher.deliver(acme.endpoint, b"{}", headers={"Traceparent": mine})
    assert acme.consumer.received[-1].headers["traceparent"] == mine
    assert len(exported.take()) == 3


def test_a_failure_has_its_kind(acme: Acme, exported: Exported) -> None:
    acme.consumer.renew(new_key=True)
    with pytest.raises(wm.DeliveryError):
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    spans = exported.take()
    delivery, handshake = by_name(spans, "POST"), by_name(spans, "TLS client handshake")
    for span in spans:
        assert span.status.status_code is StatusCode.ERROR
        assert attributes(span)["error.type"] == "pin_mismatch"
    known = attributes(delivery)
    assert known["webhook_mtls.stage"] == "handshake"
    assert known["webhook_mtls.blame"] == "theirs"
    assert known["webhook_mtls.sent"] == "nothing"
    assert attributes(handshake)["tls.protocol.version"] == "1.3"
    (point,) = exported.points()["webhook_mtls.handshake.duration"]
    assert point.attributes == {"error.type": "pin_mismatch", "tls.protocol.version": "1.3"}


def test_a_delivery_that_is_refused_before_its_first_packet_has_a_span(
    acme: Acme, exported: Exported
) -> None:
    with pytest.raises(wm.ConfigError):
        acme.dispatcher.deliver(acme.endpoint, b"{}", headers={"x": "a\nb"})
    (delivery,) = exported.take()
    assert attributes(delivery)["error.type"] == "header_invalid"


def test_every_way_to_deliver_is_measured_once(acme: Acme, exported: Exported) -> None:
    def many() -> list[wm.Delivery]:
        return [wm.Delivery(acme.endpoint, b"{}", tag=number) for number in range(5)]

    async def deliver() -> None:
        dispatcher = acme.dispatcher.as_async()
        await asyncio.gather(*(dispatcher.deliver(acme.endpoint, b"{}") for _ in range(5)))
        async for outcome in dispatcher.deliver_many(many()):
            assert outcome.error is None

    acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert all(outcome.error is None for outcome in acme.dispatcher.deliver_many(many()))
    asyncio.run(deliver())
    threads = [
        threading.Thread(target=acme.dispatcher.deliver, args=(acme.endpoint, b"{}"))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    received = [request.headers["traceparent"] for request in acme.consumer.received]
    deliveries = [span for span in exported.take() if span.name == "POST"]
    assert sorted(received) == sorted(trace_parent(span) for span in deliveries)
    assert len(deliveries) == 21
    points = exported.points()
    (requests,) = points["http.client.request.duration"]
    assert requests.count == 21
    assert requests.attributes["http.response.status_code"] == 200
    assert requests.attributes["server.address"] == "127.0.0.1"
    assert list(requests.explicit_bounds)[:3] == [0.005, 0.01, 0.025]
    (measured,) = points["webhook_mtls.delivery.duration"]
    assert measured.count == 21
    assert measured.attributes == {}


def test_a_canceled_delivery_ends_its_span(acme: Acme, exported: Exported) -> None:
    acme.consumer.misbehave("stall")

    async def deliver() -> None:
        dispatcher = acme.dispatcher.as_async()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dispatcher.deliver(acme.endpoint, b"{}"), 0.2)

    asyncio.run(deliver())
    delivery = by_name(exported.take(), "POST")
    assert attributes(delivery)["error.type"] == "canceled"


def test_a_dropped_run_ends_its_spans(acme: Acme, exported: Exported) -> None:
    acme.consumer.misbehave("stall")
    run = acme.dispatcher.deliver_many([wm.Delivery(acme.endpoint, b"{}")])
    thread = threading.Thread(target=list, args=(run,))
    thread.start()
    while not run.progress.in_flight:
        pass
    run.close()
    thread.join()
    del run
    gc.collect()
    acme.dispatcher.close()
    assert attributes(by_name(exported.take(), "POST"))["error.type"] == "canceled"


def test_without_an_sdk_a_delivery_carries_the_callers_trace(acme: Acme) -> None:
    instrument(acme.dispatcher)
    acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert "traceparent" not in acme.consumer.received[-1].headers
    remote = trace.SpanContext(0x1234, 0x5678, True, trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(remote)):
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    expected = f"00-{0x1234:032x}-{0x5678:016x}-01"
    assert acme.consumer.received[-1].headers["traceparent"] == expected


def test_a_failing_instrument_changes_no_delivery(
    acme: Acme, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def begin(self, number: int, consumer: str, server: str, port: int) -> list[Any]:
            raise RuntimeError("begin")

        def end(self, record: Any) -> None:
            raise RuntimeError("end")

    acme.dispatcher._telemetry().add("failing", Failing())
    assert acme.dispatcher.deliver(acme.endpoint, b"{}").status == 200
    raised = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(each) for each in raised] == ["begin", "end"]
