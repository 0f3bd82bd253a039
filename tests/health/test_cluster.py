"""A cluster of Node, which a real Prometheus scrapes while its workers deliver."""

import json
import os
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

from conftest import Prometheus, eventually

from barrier import LONG, running
from server import free_port
from webhook_mtls.testing import Lab

WORKERS = 3
DELIVERIES = 60
SUCCEEDED = 'sum(webhook_mtls_deliveries_total{kind=""})'


def test_the_counts_of_all_workers_are_those_of_the_receiver(
    lab: Lab, tmp_path: Path, prometheus_of: Callable[[int], Prometheus]
) -> None:
    lab.write_files(tmp_path)
    acme, port = lab.consumer("acme"), free_port()
    environment = {"WMTLS_DIRECTORY": str(tmp_path), "WMTLS_URL": acme.url, "PORT": str(port)}

    def order(what: str) -> str:
        address = f"http://127.0.0.1:{port}/{what}"
        with urllib.request.urlopen(address, timeout=LONG) as answer:
            text: str = answer.read().decode()
            return text

    command = json.loads(os.environ["HEALTH_CLUSTER"])
    with running(command, tmp_path / "cluster.log", environment):
        prometheus = prometheus_of(port)
        delivered: list[str] = []
        threads = [
            threading.Thread(
                target=lambda worker=worker: delivered.append(
                    order(f"deliver?worker={worker}&count={DELIVERIES}")
                )
            )
            for worker in range(WORKERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert delivered == [str(DELIVERIES)] * WORKERS
        received = len(acme.received)
        assert received == WORKERS * DELIVERIES
        eventually("all are counted", lambda: prometheus.value(SUCCEEDED) == received)
        eventually(
            "gauges are added", lambda: prometheus.value("webhook_mtls_endpoints") == WORKERS
        )
        left = (
            'webhook_mtls_certificate_lifetime_left_ratio{owner="identity", name="CN=dispatcher"}'
        )
        value = prometheus.value(left)
        assert value is not None
        assert 0 < value <= 1, "the least of the workers, and not their sum"

        # prom-client forgets a worker that has ended, and another one starts at zero.
        order("kill?worker=0")
        order("start")
        remaining = (WORKERS - 1) * DELIVERIES
        eventually("a worker is forgotten", lambda: prometheus.value(SUCCEEDED) == remaining)
        assert order("deliver?worker=3&count=5") == "5"
        eventually("another counts", lambda: prometheus.value(SUCCEEDED) == remaining + 5)
