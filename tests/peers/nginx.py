"""nginx with `ssl_verify_client on`. It completes the handshake with any certificate, and answers
the request of a refused client with 400."""

import shutil
import subprocess
from pathlib import Path

from pki import Pki
from server import Server, Setting, access_log, free_port

CONFIG = """\
daemon off;
master_process off;
pid {work}/nginx.pid;
error_log stderr info;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    log_format deliveries "$http_webhook_id $status $remote_port";
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    ssl_certificate {server}/tls.crt;
    ssl_certificate_key {server}/tls.key;
    ssl_client_certificate {root};
    ssl_verify_depth 3;
{http}
}}
"""

SERVER = """\
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_verify_client {verify};
        {crl}
        access_log {log} deliveries;
        # It reads a request whole before it asks the application.
        location / {{ proxy_pass http://unix:{work}/app:; }}
    }}
    server {{
        listen unix:{work}/app;
        location / {{ return 200 "ok"; }}
    }}
"""


def start(pki: Pki, setting: Setting, work: Path) -> Server:
    """Starts it in the foreground, with all its files below `work`."""
    port = free_port()
    verify = {"require": "on", "optional": "optional", "never": "off"}[setting.asks]
    # It checks every certificate of a chain, so it needs a CRL of each issuer.
    crl = "" if setting.late else f"ssl_crl {pki.crls};"
    http = SERVER.format(port=port, verify=verify, crl=crl, log=access_log(work), work=work)
    return run(pki, http, port, work, environment=setting.environment)


def run(
    pki: Pki,
    http: str,
    port: int,
    work: Path,
    *,
    connections: int = 64,
    environment: dict[str, str] | None = None,
) -> Server:
    """Starts it with the servers in `http`, one of which listens on `port`."""
    text = CONFIG.format(
        work=work, connections=connections, server=pki.server, root=pki.root, http=http
    )
    config = work / "nginx.conf"
    config.write_text(text)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    log = work / "log"
    command = [program, "-e", "stderr", "-p", str(work), "-c", str(config)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=errors, env=environment
        )
    return Server("nginx", port, process, log)
