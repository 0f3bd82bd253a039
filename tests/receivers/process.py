"""A process of the suite: waits until it accepts connections, and always ends it."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 10


class Running:
    """A server on a loopback port, with all the processes that it starts."""

    def __init__(self, kind: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.kind = kind
        self.port = port
        self.process = process
        self.log = log

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
                    raise RuntimeError(f"{self.kind} did not listen{self.said()}") from None
                time.sleep(0.02)

    def said(self) -> str:
        """Returns the end of its log, as lines to append to a message."""
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return "".join(f"\n  {self.kind}: {line}" for line in lines)

    def stop(self) -> None:
        """Stops the process group and waits for its end."""
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _signal(self, number: int) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)


def free_port() -> int:
    """Returns a free port, for servers that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def application(kind: str, command: list[str], work: Path) -> Running:
    """Starts an application, which prints its port."""
    work.mkdir(parents=True, exist_ok=True)
    log = work / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    assert process.stdout is not None
    port = int(process.stdout.readline() or b"0")
    running = Running(kind, port, process, log)
    if port == 0:
        running.stop()
        raise RuntimeError(f"{kind} has no port{running.said()}")
    return running
