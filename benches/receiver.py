"""Runs nginx, which requires a client certificate, for `cargo xtask bench` and `cargo xtask scale`.
One port keeps connections, the other ends each connection after a response. Sessions are not
resumed. With an argument `consumers`, this many consecutive ports also keep connections.

    receiver.py <an empty directory> [consumers]

Prints one JSON line when it listens, and ends when its standard input closes.
"""

import json
import resource
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "peers"))

import nginx
from pki import Pki
from server import free_port

HTTP = """\
    ssl_protocols TLSv1.3;
    ssl_verify_client on;
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
"""


def main() -> int:
    """Serves until standard input closes."""
    work = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pki = Pki.make(work / "pki")
    keeps, ends, first = free_port(), free_port(), free_row(count)
    consumers = f"listen 127.0.0.1:{first}-{first + count - 1} ssl;" if count else ""
    http = HTTP.format(keeps=keeps, ends=ends, consumers=consumers)
    # Each port and each connection to it needs one of nginx's connections.
    server = nginx.run(pki, http, keeps, work, connections=512 + 2 * count)
    try:
        server.wait_until_it_accepts()
        ports = {"keeps": keeps, "ends": ends, "consumers": first}
        said = {word: f"https://127.0.0.1:{port}/in" for word, port in ports.items()}
        said |= {"material": str(pki.ours), "pin": pki.server_pin}
        print(json.dumps(said), flush=True)
        sys.stdin.read()
    finally:
        server.stop()
    return 0


def free_row(count: int) -> int:
    """Returns the first port of a free range, below the range of ephemeral ports."""
    for first in range(10_000, 32_000 - count, max(count, 1)):
        if all(is_free(first + at) for at in range(count)):
            return first
    raise RuntimeError(f"no {count} consecutive ports are free")


def is_free(port: int) -> bool:
    """Returns whether the port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


if __name__ == "__main__":
    sys.exit(main())
