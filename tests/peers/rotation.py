"""Replaces an identity during deliveries by one that the server refuses.

The refusal comes before the payload: nothing is lost, and every payload arrives once by the
server's own log. By the forwarded bytes, a connection whose certificate was refused carried no
payload.
"""

import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from pki import Pki
from server import Server

SECONDS = 120
LOG_SECONDS = 10


class Way:
    """A forwarder that counts the bytes of each connection, by its port at the server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/in"
        self.carried: Counter[int] = Counter()
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        """Forwards each connection on two threads, until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                target = socket.create_connection(("127.0.0.1", self.server.port))
                port = target.getsockname()[1]
                for ends in ((client, target, port), (target, client, None)):
                    thread = threading.Thread(target=self.carry, args=ends, daemon=True)
                    self.threads.append(thread)
                    thread.start()

    def carry(self, source: socket.socket, target: socket.socket, port: int | None) -> None:
        """Forwards one direction, and counts its bytes under this port."""
        with suppress(OSError):
            while piece := source.recv(65536):
                if port is not None:
                    self.carried[port] += len(piece)
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """Returns after all received data has been forwarded."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(SECONDS)


# How each kind of server refuses a certificate of an unknown CA, as the event says it.
VIA = {
    "nginx": "http",
    "haproxy": "alert",
    "python": "alert",
    "go": "alert",
    "node": "close",
    "node-22": "close",
    "node-24": "close",
}


def fault(program: str, server: Server, pki: Pki, log: Path, next_identity: Path) -> str | None:
    """Delivers while the identity is replaced; returns what was wrong, or None."""
    way = Way(server)
    seen_before = len(log.read_text().splitlines()) if log.exists() else 0
    told = rotated(program, way.url, pki, next_identity)
    way.end()
    if told["failed"]:
        return f"{len(told['failed'])} failed, the first: {told['failed'][0]}"
    if sum(told["attempts"].values()) != told["deliveries"]:
        return f"{told['attempts']} are not all of {told['deliveries']}"
    if not told["attempts"].get("2"):
        return "no delivery met the refusal"
    if told["undistributed"] != [VIA[server.kind]]:
        return f"the events rotated_but_undistributed were {told['undistributed']}"
    taken, answered = answers(log, seen_before, told["deliveries"])
    for port, carried in way.carried.items():
        if port not in answered and carried >= told["body_bytes"]:
            return f"{carried} bytes came on a connection without an answer 200, port {port}"
    if len(taken) != told["deliveries"]:
        return f"{len(taken)} of {told['deliveries']} payloads came"
    twice = [name for name, count in taken.items() if count > 1]
    return f"payloads came twice: {twice}" if twice else None


def answers(log: Path, after: int, expected: int) -> tuple[Counter[str], set[int]]:
    """Returns how often each request was answered with 200, and the ports that it came from.

    A server may write a line after its answer, so this waits for the expected number of names.
    """
    deadline = time.monotonic() + LOG_SECONDS
    while True:
        taken: Counter[str] = Counter()
        answered = set()
        # The last line may be incomplete.
        whole = [line for line in log.read_text().splitlines(keepends=True) if line[-1] == "\n"]
        for line in whole[after:]:
            if line[:8] == "rotated-":
                name, status, port = line.split()
                if status == "200":
                    taken[name] += 1
                    answered.add(int(port))
        if len(taken) >= expected or time.monotonic() > deadline:
            return taken, answered
        time.sleep(0.02)


def rotated(program: str, url: str, pki: Pki, next_identity: Path) -> dict[str, Any]:
    """Returns the statistics that the program printed."""
    environment = os.environ | {
        "WMTLS_URL": url,
        "WMTLS_PIN": pki.server_pin,
        "WMTLS_CA": str(pki.root),
        "WMTLS_CERT": str(pki.ours / "tls.crt"),
        "WMTLS_KEY": str(pki.ours / "tls.key"),
        "WMTLS_NEXT_CERT": str(next_identity / "tls.crt"),
        "WMTLS_NEXT_KEY": str(next_identity / "tls.key"),
    }
    done = subprocess.run(
        [program], check=False, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
