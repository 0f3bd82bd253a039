"""A network of our own, in a namespace: an address that counts as public, the addresses that no
delivery may reach, and a resolver that asks our name server."""

import fcntl
import socket
import ssl
import struct
import subprocess
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PUBLIC = "93.184.216.34"
TRAPS = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "192.168.0.1", "::1"]
PORT = 8443

SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
IFF_UP, IFF_RUNNING = 0x1, 0x40


def build(work: Path) -> None:
    """Gives this namespace its addresses and its resolver."""
    for number, address in enumerate([PUBLIC, *(trap for trap in TRAPS if ":" not in trap)]):
        name = "lo" if address == "127.0.0.1" else f"lo:{number}"
        set_address(name, address, "255.0.0.0" if name == "lo" else "255.255.255.255")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(control, SIOCSIFFLAGS, flags)
    settings = {
        "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        "nsswitch.conf": "hosts: files dns\n",
    }
    for name, text in settings.items():
        path = work / name
        path.write_text(text)
        if Path("/etc", name).exists():
            subprocess.run(["mount", "--bind", str(path), f"/etc/{name}"], check=True)


def set_address(name: str, address: str, mask: str) -> None:
    """What ifconfig does; not every machine has it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, mask)):
            packed = struct.pack(
                "16sH2x4s8x", name.encode(), socket.AF_INET, socket.inet_aton(value)
            )
            fcntl.ioctl(control, request, packed)


class Traps:
    """Listens where no delivery may arrive, and counts who does."""

    def __init__(self) -> None:
        self.caught: Counter[str] = Counter()
        for address in TRAPS:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.create_server((address, PORT), family=family)
            threading.Thread(target=self._watch, args=(address, listener), daemon=True).start()

    def _watch(self, address: str, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            self.caught[address] += 1
            connection.close()


class Consumer:
    """An HTTPS server at the public address that demands our certificate."""

    def __init__(self, server: Path, root: Path) -> None:
        consumer = self
        self.received = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                consumer.received += 1
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server / "tls.crt", server / "tls.key")
        context.load_verify_locations(root)
        context.verify_mode = ssl.CERT_REQUIRED
        listening = ThreadingHTTPServer((PUBLIC, PORT), Handler)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
