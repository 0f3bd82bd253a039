"""A Redis server of a test's own."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barrier import eventually, running


@contextmanager
def redis_server() -> Iterator[Path]:
    """Runs Redis until the end; yields its Unix socket."""
    program = shutil.which("redis-server")
    assert program, "redis-server is missing: cargo xtask install, or apt-get install redis-server"
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "redis.sock"
        command = [program, "--port", "0", "--unixsocket", str(place), "--save", "", "--dir"]
        with running([*command, directory], Path(directory) / "redis.log", {}) as server:
            wait_for(place, server)
            yield place


def wait_for(place: Path, server: subprocess.Popen[bytes]) -> None:
    """Returns when the server accepts a connection."""

    def accepts() -> bool:
        assert server.poll() is None, "Redis has ended"
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(place)) == 0

    eventually("Redis answers", accepts)
