"""Celery with Redis: each pool delivers as many at once as it has slots, and errors are whole."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis_server import redis_server

import webhook_mtls as wm
from barrier import LONG, Barrier, celery_worker, environment_of, running
from webhook_mtls.testing import Lab

AT_ONCE = 6


@pytest.fixture
def redis() -> Iterator[str]:
    """A Redis of its own, on a Unix socket."""
    with redis_server() as place:
        yield f"redis+socket://{place}"


def worker_of(
    pool: str, directory: Path, redis: str, url: str, barrier_url: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Runs a worker with the tasks of `celery_app`."""
    environment = environment_of(
        directory, WMTLS_URL=url, WMTLS_BARRIER_URL=barrier_url, WMTLS_REDIS=redis
    )
    command = celery_worker("celery_app", pool, AT_ONCE)
    return running(command, directory / "celery.log", environment)


@pytest.mark.slow
@pytest.mark.runtime
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_pool_delivers(lab: Lab, tmp_path: Path, redis: str, pool: str) -> None:
    lab.write_files(tmp_path)
    acme = lab.consumer("acme")
    barrier = Barrier(lab, AT_ONCE)
    with barrier, worker_of(pool, tmp_path, redis, acme.url, barrier.url) as worker:
        client = Celery(broker=redis, backend=redis)
        deliver = client.signature("deliver", app=client)
        made: Any = deliver.clone(("acme", "first")).apply_async().get(timeout=LONG)
        assert made["receipt"]["id"] == "evt_first"
        # The children of a prefork pool deliver, not the process that delivered before.
        assert (made["worker"] == worker.pid) is (pool != "prefork")
        waiting = [
            deliver.clone(("barrier", str(number))).apply_async() for number in range(AT_ONCE)
        ]
        done = [each.get(timeout=LONG) for each in waiting]
        assert [each["receipt"]["status"] for each in done] == [200] * AT_ONCE
        assert len({each["worker"] for each in done}) == (AT_ONCE if pool == "prefork" else 1)
        failures_arrive_whole(client, acme)
        client.close()
    assert sorted(barrier.bodies) == [b"%d" % number for number in range(AT_ONCE)]


@pytest.mark.slow
@pytest.mark.runtime
@pytest.mark.filterwarnings("ignore")
def test_a_pool_of_eventlet_is_told_what_to_use(lab: Lab, tmp_path: Path, redis: str) -> None:
    lab.write_files(tmp_path)
    acme = lab.consumer("acme")
    with worker_of("eventlet", tmp_path, redis, acme.url, acme.url):
        client = Celery(broker=redis, backend=redis)
        refused = client.signature("deliver", app=client).clone(("acme", "any")).apply_async()
        with pytest.raises(RuntimeError, match="for Celery: -P gevent or -P threads"):
            refused.get(timeout=LONG)
        client.close()
    assert acme.received == []


def failures_arrive_whole(client: Celery, acme: Any) -> None:
    acme.respond(410)
    lost = client.signature("deliver", app=client).clone(("acme", "gone")).apply_async()
    with pytest.raises(wm.DeliveryError) as raised:
        lost.get(timeout=LONG)
    error = raised.value
    assert (error.kind, error.sent, error.id) == ("http_status", "all", "evt_gone")
    assert (error.consumer, error.retry, error.attempts) == ("acme", "never", 1)
    assert error.response is not None
    assert error.response.status == 410
    acme.respond(503, times=2)
    again = client.signature("deliver_with_retry", app=client).clone(("again",)).apply_async()
    assert again.get(timeout=LONG) == {"attempt": 3, "status": 200}
