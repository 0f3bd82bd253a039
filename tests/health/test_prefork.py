"""A Celery worker with four children, which a real Prometheus scrapes while they deliver."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from conftest import Prometheus, eventually
from redis_server import redis_server

from barrier import LONG, running
from server import free_port
from webhook_mtls.testing import Lab

HERE = Path(__file__).parent
CHILDREN = 4
DELIVERIES = 200


@pytest.mark.filterwarnings("ignore")
def test_the_counts_of_all_children_are_those_of_the_receivers(
    lab: Lab, tmp_path: Path, prometheus_of: Callable[[int], Prometheus]
) -> None:
    lab.write_files(tmp_path)
    shared, exporter = tmp_path / "shared", free_port()
    shared.mkdir()
    acme, refusing = lab.consumer("acme"), lab.consumer("refusing")
    refusing.misbehave("expired", times=0)
    with ExitStack() as stack:
        redis = f"redis+socket://{stack.enter_context(redis_server())}"
        environment = {
            "WMTLS_DIRECTORY": str(tmp_path),
            "WMTLS_REDIS": redis,
            "PROMETHEUS_MULTIPROC_DIR": str(shared),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        worker = [sys.executable, "-m", "celery", "-A", "celery_app", "--workdir", str(HERE)]
        worker += ["worker", "--pool", "prefork", "--concurrency", str(CHILDREN)]
        worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        stack.enter_context(running(worker, tmp_path / "celery.log", environment))
        command = [sys.executable, HERE / "exporter.py", str(exporter)]
        stack.enter_context(running(command, tmp_path / "exporter.log", environment))
        prometheus = prometheus_of(exporter)
        client = stack.enter_context(Celery(broker=redis, backend=redis))
        deliver = client.signature("deliver", app=client)

        def start(consumer: Any, numbers: range) -> list[Any]:
            arguments = ((consumer.name, consumer.url, number) for number in numbers)
            return [deliver.clone(each).apply_async() for each in arguments]

        first = [each.get(timeout=LONG) for each in start(acme, range(DELIVERIES))]
        assert 1 < len({process for process, _ in first}) <= CHILDREN
        assert len(acme.received) == DELIVERIES
        failed = [each.get(timeout=LONG) for each in start(refusing, range(40))]
        succeeded = 'sum(webhook_mtls_deliveries_total{kind=""})'
        counted = eventually(
            "the first deliveries are counted",
            lambda: prometheus.value(succeeded) == DELIVERIES,
        )
        assert counted
        for kind in ("certificate_expired", "circuit_open"):
            expected = sum(ended == kind for _, ended in failed)
            query = f'sum(webhook_mtls_deliveries_total{{kind="{kind}"}})'
            eventually(kind, lambda q=query, n=expected: (prometheus.value(q) or 0) == n)
        assert refusing.received == []
        prometheus.assert_dashboard_has_data()

        # A child that is killed loses at most what it had under way: one delivery.
        more = start(acme, range(DELIVERIES, 2 * DELIVERIES))
        more[20].get(timeout=LONG)
        os.kill(first[0][0], signal.SIGKILL)
        # Tasks are acknowledged late, so another child makes the delivery of the killed one again.
        ended = [each.get(timeout=LONG) for each in more]
        assert {kind for _, kind in ended} == {""}
        received = len(acme.received)
        assert received >= 2 * DELIVERIES
        eventually(
            "the further deliveries are counted",
            lambda: received - 1 <= (prometheus.value(succeeded) or 0) <= received,
        )
