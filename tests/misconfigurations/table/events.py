"""Rotations that go wrong: what the events say, while deliveries go on with the former material."""

import queue
import shutil
from collections.abc import Callable
from pathlib import Path

from lab import BODY, Case, Lab, egress, port_of
from said import Said

import webhook_mtls as wm

SECONDS = 5


def mounted(lab: Lab, name: str, shown: str) -> tuple[Path, Path]:
    """Copies an identity to a folder of its own, as a secret is mounted."""
    folder = lab.work / "mounted" / name
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "tls.crt", folder / "tls.key"
    place(lab, folder, shown)
    return cert, key


def place(lab: Lab, folder: Path, shown: str) -> None:
    """Replaces the files of an identity."""
    made = lab.certificates.identity(shown)
    shutil.copy(made.chain, folder / "tls.crt")
    shutil.copy(made.key, folder / "tls.key")


def undistributed(server: str) -> Callable[[Lab], object]:
    """Rotates to a certificate of a new CA, which this consumer was not given."""

    def rotate(lab: Lab) -> object:
        cert, key = mounted(lab, server, "ours")
        events: queue.Queue[wm.Event] = queue.Queue()
        options = {"identity": wm.Identity.from_files(cert, key), "trust": lab.trust()}
        with wm.Dispatcher(**options, egress=egress(), reload=0) as dispatcher:
            dispatcher.on_event(events.put)
            url = f"https://hooks.acme.test:{port_of(server, lab)}/in"
            acme = dispatcher.endpoint("acme", url, pins=None)
            dispatcher.deliver(acme, BODY)
            place(lab, cert.parent, "of the new root")
            dispatcher.reload()
            try:
                dispatcher.deliver(acme, BODY)
            except wm.WebhookMtlsError as error:
                # nginx refuses after it has read the payload, which is never sent twice.
                if error.sent == "nothing":
                    raise
                dispatcher.deliver(acme, BODY)
            return named("rotated_but_undistributed", events)

    return rotate


def named(name: str, events: queue.Queue[wm.Event]) -> object:
    """Returns the event of this name; the last other one if it does not come."""
    event: object = "no event"
    try:
        while True:
            event = events.get(timeout=SECONDS)
            if isinstance(event, wm.Event) and event.name == name:
                return event
    except queue.Empty:
        return event


def reloaded(name: str, shown: str, change: Callable[[Path], None]) -> Callable[[Lab], object]:
    """Changes the files of an identity, and returns what `reload` says of them."""

    def reload(lab: Lab) -> object:
        cert, key = mounted(lab, name, shown)
        options = {"identity": wm.Identity.from_files(cert, key), "trust": lab.trust()}
        with wm.Dispatcher(**options, egress=egress(), reload=0) as dispatcher:
            events: queue.Queue[wm.Event] = queue.Queue()
            dispatcher.on_event(events.put)
            dispatcher.endpoint("acme", "https://hooks.acme.test/in", pins=None)
            dispatcher.reload()
            change(cert.parent)
            for event in dispatcher.reload():
                events.put(event)
            return named(name, events)

    return reload


def cut(folder: Path) -> None:
    """Leaves half a certificate."""
    cert = folder / "tls.crt"
    cert.write_bytes(cert.read_bytes()[:300])


def remove(folder: Path) -> None:
    """Unmounts the certificate."""
    (folder / "tls.crt").unlink()


def open_key(folder: Path) -> None:
    """Lets every user read the key."""
    (folder / "tls.key").chmod(0o644)


ROOTS = ("acme", "CN=Sender Root 2027|Sender Root 2027")

CASES = [
    Case(
        "rotated, nginx",
        "our new certificate is of a CA that nginx was not given",
        undistributed("nginx strict"),
        Said("rotated_but_undistributed").naming(*ROOTS).curing("remedy", "give"),
    ),
    Case(
        "rotated, HAProxy",
        "our new certificate is of a CA that HAProxy was not given",
        undistributed("haproxy strict"),
        Said("rotated_but_undistributed").naming(*ROOTS).curing("remedy", "give"),
    ),
    Case(
        "rotated, Node",
        "our new certificate is of a CA that Node was not given",
        undistributed("node strict"),
        Said("rotated_but_undistributed").naming(*ROOTS).curing("remedy", "give"),
    ),
    Case(
        "reloaded half",
        "the renewed certificate is half written",
        reloaded("rotation_failed", "ours", cut),
        Said("rotation_failed")
        .naming("tls.crt", "cut off|incomplete|ends within|still being written|truncated")
        .curing("remedy"),
    ),
    Case(
        "reloaded gone",
        "the file of the certificate is gone",
        reloaded("rotation_failed", "ours", remove),
        Said("rotation_failed")
        .naming("tls.crt", "exist|no such file")
        .curing("create|mount|exist")
        .without("complete PEM blocks"),
    ),
    Case(
        "stale",
        "our certificate ends soon, and its mount never changes",
        reloaded("file_stale", "nearly over", lambda _: None),
        Said("file_stale").naming("tls.crt", "CN=webhook-sender").curing("subPath"),
    ),
    Case(
        "key open",
        "every user of the machine can read our key",
        reloaded("key_readable", "ours", open_key),
        Said("key_readable").naming("tls.key", "644").curing("chmod|mode|restrict"),
    ),
]
