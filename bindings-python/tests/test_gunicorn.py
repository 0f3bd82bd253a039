"""gunicorn with --preload: each kind of worker delivers with the dispatcher of its master."""

import http.client
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from barrier import LONG, RUNTIMES, Barrier, environment_of, running
from webhook_mtls.testing import Lab

# The options of a kind, and how many requests one worker serves at a time.
WORKERS = {
    "sync": ([], 1),
    "gthread": (["--threads", "8"], 8),
    "gevent": (["--worker-connections", "64"], 8),
}


def post(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
    connection.request("POST", path, b"{}", {"connection": "close"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


@pytest.mark.slow
@pytest.mark.runtime
@pytest.mark.parametrize("kind", WORKERS)
def test_a_preloaded_dispatcher_delivers(lab: Lab, tmp_path: Path, kind: str) -> None:
    options, parties = WORKERS[kind]
    lab.write_files(tmp_path)
    acme = lab.consumer("acme")
    with Barrier(lab, parties) as barrier, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        environment = environment_of(tmp_path, WMTLS_URL=acme.url, WMTLS_BARRIER_URL=barrier.url)
        # The listener exists before gunicorn does, so a connection waits for the first worker.
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "1"]
        command += ["--worker-class", kind, *options, "--bind", f"fd://{listener.fileno()}"]
        command += ["--timeout", "0", "--chdir", str(RUNTIMES), "gunicorn_app:app"]
        log = tmp_path / "gunicorn.log"
        with running(command, log, environment, pass_fds=[listener.fileno()]):
            first = post(port, "/")
            assert first["worker"] != first["master"]
            assert first["preloaded"] == 200
            # The connection of the master belongs to the master.
            assert not first["receipt"]["connection"]["reused"]
            with ThreadPoolExecutor(16) as clients:
                answers = list(clients.map(lambda _: post(port, "/"), range(16)))
                assert [answer["receipt"]["status"] for answer in answers] == [200] * 16
                assert {answer["worker"] for answer in answers} == {first["worker"]}
                # As many deliveries wait at once as one worker serves.
                waiting = list(clients.map(lambda _: post(port, "/barrier"), range(parties)))
                assert [answer["receipt"]["status"] for answer in waiting] == [200] * parties
    assert len(acme.received) == 1 + 1 + 16
    assert barrier.bodies == [b"{}"] * parties
