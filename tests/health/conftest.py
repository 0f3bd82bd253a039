"""What the tests of the suite `health` share: a real Prometheus, and the files of docs/operate."""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "bindings-python" / "tests"), str(ROOT / "tests" / "peers")]

from barrier import LONG, eventually, running  # noqa: E402
from server import free_port  # noqa: E402

OPERATE = ROOT / "docs" / "operate"


class Prometheus:
    """A Prometheus that scrapes one target each half second, with the rules of docs/operate."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def get(self, path: str, **query: str) -> Any:
        address = f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=LONG) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            # It answers 503 until it has started.
            if refused.code == 503:
                return None
            raise AssertionError(f"{query}: {refused.read().decode()}") from None
        except OSError:
            return None

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (self.get("query", query=expression) or {}).get("result", [])
        return found

    def value(self, expression: str) -> float | None:
        """Returns the only value of an expression; None if there is none."""
        found = self.query(expression)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def assert_dashboard_has_data(self) -> None:
        """Waits until each query of the dashboard returns data."""
        for expression in dashboard_queries():
            eventually(expression, lambda query=expression: self.query(query))


@pytest.fixture
def prometheus_of(tmp_path: Path) -> Iterator[Callable[[int], Prometheus]]:
    """Starts a Prometheus that scrapes a port."""
    with ExitStack() as stack:

        def start(target: int) -> Prometheus:
            port, home = free_port(), tmp_path / "prometheus"
            home.mkdir()
            config = {
                "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
                "rule_files": [str(OPERATE / "recording.yml"), str(OPERATE / "alerts.yml")],
                "scrape_configs": [
                    {
                        "job_name": "webhooks",
                        "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
                    }
                ],
            }
            # JSON is YAML.
            (home / "prometheus.yml").write_text(json.dumps(config))
            command = ["prometheus", f"--config.file={home}/prometheus.yml"]
            command += [
                f"--storage.tsdb.path={home}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ]
            server = stack.enter_context(running(command, home / "log", {}))
            prometheus = Prometheus(port)

            def is_scraping() -> bool:
                assert server.poll() is None, "Prometheus has ended"
                return prometheus.value("up") == 1

            eventually("Prometheus scrapes", is_scraping)
            return prometheus

        yield start


def dashboard_queries() -> list[str]:
    """Returns the queries of the dashboard, as Grafana would send them."""
    dashboard = json.loads((OPERATE / "dashboard.json").read_text())
    return [
        target["expr"].replace("$job", ".+").replace("$__rate_interval", "30s")
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


@pytest.fixture
def lab() -> Iterator[Any]:
    from webhook_mtls.testing import Lab

    with Lab() as lab:
        yield lab
