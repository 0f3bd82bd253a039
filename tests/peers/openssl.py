"""OpenSSL's s_server with `-Verify`. It refuses a certificate with an alert, after the client's own
handshake is complete (TLS 1.3).

s_server does not answer a POST: it copies received data to its standard output, and sends its
standard input to the client. A thread reads the requests and writes the responses.
"""

import re
import subprocess
import threading
from pathlib import Path
from typing import IO

from pki import Pki
from server import Server, Setting, free_port

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def start(pki: Pki, setting: Setting, work: Path) -> Server:
    """Starts it, one connection at a time, with the thread that answers."""
    port = free_port()
    log = work / "log"
    command = ["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}"]
    command += ["-cert", str(pki.server / "leaf.crt"), "-key", str(pki.server / "tls.key")]
    command += ["-cert_chain", str(pki.server / "tls.crt"), "-CAfile", str(pki.root)]
    if setting.asks != "never":
        # Without the second option it would report a bad certificate and continue.
        command += ["-Verify" if setting.asks == "require" else "-verify", "4"]
        command += ["-verify_return_error"]
        if not setting.late:
            command += ["-CRL", str(pki.crl), "-crl_check"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            env=setting.environment,
        )
    assert process.stdin is not None and process.stdout is not None
    threading.Thread(target=answer_all, args=(process.stdout, process.stdin), daemon=True).start()
    return Server("openssl", port, process, log)


def answer_all(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answers each complete request, until the server ends."""
    seen = b""
    try:
        while part := requests.read(65536):
            seen += part
            while (end := end_of_request(seen)) is not None:
                seen = seen[end:]
                answers.write(ANSWER)
    except (OSError, ValueError):
        # The server ended while the thread read or wrote: the normal end of a run.
        return


def end_of_request(seen: bytes) -> int | None:
    """Returns the end of the first request, if it is complete."""
    head = seen.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = re.search(rb"(?im)^content-length:\s*(\d+)", seen[:head])
    end = head + 4 + (int(length[1]) if length else 0)
    return end if len(seen) >= end else None
