"""The examples with a start script, started as a user starts them.

Each ends in its success, the receiver has a record of it, and nothing is left running.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from webhook_mtls.testing import Lab

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
# Node finds the package from the directory of the program, so its example is beside the package.
PLACES = {"bullmq-express": Path(os.environ["EXAMPLES_NODE"])}
NAMES = sorted(script.parent.name for script in EXAMPLES.glob("*/start.sh"))
# Where pkg-config finds the library. With this variable, cargo would build aws-lc again.
IN_C = {"PKG_CONFIG_PATH": os.environ["EXAMPLES_PKG_CONFIG"]}
# Patience for a state, not a measure.
LONG = 300


class Example:
    """A start script with a temporary directory of its own, and all processes below it."""

    def __init__(self, name: str, directory: Path) -> None:
        self.script = PLACES.get(name, EXAMPLES) / name / "start.sh"
        self.logs, self.screen = directory / "logs", directory / "screen"
        self.logs.mkdir()
        # The path of a Unix socket is short.
        self.temporary = Path(tempfile.mkdtemp())
        self._mark = f"EXAMPLE_RUN={uuid.uuid4()}"
        name, _, value = self._mark.partition("=")
        self.environment = os.environ | {
            name: value,
            "LOGS": str(self.logs),
            "TMPDIR": str(self.temporary),
        }
        if self.script.with_name("forwarder.c").exists():
            self.environment |= IN_C

    def start(self, *arguments: str, path: str | None = None) -> None:
        environment = self.environment | ({"PATH": path} if path else {})
        with self.screen.open("wb") as screen:
            self._process = subprocess.Popen(
                ["/bin/bash", self.script, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
                # A shell cannot trap a signal that it inherits as ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Waits for the end, and returns the exit code."""
        return self._process.wait(LONG)

    def shown(self) -> str:
        return self.screen.read_text()

    def until_shown(self, text: str) -> None:
        end = time.monotonic() + LONG
        while text not in self.shown():
            assert self._process.poll() is None, self.shown()
            assert time.monotonic() < end, self.shown()
            time.sleep(0.05)

    def log(self, service: str) -> str:
        return (self.logs / f"{service}.log").read_text(errors="replace")

    def running(self) -> list[int]:
        """Returns the processes that the script has started, and itself."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                variables = (place / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            # The environment of a process that has ended is empty.
            if self._mark.encode() in variables:
                found.append(int(place.name))
        return found

    def nothing_is_left(self) -> None:
        # A process that was killed takes a moment to end.
        end = time.monotonic() + LONG
        while left := self.running():
            assert time.monotonic() < end, left
            time.sleep(0.05)
        assert list(self.temporary.iterdir()) == []
        assert "was killed" not in self.shown()

    def kill(self) -> None:
        """Kills what a failed test has left, and removes its files."""
        for process in self.running():
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.temporary)


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Example]:
    made = Example(request.param, tmp_path)
    try:
        yield made
    finally:
        made.kill()


@pytest.mark.parametrize("example", NAMES, indirect=True)
def test_an_example_ends_in_its_success(example: Example) -> None:
    example.start()
    assert example.end() == 0, example.shown()
    last = example.shown().splitlines()[-1]
    assert "arrived" in last and "from the verified tenant shop" in last
    events = re.findall(r"\bevt_\w+", last) or re.findall(r"\bevt_\w+", example.shown())
    record = example.log("receiver")
    for event in set(events):
        lines = [line for line in record.splitlines() if re.search(rf"\b{event}\b", line)]
        assert len(lines) == 1, record
    assert events
    assert "shop" in record
    example.nothing_is_left()


@pytest.mark.parametrize("example", ["axum"], indirect=True)
def test_a_wrong_pin_ends_in_a_refusal(example: Example) -> None:
    example.environment["PIN"] = f"sha256/{'A' * 43}="
    example.start()
    assert example.end() == 1
    assert "pin_mismatch" in example.shown()
    assert "failed: the event was not delivered" in example.shown().splitlines()[-1]
    assert "evt_1" not in example.log("receiver")
    example.nothing_is_left()


@pytest.mark.parametrize("example", ["bullmq-express"], indirect=True)
def test_services_run_until_the_user_ends_them(example: Example) -> None:
    example.start("up")
    example.until_shown("The services run until Ctrl-C.")
    assert len(example.running()) >= 5
    example.interrupt()
    assert example.end() == 128 + signal.SIGINT
    example.nothing_is_left()


@pytest.mark.parametrize("example", ["celery-fastapi"], indirect=True)
def test_a_service_that_ends_ends_the_example(example: Example, tmp_path: Path) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "celery").write_text("#!/bin/sh\necho no license\nexit 3\n")
    (broken / "celery").chmod(0o700)
    example.start(path=f"{broken}:{os.environ['PATH']}")
    assert example.end() == 1
    assert "no license" in example.shown()
    assert example.shown().splitlines()[-1] == "failed: worker has ended"
    example.nothing_is_left()


@pytest.mark.parametrize("example", ["celery-fastapi"], indirect=True)
def test_a_missing_program_is_named(example: Example, tmp_path: Path) -> None:
    for program in ("mktemp", "dirname", "rm"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        found = shutil.which(program)
        assert found
        (tmp_path / "bin" / program).symlink_to(found)
    example.start(path=str(tmp_path / "bin"))
    assert example.end() == 1
    assert "failed: redis-server is missing" in example.shown()
    example.nothing_is_left()


def test_the_examples_pin_what_the_tests_install() -> None:
    python = (ROOT / "bindings-python" / "requirements-runtimes.txt").read_text().split()
    for pin in (EXAMPLES / "celery-fastapi" / "requirements.txt").read_text().split():
        assert pin in python
    node = json.loads((ROOT / "bindings-node" / "package.json").read_text())["devDependencies"]
    here = EXAMPLES / "bullmq-express"
    wanted = json.loads((here / "package.json").read_text())["dependencies"]
    assert wanted.items() <= node.items()
    locked = json.loads((here / "package-lock.json").read_text())["packages"]
    assert locked[""]["dependencies"] == wanted
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted


@contextmanager
def running(
    command: list[str | Path], place: Path, variables: dict[str, str], said: str
) -> Iterator[str]:
    """Runs a service until it has written a text, yields the text, and ends it by SIGTERM."""
    log = place / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=place,
            env=os.environ | variables,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + LONG
        while not (found := re.search(said, log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)
        yield found[0]
        process.terminate()
        assert process.wait(LONG) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


class TestForwarder:
    """What the forwarder does with an event that cannot be delivered."""

    @pytest.fixture(scope="class")
    @staticmethod
    def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
        made = tmp_path_factory.mktemp("c") / "forwarder"
        flags = "$(pkg-config --cflags --libs webhook_mtls_static)"
        strict = "-std=c11 -Wall -Wextra -Werror -pedantic"
        source = EXAMPLES / "forwarder" / "forwarder.c"
        command = f"cc {strict} {source} -o {made} {flags}"
        environment = os.environ | IN_C
        subprocess.run(["sh", "-c", command], env=environment, check=True, timeout=LONG)
        return made

    def test_events_are_repeated_parked_and_given_up(self, program: Path, tmp_path: Path) -> None:
        with Lab() as lab:
            lab.write_files(tmp_path)
            acme = lab.consumer("acme")
            acme.respond(503, retry_after=1)
            self.run(program, tmp_path, acme.url, acme.pin, "delivered")
            assert [each.id for each in acme.received] == ["evt_1", "evt_1"]
            assert self.files(tmp_path) == []

            acme.respond(410)
            self.run(program, tmp_path, acme.url, acme.pin, "dead, ")
            assert self.files(tmp_path) == ["dead/evt_1"]

            stranger = lab.consumer("stranger").pin
            self.run(program, tmp_path, acme.url, stranger, "parked, pin_mismatch")
            assert self.files(tmp_path) == ["dead/evt_1", "parked/evt_1"]
            assert len(acme.received) == 3

    def run(self, program: Path, place: Path, url: str, pin: str, said: str) -> None:
        """Forwards one event until the forwarder says what became of it, and ends it."""
        spool = place / "spool"
        (spool / "folder").mkdir(parents=True, exist_ok=True)  # is no event
        (spool / "evt_1").write_text('{"event":"invoice.paid"}')
        variables = {"WMTLS_URL": url, "WMTLS_PIN": pin, "WMTLS_ALLOW": "127.0.0.0/8"}
        with running([program, "spool"], place, variables, f"evt_1: {said}"):
            pass

    @staticmethod
    def files(place: Path) -> list[str]:
        spool = place / "spool"
        return sorted(str(each.relative_to(spool)) for each in spool.rglob("*") if each.is_file())


def answer(url: str) -> tuple[int, dict[str, Any], str | None]:
    """Posts an event to the relay; returns the status, the body and `retry-after`."""
    request = urllib.request.Request(url, data=b'{"event":"invoice.paid"}')
    try:
        response = urllib.request.urlopen(request, timeout=LONG)
    except urllib.error.HTTPError as refused:
        response = refused
    with response:
        body = response.read()
        return response.status, json.loads(body or b"{}"), response.headers["retry-after"]


def test_the_relay_says_who_must_act(tmp_path: Path) -> None:
    with Lab() as lab:
        lab.write_files(tmp_path)
        acme, other = lab.consumer("acme"), lab.consumer("other")
        rows = {
            "acme": {"url": acme.url, "pins": [acme.pin]},
            "mistaken": {"url": other.url, "pins": [acme.pin]},
        }
        (tmp_path / "consumers.json").write_text(json.dumps(rows))
        variables = {"PORT": "0", "WMTLS_ALLOW": "127.0.0.0/8"}
        command: list[str | Path] = [os.environ["EXAMPLES_RELAY"]]
        address = "http://[0-9.:]+/"
        with running(command, tmp_path, variables, address) as relay:
            acme.respond(429, retry_after=7)
            status, body, wait = answer(f"{relay}events/acme/evt_1")
            assert (status, body["kind"], wait) == (503, "http_status", "7")
            status, body, wait = answer(f"{relay}events/acme/evt_1")
            assert (status, body["delivered"], wait) == (200, 200, None)
            assert [each.id for each in acme.received] == ["evt_1", "evt_1"]

            status, body, wait = answer(f"{relay}events/mistaken/evt_2")
            assert (status, body["kind"], wait) == (502, "pin_mismatch", None)
            assert other.received == []
            assert answer(f"{relay}events/nobody/evt_3")[0] == 404
