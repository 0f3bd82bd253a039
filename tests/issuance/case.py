"""What every case does: a receiver, clients of four languages, and what must hold at the end."""

import unittest
from pathlib import Path

import tools
from receiver import Receiver


class Case(unittest.TestCase):
    """Each method that starts something also ends it."""

    receiver: Receiver

    def receive(self, cert: Path, key: Path, ca: Path) -> None:
        """Starts the receiver."""
        self.receiver = self.enterContext(Receiver(cert, key, ca))

    def clients(self, place: Path, **more: str) -> list[tools.Client]:
        """Starts the clients, and waits until each has delivered."""
        url = f"https://127.0.0.1:{self.receiver.server_address[1]}"
        started = [
            self.enterContext(tools.Client(language, url, place, self.receiver.ca, **more))
            for language in tools.CLIENTS
        ]
        self.seen_by_all([tools.serial(place / "tls.crt")])
        return started

    def seen_by_all(self, serials: list[str]) -> None:
        """Waits until each language has used each of these certificates."""
        for language in tools.CLIENTS:
            for serial in serials:
                self.receiver.wait_for(f"/{language}", serial, tools.LIMIT)

    def finish(self, clients: list[tools.Client], rotations: int) -> None:
        """Ends the clients: no delivery has failed, and each rotation had one event."""
        for client in clients:
            client.wait_for(lambda client=client: len(client.named("rotated")) >= rotations)
            client.finish()
            assert client.failed == [], (client.language, client.failed)
            assert client.delivered > 0, client.language
            assert len(client.named("rotated")) == rotations, (client.language, client.events)
            assert client.named("rotation_failed") == [], (client.language, client.events)
