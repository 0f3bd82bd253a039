"""gnutls-serv with `--require-client-cert`. It refuses a certificate with an alert. Its HTTP
supports only GET: its response to a POST has no head.
"""

import subprocess
from pathlib import Path

from pki import Pki
from server import Server, Setting, free_port


def start(pki: Pki, setting: Setting, work: Path) -> Server:
    """Starts it."""
    port = free_port()
    log = work / "log"
    command = ["gnutls-serv", "--http", f"--port={port}"]
    command += [f"--x509certfile={pki.server}/tls.crt", f"--x509keyfile={pki.server}/tls.key"]
    if setting.asks == "never":
        command += ["--disable-client-cert"]
    else:
        command += [f"--x509cafile={pki.root}", "--verify-client-cert"]
        if setting.asks == "require":
            command += ["--require-client-cert"]
        if not setting.late:
            command += [f"--x509crlfile={pki.crls}"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env=setting.environment,
        )
    return Server("gnutls", port, process, log)
