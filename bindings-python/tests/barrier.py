"""What tests share: a receiver that answers no request before all have arrived, runners of programs
and of forked children, and the wait for a state.
"""

import importlib.util
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from webhook_mtls.testing import Lab

# The deadline of a test, on a machine that does other work.
LONG = 120.0

# Programs that tests run.
RUNTIMES = Path(__file__).parent / "runtimes"


class Barrier:
    """A receiver that answers when `parties` requests have arrived, and never before.

    Deliveries that wait for each other never end there: that they overlap is a count, not a time.
    """

    def __init__(self, lab: Lab, parties: int) -> None:
        issued = lab.authority.issue("barrier", role="server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(issued.cert_pem + issued.key_pem)
            file.flush()
            context.load_cert_chain(file.name)
        context.load_verify_locations(cadata=lab.trust_pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        self._context = context
        self._barrier = threading.Barrier(parties)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.bodies: list[bytes] = []
        self._threads = [threading.Thread(target=self._serve) for _ in range(parties)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._barrier.abort()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(LONG)

    def _serve(self) -> None:
        try:
            plain, _ = self._listener.accept()
            plain.settimeout(LONG)
            with self._context.wrap_socket(plain, server_side=True) as secure:
                self.bodies.append(read_request(secure))
                self._barrier.wait(LONG)
                secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        except (OSError, threading.BrokenBarrierError):
            # The test sees that its delivery failed.
            return


def read_request(secure: ssl.SSLSocket) -> bytes:
    """Reads a request, and returns its body."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += more(secure)
    head, body = seen.split(b"\r\n\r\n", 1)
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    if b"expect: 100-continue" in lines:
        secure.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    while len(body) < length:
        body += more(secure)
    return body


def more(secure: ssl.SSLSocket) -> bytes:
    data = secure.recv(65536)
    if not data:
        raise ConnectionError("the client has closed the connection")
    return data


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    environment: dict[str, str],
    pass_fds: Sequence[int] = (),
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server as the leader of a process group, and ends the group. Shows its log if a test
    fails meanwhile.
    """
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | environment,
            pass_fds=pass_fds,
            user=user,
            start_new_session=True,
        )
    try:
        yield server
    except BaseException:
        print(log.read_text(errors="replace"))
        raise
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(server.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        server.wait()


def example(name: str) -> Any:
    """Returns a program of `examples/` as a module."""
    path = Path(__file__).parents[2] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def environment_of(directory: Path, **more: str) -> dict[str, str]:
    """Returns the variables of a program of `RUNTIMES`, whose files are in a directory."""
    own = {"WMTLS_DIRECTORY": str(directory), "PYTHONPATH": str(RUNTIMES)}
    return {**own, "PYTHONDONTWRITEBYTECODE": "1", **more}


def celery_worker(app: str, pool: str, concurrency: int) -> list[str]:
    """Returns the command of a worker with the tasks of a program of `RUNTIMES`."""
    command = [sys.executable, "-m", "celery", "-A", app, "--workdir", str(RUNTIMES), "worker"]
    command += ["--pool", pool, "--concurrency", str(concurrency), "--loglevel", "INFO"]
    return [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"]


def in_child(work: Callable[[], object]) -> int:
    """Runs `work` in a forked child that skips the parent's cleanup. Returns its pid."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


def status_of(child: int) -> int:
    """Returns the exit code of a child; a hanging child is killed, which is not zero."""
    watch = threading.Timer(LONG, os.kill, (child, signal.SIGKILL))
    watch.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        watch.cancel()


def eventually(what: str, is_so: Callable[[], Any], within: float = LONG) -> Any:
    """Waits for a state, and returns it."""
    end = time.monotonic() + within
    while not (state := is_so()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.02)
    return state
