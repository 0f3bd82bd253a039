"""Replaces an identity during deliveries by one that nginx refuses.

nginx's page comes before the payload: nothing is lost, and every payload arrives once by nginx's
own log. By the forwarded bytes, a connection that nginx answered with the page carried no payload.
"""

import json
import os
import socket
import subprocess
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from pki import Pki
from server import Server

SECONDS = 120


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


def fault(program: str, server: Server, pki: Pki, log: Path) -> str | None:
    """Delivers while the identity is replaced; returns what was wrong, or None."""
    way = Way(server)
    told = rotated(program, way.url, pki)
    way.end()
    if told["failed"]:
        return f"{len(told['failed'])} failed, the first: {told['failed'][0]}"
    if sum(told["attempts"].values()) != told["deliveries"]:
        return f"{told['attempts']} are not all of {told['deliveries']}"
    taken: Counter[str] = Counter()
    pages = 0
    for line in log.read_text().splitlines():
        name, status, port = line.split(" ")
        if not name.startswith("rotated-"):
            continue
        if status == "200":
            taken[name] += 1
            continue
        pages += 1
        if status != "400" or way.carried[int(port)] >= told["body_bytes"]:
            return f"{way.carried[int(port)]} bytes came with a request answered {status}: {line}"
    if pages == 0:
        return "no delivery met the page"
    if len(taken) != told["deliveries"]:
        return f"{len(taken)} of {told['deliveries']} payloads came"
    twice = [name for name, count in taken.items() if count > 1]
    return f"payloads came twice: {twice}" if twice else None


def rotated(program: str, url: str, pki: Pki) -> dict[str, Any]:
    """Returns the statistics that the program printed."""
    environment = os.environ | {
        "WMTLS_URL": url,
        "WMTLS_PIN": pki.server_pin,
        "WMTLS_CA": str(pki.root),
        "WMTLS_CERT": str(pki.ours / "tls.crt"),
        "WMTLS_KEY": str(pki.ours / "tls.key"),
        "WMTLS_NEXT_CERT": str(pki.stranger / "tls.crt"),
        "WMTLS_NEXT_KEY": str(pki.stranger / "tls.key"),
    }
    done = subprocess.run(
        [program], check=False, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
