"""Events and states of certificates that expire or are not valid yet."""

import queue
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import webhook_mtls as wm
from barrier import eventually
from rotation_scene import Scene
from webhook_mtls.testing import Lab, set_clock


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


def test_the_first_listener_starts_the_events(lab: Lab) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    issued = lab.authority.issue(
        "us", not_before=now - timedelta(hours=99), not_after=now + timedelta(hours=1)
    )
    identity = wm.Identity.from_pem(issued.cert_pem, issued.key_pem)
    heard: queue.Queue[wm.Event] = queue.Queue()

    def listener(event: wm.Event) -> None:
        heard.put(event)

    # Without a delivery and without files.
    with lab.dispatcher(identity=identity, reload=0.02) as dispatcher:
        dispatcher.on_event(listener)
        event = heard.get(timeout=20)
        assert (event.name, event.fields["name"]) == ("expiry", "CN=us")
        assert event.fields["threshold"] == 0.05


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
    # Each reload tells what it waits for.
    assert scene.told() == ["rotation_waiting"]
    assert scene.told() == ["rotation_waiting"]
    scene.dispatcher.deliver(scene.endpoint, b"{}")
    assert scene.acme.received[-1].tenant == "dispatcher"
    clock(tomorrow + timedelta(seconds=2))
    assert "rotated" in scene.told()


def test_a_peer_equals_itself_at_another_time(lab: Lab) -> None:
    chain, _ = lab.identity_pem
    verifier = wm.Verifier(
        role="client", trust=lab.trust, authorization=wm.Authorization.ca_members()
    )
    first = verifier.verify(chain)

    def older() -> wm.PeerIdentity | None:
        peer = verifier.verify(chain)
        return peer if peer.lifetime_left < first.lifetime_left else None

    later = eventually("a second has passed", older)
    assert (later, hash(later)) == (first, hash(first))
