"""SPIRE: a server and an agent for each trust domain, by the commands of docs/issue/spire.md."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import tools

from server import free_port

PAGE = "spire.md"
LIFETIME = "1m"
# The time between two runs of the program that writes files.
FETCH = "2"


class Process(tools.Running):
    """A server or an agent, in the directory of its trust domain."""

    def __init__(self, name: str, place: Path, env: dict[str, str], ready: str, times: int):
        call = ["bash", "-euo", "pipefail", "-c", tools.block(PAGE, name)]
        super().__init__(call, place, tools.environment(**env))
        is_ready = lambda: sum(ready in line for line in self.lines) >= times  # noqa: E731
        try:
            self.wait_for(lambda: is_ready() or self.process.poll() is not None)
            assert is_ready(), "".join(self.lines)
        except BaseException:
            self.stop()
            raise


class Domain:
    """A trust domain."""

    def __init__(self, name: str):
        self.name = name
        # A socket's path has at most 107 characters.
        self.place = Path(tempfile.mkdtemp(prefix="spire-"))
        self.agent_socket = self.place / "agent.sock"
        self.env = {
            "DOMAIN": name,
            "SERVER_PORT": str(free_port()),
            "BUNDLE_PORT": str(free_port()),
            "LIFETIME": LIFETIME,
        }
        self.running: list[Process] = []

    def start(self) -> None:
        """Starts the server and its agent."""
        # The server has a TCP port and a socket.
        self.serve("server", "Starting Server APIs", 2)
        self.serve("agent", "Starting Workload and SDS APIs", 1)

    def serve(self, name: str, ready: str, times: int) -> None:
        self.running.append(Process(name, self.place, self.env, ready, times))

    def stop(self) -> None:
        while self.running:
            self.running.pop().stop()
        shutil.rmtree(self.place)

    def federate(self, other: "Domain") -> None:
        """Trusts the bundle of another domain, which its server fetches from now on."""
        (self.place / "theirs.json").write_text(other.server("bundle", "show", "-format", "spiffe"))
        self.run("federate", THEIR_DOMAIN=other.name, THEIR_BUNDLE_PORT=other.env["BUNDLE_PORT"])

    def enter(self, path: str, other: "Domain") -> str:
        """Registers what this user runs. Returns its SPIFFE ID."""
        spiffe_id = f"spiffe://{self.name}{path}"
        self.run("entry", SPIFFE_ID=spiffe_id, SENDER_UID=str(os.getuid()), THEIR_DOMAIN=other.name)
        return spiffe_id

    def run(self, name: str, **env: str) -> None:
        tools.run(PAGE, name, self.place, **self.env, **env)

    def server(self, *words: str) -> str:
        """Runs a command of the server."""
        call = ["spire-server", *words, "-socketPath", str(self.place / "server.sock")]
        done = subprocess.run(
            call,
            env=tools.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=tools.LIMIT,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def authority(self, verb: str, authority: str = "") -> str:
        """Changes the state of an authority. Returns its ID."""
        words = ("-authorityID", authority) if authority else ()
        said = self.server("localauthority", "x509", verb, *words, "-output", "json")
        return next(iter(json.loads(said).values()))["authority_id"]

    def active(self) -> str:
        """Returns the ID of the authority that issues."""
        said = self.server("localauthority", "x509", "show", "-output", "json")
        return json.loads(said)["active"]["authority_id"]


class Fetched(tools.Running):
    """Files that `spire-agent api fetch` writes on a timer, and the SVIDs that it has written."""

    def __init__(self, domain: Domain):
        self.place = tools.directory()
        self.svid, self.key, self.bundle, self.theirs = (
            self.place / name
            for name in ("svid.0.pem", "svid.0.key", "bundle.0.pem", "federated_bundle.0.0.pem")
        )
        self.serials: list[str] = []
        self.issuer = ""
        self.rounds = 0
        env = {"AGENT_SOCKET": str(domain.agent_socket), "PERIOD": FETCH}
        call = ["bash", "-euo", "pipefail", "-c", tools.block(PAGE, "fetch")]
        super().__init__(call, self.place, tools.environment(**env))
        self.fetched_again()

    def heard(self, line: str) -> None:
        # The last of the files is written soon after the line, and the next two seconds later.
        if line.startswith("Writing federated bundle"):
            self.rounds += 1
            if (serial := tools.serial(self.svid)) not in self.serials:
                self.serials.append(serial)
                self.issuer = issuer(self.svid)

    def fetched_again(self) -> None:
        """Waits until the files have been written by a later run."""
        known = self.rounds
        self.wait_for(lambda: self.rounds >= known + 2 or self.process.poll() is not None)
        assert self.process.poll() is None, "".join(self.lines)

    def wait_for_authorities(self, number: int) -> None:
        """Waits until both bundles have so many authorities."""
        files = (self.bundle, self.theirs)
        count = lambda file: file.read_text().count("BEGIN CERTIFICATE")  # noqa: E731
        self.wait_for(lambda: [count(file) for file in files] == [number, number])


def issuer(svid: Path) -> str:
    """Returns the ID of the authority that has issued an SVID, as SPIRE writes it."""
    text = tools.openssl("x509", "-in", svid, "-noout", "-ext", "authorityKeyIdentifier")
    return text.strip().splitlines()[-1].strip().replace(":", "").lower()
