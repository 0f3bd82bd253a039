"""Python's ssl with `CERT_REQUIRED`. It refuses a certificate with an alert, after the client's own
handshake is complete (TLS 1.3). Run as a program, this file is the server and prints its port."""

import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pki import Pki
from server import Server, Setting, access_log, announced_port


def start(pki: Pki, setting: Setting, work: Path) -> Server:
    """Starts it on a port that it chooses, with this Python interpreter."""
    log = work / "log"
    crl = "" if setting.late else str(pki.crl)
    command = [sys.executable, __file__, str(pki.server), str(pki.root), setting.asks, crl]
    command += [str(access_log(work))]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=setting.environment,
        )
    return Server("python", announced_port(process), process, log)


class Handler(BaseHTTPRequestHandler):
    """Answers every POST with 200."""

    protocol_version = "HTTP/1.1"
    requests = Path()

    def do_POST(self) -> None:
        """Reads the whole body, then answers."""
        self.rfile.read(int(self.headers["content-length"]))
        with self.requests.open("a") as log:
            log.write(f"{self.headers['webhook-id']} 200 {self.client_address[1]}\n")
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def handle(self) -> None:
        """Makes the handshake in the connection's thread, so that one client delays no other."""
        try:
            self.connection.do_handshake()
        except OSError as refused:
            print(f"refused: {refused}", file=sys.stderr, flush=True)
            return
        super().handle()


def serve(directory: Path, root: Path, asks: str, crl: str, requests: Path) -> None:
    """Serves until it is stopped."""
    Handler.requests = requests
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(root))
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    modes = {"require": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "never": ssl.CERT_NONE}
    context.verify_mode = modes[asks]
    if crl:
        context.load_verify_locations(cafile=crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], Path(sys.argv[5]))
