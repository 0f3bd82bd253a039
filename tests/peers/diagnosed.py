"""Diagnoses real servers with the command, good and bad.

The verdict and the exit code are right, and it is known whether a server requires a certificate or
only requests it.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cases
from cases import Case
from pki import Issuer, Pki, leaf
from server import Server

SECONDS = 60

# The servers that are diagnosed in every case.
SERVERS = ("nginx", "haproxy", "apache", "node", "python", "openssl")

WELL, THEIRS, OURS = 0, 1, 3


@dataclass(frozen=True)
class Expected:
    """A verdict.

    `kinds`: those that it may have; None if all is well. `required`: the answer to the question
    whether a certificate is required.
    """

    kinds: tuple[str | None, ...]
    code: int
    required: str


def expected(case: Case, truth: str) -> Expected:
    """Returns the verdict that belongs to the outcome of a delivery."""
    if truth == "receipt":
        required = "warning" if case.setting.asks == "optional" else "passed"
        return Expected((None,), WELL, required)
    if truth == "identity_unusable":
        return Expected((truth,), OURS, "not_reached")
    if truth in ("pin_mismatch", "client_auth_not_requested"):
        return Expected((truth,), THEIRS, "not_reached")
    # A close alone may be another fault, and the verdict says so.
    kinds = ("client_certificate_rejected",)
    kinds += ("connection_lost",) if truth == cases.ENDED else ()
    return Expected(kinds, THEIRS, "not_reached")


def fault(command: str, server: Server, pki: Pki, case: Case, truth: str) -> str | None:
    """Diagnoses the server as the client of a case; returns the fault of the verdict, or None."""
    pin = cases.ANOTHER_PIN if case.wrong_pin else pki.server_pin
    words = [f"--pin={pin}"]
    words += ["--min-tls=1.2"] if case.setting.older else []
    material = Path(case.material(pki))
    return compared(run(command, server.url, material, words), expected(case, truth), server)


def server_faults(command: str, server: Server, pki: Pki) -> Iterator[tuple[str, str | None]]:
    """Yields the verdicts on a good server that is expected to be another one."""
    wrong = Expected(("name_mismatch",), THEIRS, "not_reached")
    seen = run(command, server.url, pki.ours, ["--server-name=shop.consumer.test"])
    yield "diagnosed, wrong name", compared(seen, wrong, server)
    wrong = Expected(("issuer_unknown",), THEIRS, "not_reached")
    seen = run(command, server.url, pki.ours, [f"--ca={pki.elsewhere}"])
    yield "diagnosed, other CA", compared(seen, wrong, server)


def expired(pki: Pki, home: Path) -> Pki:
    """Returns the same with a server's certificate that has expired.

    `home`: where `pki` was made.
    """
    root, issuing = (
        Issuer(home / f"{name}.crt", home / f"{name}.key") for name in ("root", "issuing")
    )
    names = "IP:127.0.0.1, DNS:localhost"
    made = leaf(home, "expired", issuing, "serverAuth", names, root, begins=-9)
    return replace(pki, server=made)


def expired_fault(command: str, server: Server, pki: Pki) -> str | None:
    """Diagnoses a server whose certificate has expired."""
    wanted = Expected(("certificate_expired",), THEIRS, "not_reached")
    return compared(run(command, server.url, pki.ours, []), wanted, server)


def run(
    command: str, url: str, material: Path, words: list[str]
) -> subprocess.CompletedProcess[bytes]:
    """Diagnoses with a request without a payload."""
    usual = {"cert": "tls.crt", "key": "tls.key", "ca": "ca.pem"}
    given = {word.split("=")[0] for word in words}
    files = [
        f"--{name}={material / file}" for name, file in usual.items() if f"--{name}" not in given
    ]
    return subprocess.run(
        [
            command,
            "diagnose",
            url,
            "--json",
            "--request=options",
            "--allow=127.0.0.0/8",
            *files,
            *words,
        ],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
    )


def compared(
    done: subprocess.CompletedProcess[bytes], wanted: Expected, server: Server
) -> str | None:
    """Returns what differs, or None."""
    try:
        report: dict[str, Any] = json.loads(done.stdout)["report"]
    except (KeyError, ValueError):
        return f"no report: {done.stdout!r} {done.stderr!r}"
    kind = report["verdict"]["kind"]
    by_id = {check["id"]: check for check in report["checks"]}
    required = by_id["verdict_required"]["status"]
    if kind in wanted.kinds and (done.returncode, required) == (wanted.code, wanted.required):
        return None
    seen = f"kind {kind}, exit code {done.returncode}, required {required}"
    rows = "".join(
        f"\n  {check['status']} {check['id']}: {check['summary']}"
        for check in report["checks"]
        if check["id"].startswith("verdict") or check["status"] == "failed"
    )
    return f"expected {wanted}, got {seen}{rows}{server.said()}"
