"""A Node TLS server with `requestCert` and `rejectUnauthorized`. It closes the connection of a
refused client without an alert."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from pki import Pki
from server import Server, Setting, access_log, announced_port


def start(
    pki: Pki,
    setting: Setting,
    work: Path,
    node: str,
    certificates: Sequence[Path] = (),
    order: str = "server",
) -> Server:
    """Starts it on a port that it chooses.

    `certificates` are the directories of its certificates, by default that of `pki.server`.
    The `order` of `server` or `client` chooses one of several.
    """
    log = work / "log"
    program = Path(__file__).with_name("node_tls.mjs")
    # It needs the CRL of every issuer in a chain.
    crls = "" if setting.late or pki.crls is None else str(pki.crls)
    newest = "TLSv1.2" if setting.older else "TLSv1.3"
    directories = ",".join(map(str, certificates or [pki.server]))
    command = [node, str(program), directories, str(pki.root), setting.asks, crls, newest]
    command += [str(access_log(work)), order]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=setting.environment,
        )
    return Server("node", announced_port(process), process, log)
