"""A Go TLS server with `RequireAndVerifyClientCert`. It refuses a certificate with an alert, after
the client's own handshake is complete (TLS 1.3)."""

import os
import subprocess
from pathlib import Path

from pki import Pki
from server import Server, Setting, access_log, announced_port


def build(go: str, work: Path) -> Path:
    """Builds the server; returns its program."""
    program = work / "go_tls"
    source = Path(__file__).with_name("go_tls.go")
    environment = os.environ | {"GOCACHE": str(work / "go-cache"), "GO111MODULE": "off"}
    command = [go, "build", "-o", str(program), str(source)]
    subprocess.run(command, check=True, env=environment, timeout=300)
    return program


def start(pki: Pki, setting: Setting, work: Path, program: Path) -> Server:
    """Starts it on a port that it chooses."""
    log = work / "log"
    crl = "" if setting.late else str(pki.crl)
    command = [str(program), str(pki.server), str(pki.root), setting.asks, crl]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, str(access_log(work))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=setting.environment,
        )
    return Server("go", announced_port(process), process, log)
