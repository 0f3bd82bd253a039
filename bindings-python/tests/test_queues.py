"""The tasks of Celery and the actor of Dramatiq, with a real Redis and real workers."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import Reject
from postgres_server import postgres_server
from redis_server import redis_server

import webhook_mtls as wm
from barrier import (
    LONG,
    RUNTIMES,
    Barrier,
    celery_worker,
    environment_of,
    eventually,
    example,
    running,
)
from webhook_mtls._background import _Slow, drain
from webhook_mtls.celery import DeliverTask, FanOutTask
from webhook_mtls.queues import DeadLetter, DueIndex, Hooks, Job, RedisIndex
from webhook_mtls.testing import Consumer, Lab, error

POSTGRES = example("postgres_index")


@pytest.fixture
def place() -> Iterator[Path]:
    with redis_server() as place:
        yield place


@pytest.fixture
def redis_index(place: Path) -> Iterator[RedisIndex]:
    with redis.Redis(unix_socket_path=str(place)) as client:
        yield RedisIndex(client)


@pytest.fixture(scope="module")
def database() -> Iterator[Any]:
    """The database of the example, without tables."""
    with postgres_server() as conninfo:
        yield POSTGRES.Postgres(conninfo)


@pytest.fixture(params=["redis", "postgres"])
def index(request: pytest.FixtureRequest) -> DueIndex:
    if request.param == "redis":
        known: DueIndex = request.getfixturevalue("redis_index")
        return known
    database = request.getfixturevalue("database")
    database.rows("DROP TABLE IF EXISTS jobs, dead, statuses")
    database.rows(POSTGRES.TABLES)
    own: DueIndex = POSTGRES.PostgresIndex(database)
    return own


def test_keys_of_jobs_are_unambiguous_and_have_no_colon() -> None:
    jobs = [Job("a/b", "c"), Job("b", "c/a"), Job("b:", "c"), Job("b", "c:"), Job("\ud800", "é")]
    keys = {job.key for job in jobs}
    assert len(keys) == len(jobs)
    assert all(":" not in key and key.count("/") == 1 for key in keys)
    assert Job("b", "c", 7).key == Job("b", "c").key


def test_a_job_that_is_due_returns_until_it_is_settled(index: DueIndex) -> None:
    job = Job("acme", "evt_1", 3, 4)
    index.put([job], 0)
    index.put([Job("acme", "evt_2")], 3600)
    assert index.claim(10, 0) == [job]
    assert index.claim(10, 3600) == [job], "its message was lost"
    assert index.claim(10, 3600) == []
    index.put([job], 0)
    index.settle(job)
    assert index.claim(10, 0) == []


def test_only_the_message_of_the_current_step_has_an_effect(index: DueIndex) -> None:
    first, second = Job("acme", "evt_1"), Job("acme", "evt_1", 2, 1)
    other = Job("globex", "evt_1")
    index.put([first, other], 0)
    assert index.begin([first, second, other], 60) == {first.key, other.key}
    assert index.claim(10, 0) == [], "their work has begun"
    index.put([second], 0)
    assert index.begin([first], 60) == set()
    index.put([first], 0)
    assert index.claim(10, 0) == [second], "an event that is sent again changes nothing"
    assert index.begin([second], 60) == {second.key}
    index.settle(second)
    assert index.begin([second], 60) == set()


def test_release_returns_the_parked_jobs_of_one_consumer(index: DueIndex) -> None:
    jobs = [Job(consumer, event) for consumer in ("acme", "globex") for event in ("1", "2")]
    index.put(jobs, 3600, parked=True)
    index.put([Job("acme", "3")], 3600)
    assert index.claim(10, 60) == []
    assert index.release("acme") == 2
    assert set(index.claim(10, 60)) == {Job("acme", "1"), Job("acme", "2")}
    assert index.release("acme") == 0


def test_a_dead_letter_replaces_the_job(index: DueIndex) -> None:
    job = Job("acme", "evt_1", 2)
    index.put([job], 0, parked=True)
    letter = DeadLetter(job, "a retry cannot succeed", "all", {"kind": "http_status"}, 1.5)
    index.bury(letter)
    assert index.claim(10, 0) == []
    assert index.release("acme") == 0
    assert list(index.dead()) == [letter]


def test_workers_that_claim_at_once_get_different_jobs(index: DueIndex) -> None:
    index.put([Job("acme", str(number)) for number in range(200)], 0)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: index.claim(25, 3600), range(8)))
    keys = [job.key for jobs in taken for job in jobs]
    assert len(keys) == len(set(keys)) == 200


def test_one_job_costs_one_round_trip(redis_index: RedisIndex, place: Path) -> None:
    job = Job("acme", "evt_1")

    def deliver() -> None:
        redis_index.put([job], 0)
        assert redis_index.begin([job], 60) == {job.key}
        redis_index.settle(job)

    with redis.Redis(unix_socket_path=str(place)) as client:
        deliver()
        # The server has the scripts now.
        client.config_resetstat()
        deliver()
        stats: dict[str, Any] = client.info("commandstats")
    asked = {name: each["calls"] for name, each in stats.items() if re.search("eval|script", name)}
    assert asked == {"cmdstat_evalsha": 3}


class Settled(Hooks):
    """Hooks that keep what they are told."""

    def __init__(self, index: DueIndex) -> None:
        self.index = index
        self.policy = wm.RetryPolicy(attempts=2, first=1, ceiling=8, seed=1)
        self.said: list[tuple[object, ...]] = []

    def on_park(self, job: Job, decision: wm.Decision, error: wm.WebhookMtlsError) -> None:
        self.said.append(("parked", job, error.kind))

    def on_drop(self, letter: DeadLetter, error: wm.WebhookMtlsError) -> None:
        self.said.append(("dropped", letter.job, letter.sent))


@pytest.mark.parametrize(
    ("failure", "attempt", "outcome"),
    [
        (error("http_status", sent="all"), 1, ("later", 2)),
        (error("http_status", sent="all"), 2, ("dropped", 2)),
        (error("circuit_open"), 2, ("later", 2)),
        (error("overloaded", retry_after_ms=9000), 1, ("waits", 1)),
        (error("pin_mismatch"), 2, ("parked", 2)),
    ],
)
def test_a_failure_ends_as_the_policy_decides(
    index: DueIndex, failure: wm.WebhookMtlsError, attempt: int, outcome: tuple[str, int]
) -> None:
    hooks, again = Settled(index), []
    job = Job("acme", "evt_1", attempt)
    index.put([job], 60)
    hooks._settle_failure(job, failure, lambda each, _: again.append(each), 5)
    where, number = outcome
    following = Job("acme", "evt_1", number, 1)
    assert index.begin([job], 60) == set(), "the step is over"
    assert again == ([following] if where == "later" else [])
    if where == "dropped":
        assert hooks.said == [("dropped", job, "all")]
        assert [letter.job for letter in index.dead()] == [job]
    elif where == "parked":
        assert hooks.said == [("parked", following, "pin_mismatch")]
        assert index.release("acme") == 1
        assert index.claim(9, 60) == [following]
    elif where == "waits":
        assert index.release("acme") == 0, "it waits, and is not parked"


class Fleet:
    """A Celery worker, its broker and its consumers."""

    def __init__(self, lab: Lab, directory: Path, place: Path) -> None:
        lab.write_files(directory)
        self.lab, self.directory, self.place = lab, directory, place
        self.client = redis.Redis(unix_socket_path=str(place))
        self.index = RedisIndex(self.client)
        # The events whose body a task of `fan_out` has asked for.
        self.loaded: list[str] = []

    def consumer(self, name: str) -> Consumer:
        known = self.lab.consumer(name)
        (self.directory / name).write_text(known.url)
        return known

    def notes(self, what: str = "") -> list[str]:
        notes = self.directory / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [line for line in lines if line.startswith(what)]

    @contextmanager
    def worker(self, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        command = celery_worker("queue_app", "prefork", 2)
        environment = self.environment | more
        with running(command, self.directory / "worker.log", environment) as worker:
            yield worker

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(self.directory, WMTLS_REDIS=str(self.place))

    def produce(self, *program: str, **more: str) -> None:
        """Runs a program with further variables."""
        command = [sys.executable, "-W", "ignore", *program]
        environment = os.environ | self.environment | more
        subprocess.run(command, env=environment, check=True, timeout=LONG)

    def log(self) -> str:
        return (self.directory / "worker.log").read_text(errors="replace")

    def call(self, what: str) -> None:
        """Runs a statement as a producer does, in a process of its own."""
        self.produce("-c", f"import queue_app as q; {what}")

    def fan_out(self, broker: Path) -> FanOutTask:
        """Returns a task that this process runs, and that sends to a broker."""
        fleet = self

        class Deliver(DeliverTask):
            name = "deliver"
            dispatcher = fleet.lab.dispatcher()
            index = fleet.index

            def endpoint(self, consumer: str) -> wm.Endpoint:
                url = (fleet.directory / consumer).read_text()
                return self.dispatcher.endpoint(consumer, url, pins=None)

            def body(self, event: str) -> bytes:
                fleet.loaded.append(event)
                if event == "missing":
                    raise KeyError(event)
                if event == "misfit":
                    raise error("pin_mismatch")
                return event.encode()

        app = Celery("queue", broker=f"redis+socket://{broker}", set_as_current=False)
        app.conf.broker_transport_options = {"max_retries": 0}
        task = FanOutTask(app.register_task(Deliver()))
        app.register_task(task)
        return task


@pytest.fixture
def fleet(lab: Lab, tmp_path: Path, place: Path) -> Iterator[Fleet]:
    fleet = Fleet(lab, tmp_path, place)
    with fleet.client:
        yield fleet


@pytest.mark.filterwarnings("ignore")
def test_a_body_that_fails_fails_each_job_of_a_fan_out(fleet: Fleet) -> None:
    consumers = ["acme", "busy"]
    for name in consumers:
        fleet.consumer(name)
    task = fleet.fan_out(fleet.place)
    with task._deliver.dispatcher:
        for event in ("missing", "misfit", "there"):
            fleet.index.put([Job(name, event) for name in consumers], 60)
            task.run(event, consumers)
            task.run("settled", consumers)
    # The policy parks those that a person must repair. The others wait, with a message for each.
    assert fleet.index.release("acme") == fleet.index.release("busy") == 1
    assert set(fleet.index.claim(9, 60)) == {Job(name, "misfit", 1, 1) for name in consumers}
    assert fleet.client.zcard("{webhook-mtls}:due") == 4
    assert fleet.client.llen("celery") == 2
    # A body that was loaded serves all jobs, and a message that is late loads none.
    assert fleet.loaded == ["missing"] * 2 + ["misfit"] * 2 + ["there"]


@pytest.mark.filterwarnings("ignore")
def test_a_fan_out_gives_its_message_back_once(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    task = fleet.fan_out(fleet.directory / "no-broker")
    fleet.index.put([Job("unknown", "evt_1")], 60)
    with task._deliver.dispatcher, pytest.raises(Reject) as raised:
        task.run("evt_1", ["unknown"])
    assert raised.value.requeue
    assert caplog.text.count("gives its message back") == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_settles_each_job_as_the_policy_decides(fleet: Fleet) -> None:
    acme, busy, unasked, gone = map(fleet.consumer, ("acme", "busy", "unasked", "gone"))
    busy.respond(503)
    acme.respond(429, retry_after=20)
    unasked.misbehave("never_ask")
    gone.respond(410, times=0)
    # A row that is no URL, and one that raises.
    (fleet.directory / "bad").write_text("no url")
    with fleet.worker():
        fleet.call(
            "q.deliver.send('evt_1', 'acme');"
            "q.fan_out.send('evt_2', ['bad', 'busy', 'unknown', 'unasked', 'gone'])"
        )
        eventually("the retry is delivered", lambda: "evt_2" in str(fleet.notes("delivered busy")))
        eventually("a letter", lambda: fleet.notes("dropped"))
        eventually("two are parked", lambda: len(fleet.notes("parked")) == 2)
        # The parked jobs, the row that is missing, and a wait that is longer than half of the
        # broker's time.
        eventually("four are open", lambda: fleet.client.zcard("{webhook-mtls}:due") == 4)
        assert fleet.notes("dropped") == ["dropped gone evt_2 1 http_status all"]
        assert set(fleet.notes("parked")) == {
            "parked bad evt_2 1 url_invalid",
            "parked unasked evt_2 1 client_auth_not_requested",
        }
        assert [letter.sent for letter in fleet.index.dead()] == ["all"]
        assert [each.headers["x-attempt"] for each in busy.received] == ["1", "2"]
        assert len(acme.received) == 1

        assert fleet.index.release("unasked") == 1
        fleet.call("q.sweep.delay()")
        eventually("the released job is delivered", lambda: fleet.notes("delivered unasked"))
        assert [each.headers["x-attempt"] for each in unasked.received][-1] == "1"
        eventually("it is settled", lambda: fleet.client.zcard("{webhook-mtls}:due") == 3)
        # The row appears, so the job that waited for its endpoint is delivered.
        log = (fleet.directory / "worker.log").read_text()
        # Half of the broker's time.
        assert "waits for 2 s: 'unknown'" in log
        assert "Noted.on_delivered has failed" in log


class Patient(Hooks):
    """Hooks in this process, whose tasks wait for a short time."""

    task_wait: float | None = 0.05
    # A sixteenth is two.
    background = 32

    def __init__(self, lab: Lab, index: RedisIndex, urls: dict[str, str]) -> None:
        self.dispatcher, self.index, self._urls = lab.dispatcher(), index, urls
        self.delivered: list[Job] = []
        self.sent: list[tuple[Job, float]] = []

    def endpoint(self, consumer: str) -> wm.Endpoint:
        return self.dispatcher.endpoint(consumer, self._urls[consumer], pins=None)

    def body(self, event: str) -> bytes:
        return event.encode()

    def on_delivered(self, job: Job, receipt: wm.Receipt) -> None:
        self.delivered.append(job)

    def attempt(self, job: Job) -> float | None:
        self.index.put([job], self.guard)
        return self._attempt(job, lambda *sent: self.sent.append(sent), 300)


def test_a_slow_consumer_has_a_share_of_the_deliveries_that_go_on(
    lab: Lab, redis_index: RedisIndex
) -> None:
    acme, barrier = lab.consumer("acme"), Barrier(lab, 3)
    with barrier:
        hooks = Patient(lab, redis_index, {"acme": acme.url, "slow": barrier.url})
        with hooks.dispatcher:
            jobs = [Job("slow", f"evt_{number}", 3) for number in range(5)]
            assert [hooks.attempt(job) for job in jobs[:2]] == [None, None]
            eventually("both have arrived", lambda: len(barrier.bodies) == 2)
            # The jobs beyond its share wait one after the other, and no attempt is lost.
            waits = [hooks.attempt(job) for job in jobs[2:]]
            following = [Job("slow", f"evt_{number}", 3, 1) for number in range(2, 5)]
            assert hooks.sent == list(zip(following, waits, strict=True))
            first, second, third = (wait or 0 for wait in waits)
            assert 0 < first < second < third < 1
            assert len(redis_index.begin(following, 60)) == 3
            # The task of another consumer waits until the end.
            hooks.task_wait = None
            assert hooks.attempt(Job("acme", "evt_1")) is None
            assert hooks.delivered == [Job("acme", "evt_1")]
            hooks.dispatcher.deliver(hooks.endpoint("slow"), b"")
            drain()
            assert set(hooks.delivered[1:]) == set(jobs[:2])
    assert redis_index.begin(jobs[:2], 60) == set()


def test_a_consumer_that_answers_in_time_again_is_waited_for(
    lab: Lab, redis_index: RedisIndex
) -> None:
    barrier = Barrier(lab, 3)
    with barrier:
        hooks = Patient(lab, redis_index, {"slow": barrier.url})
        with hooks.dispatcher:
            for number in range(2):
                hooks.attempt(Job("slow", f"evt_{number}"))
            hooks.dispatcher.deliver(hooks.endpoint("slow"), b"")
            drain()
    acme = lab.consumer("acme")
    hooks = Patient(lab, redis_index, {"slow": acme.url})
    with hooks.dispatcher:
        hooks.task_wait = LONG
        # The first one shows that it is well, and the task of the second one waits.
        background = hooks._own_background()
        assert background is not None
        background._slow["slow"] = _Slow(1)
        hooks.attempt(Job("slow", "evt_3"))
        drain()
        assert background._slow == {}
        hooks.attempt(Job("slow", "evt_4"))
        assert Job("slow", "evt_4") in hooks.delivered


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_slow_consumers_block_no_child_and_are_settled_before_it_ends(
    fleet: Fleet, lab: Lab
) -> None:
    fleet.consumer("acme")
    # More deliveries than children: the first are answered when the last has arrived.
    several, last = Barrier(lab, 6), Barrier(lab, 2)
    with several, last:
        (fleet.directory / "slow").write_text(several.url)
        (fleet.directory / "last").write_text(last.url)
        with fleet.worker() as worker:
            fleet.call(
                "[q.deliver.send(f'evt_{number}', 'slow') for number in range(3)];"
                "[q.fan_out.send(f'evt_{number}', ['slow', 'acme']) for number in range(3, 6)]"
            )
            eventually("all have ended", lambda: len(fleet.notes("delivered")) == 9)
            eventually("they are settled", lambda: fleet.client.zcard("{webhook-mtls}:due") == 0)
            fleet.call("q.deliver.send('evt_6', 'last')")
            eventually("it has arrived", lambda: last.bodies)
            eventually("its task has ended", lambda: fleet.client.zcard("unacked_index") == 0)
            worker.terminate()
            eventually("it ends", lambda: "warm shutdown" in fleet.log().lower())
            with lab.dispatcher() as dispatcher:
                dispatcher.deliver(dispatcher.endpoint("last", last.url, pins=None), b"")
            assert worker.wait(LONG) == 0
            assert len(fleet.notes("delivered last")) == 1
            assert fleet.client.zcard("{webhook-mtls}:due") == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_message_of_a_killed_child_is_delivered_again(fleet: Fleet) -> None:
    acme = fleet.consumer("acme")
    acme.misbehave("stall")
    with fleet.worker(WMTLS_TASK_WAIT=str(LONG)):
        fleet.call("q.deliver.send('evt_1', 'acme')")
        assert acme.wait(1, within=LONG)
        (started,) = fleet.notes("started acme")
        os.kill(int(started.split()[-1]), signal.SIGKILL)
        eventually("it is delivered again", lambda: fleet.notes("delivered acme"))
    assert [each.id for each in acme.received] == ["evt_1", "evt_1"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_job_whose_message_was_lost_is_delivered(fleet: Fleet) -> None:
    acme = fleet.consumer("acme")
    fleet.call("q.deliver.send('evt_1', 'acme'); q.fan_out.send('evt_2', ['acme'])")
    # A worker of Celery that is killed between two commands of Redis has taken a message, and has
    # not noted that.
    assert fleet.client.delete("celery") == 1
    fleet.client.zadd("{webhook-mtls}:due", dict.fromkeys(["evt_1/acme", "evt_2/acme"], 1))
    with fleet.worker():
        fleet.call("q.sweep.delay()")
        eventually("both are delivered", lambda: len(fleet.notes("delivered acme")) == 2)
    assert {each.id for each in acme.received} == {"evt_1", "evt_2"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dramatiq_settles_each_job_as_the_policy_decides(fleet: Fleet) -> None:
    acme, busy, gone, unasked = map(fleet.consumer, ("acme", "busy", "gone", "unasked"))
    busy.respond(503)
    gone.respond(410, times=0)
    unasked.misbehave("never_ask")
    command = [sys.executable, "-m", "dramatiq", "dramatiq_app", "--processes", "1"]
    command += ["--threads", "4", "--path", str(RUNTIMES)]
    order = {"consumers": ["acme", "busy", "gone", "unasked", "unknown"]}
    with running(command, fleet.directory / "worker.log", fleet.environment):
        fleet.produce("-m", "dramatiq_app", WMTLS_ORDER=json.dumps(order))
        eventually("two are delivered", lambda: len(fleet.notes("delivered")) == 2)
        eventually("one is parked", lambda: fleet.notes("parked unasked evt_1 1"))
        eventually("one is dropped", lambda: fleet.notes("dropped gone evt_1 1 http_status all"))
        assert fleet.index.release("unasked") == 1
        fleet.produce("-m", "dramatiq_app", WMTLS_ORDER=json.dumps({"sweep": True}))
        eventually("the released job is delivered", lambda: fleet.notes("delivered unasked"))
    assert [each.id for each in acme.received] == ["evt_1"]
    assert [each.id for each in busy.received] == ["evt_1", "evt_1"]


PAGES = Path(__file__).parents[2] / "docs" / "queues"
WORKERS = {
    "celery": ["celery", "--app", "hooks", "worker", "--pool", "prefork", "--concurrency", "2"],
    "dramatiq": ["dramatiq", "hooks", "--processes", "1", "--threads", "2"],
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("queue", WORKERS)
def test_the_programs_of_a_page_run(
    fleet: Fleet, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = fleet.consumer("acme")
    module, *calls = re.findall(r"```python\n(.*?)```", (PAGES / f"{queue}.md").read_text(), re.S)
    assert module.count("redis.Redis()") == 1 and "https://hooks.acme.example/in" in module
    module = module.replace("https://hooks.acme.example/in", acme.url)
    # The consumer and the broker of the test are on this machine.
    module = module.replace("redis.Redis()", f"redis.Redis(unix_socket_path='{fleet.place}')")
    module = module.replace("redis://localhost", f"redis+socket://{fleet.place}")
    loopback = 'wm.Dispatcher(egress=wm.Egress(allow=["127.0.0.0/8"]), '
    module = module.replace("wm.Dispatcher(", loopback)
    (fleet.directory / "hooks.py").write_text(module)
    path = str(fleet.directory)
    program = "\n".join(["from hooks import *", *calls])
    worker = [sys.executable, "-m", *WORKERS[queue]]
    log = fleet.directory / "worker.log"
    monkeypatch.chdir(fleet.directory)
    with running(worker, log, fleet.environment | {"PYTHONPATH": path}):
        fleet.produce("-c", program, PYTHONPATH=path)
        assert acme.wait(2, within=LONG)
        eventually("it is told", lambda: log.read_text().count("delivered acme evt_1") == 2)
    assert [each.id for each in acme.received] == ["evt_1", "evt_1"]
