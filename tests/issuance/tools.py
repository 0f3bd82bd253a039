"""What the cases share: the CA, the clients of four languages, the commands of the guides."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Self

sys.path.append(str(Path(__file__).resolve().parents[1] / "peers"))

from server import free_port

CLIENTS: dict[str, list[str]] = {}
# The clients whose key is in a token.
TOKEN_CLIENTS: dict[str, list[str]] = {}
# The clients that follow a SPIFFE Workload API.
WORKLOADS: dict[str, list[str]] = {}
BIN: list[Path] = []
WORK = Path()
# The time between two renewals, and their number.
PERIOD = 5.0
RENEWALS = 3
GUIDES = Path(__file__).resolve().parents[2] / "docs" / "issue"

# Generous: the tests wait for events, and this only ends a test that would hang.
LIMIT = 60
# A client looks at its files that often.
RELOAD_MS = 200


def environment(**more: str) -> dict[str, str]:
    """Returns an environment without what changes whom step trusts."""
    kept = {name: os.environ[name] for name in ("HOME", "LD_LIBRARY_PATH") if name in os.environ}
    path = os.pathsep.join([*map(str, BIN), os.environ["PATH"]])
    return {**kept, "PATH": path, **more}


def block(page: str, name: str) -> str:
    """Returns the commands that a guide marks with this name."""
    text = (GUIDES / page).read_text()
    found = re.findall(rf"<!-- test: {name} -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1, (page, name, len(found))
    return found[0]


def run(page: str, name: str, place: Path, **env: str) -> str:
    """Runs the commands of a guide in a directory."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block(page, name)],
        cwd=place,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, (page, name, done.stdout, done.stderr)
    return done.stdout


def openssl(*arguments: str | Path) -> str:
    call = ["openssl", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, timeout=LIMIT, check=True).stdout


def serial(cert: Path) -> str:
    """Returns the serial of a file's first certificate, as Python's ssl shows it."""
    return openssl("x509", "-in", cert, "-noout", "-serial").strip().split("=")[1].lower()


def directory() -> Path:
    return Path(tempfile.mkdtemp(dir=WORK))


class Running:
    """A process of a group of its own, whose lines are read by a thread."""

    def __init__(self, call: list[str], cwd: Path, env: dict[str, str], stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen(
            call,
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.news = threading.Condition()
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        for line in self.process.stdout:
            self.heard(line)
            with self.news:
                self.lines.append(line)
                self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def heard(self, line: str) -> None:
        """Takes note of a line, before a waiting test sees it."""

    def wait_for(self, condition) -> None:
        with self.news:
            came = self.news.wait_for(condition, LIMIT)
            assert came, "".join(self.lines[-20:])

    def stop(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.stop()


class StepCa(Running):
    """A step-ca of its own, which issues certificates of seconds."""

    def __init__(self):
        self.home = directory()
        (self.home / "ca-password").write_text("only for this test\n")
        self.env = {"STEPPATH": str(self.home / "step"), "CA_PORT": str(free_port())}
        run("step-ca.md", "init", self.home, **self.env)
        file = self.home / "step" / "config" / "ca.json"
        config = json.loads(file.read_text())
        config["authority"]["claims"] = {"minTLSCertDuration": "5s"}
        config["authority"]["backdate"] = "1s"
        file.write_text(json.dumps(config))
        self.root = self.home / "step" / "certs" / "root_ca.crt"
        call = ["bash", "-c", block("step-ca.md", "serve")]
        super().__init__(call, self.home, environment(**self.env))
        serves = lambda: any("Serving HTTPS" in line for line in self.lines)  # noqa: E731
        self.wait_for(lambda: serves() or self.process.poll() is not None)
        assert serves(), "".join(self.lines)

    def place(self) -> Path:
        """Returns a directory for a certificate, with the password of the CA."""
        made = directory()
        (made / "ca-password").write_text((self.home / "ca-password").read_text())
        return made

    def issue(self, lifetime: str = "1h") -> Path:
        """Issues a certificate into a directory of its own."""
        place = self.place()
        self.run("issue", place, LIFETIME=lifetime)
        return place

    def issue_server(self) -> Path:
        """Issues the certificate of a receiver."""
        place = self.place()
        step = ["step", "ca", "certificate", "localhost", "tls.crt", "tls.key"]
        step += ["--san", "127.0.0.1", "--provisioner", "webhooks"]
        step += ["--provisioner-password-file", "ca-password"]
        done = subprocess.run(
            step,
            cwd=place,
            env=environment(**self.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        return place

    def run(self, name: str, place: Path, **env: str) -> str:
        return run("step-ca.md", name, place, **self.env, **env)


class RenewDaemon(Running):
    """`step ca renew --daemon`, and the serials that it has written."""

    def __init__(self, ca: StepCa, place: Path):
        self.cert = place / "tls.crt"
        self.serials: list[str] = []
        env = environment(**ca.env, PERIOD=f"{PERIOD}s")
        super().__init__(["bash", "-c", block("step-ca.md", "renew")], place, env)

    def heard(self, line: str) -> None:
        # The line comes after the file is written, and long before it is written again.
        if "certificate renewed" in line:
            self.serials.append(serial(self.cert))


class Client(Running):
    """A program that delivers every 100 ms."""

    def __init__(self, language: str, url: str, place: Path, ca: Path, **more: str):
        self.language = language
        self.events: list[dict] = []
        self.failed: list[dict] = []
        self.delivered = 0
        env = {
            "WMTLS_URL": f"{url}/{language}",
            "WMTLS_CERT": str(place / "tls.crt"),
            "WMTLS_KEY": str(place / "tls.key"),
            "WMTLS_CA": str(ca),
            "WMTLS_RELOAD_MS": str(RELOAD_MS),
        }
        call = CLIENTS[language]
        super().__init__(call, place, environment(**{**env, **more}), stdin=subprocess.PIPE)

    def heard(self, line: str) -> None:
        said = json.loads(line)
        if "event" in said:
            self.events.append(said["event"])
        if "failed" in said:
            self.failed.append(said["failed"])
        self.delivered = said.get("delivered", self.delivered)

    def named(self, name: str) -> list[dict]:
        return [event for event in self.events if event["name"] == name]

    def finish(self) -> None:
        """Ends the client, and waits until it has said how much it has delivered."""
        self.process.stdin.close()
        assert self.process.wait(LIMIT) == 0, (self.language, self.lines[-5:])
        self.reader.join()

    def stop(self) -> None:
        self.process.stdin.close()
        super().stop()
