"""A server in a process of its own: started, waited for by its state, and always ended."""

import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 10


# The servers' clocks run this much ahead where our certificate is to have expired for them.
AHEAD = "+3d"

# Where Debian has the library that shows a program another time.
CLOCK = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketimeMT.so.1"


@dataclass(frozen=True)
class Setting:
    """How a server is to be set up.

    `asks`: `require`, `optional`, `never`, or `location`: not in the handshake, but for the path
    that is delivered to. With `late` its clock is three days ahead, beyond what our certificate
    lives, which our own clock knows nothing of. With `older` it speaks TLS 1.2 and nothing newer.
    """

    asks: str
    late: bool = False
    older: bool = False

    @property
    def name(self) -> str:
        """A word for a directory."""
        return f"{self.asks}{'-late' if self.late else ''}{'-older' if self.older else ''}"

    @property
    def environment(self) -> dict[str, str]:
        """Of the server's process."""
        if not self.late:
            return dict(os.environ)
        if not CLOCK.exists():
            raise RuntimeError(f"{CLOCK} is missing: install faketime")
        shown = {"LD_PRELOAD": str(CLOCK), "FAKETIME": AHEAD, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return os.environ | shown


class Server:
    """A running server of one kind on a loopback port.

    `log` is the file that its diagnostics go to, shown when a case fails.
    """

    def __init__(self, kind: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.kind = kind
        self.port = port
        self.process = process
        self.log = log

    @property
    def url(self) -> str:
        """Where to deliver to."""
        return f"https://127.0.0.1:{self.port}/in"

    def wait_until_it_accepts(self) -> None:
        """Returns when a TCP connection succeeds."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.kind} ended at once{self.said()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.kind} never listened{self.said()}") from None
                time.sleep(0.02)

    def said(self) -> str:
        """The end of its log, as lines to append to a message."""
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        return "".join(f"\n  {self.kind}: {line}" for line in lines)

    def stop(self) -> None:
        """Ends it and waits for that."""
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


def free_port() -> int:
    """A port that nobody listens on, for servers that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def announced_port(process: subprocess.Popen[bytes]) -> int:
    """The port that a server chose, from the first line it prints; 0 when it ended instead."""
    assert process.stdout is not None
    return int(process.stdout.readline() or b"0")
