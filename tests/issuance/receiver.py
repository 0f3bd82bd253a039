"""A receiver whose certificate is renewed in place while it serves. It records who has come."""

import http.server
import ssl
import threading
from pathlib import Path
from typing import Self


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers, and records the serial of the client's certificate."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self) -> None:
        # Here and not in the loop that accepts, so that a slow handshake delays no other client.
        self.request = self.server.context().wrap_socket(self.request, server_side=True)
        super().setup()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.record(self.path, self.connection.getpeercert()["serialNumber"])
        self.send_response(204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


class OneRequest(Handler):
    """Closes each connection, so that each delivery makes a handshake."""

    def end_headers(self) -> None:
        self.send_header("connection", "close")
        super().end_headers()


class Receiver(http.server.ThreadingHTTPServer):
    """Demands certificates of a CA. Takes that and its own certificate from files that change."""

    daemon_threads = True
    # Several clients connect at once.
    request_queue_size = 128

    def __init__(self, cert: Path, key: Path, ca: Path, handler: type[Handler] = Handler):
        self.files, self.ca = (cert, key), ca
        self.lock = threading.Condition()
        self.seen: dict[str, list[str]] = {}
        self.read_from: tuple = ()
        self.loads = 0
        self.current = None
        super().__init__(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def context(self) -> ssl.SSLContext:
        """Returns the context for a new connection, made anew if the files have changed."""
        with self.lock:
            texts = tuple(file.read_bytes() for file in (*self.files, self.ca))
            if texts != self.read_from:
                made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                made.verify_mode = ssl.CERT_REQUIRED
                try:
                    made.load_verify_locations(cadata=texts[-1].decode())
                    made.load_cert_chain(*self.files)
                except (ssl.SSLError, ValueError):
                    assert self.current, "the first files must fit"  # Half written.
                else:
                    self.current, self.read_from, self.loads = made, texts, self.loads + 1
            return self.current

    def record(self, path: str, serial: str) -> None:
        with self.lock:
            serials = self.seen.setdefault(path, [])
            if serial.lower() not in serials:
                serials.append(serial.lower())
                self.lock.notify_all()

    def wait_for(self, path: str, serial: str, limit: float) -> None:
        """Waits until a client of this path has come with this certificate."""
        with self.lock:
            came = self.lock.wait_for(lambda: serial in self.seen.get(path, []), limit)
            assert came, (path, serial, self.seen.get(path))

    def handle_error(self, *_) -> None:
        """A client that closes its connection is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()
