"""An identity is replaced during deliveries by one that nginx refuses.

Its page comes before the payload: nothing is lost, and by nginx's own log no payload leaves twice.
"""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

from pki import Pki
from server import Server

SECONDS = 120


def fault(program: str, server: Server, pki: Pki, log: Path) -> str | None:
    """Delivers while the identity is replaced; what was wrong, if anything."""
    told = rotated(program, server, pki)
    if told["failed"]:
        return f"{len(told['failed'])} failed, the first: {told['failed'][0]}"
    if sum(told["attempts"].values()) != told["deliveries"]:
        return f"{told['attempts']} are not all of {told['deliveries']}"
    if told["attempts"].get("2", 0) == 0:
        return "no delivery met the page"
    taken: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        name, status, length = line.split(" ")
        if not name.startswith("rotated-"):
            continue
        if status == "200":
            taken[name] += 1
        elif status != "400" or int(length) >= told["body_bytes"]:
            return f"a payload came with what was answered {status}: {line}"
    if len(taken) != told["deliveries"]:
        return f"{len(taken)} of {told['deliveries']} payloads came"
    twice = [name for name, count in taken.items() if count > 1]
    return f"payloads came twice: {twice}" if twice else None


def rotated(program: str, server: Server, pki: Pki) -> dict[str, object]:
    """What the program said of itself."""
    environment = os.environ | {
        "WMTLS_URL": server.url,
        "WMTLS_PIN": pki.server_pin,
        "WMTLS_CA": str(pki.root),
        "WMTLS_CERT": str(pki.ours / "tls.crt"),
        "WMTLS_KEY": str(pki.ours / "tls.key"),
        "WMTLS_NEXT_CERT": str(pki.stranger / "tls.crt"),
        "WMTLS_NEXT_KEY": str(pki.stranger / "tls.key"),
    }
    done = subprocess.run(
        [program], check=False, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()}")
    told: dict[str, object] = json.loads(done.stdout)
    return told
