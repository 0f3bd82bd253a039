"""File rotation during deliveries, and its events."""

import asyncio
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Authority, Consumer, Lab, set_clock

LONG = 20.0
OTHER_PIN = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
THIRD_PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


class Scene:
    """A dispatcher and a verifier that watch the files of a directory."""

    def __init__(self, lab: Lab, files: Path) -> None:
        self.lab, self.files = lab, files
        self.acme: Consumer = lab.consumer("acme")
        self.lay(files)
        self.dispatcher = lab.dispatcher(identity=self.identity(), trust=self.trust(), reload=0)
        self.endpoint = self.dispatcher.endpoint(
            "acme", self.acme.url, pins=wm.Pins.from_file(files / "pins")
        )

    def lay(self, into: Path) -> None:
        cert, key = self.lab.identity_pem
        texts = {
            "tls.crt": cert,
            "tls.key": key,
            "ca.pem": self.lab.trust_pem,
            "crl.pem": self.lab.authority.crl(),
            "pins": self.acme.pin.encode(),
        }
        for name, text in texts.items():
            (into / name).write_bytes(text)
        (into / "tls.key").chmod(0o600)

    def identity(self) -> wm.Identity:
        return wm.Identity.from_files(self.files / "tls.crt", self.files / "tls.key")

    def trust(self) -> wm.Trust:
        return wm.Trust.from_files(self.files / "ca.pem", crls=self.files / "crl.pem")

    def next(self) -> dict[str, bytes]:
        """Returns the new content of each file."""
        issued = self.lab.authority.issue("second")
        return {
            "tls.crt": issued.cert_pem,
            "tls.key": issued.key_pem,
            "ca.pem": self.lab.trust_pem + Authority("stranger").root_pem,
            "crl.pem": self.lab.authority.crl(),
            "pins": f"{self.acme.pin}\nnext {OTHER_PIN}\n".encode(),
        }

    def replace(self, name: str, text: bytes) -> None:
        """Writes beside the file and renames it into place."""
        (self.files / "beside").write_bytes(text)
        (self.files / "beside").chmod(0o600)
        (self.files / "beside").replace(self.files / name)

    def told(self) -> list[str]:
        return [event.name for event in self.dispatcher.reload()]

    def rotated(self) -> list[str]:
        events = self.dispatcher.reload()
        assert {event.name for event in events} <= {"rotated"}, events
        return sorted(event.fields["what"] for event in events)


