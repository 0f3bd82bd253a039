"""stunnel with `verifyChain`. It refuses a certificate with an alert. Its backend is a plain HTTP
server in a thread.
"""

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pki import Pki
from server import Server, Setting, free_port

CONFIG = """\
foreground = yes
pid =
syslog = no
debug = notice
[in]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{backend}
cert = {server}/tls.crt
key = {server}/tls.key
{asks}
"""


class Handler(BaseHTTPRequestHandler):
    """Answers every POST with 200."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Reads the whole body, then answers."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing: the log of stunnel is enough."""


def start(pki: Pki, setting: Setting, work: Path) -> Server:
    """Starts it in the foreground, and its backend."""
    port = free_port()
    backend = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    asks = {
        "require": f"CAfile = {pki.root}\nverifyChain = yes",
        # The older option: verify a presented certificate, and accept a missing one.
        "optional": f"CAfile = {pki.root}\nverify = 1",
        "never": "",
    }[setting.asks]
    if setting.asks != "never" and not setting.late:
        asks += f"\nCRLfile = {pki.crls}"
    config = work / "stunnel.conf"
    config.write_text(
        CONFIG.format(port=port, backend=backend.server_port, server=pki.server, asks=asks)
    )
    log = work / "log"
    program = shutil.which("stunnel4") or shutil.which("stunnel") or "/usr/bin/stunnel4"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [program, str(config)],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env=setting.environment,
        )
    return Server("stunnel", port, process, log)
