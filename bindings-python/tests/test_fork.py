"""A process with busy threads forks again and again: no child hangs.

The environment variable FORKS sets the number of children; the soak sets it to 20 000.
"""

import os
import signal
import subprocess
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import webhook_mtls as wm
from barrier import in_child
from webhook_mtls.testing import Authority

FORKS = int(os.environ.get("FORKS", "500"))
DEADLINE = 30.0
AT_ONCE = 4
# A handshake takes longer than everything else in a child, so only each eighth child delivers.
DELIVERS = 8
# The receiver records each request.
PACE = 0.003
SHOW_THREADS = Path(__file__).parents[2] / "tests" / "show_threads.sh"


class Child:
    """A forked child, which exits without the parent's cleanup."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.forked = time.monotonic()
        self.pid = in_child(work)

    def end(self) -> None:
        """Waits for the child; kills one that hangs, and fails."""
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                assert os.waitstatus_to_exitcode(status) == 0
                return
            if time.monotonic() - self.forked > DEADLINE:
                threads = threads_of(self.pid)
                self.kill()
                pytest.fail(f"a forked child hangs\n{threads}")
            time.sleep(0.0005)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def threads_of(pid: int) -> str:
    """Describes the threads of a process, so that a rare hang can be explained."""
    command = [str(SHOW_THREADS), str(pid)]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_that_hangs_leaves_a_trace() -> None:
    child = Child(lambda: time.sleep(DEADLINE))
    try:
        trace = threads_of(child.pid)
    finally:
        child.kill()
    assert "State:" in trace
    assert "waits in " in trace


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork beside threads: our very subject
def test_no_child_hangs_however_busy_the_threads_are(lab: Any, tmp_path: Path) -> None:
    lab.write_files(tmp_path)
    bundle = tmp_path / "ca.pem"
    bundles = [lab.trust_pem, lab.trust_pem + Authority("another").root_pem]
    chain = (tmp_path / "tls.crt").read_bytes()
    quiet_consumer, busy_consumer = lab.consumer("quiet"), lab.consumer("busy")
    # The connection of this endpoint must outlive all children.
    quiet = lab.dispatcher()
    session = quiet.endpoint("quiet", quiet_consumer.url, pins=None)
    trust = wm.Trust.from_files(bundle)
    busy = wm.Dispatcher(
        identity=wm.Identity.from_files(tmp_path / "tls.crt", tmp_path / "tls.key"),
        trust=trust,
        egress=wm.Egress(allow=["127.0.0.0/8"]),
        reload=0.02,
    )
    endpoint = busy.endpoint("busy", busy_consumer.url, pins=None)
    busy.on_event(lambda event: event.to_dict())
    verifier = wm.Verifier(role="client", trust=trust, authorization=wm.Authorization.ca_members())

    def verify(_: int) -> None:
        verifier.verify(chain)

    def upsert(number: int) -> None:
        url = f"https://127.0.0.1:{20000 + number % 2}/"
        busy.endpoint(f"consumer-{number % 16}", url, pins=None)
        if number % 5 == 0:
            busy.remove(f"consumer-{number % 16}")

    def rotate(number: int) -> None:
        new = tmp_path / "ca.pem.new"
        new.write_bytes(bundles[number % 2])
        new.rename(bundle)
        busy.reload()

    def look_around(_: int) -> None:
        busy.expiries()
        busy.rotation_status()
        wm.pin_of(chain)
        with pytest.raises(wm.ConfigError):
            busy.endpoint("", "https://127.0.0.1/", pins=None)

    def reload(_: int) -> None:
        verifier.reload()

    def deliver_one() -> None:
        try:
            assert busy.deliver(endpoint, b"{}").status == 200
        except wm.DeliveryError as error:
            # On a busy machine the files may change too often for a delivery to begin.
            if error.kind != "overloaded":
                raise

    def deliver(_: int) -> None:
        deliver_one()
        time.sleep(PACE)

    def deliver_many(_: int) -> None:
        outcomes = list(busy.deliver_many([wm.Delivery(endpoint, b"{}")] * 4))
        assert len(outcomes) == 4
        for outcome in outcomes:
            if outcome.error is not None:
                assert outcome.error.kind == "overloaded", outcome.error
        time.sleep(PACE)

    def work_of_child(number: int) -> None:
        for work in (verify, upsert, look_around):
            work(number)
        verifier.reload()
        if number % DELIVERS == 0:
            assert not quiet.deliver(session, b"child").reused
            assert quiet.deliver(session, b"child").reused
            deliver_many(number)
        if number % DELIVERS == 1:
            busy.close()

    stop = threading.Event()
    failures: list[BaseException] = []

    def forever(work: Callable[[int], None]) -> None:
        number = 0
        try:
            while not stop.is_set():
                work(number)
                number += 1
        except BaseException as error:
            failures.append(error)

    assert not quiet.deliver(session, b"parent").reused
    works = [verify, verify, upsert, rotate, look_around, deliver, deliver_many]
    works.append(reload)
    threads = [threading.Thread(target=forever, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    children: deque[Child] = deque()
    try:
        for number in range(FORKS):
            children.append(Child(lambda number=number: work_of_child(number)))  # type: ignore[misc]
            if len(children) == AT_ONCE:
                children.popleft().end()
            if number % 32 == 0:
                # No child has written to the parent's connection, or closed it.
                assert quiet.deliver(session, b"parent").reused
        while children:
            children.popleft().end()
    finally:
        for child in children:
            child.kill()
        stop.set()
        for thread in threads:
            thread.join(DEADLINE)
    assert failures == []
    # One handshake of the parent, and one of each child that delivers.
    assert quiet_consumer.connections == 1 + -(-FORKS // DELIVERS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", ["deliver", "deliver_many"])
def test_a_signal_handler_forks_during_a_delivery(acme: Any, how: str) -> None:
    """In the child the delivery ends as `forked_process`; in the parent it continues."""
    dispatcher, endpoint = acme.dispatcher, acme.endpoint
    assert dispatcher.deliver(endpoint, b"before").status == 200
    acme.consumer.misbehave("stall", times=1)
    parent = os.getpid()
    forked: list[int] = []

    def handle(*_: object) -> None:
        child = os.fork()
        if child:
            forked.append(child)
        else:
            # During the parent's delivery the child has its own connections.
            assert not dispatcher.deliver(endpoint, b"child").reused

    def tell() -> None:
        assert acme.consumer.wait(2, within=DEADLINE)
        os.kill(parent, signal.SIGUSR1)

    def outcome() -> str:
        delivery = wm.Delivery(endpoint, b"held", timeout=3)
        try:
            if how == "deliver":
                dispatcher.deliver(endpoint, b"held", timeout=3)
            for done in dispatcher.deliver_many([delivery]) if how == "deliver_many" else []:
                if done.error is not None:
                    raise done.error
        except wm.WebhookMtlsError as error:
            return error.kind
        return "delivered"

    former = signal.signal(signal.SIGUSR1, handle)
    teller = threading.Thread(target=tell)
    teller.start()
    try:
        kind = outcome()
    except BaseException:
        kind = traceback.format_exc()
    if os.getpid() != parent:
        # The child reports with its exit code, because pytest belongs to the parent.
        os._exit(0 if kind == "forked_process" else 1)
    signal.signal(signal.SIGUSR1, former)
    teller.join(DEADLINE)
    (child,) = forked
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kind == "deadline_exceeded"
    assert [received.body for received in acme.consumer.received] == [b"before", b"held", b"child"]
