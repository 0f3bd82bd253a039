"""Keys of ML-DSA on both sides, at a Node with OpenSSL 3.5, which has them in TLS 1.3."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import cases
import node_tls
from cases import Case
from pki import Pki
from server import Server

KEY_TYPES = ["ml_dsa_44", "ml_dsa_65", "ml_dsa_87"]

# Node computes the pin of a key that the machine's openssl command cannot read.
PIN = """
const { createHash, X509Certificate } = require('node:crypto')
const { publicKey } = new X509Certificate(require('node:fs').readFileSync(process.argv[1]))
const der = publicKey.export({ type: 'spki', format: 'der' })
console.log('sha256/' + createHash('sha256').update(der).digest('base64'))
"""


@dataclass(frozen=True)
class Trial:
    """A case at a server, with the material of the client, and the expected result."""

    row: str
    case: Case
    server: Server
    pki: Pki
    expected: str


def trials(pki: Pki, program: str, node: str, work: Path, held: ExitStack) -> Iterator[Trial]:
    """Yields the trials. The servers run until `held` is closed.

    `program` is tests/programs/post_quantum.rs.
    """
    subprocess.run([program, str(work)], check=True, timeout=60)
    for key_type in KEY_TYPES:
        made = made_pki(pki, work / key_type, node)
        server = started([made.server], made, work / f"{key_type}-node", node, held)
        for name, expected in {
            "accepted": "receipt",
            "wrong pin": "pin_mismatch",
            "unknown CA": "close, nothing",
        }.items():
            yield Trial(f"{key_type}, {name}", named(name), server, made, expected)
    yield from of_two_certificates(pki, made_pki(pki, work / "ml_dsa_65", node), work, node, held)


def of_two_certificates(
    pki: Pki, other: Pki, work: Path, node: str, held: ExitStack
) -> Iterator[Trial]:
    """Yields trials at a server with a key of ML-DSA and one of P-256.

    By default Node follows the order of OpenSSL, which prefers ML-DSA. In the order of our
    ClientHello, ML-DSA is last, because its certificates are large.
    """
    for order, presented in {"server": other, "client": pki}.items():
        both = [pki.server, other.server]
        server = started(both, presented, work / f"both-{order}", node, held, order)
        row = f"{order}'s"
        yield Trial(f"{row} choice", named("accepted"), server, presented, "receipt")
        pin = (pki if presented is other else other).server_pin
        pinned = replace(presented, server_pin=pin)
        yield Trial(f"{row}, other pin", named("accepted"), server, pinned, "pin_mismatch")


def made_pki(pki: Pki, home: Path, node: str) -> Pki:
    """Returns the certificates of one type of key. They have no CRLs."""
    server = home / "server"
    command = [node, "-e", PIN, str(server / "tls.crt")]
    pin = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return replace(
        pki,
        root=server / "ca.pem",
        crls=None,
        server=server,
        ours=home / "ours",
        stranger=home / "stranger",
        server_pin=pin.strip(),
    )


def started(
    certificates: list[Path],
    pki: Pki,
    work: Path,
    node: str,
    held: ExitStack,
    order: str = "server",
) -> Server:
    """Starts a server with these certificates that accepts the clients of `pki`."""
    work.mkdir(parents=True)
    server = node_tls.start(pki, cases.REQUIRES, work, node, certificates, order)
    held.callback(server.stop)
    server.wait_until_it_accepts()
    return server


def named(name: str) -> Case:
    """Returns a case by its name."""
    return next(case for case in cases.ALL if case.name == name)
