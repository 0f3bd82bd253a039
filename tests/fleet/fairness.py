"""Measures how long deliveries to healthy consumers take while others are slow or dead.

Ten thousand consumers, of which 300 answer after three seconds, and 50 refuse the connection, never
answer the handshake, or have a name server that never answers. One worker, of Celery with four
prefork children or of BullMQ, a real Redis, and nginx as the healthy consumers. The events arrive
at a fixed rate. Prints one line of JSON for each setting. `cargo xtask queues` runs it as root.
FAIRNESS_BULLMQ has the command of the program of BullMQ, as JSON.
"""

import asyncio
import json
import os
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import ClassVar

from fleet import HERE, LONG, Lab, Nginx, Process, Redis, eventually

CONSUMERS = int(os.environ.get("FAIRNESS_CONSUMERS", "10000"))
SLOW, DEAD = CONSUMERS * 3 // 100, CONSUMERS // 200
SECONDS = float(os.environ.get("FAIRNESS_SECONDS", "60"))
# Events a second. The slow consumers alone would need more than four processes that wait.
RATE = float(os.environ.get("FAIRNESS_RATE", "40"))
CHILDREN = 4
# How long a slow consumer takes to answer.
ANSWER_AFTER = 3.0
# The name server that never answers.
SILENT = "127.0.0.77"
BULLMQ = "bullmq"
SETTINGS = ("0.1 s", "until the end", BULLMQ)


async def answer_late(port: int, directory: Path) -> None:
    """Serves the slow consumers until it is killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    context.load_verify_locations(directory / "root.pem")
    context.verify_mode = ssl.CERT_REQUIRED

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                length = next(int(x[15:]) for x in lines if x.startswith(b"content-length:"))
                await reader.readexactly(length)
                await asyncio.sleep(ANSWER_AFTER)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context, backlog=1024)
    await server.serve_forever()


@contextmanager
def consumers(lab: Lab, directory: Path) -> Iterator[dict[str, str]]:
    """Starts all consumers; yields their URLs."""
    with ExitStack() as stack:
        nginx = Nginx(lab, directory / "nginx")
        stack.callback(nginx.kill)
        healthy = next(iter(nginx.urls().values())).rsplit("/", 1)[0]
        # Accepts connections, and never answers. Nothing listens at the other port.
        mute = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        closed = socket.create_server(("127.0.0.1", 0))
        refusing = closed.getsockname()[1]
        closed.close()
        names = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        names.bind((SILENT, 53))
        taken = socket.create_server(("127.0.0.1", 0))
        late = taken.getsockname()[1]
        taken.close()
        command = [sys.executable, __file__, "late", str(late), str(directory / "nginx")]
        stack.callback(Process(command, directory / "late.log", {}).kill)
        with socket.socket() as client:
            eventually("it serves", lambda: client.connect_ex(("127.0.0.1", late)) in (0, 106))
        dead = [
            f"https://127.0.0.1:{refusing}/",
            f"https://127.0.0.1:{mute.getsockname()[1]}/",
            "https://hooks.silent-{}.example/",
        ]
        urls = {f"slow-{number}": f"https://127.0.0.1:{late}/{number}" for number in range(SLOW)}
        for number in range(DEAD):
            urls[f"dead-{number}"] = dead[number % len(dead)].format(number)
        for number in range(CONSUMERS - SLOW - DEAD):
            urls[f"healthy-{number}"] = f"{healthy}/{number}"
        yield urls


class Run:
    """A worker with one setting, and the producer."""

    def __init__(self, directory: Path, urls: list[str]) -> None:
        self._directory, self._urls = directory, urls
        self._random = random.Random(1)

    def phase(self, name: str, seconds: float, *, with_all: bool) -> dict[str, float]:
        """Enqueues events at the rate, and returns the latencies of the healthy consumers, in ms.

        Without the slow and the dead ones, their events are left out, and all others are the same.
        """
        sent = self.produce(name, seconds, with_all=with_all)
        eventually("all are delivered", lambda: len(self._latencies()[name]) == sent, 10 * LONG)
        cuts = quantiles(self._latencies()[name], n=100)
        return {"p50": cuts[49], "p99": cuts[98], "max": max(self._latencies()[name])}

    def produce(self, name: str, seconds: float, *, with_all: bool) -> int:
        """Enqueues events at the rate; returns how many are for healthy consumers."""
        raise NotImplementedError

    def _latencies(self) -> dict[str, list[float]]:
        found = defaultdict(list)
        place = self._directory / "delivered"
        for line in place.read_text().splitlines() if place.exists() else []:
            consumer, event, took = line.split()
            if consumer.startswith("healthy"):
                found[event.split("-")[0]].append(float(took))
        return found


class CeleryRun(Run):
    worker: ClassVar = [
        *[sys.executable, "-m", "celery", "-A", "fairness_app", "--workdir", HERE, "worker"],
        *["--pool", "prefork", "--concurrency", str(CHILDREN), "--loglevel", "WARNING"],
        *["--without-gossip", "--without-mingle", "--without-heartbeat"],
    ]

    def produce(self, name: str, seconds: float, *, with_all: bool) -> int:
        import fairness_app

        start, sent = time.monotonic(), 0
        for number in range(int(seconds * RATE)):
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))
            consumer = self._random.choice(self._urls)
            if with_all or consumer.startswith("healthy"):
                sent += consumer.startswith("healthy")
                fairness_app.deliver.send(f"{name}-{number}-{time.time_ns()}", consumer)
        return sent


class BullRun(Run):
    program: ClassVar = json.loads(os.environ.get("FAIRNESS_BULLMQ", "[]"))
    worker: ClassVar = [*program, "worker"]

    def produce(self, name: str, seconds: float, *, with_all: bool) -> int:
        order = ["produce", name, str(seconds), str(RATE), "all" if with_all else "healthy"]
        command = [*self.program, *order]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return int(done.stdout)


def measure(setting: str) -> None:
    """Runs one setting in this process."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        directory = Path(place)
        lab = stack.enter_context(Lab())
        lab.write_files(directory)
        urls = stack.enter_context(consumers(lab, directory))
        (directory / "urls.json").write_text(json.dumps(urls))
        redis = Redis(directory / "redis", is_durable=False)
        stack.callback(redis.kill)
        own = {"FLEET": place, "FLEET_REDIS": str(redis.place), "FLEET_WAIT": setting}
        os.environ.update(own)
        kind = BullRun if setting == BULLMQ else CeleryRun
        worker = Process(kind.worker, directory / "worker.log", own)
        stack.callback(worker.kill)
        run = kind(directory, list(urls))
        run.phase("warm", SECONDS / 4, with_all=False)
        without = run.phase("without", SECONDS, with_all=False)
        with_all = run.phase("with", SECONDS, with_all=True)
        print(json.dumps({"setting": setting, "without": without, "with": with_all}), flush=True)


def main() -> None:
    match sys.argv[1:]:
        case ["late", port, directory]:
            asyncio.run(answer_late(int(port), Path(directory)))
        case ["run", setting]:
            measure(setting)
        case []:
            # The name server is silent for these processes only.
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(f"nameserver {SILENT}\noptions timeout:30 attempts:1\n")
                file.flush()
                config = os.path.realpath("/etc/resolv.conf")
                for setting in SETTINGS:
                    inner = f'mount --bind "{file.name}" "{config}" && exec "$@"'
                    command = ["unshare", "--mount", "sh", "-c", inner, "sh"]
                    command += [sys.executable, __file__, "run", setting]
                    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
