"""HAProxy with `verify required`. It refuses a certificate with an alert."""

import shutil
import subprocess
from pathlib import Path

from pki import Pki
from server import Server, Setting, access_log, free_port

# With several threads, HAProxy drops a log line when another thread holds the stream for long. The
# cases count these lines, so there is one thread.
CONFIG = """\
global
    log stderr format raw local0
    nbthread 1
defaults
    mode http
    log global
    timeout client 10s
    timeout server 10s
    timeout connect 5s
frontend in
    bind 127.0.0.1:{port} ssl crt {work}/server.pem alpn http/1.1 {asks}
    http-request capture req.hdr(webhook-id) len 64
    log-format "%[capture.req.hdr(0)] %ST %cp"
    http-request wait-for-body time 5s
    http-request return status 200 content-type text/plain string ok
"""


def start(pki: Pki, setting: Setting, work: Path) -> Server:
    """Starts it in the foreground."""
    port = free_port()
    crl = "" if setting.late else f"crl-file {pki.crls}"
    asks = {
        "require": f"ca-file {pki.root} {crl} verify required",
        "optional": f"ca-file {pki.root} {crl} verify optional",
        "never": "",
    }[setting.asks]
    pem = work / "server.pem"
    pem.write_bytes((pki.server / "tls.crt").read_bytes() + (pki.server / "tls.key").read_bytes())
    pem.chmod(0o600)
    config = work / "haproxy.cfg"
    config.write_text(CONFIG.format(port=port, work=work, asks=asks))
    # Its messages and its access log are one stream.
    log = access_log(work)
    command = [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", str(config)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env=setting.environment,
        )
    return Server("haproxy", port, process, log)
