"""A process of the suite: waits until it accepts connections, and always ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

# The modules of both suites have different names.
sys.path.append(str(Path(__file__).parents[1] / "peers"))

from server import STOP_SECONDS, Server


class Running(Server):
    """A server on a loopback port, with all the processes that it starts."""

    start_seconds = 60

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
