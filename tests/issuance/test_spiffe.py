"""Identity and trust of a Workload API rotate while deliveries run, and federations end."""

import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import tools
from receiver import OneRequest, Receiver
from workload import Workload

OURS = "spiffe://corp.example/webhooks"
THEIRS = "spiffe://acme.example/receiver"


class Domain:
    """A trust domain: its authority, and those that came before."""

    def __init__(self, name: str):
        self.name, self.place = name, tools.directory()
        self.authorities = 0
        self.issued = 0
        self.new_authority()

    def new_authority(self) -> None:
        """From now on, another CA issues."""
        self.authorities += 1
        self.ca, self.key = (self.place / f"ca{self.authorities}.{it}" for it in ("pem", "key"))
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1")
        use = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        use += ("-addext", f"subjectAltName=URI:spiffe://{self.name}")
        # Authorities of SPIRE have all one name.
        name = ("-subj", "/O=SPIFFE", "-keyout", self.key, "-out", self.ca)
        tools.openssl("req", "-x509", *new, *use, *name)

    def bundle(self, *numbers: int) -> str:
        """Returns a file with the authorities of these numbers."""
        name = "-".join(map(str, numbers))
        file = self.place / f"bundle{name}.pem"
        file.write_text("".join((self.place / f"ca{it}.pem").read_text() for it in numbers))
        return str(file)

    def issue(self, spiffe_id: str) -> tuple[Path, Path]:
        """Returns an SVID with a new key, and the key."""
        self.issued += 1
        cert, key, request, ext = (
            self.place / f"svid{self.issued}.{it}" for it in ("pem", "key", "csr", "cnf")
        )
        ext.write_text(
            "basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n"
            f"extendedKeyUsage = serverAuth, clientAuth\nsubjectAltName = URI:{spiffe_id}\n"
        )
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        tools.openssl("req", *new, "-subj", "/O=SPIRE", "-keyout", key, "-out", request)
        ca = ("-CA", self.ca, "-CAkey", self.key, "-days", "1", "-extfile", ext)
        tools.openssl("x509", "-req", "-in", request, *ca, "-out", cert)
        return cert, key


class WorkloadApi(tools.Running):
    """The agent."""

    def __init__(self, socket: Path):
        self.asked = self.sent = 0
        program = Path(__file__).with_name("workload_api.py")
        call = [tools.CLIENTS["python"][0], str(program), str(socket)]
        super().__init__(call, socket.parent, tools.environment(), stdin=subprocess.PIPE)

    def send(self, svid: tuple[Path, Path], bundle: str, **federated: str) -> None:
        """Sends them to the workload, which has them when this returns or soon after."""
        self.asked += 1
        cert, key = map(str, svid)
        domains = {f"{name}.example": file for name, file in federated.items()}
        said = {"svid": cert, "key": key, "bundle": bundle, "federated": domains}
        self.process.stdin.write(json.dumps(said) + "\n")
        self.process.stdin.flush()
        self.wait_for(lambda: self.sent == self.asked or self.process.poll() is not None)
        assert self.sent == self.asked, self.lines

    def heard(self, line: str) -> None:
        # Others are of gRPC, or of a program that cannot go on.
        self.sent += line.startswith('{"streams"')

    def stop(self) -> None:
        self.process.stdin.close()
        super().stop()


