"""Tests that no name leads a delivery to an address that the egress policy denies.

Runs in a separate network namespace. A name server of our own answers the system's resolver; some
addresses are public and others are traps. The delivery client of every language delivers under the
policy `public`. Prints a table and `egress: N passed, N failed`. `cargo xtask test egress` starts
it.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import network
from dns import Answer, NameServer

import cases
from cases import Case
from pki import Pki

CLIENT_SECONDS = 60


def main() -> int:
    """Runs every case from every language."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="an empty directory")
    parser.add_argument("--clients", required=True, help='{"c": ["path", "argument"], …}')
    given = parser.parse_args()
    work, clients = given.work.resolve(), json.loads(given.clients)
    pki = Pki.make(work / "pki")
    network.build(work)
    found = cases.cases()
    zone = {case.host: case.rule for case in found}
    somewhere = Answer((network.PUBLIC,))
    server = NameServer(("127.0.0.1", 53), zone, network.SEARCH, somewhere)
    traps, consumer = network.Traps(), network.Consumer(pki.server, pki.root)
    _silent, _proxy = network.Silent(), network.Proxy()
    failures: list[str] = []
    for case in found:
        marks = []
        for language, command in clients.items():
            server.forget()
            before = traps.caught.copy()
            opening = network.SocketCount()
            answers = [deliver(command, case, pki, work) for _ in range(case.times)]
            opening.close()
            fault = case.fault(answers[-1]) or asked_too_much(case, server)
            if case.most_opening is not None and not 0 < opening.most <= case.most_opening:
                fault = fault or f"{opening.most} connections were opening at once"
            if traps.caught != before and case.fault is not cases.reached:
                fault = f"a denied address was reached: {dict(traps.caught - before)}"
            marks.append("FAIL" if fault else "ok")
            if fault:
                failures.append(f"{case.name}, from {language}: {fault}")
        print("  " + case.name.ljust(30) + "".join(mark.ljust(9) for mark in marks))
    for failure in failures:
        print(f"\n{failure}")
    if consumer.received == 0:
        failures.append("the consumer received nothing")
    total = len(found) * len(clients)
    print(f"\negress: {total - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


def asked_too_much(case: Case, server: NameServer) -> str | None:
    """Returns a fault if the name server got more questions than the case needs."""
    if server.searched():
        return f"the search domain was asked: {server.searched()}"
    # A resolver without an answer may repeat the question.
    if server.asked(case.host) != case.asked * case.times and case.name not in cases.ASKED_AGAIN:
        return f"the name server was asked {server.asked(case.host)} times"
    return None


def deliver(command: list[str], case: Case, pki: Pki, work: Path) -> dict[str, Any]:
    """Runs a client once; returns its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {
        "WMTLS_URL": f"https://{case.host}:{network.PORT}/in",
        "WMTLS_PIN": pki.server_pin,
        "WMTLS_CERT": str(pki.ours / "tls.crt"),
        "WMTLS_KEY": str(pki.ours / "tls.key"),
        "WMTLS_CA": str(pki.ours / "ca.pem"),
        "WMTLS_EGRESS": "public",
        "WMTLS_ALLOW": "",
    }
    settings = {name: text.replace("{work}", str(work)) for name, text in case.settings.items()}
    done = subprocess.run(
        command,
        check=False,
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS,
    )
    if done.returncode != 0:
        return {"error": {"kind": f"the client failed: {done.stderr.strip()}"}}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    sys.exit(main())
