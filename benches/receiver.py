"""nginx, which demands a client certificate, for `cargo xtask bench` and `cargo xtask scale`; two
ports: one keeps connections, the other ends each after an answer. No session is resumed. Where
consumers are asked for, so many ports in a row keep connections as well.

    receiver.py <an empty directory> [consumers]

Prints one JSON line when both listen, and ends with its standard input.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "peers"))

from pki import Pki
from server import Server, free_port

CONFIG = """\
daemon off;
master_process off;
pid {work}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    ssl_protocols TLSv1.3;
    ssl_certificate {pki.server}/tls.crt;
    ssl_certificate_key {pki.server}/tls.key;
    ssl_client_certificate {pki.root};
    ssl_verify_client on;
    ssl_verify_depth 3;
    ssl_session_tickets off;
    ssl_session_cache off;
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{keeps} ssl;
        {consumers}
        keepalive_timeout 600;
        location / {{ return 200 "ok"; }}
    }}
    server {{
        listen 127.0.0.1:{ends} ssl;
        keepalive_timeout 0;
        location / {{ return 200 "ok"; }}
    }}
}}
"""

# Ports in a row that are free: below those that systems give to clients.
FIRST = 22000


def main() -> int:
    """Serves until its standard input ends."""
    work = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    consumers = f"listen 127.0.0.1:{FIRST}-{FIRST + count - 1} ssl;" if count else ""
    pki = Pki.make(work / "pki")
    keeps, ends = free_port(), free_port()
    config = work / "nginx.conf"
    # A port takes one of them, and so does what comes there.
    connections = 512 + 2 * count
    config.write_text(
        CONFIG.format(
            work=work,
            pki=pki,
            keeps=keeps,
            ends=ends,
            consumers=consumers,
            connections=connections,
        )
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    log = work / "log"
    command = [program, "-e", "stderr", "-p", str(work), "-c", str(config)]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors)
    servers = [Server("nginx", port, process, log) for port in (keeps, ends)]
    try:
        for server in servers:
            server.wait_until_it_accepts()
        said = {
            "keeps": servers[0].url,
            "ends": servers[1].url,
            "consumers": f"https://127.0.0.1:{FIRST}/in",
            "material": str(pki.ours),
            "pin": pki.server_pin,
        }
        print(json.dumps(said), flush=True)
        sys.stdin.read()
    finally:
        servers[0].stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
