"""What the tests of this directory share: the command, a lab, and a receiver."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

COMMAND = Path()
NODE = Path()
PAGES = Path()
WORK = Path()
ROOT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).resolve().parent / "files"

# A program that is started in the background ignores some signals, and its children do, too.
for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(ignored, signal.SIG_DFL)

# Generous: the tests wait for events, and this only ends a test that would hang.
LIMIT = 60


def environment(**more: str) -> dict[str, str]:
    """Returns an environment without what changes the output."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, **more}


def run(*arguments, cwd=None, stdin=None, env=None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env=environment() if env is None else env,
        timeout=LIMIT,
        check=False,
    )


def done(*arguments, **more) -> str:
    """Runs the command, and fails if it does."""
    result = run(*arguments, **more)
    assert result.returncode == 0, (arguments, result.stdout, result.stderr)
    return result.stdout.decode()


def openssl(*arguments, stdin=None, fails=False) -> str:
    result = subprocess.run(
        ["openssl", *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    text = (result.stdout + result.stderr).decode(errors="replace")
    assert (result.returncode != 0) == fails, (arguments, text)
    return text


def directory() -> Path:
    return Path(tempfile.mkdtemp(dir=WORK))


def lab() -> Path:
    """Makes a lab with a sender and a receiver for localhost."""
    place = directory() / "pki"
    done("lab", "init", place)
    done("lab", "issue", place, "sender", "--uri", "spiffe://lab.test/webhooks")
    done("lab", "issue", place, "receiver", "--server")
    return place


@contextlib.contextmanager
def connected(place: Path, port: int, name: str = "sender") -> Iterator[ssl.SSLSocket]:
    """Connects to a receiver with a certificate of the lab, for requests that no library writes."""
    context = ssl.create_default_context(cafile=place / "ca.pem")
    context.load_cert_chain(place / f"{name}.crt", place / f"{name}.key")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        yield client


class Receiver:
    """`listen` in a process of its own."""

    def __init__(self, place: Path, *more: str, address: str = "127.0.0.1:0"):
        arguments = ["listen", "--json", "--cert", "receiver.crt", "--key", "receiver.key"]
        arguments += ["--ca", "ca.pem", "--address", address, *more]
        self.process = subprocess.Popen(
            [str(COMMAND), *arguments], cwd=place, stdout=subprocess.PIPE, env=environment()
        )
        self.first = self.next()
        assert self.first["event"] == "listening", self.first
        self.port = int(self.first["address"].rsplit(":", 1)[1])

    def next(self) -> dict:
        """Waits for the next report."""
        line = self.process.stdout.readline()
        assert line, "the receiver has ended"
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()
