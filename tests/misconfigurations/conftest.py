"""Makes the network, the certificates and the servers for all cases, and ends what was started."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab
from testnet import Network


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Returns the lab, below the folder that the build script names."""
    work = Path(os.environ["WMTLS_WORK"])
    network = Network(work)
    clients = json.loads(os.environ["WMTLS_CLIENTS"])
    made = Lab(work, os.environ["WMTLS_NODE"], clients)
    try:
        yield made
    finally:
        made.programs.stop()
        network.close()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Prints the closing line that the build script reads."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    counts = {word: len(reporter.stats.get(word, [])) for word in ("passed", "failed", "error")}
    failed = counts["failed"] + counts["error"]
    print(f"\nmisconfigurations: {counts['passed']} passed, {failed} failed")
