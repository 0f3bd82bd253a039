"""Measures the CPU time of a delivery through Celery, beside a task that does nothing.

    queue_celery.py <n> <url> <directory with tls.crt, tls.key and ca.pem>

A prefork worker with one child runs `n` tasks of each kind, in rounds. The CPU time is that of the
worker and its child, as the kernel counts it. All tasks send 1 KiB to one nginx, over connections
that stay open, except those of `requests.post`. Redis is on a Unix socket, without a disk. Prints
one JSON line: the median microseconds of a delivery of each kind. It needs requests, and a
receiver such as `receiver.py`.
"""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis
import requests
from celery import Celery

import webhook_mtls as wm
from webhook_mtls.celery import DeliverTask, FanOutTask
from webhook_mtls.queues import RedisIndex

ROUNDS = 5
BODY = b"x" * 1024
PLACE = os.environ.get("BENCH_REDIS", "")
URL = os.environ.get("BENCH_URL", "")
MATERIAL = Path(os.environ.get("BENCH_MATERIAL", ""))
TICKS = os.sysconf("SC_CLK_TCK")

app = Celery("queue_celery", broker=f"redis+socket://{PLACE}")
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
)


class Deliver(DeliverTask):
    name = "`DeliverTask`"

    def endpoint(self, consumer):
        return self.dispatcher.endpoint(consumer, URL, pins=None)

    def body(self, event):
        return BODY


if PLACE:
    Deliver.index = RedisIndex(redis.Redis(unix_socket_path=PLACE))
    Deliver.dispatcher = wm.Dispatcher(
        identity=wm.Identity.from_files(MATERIAL / "tls.crt", MATERIAL / "tls.key"),
        trust=wm.Trust.from_files(MATERIAL / "ca.pem"),
        egress=wm.Egress(allow=["127.0.0.0/8"]),
    )
    ours = app.register_task(Deliver())
    fan_out = app.register_task(FanOutTask(ours))

pem = {"cert": (str(MATERIAL / "tls.crt"), str(MATERIAL / "tls.key"))}
pem["verify"] = str(MATERIAL / "ca.pem")
pem["timeout"] = 30


def headers(event):
    """Returns the headers of a request."""
    return {"content-type": "application/json", "webhook-id": event}


# The sessions of this process. A session of requests with a changed verify makes connections anew.
sessions = {}


@app.task(name="empty")
def empty(consumer, event, attempt, step):
    pass


@app.task(name="`dispatcher.deliver`, in a task of your own")
def plain(consumer, event, attempt, step):
    endpoint = Deliver.dispatcher.endpoint(consumer, URL, pins=None)
    Deliver.dispatcher.deliver(endpoint, BODY, id=event)


@app.task(name="requests, a session for each process")
def session(consumer, event, attempt, step):
    own = sessions.get(os.getpid())
    if own is None:
        own = sessions[os.getpid()] = requests.Session()
        own.trust_env = False
    own.post(URL, data=BODY, headers=headers(event), **pem).raise_for_status()


@app.task(name="requests.post")
def post(consumer, event, attempt, step):
    requests.post(URL, data=BODY, headers=headers(event), **pem).raise_for_status()


def cpu(worker):
    """Returns the CPU time of the worker and its children, in seconds."""
    children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    total = 0
    for process in [worker, *map(int, children)]:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def measured(client, worker, kind, count, number):
    """Runs the tasks of one kind. Returns the CPU time of each delivery, in microseconds."""
    before = cpu(worker)
    if kind == fan_out.name:
        consumers = [f"c{consumer}" for consumer in range(100)]
        for at in range(count // 100):
            fan_out.send(f"evt_{number}_{at}", consumers)
    else:
        for at in range(count):
            event = f"evt_{number}_{at}"
            if kind == ours.name:
                ours.send(event, "c0")
            else:
                app.tasks[kind].apply_async(("c0", event, 1, 0))
    end = time.monotonic() + 60
    while client.llen("celery") or client.zcard("unacked_index"):
        assert time.monotonic() < end, f"{kind} does not end"
        time.sleep(0.02)
    return (cpu(worker) - before) * 1e6 / count


def run(count):
    """Measures all kinds in rounds, and prints the medians."""
    client = redis.Redis(unix_socket_path=PLACE)
    command = [sys.executable, "-m", "celery", "-A", "queue_celery", "--workdir"]
    command += [str(Path(__file__).parent), "worker", "--pool", "prefork", "--concurrency", "1"]
    command += [
        "--loglevel",
        "ERROR",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    worker = subprocess.Popen(command, start_new_session=True, stdout=sys.stderr)
    kinds = [empty.name, plain.name, ours.name, fan_out.name, session.name, post.name]
    try:
        seen = {kind: [] for kind in kinds}
        for number in range(-1, ROUNDS):
            for place, kind in enumerate(kinds):
                name = f"{number}_{place}"
                # The first round warms up.
                took = measured(client, worker.pid, kind, count if number >= 0 else 100, name)
                if number >= 0:
                    seen[kind].append(took)
        open_jobs = client.zcard("{webhook-mtls}:due")
        seen["`FanOutTask`, 100 consumers in a message"] = seen.pop(fan_out.name)
        costs = {kind: round(statistics.median(each)) for kind, each in seen.items()}
        print(json.dumps({"open_jobs": open_jobs, "costs": costs}))
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def main():
    """Starts Redis, and itself with its address."""
    if PLACE:
        run(int(sys.argv[1]))
        return
    _, count, url, material = sys.argv
    with tempfile.TemporaryDirectory() as directory:
        place = f"{directory}/redis.sock"
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: cargo xtask install"
        command = [program, "--port", "0", "--unixsocket", place, "--save", "", "--dir", directory]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                while probe.connect_ex(place):
                    time.sleep(0.02)
            own = {"BENCH_REDIS": place, "BENCH_URL": url, "BENCH_MATERIAL": material}
            command = [sys.executable, __file__, count]
            subprocess.run(command, env=os.environ | own, check=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
