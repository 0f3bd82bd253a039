"""The test network, in a namespace: an address that counts as public, addresses that no delivery
may reach, and a resolver that uses our name server."""

import contextlib
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

# Public addresses that never answer a connection attempt.
SILENT = [f"93.184.217.{number}" for number in range(1, 17)]

# A domain that the resolver appends to names that are not absolute.
SEARCH = "evil.search"

PROXY = ("127.0.0.1", 3128)

# The name of a file for HOSTALIASES, which replaces names without a dot.
ALIASES = "aliases"

HOSTS = f"""\
127.0.0.1 localhost
{PUBLIC} in-hosts.consumer.example other-name intranet
169.254.169.254 metadata-in-hosts.consumer.example  # what a cloud serves there
"""

SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
IFF_UP, IFF_RUNNING = 0x1, 0x40


def build(work: Path) -> None:
    """Configures the addresses and the resolver of this namespace."""
    traps = (trap for trap in TRAPS if ":" not in trap and trap != "127.0.0.1")
    set_addresses([PUBLIC, *traps, *SILENT])
    (work / ALIASES).write_text(f"hooks hooks.{SEARCH}\nintranet intranet.{SEARCH}\n")
    use_resolver(work, HOSTS, f"search {SEARCH}\noptions ndots:5 timeout:3 attempts:1\n")


def set_addresses(others: list[str]) -> None:
    """Starts the loopback interface of this namespace, with these addresses beside 127.0.0.1."""
    for number, address in enumerate(["127.0.0.1", *others]):
        mask = "255.255.255.255" if number else "255.0.0.0"
        set_address(f"lo:{number}" if number else "lo", address, mask)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(control, SIOCSIFFLAGS, flags)


def use_resolver(work: Path, hosts: str, options: str) -> None:
    """Lets the system's resolver read this file of hosts, then ask 127.0.0.1."""
    settings = {
        "resolv.conf": f"nameserver 127.0.0.1\n{options}",
        "nsswitch.conf": "hosts: files dns\n",
        "hosts": hosts,
    }
    for name, text in settings.items():
        path = work / name
        path.write_text(text)
        if Path("/etc", name).exists():
            subprocess.run(["mount", "--bind", str(path), f"/etc/{name}"], check=True)


def set_address(name: str, address: str, mask: str) -> None:
    """Sets an address as ifconfig does, which is not installed everywhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, mask)):
            packed = struct.pack(
                "16sH2x4s8x", name.encode(), socket.AF_INET, socket.inet_aton(value)
            )
            fcntl.ioctl(control, request, packed)


class Traps:
    """Listens on the denied addresses, and counts connections."""

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
    """An HTTPS server at the public address that requires our certificate."""

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


class Silent:
    """Listens at the silent addresses with a full backlog, so that the kernel answers no one."""

    def __init__(self, addresses: list[str] = SILENT) -> None:
        self._held: list[socket.socket] = []
        for address in addresses:
            listener = socket.create_server((address, PORT), backlog=0)
            self._held.append(listener)
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex((address, PORT))
                self._held.append(filler)

    def close(self) -> None:
        """Closes all sockets."""
        for held in self._held:
            held.close()


class SocketCount:
    """Counts the connection attempts to the silent addresses, until it is closed."""

    def __init__(self) -> None:
        self._before = self._opening()
        self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def close(self) -> None:
        """Stops after the last sample."""
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        # The kernel writes the table row by row: one read may contain a closed socket and its
        # successor.
        before = 0
        while not self._stop.wait(0.005):
            now = len(self._opening() - self._before)
            self.most = max(self.most, min(before, now))
            before = now

    def _opening(self) -> set[str]:
        """Returns the local ends of connections whose SYN was not answered."""
        syn_sent, port = "02", f":{PORT:04X}"
        rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return {row[1] for row in rows if row[3] == syn_sent and row[2].endswith(port)}


class Proxy:
    """A CONNECT proxy. It connects before it answers, so a silent address makes it silent."""

    def __init__(self) -> None:
        listener = socket.create_server(PROXY)
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            chunk = client.recv(4096)
            if not chunk:
                return
            head += chunk
        host, port = head.split()[1].decode().rsplit(":", 1)
        consumer = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self._copy, args=(consumer, client), daemon=True).start()
        self._copy(client, consumer)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
