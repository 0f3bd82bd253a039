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
from rotation_scene import OTHER_PIN, Scene
from webhook_mtls.testing import Authority, Lab

LONG = 20.0
THIRD_PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


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
            # Each reload says it.
            assert scene.told() == ["rotation_failed"]
            assert scene.told() == ["rotation_failed"]
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


def ready_to_run() -> float:
    """Returns how long this thread has run or has waited for a processor.

    A busy machine lengthens both, and neither means that a file blocks it.
    """
    run, waited, _ = Path("/proc/thread-self/schedstat").read_text().split()
    return (int(run) + int(waited)) / 1e9


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
            started, ready = time.monotonic(), ready_to_run()
            verifier.verify(chain)
            longest = max(longest, time.monotonic() - started - (ready_to_run() - ready))
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
