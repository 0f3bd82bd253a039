"""A server in a separate process: waits until it is ready, and always ends it."""

import os
import random
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 10


# The servers' clocks run this much ahead in the cases in which our certificate has expired.
AHEAD = "+3d"

# The path of Debian's libfaketime.
CLOCK = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketimeMT.so.1"


@dataclass(frozen=True)
class Setting:
    """The setup of a server.

    `asks`: `require`, `optional`, `never`, or `location`: not in the handshake, but for the
    request's path. With `late`, the server's clock is three days ahead, beyond the lifetime of our
    certificate; our own clock is not changed. With `older`, it supports only TLS 1.2.
    """

    asks: str
    late: bool = False
    older: bool = False

    @property
    def name(self) -> str:
        """The name of the setting's directory."""
        return f"{self.asks}{'-late' if self.late else ''}{'-older' if self.older else ''}"

    @property
    def environment(self) -> dict[str, str]:
        """Returns additional environment variables of the server's process."""
        if not self.late:
            return dict(os.environ)
        if not CLOCK.exists():
            raise RuntimeError(f"{CLOCK} is missing: install faketime")
        return os.environ | {
            "LD_PRELOAD": str(CLOCK),
            "FAKETIME": AHEAD,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # nginx clears its environment, which libfaketime reads again after ten seconds.
            "FAKETIME_CACHE_DURATION": "86400",
        }


class Server:
    """A running server of one kind on a loopback port.

    `log` is the file with its diagnostics, shown when a case fails.
    """

    start_seconds = START_SECONDS

    def __init__(self, kind: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.kind = kind
        self.port = port
        self.process = process
        self.log = log

    @property
    def url(self) -> str:
        """The URL for deliveries."""
        return f"https://127.0.0.1:{self.port}/in"

    def wait_until_it_accepts(self) -> None:
        """Returns when a TCP connection succeeds."""
        deadline = time.monotonic() + self.start_seconds
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.kind} ended at once{self.said()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.kind} did not listen{self.said()}") from None
                time.sleep(0.02)

    def said(self) -> str:
        """Returns the end of its log, as lines to append to a message."""
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        return "".join(f"\n  {self.kind}: {line}" for line in lines)

    def stop(self) -> None:
        """Stops the server and waits for its end."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def access_log(work: Path) -> Path:
    """Returns the log of answered requests: a line with id, status, and the client's port."""
    return work / "access.log"


# The ports that this process has got. Two servers must not get the same one before they listen.
_given: set[int] = set()


def free_port() -> int:
    """Returns a free port, for servers that cannot choose one themselves.

    It is below the ports that the kernel chooses for other sockets, so that no other process gets
    it before the server listens, or while the server is down.
    """
    while True:
        port = random.randrange(15_000, 30_000)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def announced_port(process: subprocess.Popen[bytes]) -> int:
    """Returns the server's port from its first output line; 0 if the server ended."""
    assert process.stdout is not None
    return int(process.stdout.readline() or b"0")
