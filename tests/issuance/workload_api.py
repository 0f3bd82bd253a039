"""A SPIFFE Workload API on a Unix socket, as an agent serves it.

Each line of the standard input is JSON: `svid`, `key` and `bundle` are paths of PEM files, and
`federated` has one for each trust domain. Each stream gets them, also one that starts later.
Then the number of streams is printed.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from spiffe._proto import workload_pb2, workload_pb2_grpc


def certificates(file: str) -> bytes:
    """Returns the certificates of a file as the API sends them: DER in a row."""
    found = x509.load_pem_x509_certificates(Path(file).read_bytes())
    return b"".join(cert.public_bytes(Encoding.DER) for cert in found)


def response(said: dict[str, Any]) -> Any:
    """Returns the message of the API."""
    svid = Path(said["svid"]).read_bytes()
    names = x509.load_pem_x509_certificate(svid).extensions
    names = names.get_extension_for_class(x509.SubjectAlternativeName).value
    key = load_pem_private_key(Path(said["key"]).read_bytes(), None)
    sent = workload_pb2.X509SVID(
        spiffe_id=names.get_values_for_type(x509.UniformResourceIdentifier)[0],
        x509_svid=certificates(said["svid"]),
        x509_svid_key=key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        bundle=certificates(said["bundle"]),
    )
    federated = {f"spiffe://{td}": certificates(file) for td, file in said["federated"].items()}
    return workload_pb2.X509SVIDResponse(svids=[sent], federated_bundles=federated)


class Api(workload_pb2_grpc.SpiffeWorkloadAPIServicer):
    """Sends the current message to each stream, and each later one."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.current: Any = None
        self.number = 0
        self.streams = 0
        self.is_over = False

    def FetchX509SVID(self, _request: Any, context: Any) -> Any:  # noqa: N802
        """Serves a stream."""
        if ("workload.spiffe.io", "true") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing")
        context.add_callback(self.wake)
        with self.changed:
            self.streams += 1
        seen = 0
        while (news := self.next(seen, context)) is not None:
            seen, current = news
            yield current
        with self.changed:
            self.streams -= 1

    def next(self, seen: int, context: Any) -> tuple[int, Any] | None:
        """Waits for a later message than this. Returns None when the stream has ended."""
        is_over = lambda: self.is_over or not context.is_active()  # noqa: E731
        with self.changed:
            self.changed.wait_for(lambda: self.number > seen or is_over())
            return None if is_over() else (self.number, self.current)

    def wake(self) -> None:
        """Lets streams that have ended be seen."""
        with self.changed:
            self.changed.notify_all()

    def send(self, current: Any) -> int:
        """Sends a message to all streams, and returns their number."""
        with self.changed:
            self.current = current
            self.number += 1
            self.changed.notify_all()
            return self.streams

    def end(self) -> None:
        """Ends all streams."""
        with self.changed:
            self.is_over = True
            self.changed.notify_all()


def main() -> int:
    """Serves until the standard input ends."""
    api, pool = Api(), ThreadPoolExecutor(8)
    server = grpc.server(pool)
    workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(api, server)
    server.add_insecure_port(f"unix:{sys.argv[1]}")
    server.start()
    for line in sys.stdin:
        print(json.dumps({"streams": api.send(response(json.loads(line)))}), flush=True)
    api.end()
    server.stop(None).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