class Cases:
    """What each language must do."""

    language: str

    def setUp(self):
        self.corp, self.acme = Domain("corp.example"), Domain("acme.example")
        # A socket's path has at most 107 characters.
        place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, place)
        self.socket = place / "agent.sock"
        self.svid = self.corp.issue(OURS)
        # Files that change, as those of the receiver's own agent.
        self.server = [tools.directory() / it for it in ("tls.crt", "tls.key", "ca.pem")]
        self.serve(self.acme.issue(THEIRS), self.corp.bundle(1))
        self.receiver = self.enterContext(Receiver(*self.server, OneRequest))
        self.api = self.enterContext(WorkloadApi(self.socket))
        self.api.send(self.svid, self.corp.bundle(1), acme=self.acme.bundle(1))

    def start(self, **more: str) -> None:
        """Starts the client, and waits until it has delivered."""
        url = f"https://127.0.0.1:{self.receiver.server_address[1]}/"
        self.client = self.enterContext(Workload(self.language, url, self.socket, THEIRS, **more))
        self.seen()

    def serve(self, svid: tuple[Path, Path], bundle: str) -> None:
        """Gives the receiver its certificate, its key and its trust bundle."""
        for source, file in zip((*svid, Path(bundle)), self.server, strict=True):
            new = file.with_suffix(".new")
            shutil.copy(source, new)
            new.replace(file)

    def seen(self) -> None:
        """Waits until the receiver has seen our current SVID."""
        self.receiver.wait_for("/", tools.serial(self.svid[0]), tools.LIMIT)

    def finish(self) -> None:
        self.client.finish()
        assert "acme.example, corp.example" in self.client.unknown, self.client.lines[-5:]
        assert self.client.left == [], self.client.left

    def test_keys_and_authorities_of_both_sides_change_while_deliveries_run(self):
        self.start()
        for _ in range(3):
            self.svid = self.corp.issue(OURS)
            self.api.send(self.svid, self.corp.bundle(1), acme=self.acme.bundle(1))
            self.serve(self.acme.issue(THEIRS), self.corp.bundle(1))
            self.seen()
        files = list(self.client.files.rglob("*.pem"))
        assert len(files) == 3, files
        assert all(it.stat().st_mode & 0o077 == 0 for it in (*files, files[0].parent)), files
        # Both domains announce a new authority, use it, and give up the former.
        self.corp.new_authority()
        self.acme.new_authority()
        self.api.send(self.svid, self.corp.bundle(1, 2), acme=self.acme.bundle(1, 2))
        self.client.wait_for_rotation("acme.example.bundle.pem")
        self.client.wait_for_rotation("corp.example.bundle.pem")
        self.serve(self.acme.issue(THEIRS), self.corp.bundle(1, 2))
        self.client.wait_for_outcome("delivered")
        self.svid = self.corp.issue(OURS)
        self.api.send(self.svid, self.corp.bundle(1, 2), acme=self.acme.bundle(1, 2))
        self.seen()
        self.svid = self.corp.issue(OURS)
        self.api.send(self.svid, self.corp.bundle(2), acme=self.acme.bundle(2))
        self.serve(self.acme.issue(THEIRS), self.corp.bundle(2))
        self.seen()
        self.client.wait_for_outcome("delivered")
        self.finish()
        assert self.client.failed == [], self.client.failed[0]

    def test_an_agent_that_restarts_is_followed_again(self):
        self.start()
        self.api.stop()
        self.client.wait_for_outcome("delivered")
        again = self.enterContext(WorkloadApi(self.socket))
        self.svid = self.corp.issue(OURS)
        again.send(self.svid, self.corp.bundle(1), acme=self.acme.bundle(1))
        self.seen()
        self.finish()
        assert self.client.failed == [], self.client.failed[0]

    def test_a_domain_is_trusted_for_its_own_names_and_while_it_is_federated(self):
        self.start()
        # Our own authority may not speak for another domain. Authorities of SPIRE have one name.
        self.serve(self.corp.issue(THEIRS), self.corp.bundle(1))
        self.client.wait_for_outcome("issuer_rekeyed")
        self.serve(self.acme.issue(THEIRS), self.corp.bundle(1))
        self.client.wait_for_outcome("delivered")
        # The federation ends, and begins again.
        self.api.send(self.svid, self.corp.bundle(1))
        self.client.wait_for_outcome("issuer_unknown")
        self.api.send(self.svid, self.corp.bundle(1), acme=self.acme.bundle(1))
        self.client.wait_for_outcome("delivered")
        self.finish()
        expected = {"delivered", "issuer_rekeyed", "issuer_unknown"}
        assert set(self.client.outcomes) == expected, self.client.failed[-1]


class Python(Cases, unittest.TestCase):
    language = "python"

    def test_a_forked_worker_follows_the_source_of_its_parent(self):
        self.start(WMTLS_FORK="1")
        for _ in range(2):
            self.svid = self.corp.issue(OURS)
            self.api.send(self.svid, self.corp.bundle(1), acme=self.acme.bundle(1))
            self.seen()
        self.finish()
        assert self.client.failed == [], self.client.failed[0]


class Rust(Cases, unittest.TestCase):
    language = "rust"
