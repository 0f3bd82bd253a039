"""Consumers and their neighbors in this process: TLS receivers of Python's ssl with any fault, and
sockets that speak no TLS at all."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from certificates import Certificates, Issued

Handler = Callable[[socket.socket], None]

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def serve(handler: Handler) -> int:
    """Listens on a free port and handles each connection on a thread; returns the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, handler), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def _accept(listener: socket.socket, handler: Handler) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_handle, args=(connection, handler), daemon=True).start()


def _handle(connection: socket.socket, handler: Handler) -> None:
    with contextlib.suppress(OSError), connection:
        handler(connection)


def context(shown: Issued, certificates: Certificates, accepts: str | None) -> ssl.SSLContext:
    """Returns a server's context that accepts certificates of this root, or asks for none."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Some certificates are weak on purpose.
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    made.load_cert_chain(shown.chain, shown.key)
    if accepts is not None:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(certificates.of(accepts).cert)
    return made


def https(tls: ssl.SSLContext, answer: bytes = ANSWER) -> Handler:
    """Returns a handler that answers each request."""

    def handle(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as stream:
            while read_request(stream):
                stream.sendall(answer)

    return handle


def read_request(stream: socket.socket) -> bool:
    """Reads one request; returns whether there was one."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = stream.recv(65536)
        if not part:
            return False
        head += part
    head, _, body = head.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
    while missing > 0:
        part = stream.recv(missing)
        if not part:
            return False
        missing -= len(part)
    return True


def then(tls: ssl.SSLContext, end: Handler, *, reads: bool = True) -> Handler:
    """Returns a handler that completes the handshake, reads a request or not, and ends so."""

    def handle(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as stream:
            if reads:
                read_request(stream)
            end(stream)

    return handle


def silent(connection: socket.socket) -> None:
    """Reads and says nothing, until the other side closes."""
    while connection.recv(65536):
        pass


def reset(connection: socket.socket) -> None:
    """Resets the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_and_reset(connection: socket.socket) -> None:
    """Resets the connection after the first bytes."""
    connection.recv(65536)
    reset(connection)


def close(connection: socket.socket) -> None:
    """Closes after the first bytes."""
    connection.recv(65536)


def resets_large(connection: socket.socket) -> None:
    """Resets if the first flight does not fit into one packet, as some middleboxes do."""
    if len(connection.recv(65536)) > 1400:
        reset(connection)


def swallows_large(connection: socket.socket) -> None:
    """Never answers a first flight that does not fit into one packet."""
    if len(connection.recv(65536)) > 1400:
        silent(connection)


def says(text: bytes) -> Handler:
    """Returns a handler that reads, answers with this text, and closes."""

    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(text)
        # A close with unread bytes would be a reset.
        connection.shutdown(socket.SHUT_WR)
        silent(connection)

    return handle


def greets(text: bytes) -> Handler:
    """Returns a handler that speaks first, as SSH and SMTP servers do."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(text)
        silent(connection)

    return handle


def alerts(number: int) -> Handler:
    """Returns a handler that answers the ClientHello with a fatal alert."""
    return says(bytes([21, 3, 3, 0, 2, 2, number]))


def with_crl(tls: ssl.SSLContext, *lists: Path) -> ssl.SSLContext:
    """Lets the context check the certificates of clients against these CRLs."""
    for crl in lists:
        tls.load_verify_locations(crl)
    tls.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return tls