@pytest.fixture
def scene(lab: Lab, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(lab, tmp_path)
    with scene.dispatcher:
        yield scene


@contextmanager
def deliveries(scene: Scene) -> Iterator[None]:
    """Delivers all the time. Every outcome must be a receipt."""
    stop = threading.Event()

    def forever() -> int:
        delivered = 0
        while not stop.is_set():
            delivered += scene.dispatcher.deliver(scene.endpoint, b"{}").status == 200
        return delivered

    with ThreadPoolExecutor(4) as workers:
        running = [workers.submit(forever) for _ in range(4)]
        try:
            yield
        finally:
            stop.set()
        assert all(worker.result() > 0 for worker in running)


def test_renamed_in_either_order(scene: Scene) -> None:
    with deliveries(scene):
        for order in (["tls.crt", "tls.key"], ["tls.key", "tls.crt"]):
            texts = scene.next()
            scene.replace(order[0], texts[order[0]])
            assert scene.told() == ["rotation_failed"]
            scene.replace(order[1], texts[order[1]])
            assert scene.rotated() == ["identity"]
        for name, what in (("ca.pem", "trust"), ("pins", "pins")):
            scene.replace(name, scene.next()[name])
            assert scene.rotated() == [what]
    assert scene.dispatcher.deliver(scene.endpoint, b"{}").status == 200
    assert scene.acme.received[-1].tenant == "second"


def test_swapped_as_kubernetes_does(lab: Lab, tmp_path: Path) -> None:
    first, second = tmp_path / "..first", tmp_path / "..second"
    first.mkdir()
    (tmp_path / "..data").symlink_to("..first")
    for name in ("tls.crt", "tls.key", "ca.pem", "crl.pem", "pins"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    scene = Scene(lab, tmp_path)
    with scene.dispatcher, deliveries(scene):
        second.mkdir()
        for name, text in scene.next().items():
            (second / name).write_bytes(text)
        (second / "tls.key").chmod(0o600)
        (tmp_path / "..data_tmp").symlink_to("..second")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        assert scene.rotated() == ["identity", "pins", "trust"]


@pytest.mark.parametrize("name", ["tls.crt", "ca.pem", "pins"])
def test_incomplete_content_is_not_used(scene: Scene, name: str) -> None:
    path, texts = scene.files / name, scene.next()
    with deliveries(scene):
        if name == "tls.crt":
            (scene.files / "tls.key").write_bytes(texts["tls.key"])
        for broken in (b"", texts[name][: len(texts[name]) // 2 + 5]):
            path.write_bytes(broken)
            assert scene.told() == ["rotation_failed"]
            assert scene.told() == []
        path.unlink()
        assert scene.told() == ["rotation_failed"]
        path.mkdir()
        assert scene.told() == ["rotation_failed"]
        path.rmdir()
        path.write_bytes(texts[name])
        assert len(scene.rotated()) == 1


def test_time_stamps_are_ignored(scene: Scene) -> None:
    path = scene.files / "pins"
    with deliveries(scene):
        path.write_text(f"{scene.acme.pin}\nnext {OTHER_PIN}")
        assert scene.rotated() == ["pins"]
        before = path.stat()
        path.write_text(f"{scene.acme.pin}\nnext {THIRD_PIN}")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (
            before.st_size,
            before.st_mtime_ns,
        )
        assert scene.rotated() == ["pins"]
        path.write_text(f"{scene.acme.pin}\nnext {OTHER_PIN}")
        os.utime(path, (1e9, 1e9))
        assert scene.rotated() == ["pins"]
        os.utime(path)
        assert scene.told() == []


def test_files_are_polled_and_listeners_get_events(scene: Scene) -> None:
    heard: queue.Queue[wm.Event] = queue.Queue()

    def listener(event: wm.Event) -> None:
        heard.put(event)

    with scene.lab.dispatcher(
        identity=scene.identity(), trust=scene.trust(), reload=0.02
    ) as dispatcher:
        dispatcher.on_event(listener)
        endpoint = dispatcher.endpoint("acme", scene.acme.url, pins=None)
        dispatcher.deliver(endpoint, b"{}")
        for name, text in scene.next().items():
            scene.replace(name, text)
        events = [heard.get(timeout=LONG) for _ in range(2)]
        assert sorted(event.fields["what"] for event in events) == ["identity", "trust"]
        assert events[0].to_dict()["fields"]["files"][0].startswith(str(scene.files))
        (scene.files / "tls.key").chmod(0o644)
        event = heard.get(timeout=LONG)
        assert (event.name, event.fields["mode"]) == ("key_readable", "0644")


def test_a_listener_that_raises_gets_the_next_event(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: queue.Queue[str] = queue.Queue()
    raised: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(sys, "unraisablehook", lambda shown: raised.put(str(shown.exc_value)))

    def listener(event: wm.Event) -> None:
        heard.put(event.name)
        raise RuntimeError("asked for by a test")

    scene.dispatcher.on_event(listener)
    for name in ("ca.pem", "pins"):
        scene.replace(name, scene.next()[name])
        scene.dispatcher.reload()
        assert heard.get(timeout=LONG) == "rotated"
        assert raised.get(timeout=LONG) == "asked for by a test"
    assert scene.dispatcher.deliver(scene.endpoint, b"{}").status == 200


def test_a_listener_must_be_callable(scene: Scene) -> None:
    with pytest.raises(wm.ConfigError, match="callback"):
        scene.dispatcher.on_event("no")  # type: ignore[arg-type]


def test_asyncio_reloads(scene: Scene) -> None:
    scene.replace("pins", scene.next()["pins"])
    events = asyncio.run(scene.dispatcher.as_async().reload())
    assert [event.name for event in events] == ["rotated"]


def old_ca(scene: Scene) -> None:
    scene.replace("ca.pem", Authority("next").root_pem)


def old_pin(scene: Scene) -> None:
    scene.replace("pins", OTHER_PIN.encode())


def revoked(scene: Scene) -> None:
    scene.replace("crl.pem", scene.lab.authority.crl([scene.acme.issued]))


@pytest.mark.parametrize(
    ("change", "kind"),
    [(old_ca, "issuer_unknown"), (old_pin, "pin_mismatch"), (revoked, "certificate_revoked")],
)
def test_removed_trust_is_refused_on_pooled_connections_too(
    scene: Scene, change: Callable[[Scene], None], kind: str
) -> None:
    scene.dispatcher.deliver(scene.endpoint, b"{}")
    assert scene.dispatcher.deliver(scene.endpoint, b"{}").reused
    change(scene)
    assert len(scene.rotated()) == 1
    with pytest.raises(wm.DeliveryError) as refused:
        scene.dispatcher.deliver(scene.endpoint, b"{}")
    assert (refused.value.kind, refused.value.sent) == (kind, "nothing")
    assert len(scene.acme.received) == 2


def test_a_verifier_rotates_completely_or_not_at_all(scene: Scene) -> None:
    verifier = wm.Verifier(
        role="client",
        trust=scene.trust(),
        pins=wm.Pins.from_file(scene.files / "pins"),
        authorization=wm.Authorization.ca_members(),
        reload=0,
    )
    issued, strange = scene.lab.authority.issue("acme"), Authority("strange")
    stranger = strange.issue("acme")

    def kind(chain: bytes) -> str:
        try:
            verifier.verify(chain)
        except wm.PeerRefused as refused:
            return refused.kind
        return "verified"

    (scene.files / "pins").write_text(f"{issued.pin}\n{stranger.pin}")
    assert [event.name for event in verifier.reload()] == ["rotated"]
    assert (kind(issued.cert_pem), kind(stranger.cert_pem)) == ("verified", "issuer_unknown")
    for broken in (b"", scene.lab.trust_pem[:300]):
        (scene.files / "ca.pem").write_bytes(broken)
        assert [event.name for event in verifier.reload()] == ["rotation_failed"]
        assert kind(issued.cert_pem) == "verified"
    (scene.files / "ca.pem").write_bytes(strange.root_pem)
    (scene.files / "crl.pem").write_bytes(strange.crl())
    assert [event.name for event in verifier.reload()] == ["rotated"]
    assert (kind(issued.cert_pem), kind(stranger.cert_pem)) == ("issuer_unknown", "verified")
    (scene.files / "crl.pem").write_bytes(strange.crl([stranger]))
    verifier.reload()
    assert kind(stranger.cert_pem) == "certificate_revoked"
    assert {expiry.what for expiry in verifier.expiries()} == {"anchor", "crl"}


def test_a_verifier_polls_its_files(scene: Scene) -> None:
    verifier = wm.Verifier(
        role="client",
        trust=scene.trust(),
        authorization=wm.Authorization.ca_members(),
        reload=0.001,
    )
    heard: queue.Queue[str] = queue.Queue()
    verifier.on_event(lambda event: heard.put(event.name))
    chain = scene.lab.authority.issue("acme").cert_pem
    verifier.verify(chain)
    scene.replace("ca.pem", Authority("next").root_pem)

    def until_refused() -> None:
        while True:
            verifier.verify(chain)

    with pytest.raises(wm.PeerRefused, match="issuer_unknown"):
        until_refused()
    assert heard.get(timeout=LONG) == "rotated"


LEASE = """
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], "r+b")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("taken", flush=True)
sys.stdin.read()
"""


@contextmanager
def leased(path: Path) -> Iterator[None]:
    """Another process holds a write lease on the file, and keeps it when asked to release it."""
    command = [sys.executable, "-c", LEASE, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        try:
            yield
        finally:
            holder.communicate()


@pytest.mark.slow
def test_a_leased_file_blocks_no_verifier(scene: Scene) -> None:
    verifier = wm.Verifier(
        role="client",
        trust=scene.trust(),
        authorization=wm.Authorization.ca_members(),
        reload=0.05,
    )
    chain = scene.lab.authority.issue("acme").cert_pem
    stop = threading.Event()

    def longest() -> float:
        longest = 0.0
        while not stop.is_set():
            started = time.monotonic()
            verifier.verify(chain)
            longest = max(longest, time.monotonic() - started)
        return longest

    with ThreadPoolExecutor(3) as workers:
        running = [workers.submit(longest) for _ in range(3)]
        try:
            with leased(scene.files / "ca.pem"):
                (failed,) = verifier.reload()
                with pytest.raises(wm.ConfigError, match="holds a lease"):
                    scene.trust()
        finally:
            stop.set()
        # Shorter than a lease (45 s), and long enough for a busy machine.
        assert max(worker.result() for worker in running) < 1
    assert failed.name == "rotation_failed"
    assert "ca.pem" in failed.fields["message"]
    os.mkfifo(scene.files / "fifo")
    (scene.files / "fifo").replace(scene.files / "ca.pem")
    assert [event.name for event in verifier.reload()] == ["rotation_failed"]
    verifier.verify(chain)
    scene.replace("ca.pem", Authority("next").root_pem)
    assert [event.name for event in verifier.reload()] == ["rotated"]
    with pytest.raises(wm.PeerRefused, match="issuer_unknown"):
        verifier.verify(chain)


@pytest.fixture
def clock() -> Iterator[Callable[[datetime | None], None]]:
    yield set_clock
    set_clock(None)


@pytest.mark.parametrize("life", [timedelta(days=1), timedelta(days=3650)], ids=["day", "decade"])
def test_each_threshold_has_one_event(
    lab: Lab, tmp_path: Path, clock: Callable[[datetime | None], None], life: timedelta
) -> None:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)

    def issue() -> None:
        issued = lab.authority.issue("us", not_before=start, not_after=start + life)
        (tmp_path / "tls.crt").write_bytes(issued.cert_pem)
        (tmp_path / "tls.key").write_bytes(issued.key_pem)
        (tmp_path / "tls.key").chmod(0o600)

    issue()
    identity = wm.Identity.from_files(tmp_path / "tls.crt", tmp_path / "tls.key")
    with lab.dispatcher(identity=identity, reload=0) as dispatcher:

        def told(fraction_left: float) -> list[tuple[str, object]]:
            clock(start + life * (1 - fraction_left))
            return [
                (event.name, event.fields.get("threshold"))
                for event in dispatcher.reload()
                if event.fields.get("name") == "CN=us"
            ]

        assert told(0.201) == []
        assert told(0.199) == [("expiry", 0.2), ("file_stale", None)]
        assert told(0.101) == []
        assert told(0.099) == [("expiry", 0.1), ("file_stale", None)]
        assert told(0.051) == []
        assert told(0.049) == [("expiry", 0.05), ("file_stale", None)]
        assert told(-0.001) == [("expiry", 0.0), ("file_stale", None)]
        assert told(-0.002) == []
        clock(start + life * 0.75)
        own = [expiry for expiry in dispatcher.expiries() if expiry.name == "CN=us"]
        assert [expiry.what for expiry in own] == ["identity"]
        assert own[0].not_after == start + life
        assert own[0].fraction_left == pytest.approx(0.25, abs=1e-3)
        # A file that changed while it was watched is not stale.
        clock(None)
        issue()
        assert [event.name for event in dispatcher.reload()] == ["rotated"]
        assert told(0.199) == [("expiry", 0.2)]


def test_an_implausible_clock_has_no_expiry_events(
    scene: Scene, clock: Callable[[datetime | None], None]
) -> None:
    clock(datetime(1970, 1, 1, 0, 10, tzinfo=UTC))
    assert scene.told() == ["clock_implausible"]
    assert scene.told() == []
    with pytest.raises(wm.ConfigError, match="clock_implausible"):
        scene.dispatcher.expiries()
    clock(None)
    assert scene.told() == []
    assert {expiry.what for expiry in scene.dispatcher.expiries()} == {
        "identity",
        "anchor",
        "crl",
    }
    scene.dispatcher.deliver(scene.endpoint, b"{}")
    consumer = [expiry for expiry in scene.dispatcher.expiries() if expiry.what == "consumer"]
    assert [expiry.name for expiry in consumer] == ["acme"]


def test_a_certificate_of_tomorrow_waits(
    scene: Scene, clock: Callable[[datetime | None], None]
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(hours=20)
    issued = scene.lab.authority.issue("second", not_before=tomorrow)
    (scene.files / "tls.crt").write_bytes(issued.cert_pem)
    (scene.files / "tls.key").write_bytes(issued.key_pem)
    assert scene.told() == ["rotation_waiting"]
    assert scene.told() == []
    scene.dispatcher.deliver(scene.endpoint, b"{}")
    assert scene.acme.received[-1].tenant == "dispatcher"
    clock(tomorrow + timedelta(seconds=2))
    assert "rotated" in scene.told()


def test_a_consumer_without_the_new_ca_gets_the_previous_identity(scene: Scene) -> None:
    heard: queue.Queue[wm.Event] = queue.Queue()
    scene.dispatcher.on_event(heard.put)
    previous = scene.identity()
    assert scene.dispatcher.rotation_status()["consumers"]["acme"]["state"] == "unknown"
    scene.dispatcher.deliver(scene.endpoint, b"{}")
    status = scene.dispatcher.rotation_status()
    assert (status["process"], status["consumers"]["acme"]["state"]) == (os.getpid(), "current")
    assert scene.endpoint.status().identity_accepted == status["consumers"]["acme"]["wanted"]
    assert status["consumers"]["acme"]["pin_slot"] == "current"
    with pytest.raises(wm.ConfigError, match="identity_in_use"):
        scene.dispatcher.retire(previous, force=True)

    following = Authority("next")
    issued = following.issue("second")
    scene.replace("tls.crt", issued.cert_pem)
    scene.replace("tls.key", issued.key_pem)
    assert scene.rotated() == ["identity"]
    receipt = scene.dispatcher.deliver(scene.endpoint, b"late", id="evt_1")
    assert (receipt.status, receipt.attempts) == (200, 2)
    names = [heard.get(timeout=LONG), heard.get(timeout=LONG)]
    assert [event.name for event in names] == ["rotated", "rotated_but_undistributed"]
    assert names[1].consumer == "acme"
    assert [received.body for received in scene.acme.received] == [b"{}", b"late"]
    with pytest.raises(wm.ConfigError) as refused:
        scene.dispatcher.retire(previous)
    assert (refused.value.kind, refused.value.context["consumers"]) == (
        "identity_in_use",
        ["acme"],
    )

    scene.acme.accept(following)
    assert scene.dispatcher.retire(previous, force=True) == ["acme"]
    scene.dispatcher.deliver(scene.endpoint, b"{}")
    assert scene.acme.received[-1].tenant == "second"
    assert scene.dispatcher.rotation_status()["consumers"]["acme"]["state"] == "current"


def test_a_consumer_with_a_new_key_at_each_renewal_is_reported(scene: Scene) -> None:
    heard: queue.Queue[str] = queue.Queue()
    scene.dispatcher.on_event(lambda event: heard.put(event.name))
    endpoint = scene.dispatcher.endpoint("rekeys", scene.acme.url, pins=None)
    for minutes in range(4):
        start = datetime.now(UTC) - timedelta(minutes=30 - minutes)
        leaf = scene.lab.authority.issue("acme", role="server", not_before=start)
        scene.acme.show(leaf)
        scene.dispatcher.deliver(endpoint, b"{}")
    assert heard.get(timeout=LONG) == "consumer_rekeys"
    assert heard.empty()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forks with threads on purpose
def test_parent_and_child_rotate_the_same_files_independently(lab: Lab, tmp_path: Path) -> None:
    scene = Scene(lab, tmp_path)
    # Created before the fork, and used in neither process until then.
    dispatcher = lab.dispatcher(identity=scene.identity(), trust=scene.trust(), reload=0.02)
    endpoint = dispatcher.endpoint("acme", scene.acme.url, pins=None)
    heard: queue.Queue[wm.Event] = queue.Queue()
    dispatcher.on_event(heard.put)
    ready, changed = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            dispatcher.deliver(endpoint, b"child before")
            os.write(ready[1], b".")
            os.read(changed[0], 1)
            assert heard.get(timeout=LONG).name == "rotated"
            dispatcher.deliver(endpoint, b"child after")
            code = 0
        finally:
            os._exit(code)
    dispatcher.deliver(endpoint, b"parent before")
    os.read(ready[0], 1)
    texts = scene.next()
    scene.replace("tls.key", texts["tls.key"])
    scene.replace("tls.crt", texts["tls.crt"])
    os.write(changed[1], b".")
    assert heard.get(timeout=LONG).name == "rotated"
    dispatcher.deliver(endpoint, b"parent after")
    watch = threading.Timer(LONG, os.kill, (child, 9))
    watch.start()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    watch.cancel()
    seen = {received.body: received.tenant for received in scene.acme.received}
    assert seen == {
        b"parent before": "dispatcher",
        b"child before": "dispatcher",
        b"parent after": "second",
        b"child after": "second",
    }
    for end in (*ready, *changed):
        os.close(end)
    dispatcher.close()
    scene.dispatcher.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_long_after_the_last_read_reads_first(lab: Lab, tmp_path: Path) -> None:
    scene = Scene(lab, tmp_path)
    dispatcher = lab.dispatcher(identity=scene.identity(), trust=scene.trust(), reload=0.001)
    endpoint = dispatcher.endpoint("acme", scene.acme.url, pins=None)
    texts = scene.next()
    scene.replace("tls.key", texts["tls.key"])
    scene.replace("tls.crt", texts["tls.crt"])
    read = time.monotonic()
    while time.monotonic() < read + 1.1:  # more than two intervals plus a second count as long
        scene.dispatcher.reload()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            dispatcher.deliver(endpoint, b"{}")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [received.tenant for received in scene.acme.received] == ["second"]
    dispatcher.close()
    scene.dispatcher.close()


AT_EXIT = """
import sys, threading
from pathlib import Path
import webhook_mtls as wm
from webhook_mtls.testing import Authority, Lab
lab = Lab()
files = Path(sys.argv[1])
lab.write_files(files)
acme = lab.consumer("acme")
dispatcher = lab.dispatcher(trust=wm.Trust.from_files(files / "ca.pem"), reload=0.01)
heard = threading.Event()
def listener(event):
    heard.set()
    for _ in range(100_000):
        pass
dispatcher.on_event(listener)
dispatcher.deliver(dispatcher.endpoint("acme", acme.url, pins=None), b"{}")
for number in range(5):
    (files / "ca.pem").write_bytes(lab.trust_pem + Authority("other").root_pem)
    dispatcher.reload()
assert heard.wait(20)
print("leaving")
"""


def test_exiting_while_events_arrive_is_not_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", AT_EXIT, str(tmp_path)]
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr
