"""A fleet: consumers of each behavior, a broker, and workers, each of which can be killed.

Our certificate and the pin of a consumer change meanwhile.
"""

import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "bindings-python" / "tests"), str(ROOT / "tests" / "peers")]

import nginx  # noqa: E402
from barrier import LONG, eventually  # noqa: E402
from server import free_port  # noqa: E402
from webhook_mtls.testing import Lab  # noqa: E402

KEYS = tuple[str, str]

# The most deliveries that a run enqueues before it kills or changes something.
LARGEST_SHARE = 10_000

# The consumers that refuse some deliveries.
SPECIAL = {"busy", "unasked", "repaired", "gone", "repinned"}


class Process:
    """A process with its children, that is killed and started again."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: dict[str, str]
    ) -> None:
        self._command, self._log = command, log
        self._environment = os.environ | environment
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kills the process and its children."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def restart(self) -> None:
        """Ends it as an operator does, and starts it."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        self.kill()
        self.start()

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(each) for each in path.read_text().split()]


class Machine(Process):
    """Processes of one PID namespace: if its first process dies, the kernel kills all."""

    def __init__(
        self,
        first: Sequence[str | Path],
        other: Sequence[str | Path],
        log: Path,
        environment: dict[str, str],
    ) -> None:
        beside = f"{shlex.join(map(str, other))} & " if other else ""
        space = ["unshare", "--pid", "--fork", "--kill-child"]
        if os.geteuid():
            space += ["--user", "--map-current-user"]
        script = f"{beside}{shlex.join(map(str, first))}"
        # Without the last command, the shell would become the worker.
        super().__init__([*space, "sh", "-c", f"{script}; exit $?"], log, environment)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Redis(Process):
    """A Redis that has stored what it has confirmed, if it is durable."""

    def __init__(self, directory: Path, *, is_durable: bool = True) -> None:
        directory.mkdir()
        self.place = directory / "redis.sock"
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: cargo xtask install"
        command = [program, "--port", "0", "--unixsocket", self.place, "--dir", directory]
        command += ["--save", ""]
        if is_durable:
            command += ["--appendonly", "yes", "--appendfsync", "always"]
        super().__init__(command, directory / "log", {})
        self.wait()

    def wait(self) -> None:
        eventually("Redis has loaded its data", self._answers)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self.place))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
            except OSError:
                return False


class Nginx:
    """Consumers behind one nginx, which notes a request before the answer leaves."""

    HTTP = """
    log_format events "$http_webhook_id $uri";
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_protocols TLSv1.3;
        ssl_verify_client on;
        location / {{ proxy_pass http://unix:{work}/app:; }}
    }}
    server {{
        listen unix:{work}/app;
        # Else it would write the line after the proxy has read the answer.
        lingering_close off;
        access_log {work}/events events;
        location / {{ return 204; }}
    }}
    """

    def __init__(self, lab: Lab, work: Path, count: int = 3) -> None:
        work.mkdir()
        issued = lab.authority.issue("nginx", role="server")
        (work / "tls.crt").write_bytes(issued.cert_pem)
        (work / "tls.key").write_bytes(issued.key_pem)
        (work / "root.pem").write_bytes(lab.trust_pem)
        self._pki: Any = SimpleNamespace(server=work, root=work / "root.pem")
        self._work = work
        self._port = free_port()
        self.names = [f"nginx-{number}" for number in range(count)]
        self.start()

    def urls(self) -> dict[str, str]:
        return {name: f"https://127.0.0.1:{self._port}/{name}" for name in self.names}

    def start(self) -> None:
        (self._work / "app").unlink(missing_ok=True)
        http = self.HTTP.format(port=self._port, work=self._work)
        self.server = nginx.run(self._pki, http, self._port, self._work, connections=2048)
        self.server.wait_until_it_accepts()

    def kill(self) -> None:
        self.server.process.kill()
        self.server.process.wait()

    def received(self) -> Counter[KEYS]:
        lines = (self._work / "events").read_text().splitlines()
        pairs = (line.split() for line in lines)
        return Counter((uri.lstrip("/"), event) for event, uri in pairs)


@dataclass
class Result:
    """What a run has ended with."""

    delivered: set[KEYS]
    parked: set[KEYS]
    dead: dict[KEYS, str]
    confirmed: set[KEYS]
    received: Counter[KEYS]
    notes: list[list[str]]
    tenants: Counter[str | None]
    rotated: int
    took: float

    def failed_and_sent(self) -> Counter[KEYS]:
        """Returns how many failed attempts may have reached the consumer."""
        failed = (note for note in self.notes if note[0] == "failed" and note[3] != "nothing")
        return Counter((note[1], note[2]) for note in failed)

    def unexplained(self) -> Counter[KEYS]:
        """Returns the requests beyond one receipt and the failures that had sent something."""
        expected = self.failed_and_sent()
        expected.update(self.delivered)
        return self.received - expected


@contextmanager
def logs_if_it_fails(directory: Path) -> Iterator[None]:
    """Prints the end of each log below a directory if the block fails."""
    try:
        yield
    except BaseException:
        for log in directory.rglob("*.log"):
            print(f"{log.name}:\n{log.read_text(errors='replace')[-4000:]}")
        raise


class Fleet:
    """The consumers and the processes of one run. A queue is a subclass.

    * `events`: how many the run delivers to each consumer.
    * `consumers`: how many. Those of `SPECIAL` misbehave, up to twelve are receivers of the kit,
      and the others are behind nginx.
    """

    def __init__(self, stack: ExitStack, directory: Path, events: int, consumers: int) -> None:
        directory.mkdir()
        self.directory, self.events, self._stack = directory, events, stack
        # The run enqueues this many events, then kills or changes something, then enqueues the
        # next: a seventh of all, and less if the workers would need minutes for that.
        self.share = max(1, min(events // 7, LARGEST_SHARE // consumers))
        self._notes: list[list[str]] = []
        self._delivered: set[KEYS] = set()
        # How many of these are not of SPECIAL consumers.
        self._well = 0
        self._read = 0
        self.rotated = 0
        # How many lines the log had when nginx was killed.
        self._died = 0
        self.lab = stack.enter_context(Lab())
        self.lab.write_files(directory)
        others = consumers - len(SPECIAL)
        in_kit = min(12, others - 3)
        names = [f"kit-{number}" for number in range(in_kit)]
        self.kit = {name: self.lab.consumer(name) for name in [*names, *sorted(SPECIAL)]}
        self.misbehave()
        self.pin(self.kit["repinned"].pin)
        self.nginx = Nginx(self.lab, directory / "nginx", others - in_kit)
        stack.callback(self.nginx.kill)
        self.urls = {name: each.url for name, each in self.kit.items()} | self.nginx.urls()
        (directory / "urls.json").write_text(json.dumps(self.urls))
        self.redis = self.ending(Redis(directory / "redis"))
        self.environment = {
            "FLEET": str(directory),
            "FLEET_REDIS": str(self.redis.place),
            # A message may wait for those of two shares. The workers do at least 100 in a second.
            "FLEET_GUARD": str(max(8, self.share * consumers // 50)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        here, there = self.worker(0), self.worker(1)
        log = directory / "worker"
        self.workers = [
            self.ending(Process(here, log.with_suffix(".0.log"), self.environment)),
            self.ending(
                Machine(there, self.sweeper(), log.with_suffix(".1.log"), self.environment)
            ),
        ]

    def misbehave(self) -> None:
        """Lets the special consumers refuse deliveries."""
        self.kit["busy"].respond(429, retry_after=6, times=self.events // 4)
        self.kit["gone"].respond(410, times=0)
        for name in ("unasked", "repaired"):
            self.kit[name].misbehave("never_ask", times=0)

    def ending(self, process: Any) -> Any:
        self._stack.callback(process.kill)
        return process

    def worker(self, number: int) -> list[str | Path]:
        """Returns the command of a worker."""
        raise NotImplementedError

    def sweeper(self) -> list[str | Path]:
        """Returns the command of the sweeper; nothing if the queue needs none."""
        return []

    def command(self, *order: str) -> list[str | Path]:
        """Returns the command of the queue's program for this order."""
        raise NotImplementedError

    def call(self, *order: str) -> str:
        """Runs an order to its end."""
        done = subprocess.run(
            self.command(*order),
            env=os.environ | self.environment,
            check=True,
            timeout=10 * LONG,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def release(self, consumer: str) -> None:
        """Enqueues the parked jobs of a consumer."""
        raise NotImplementedError

    def sets(self) -> tuple[set[KEYS], dict[KEYS, str]]:
        """Returns the parked jobs, and the dead ones with `sent`."""
        raise NotImplementedError

    def kill_a_child(self) -> None:
        children = eventually("a worker has children", self.workers[0].children)
        os.kill(random.choice(children), signal.SIGKILL)

    def pin(self, pin: str) -> None:
        """Tells all workers which key the consumer `repinned` may have."""
        self._replace("pins.json", json.dumps({"repinned": [pin]}).encode())

    def _replace(self, name: str, content: bytes) -> None:
        new = self.directory / f"{name}.new"
        new.write_bytes(content)
        new.rename(self.directory / name)

    def notes(self) -> list[list[str]]:
        """Returns the words of each line in the log of all processes. Reads only the new lines."""
        place = self.directory / "notes"
        if place.exists():
            with place.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            # Each process appends whole lines. Of a line on two pages, the first part may be seen
            # alone.
            lines = new[: new.rfind(b"\n") + 1]
            self._read += len(lines)
            found = [line.split() for line in lines.decode().splitlines()]
            self._notes += found
            delivered = {(note[1], note[2]) for note in found if note[0] == "delivered"}
            more = delivered - self._delivered
            self._well += sum(consumer not in SPECIAL for consumer, _ in more)
            self._delivered |= more
        return self._notes

    def delivered(self) -> set[KEYS]:
        self.notes()
        return self._delivered

    def received(self) -> Counter[KEYS]:
        """Returns how many requests each consumer has received for each event."""
        received = self.nginx.received()
        for name, consumer in self.kit.items():
            received.update((name, each.id or "") for each in consumer.received)
        return received

    def run(self) -> Result:
        """Delivers all events. Something happens as soon as some of each share are delivered."""
        started = time.monotonic()
        total = self.events * len(self.urls)
        happenings = cycle(
            [
                (None, self.kill_a_child),
                (None, self.kill_a_worker),
                (None, self.rotate),
                (self.kill_the_consumer, self.revive_the_consumer),
                (None, self.kill_the_machine),
                (self.renew_a_key, self.kill_the_broker),
                (None, self.repair),
            ]
        )
        starts = range(0, self.events, self.share)
        for start, (before, meanwhile) in zip(starts, happenings, strict=False):
            self._wait_for_the_shares_before(start)
            if before:
                before()
            self._produce(range(start, min(start + self.share, self.events)), meanwhile)
        # The last of these may have been another than the repair.
        self.repair()
        self._settle(total)
        confirmed = [note[1] for note in self.notes() if note[0] == "confirmed"]
        parked, dead = self.sets()
        return Result(
            delivered=set(self.delivered()),
            parked=parked,
            dead=dead,
            confirmed={(consumer, event) for event in confirmed for consumer in self.urls},
            received=self.received(),
            notes=self.notes(),
            tenants=self.tenants(),
            rotated=self.rotated,
            took=time.monotonic() - started,
        )

    def _wait_for_the_shares_before(self, start: int) -> None:
        """Waits until the queue has little more to do than the latest share.

        A message of a killed worker comes back late, so a tenth of a share may be missing too.
        """
        least = (start - 1.1 * self.share) * (len(self.urls) - len(SPECIAL))

        def are_delivered() -> bool:
            self.supervise()
            self.notes()
            return self._well >= least

        eventually("most of the shares before are delivered", are_delivered, 10 * LONG)

    def _produce(self, share: range, meanwhile: Callable[[], None]) -> None:
        """Enqueues some of the events, and does something as soon as some are delivered."""
        before = len(self.delivered())
        self.call("produce", str(share.start), str(share.stop))

        def are_some_delivered() -> bool:
            self.supervise()
            return len(self.delivered()) > before

        eventually("some are delivered", are_some_delivered, 10 * LONG)
        meanwhile()

    def supervise(self) -> None:
        """Starts workers again that have ended. One of Celery may end when its broker dies."""
        for worker in self.workers:
            if worker.process.poll() is not None:
                worker.start()

    def kill_a_worker(self) -> None:
        self.workers[0].kill()
        self.workers[0].start()

    def kill_the_machine(self) -> None:
        """Kills all processes of a namespace at once."""
        self.workers[1].kill()
        self.workers[1].start()

    def rotate(self) -> None:
        """Replaces our certificate and its key, and waits until a consumer has seen the new one."""
        self.rotated += 1
        tenant = f"rotated-{self.rotated}"
        self.renew(tenant)
        eventually("a consumer sees the new certificate", lambda: self.tenants()[tenant])

    def renew(self, tenant: str) -> None:
        """Replaces our certificate and its key."""
        issued = self.lab.authority.issue(tenant)
        self._replace("tls.crt", issued.cert_pem)
        self._replace("tls.key", issued.key_pem)

    def tenants(self) -> Counter[str | None]:
        """Returns how many requests came with which of our certificates."""
        known = self.kit.values()
        return Counter(each.tenant for consumer in known for each in consumer.received)

    def renew_a_key(self) -> None:
        """Gives a consumer a key whose pin no worker knows."""
        self.kit["repinned"].renew(new_key=True)

    def repair(self) -> None:
        """Repairs two consumers, whose jobs are parked."""
        self.kit["repaired"].behave()
        self.pin(self.kit["repinned"].pin)

    def kill_the_consumer(self) -> None:
        self.nginx.kill()
        self._died = len(self.notes())

    def revive_the_consumer(self) -> None:
        """Starts nginx again when a delivery has met its death."""
        eventually(
            "a delivery meets a dead consumer",
            lambda: any(
                note[0] == "failed" and note[1] in self.nginx.names
                for note in self.notes()[self._died :]
            ),
        )
        self.nginx.start()

    def kill_the_broker(self) -> None:
        self.redis.kill()
        self.redis.start()
        self.redis.wait()

    def _settle(self, total: int) -> None:
        """Waits until each job is delivered, parked or given up, and releases repaired ones."""
        seen, changed, patience = -1, time.monotonic(), 3
        progressed = changed
        while True:
            self.supervise()
            asked = time.monotonic()
            parked, dead = self.sets()
            done = len(self.delivered() | parked | set(dead))
            held = {"repaired", "repinned"} & {consumer for consumer, _ in parked}
            if done == total and not held:
                return
            for consumer in held:
                self.release(consumer)
            if done != seen:
                seen, changed = done, time.monotonic()
                progressed = changed
            elif time.monotonic() - changed > patience:
                # A broker gives back the messages of a dead worker when a worker starts. A slow
                # machine needs longer for that.
                self.workers[0].restart()
                changed, patience = time.monotonic(), 2 * patience
            assert time.monotonic() - progressed < 10 * LONG, f"{done} of {total} are settled"
            # In a large run, the queue needs seconds to list its parked and dead jobs.
            time.sleep(max(0.2, 3 * (time.monotonic() - asked)))


class IndexFleet(Fleet):
    """A queue with a due index, and a sweeper."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        import redis

        from webhook_mtls.queues import RedisIndex

        self._client = redis.Redis(unix_socket_path=str(self.redis.place))
        self._index = RedisIndex(self._client)

    def sweeper(self) -> list[str | Path]:
        return self.command("sweep")

    def release(self, consumer: str) -> None:
        self._index.release(consumer)

    def sets(self) -> tuple[set[KEYS], dict[KEYS, str]]:
        parked = set()
        for consumer in self.urls:
            members = self._client.smembers("{webhook-mtls}:parked:" + consumer)
            parked |= {(consumer, each.decode().split("/")[0]) for each in members}
        dead = {(each.job.consumer, each.job.event): each.sent for each in self._index.dead()}
        return parked, dead


class CeleryFleet(IndexFleet):
    """Two workers of Celery with two children each."""

    def command(self, *order: str) -> list[str | Path]:
        return [sys.executable, HERE / "celery_app.py", *order]

    def worker(self, number: int) -> list[str | Path]:
        command = [sys.executable, "-m", "celery", "-A", "celery_app", "--workdir", HERE, "worker"]
        command += ["--pool", "prefork", "--concurrency", "2", "--loglevel", "INFO"]
        command += ["-n", f"worker{number}"]
        return [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"]


class DramatiqFleet(IndexFleet):
    """Two workers of Dramatiq with two processes each."""

    def command(self, *order: str) -> list[str | Path]:
        return [sys.executable, HERE / "dramatiq_app.py", *order]

    def worker(self, number: int) -> list[str | Path]:
        command = [sys.executable, "-m", "dramatiq", "dramatiq_app", "--path", HERE]
        return [*command, "--processes", "2", "--threads", "2"]


class BullFleet(Fleet):
    """Two workers of BullMQ."""

    def command(self, *order: str) -> list[str | Path]:
        return [*json.loads(os.environ["FLEET_BULLMQ"]), *order]

    def worker(self, number: int) -> list[str | Path]:
        return self.command("worker")

    def release(self, consumer: str) -> None:
        self.call("release", consumer)

    def sets(self) -> tuple[set[KEYS], dict[KEYS, str]]:
        failed = json.loads(self.call("sets"))["failed"]
        parked = {(c, e) for c, e, reason in failed if reason.startswith("parked")}
        dead = {
            (c, e): reason.split()[2].rstrip(":") for c, e, reason in failed if "dead" in reason[:4]
        }
        return parked, dead

    def kill_a_child(self) -> None:
        # A worker of BullMQ is one process.
        self.kill_a_worker()
