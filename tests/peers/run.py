"""Delivers to real servers from each language.

Runs the delivery client of every language against nginx, Apache, HAProxy, stunnel, GnuTLS,
OpenSSL's s_server, Python's ssl, and TLS servers of three versions of Node and of Go, in every case
of `cases.py`. Prints a table and `peers: N passed, N failed`. Needs only the standard library and
the openssl command. `cargo xtask test peers` starts it.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import apache
import diagnosed
import gnutls
import go_tls
import haproxy
import post_quantum
import rotation
import stunnel
import ways

import cases
import nginx
import node_tls
import openssl
import python_ssl
from cases import Case
from pki import Pki
from server import Server, Setting, access_log

CLIENT_SECONDS = 60

# The versions of Node beside that of the machine.
OTHER_NODES = ("node-22", "node-24")


@dataclass
class Machine:
    """Paths of programs and directories on this machine."""

    work: Path
    node: str
    clients: dict[str, list[str]]
    rotate: str
    command: str
    other_nodes: dict[str, str]
    post_quantum: str
    go: Path | None
    _expired: Pki | None = None

    def expired(self, pki: Pki) -> Pki:
        """Returns the material with an expired certificate of the server; makes it once."""
        if self._expired is None:
            self._expired = diagnosed.expired(pki, self.work / "pki")
        return self._expired

    def has(self, kind: str) -> bool:
        """Whether this machine can run the server."""
        if kind == "go":
            return self.go is not None
        return kind in self.other_nodes or kind not in OTHER_NODES


def main() -> int:
    """Runs the whole matrix."""
    machine = arguments()
    pki = Pki.make(machine.work / "pki")
    rows: list[tuple[str, str, list[str]]] = []
    failures: list[str] = []
    absent = [kind for kind in cases.TRUTH if not machine.has(kind)]
    for kind in (kind for kind in cases.TRUTH if machine.has(kind)):
        for setting in cases.SETTINGS:
            tried = [case for case in cases.ALL if case.setting == setting]
            expected = {case.name: cases.truth(kind, case) for case in tried}
            if None in expected.values():
                continue
            with serving(kind, setting, pki, machine) as server:
                for case in tried:
                    truth = str(expected[case.name])
                    faults = run_case(case, truth, server, pki, machine.clients)
                    if kind in diagnosed.SERVERS:
                        told = diagnosed.fault(machine.command, server, pki, case, truth)
                        faults["the command"] = told
                    marks = ["FAIL" if fault else "ok" for fault in faults.values()]
                    rows.append((kind, case.name, marks))
                    failures += [
                        f"{kind}, {case.name}, from {language}: {fault}"
                        for language, fault in faults.items()
                        if fault
                    ]
                if setting == cases.REQUIRES and kind in diagnosed.SERVERS:
                    for name, fault in run_diagnoses(kind, server, pki, machine):
                        rows.append((kind, name, ["FAIL" if fault else "ok"]))
                        failures += [f"{kind}, {name}: {fault}"] if fault else []
                if setting == cases.REQUIRES and kind in ways.TRIED_AT:
                    for name, marked in run_ways(server, pki, machine):
                        rows.append((kind, name, ["FAIL" if fault else "ok" for fault in marked]))
                        failures += [f"{kind}, {name}: {fault}" for fault in marked if fault]
                if setting == cases.REQUIRES and kind in rotation.VIA:
                    log = access_log(work_of(kind, setting, machine))
                    for name, identity in rotations(kind, pki):
                        fault = rotation.fault(machine.rotate, server, pki, log, identity)
                        rows.append((kind, name, ["FAIL" if fault else "ok"]))
                        failures += [f"{kind}, {name}: {fault}{server.said()}"] if fault else []
    if "node-24" in machine.other_nodes:
        for name, marked in run_post_quantum(pki, machine):
            rows.append(("node-24", name, ["FAIL" if fault else "ok" for fault in marked]))
            failures += [f"node-24, {name}: {fault}" for fault in marked if fault]
    print_table([*machine.clients, "command"], rows)
    for failure in failures:
        print(f"\n{failure}")
    total = sum(len(marks) for _, _, marks in rows)
    for kind in absent:
        print(f"SKIPPED: {kind} is not on this machine")
    print(f"\npeers: {total - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


def arguments() -> Machine:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="an empty directory")
    parser.add_argument("--node", required=True, help="the node executable")
    parser.add_argument("--clients", required=True, help='{"c": ["path", "argument"], …}')
    parser.add_argument("--rotate", required=True, help="the program tests/programs/rotate_at.rs")
    parser.add_argument("--command", required=True, help="the program webhook-mtls")
    parser.add_argument("--post-quantum", required=True, help="tests/programs/post_quantum.rs")
    for name in OTHER_NODES:
        parser.add_argument(f"--{name}", help="the node executable of another version")
    parser.add_argument("--go", help="the go command")
    given = parser.parse_args()
    clients = json.loads(given.clients)
    work = given.work.resolve()
    go = go_tls.build(given.go, work) if given.go else None
    found = {name: getattr(given, name.replace("-", "_")) for name in OTHER_NODES}
    others = {name: node for name, node in found.items() if node}
    return Machine(
        work, given.node, clients, given.rotate, given.command, others, given.post_quantum, go
    )


def rotations(kind: str, pki: Pki) -> Iterator[tuple[str, Path]]:
    """Yields the identities that replace ours and are refused."""
    yield "rotated, unknown CA", pki.stranger
    # A close although the server names our CA.
    if kind in cases.NODES:
        yield "rotated, revoked", pki.revoked


def work_of(kind: str, setting: Setting, machine: Machine) -> Path:
    """Where a server keeps its files."""
    return machine.work / f"{kind}-{setting.name}"


@contextmanager
def serving(kind: str, setting: Setting, pki: Pki, machine: Machine) -> Iterator[Server]:
    """Runs a server of this kind. Yields when it accepts connections; ends it on exit."""
    work = work_of(kind, setting, machine)
    work.mkdir(parents=True)
    match kind:
        case "nginx":
            server = nginx.start(pki, setting, work)
        case "apache":
            server = apache.start(pki, setting, work)
        case "haproxy":
            server = haproxy.start(pki, setting, work)
        case "stunnel":
            server = stunnel.start(pki, setting, work)
        case "gnutls":
            server = gnutls.start(pki, setting, work)
        case "openssl":
            server = openssl.start(pki, setting, work)
        case "node":
            server = node_tls.start(pki, setting, work, machine.node)
        case _ if kind in machine.other_nodes:
            server = node_tls.start(pki, setting, work, machine.other_nodes[kind])
            server.kind = kind
        case "go":
            assert machine.go is not None
            server = go_tls.start(pki, setting, work, machine.go)
        case _:
            server = python_ssl.start(pki, setting, work)
    try:
        server.wait_until_it_accepts()
        yield server
    finally:
        server.stop()


def run_case(
    case: Case, expected: str, server: Server, pki: Pki, clients: dict[str, list[str]]
) -> dict[str, str | None]:
    """Delivers from each language; returns the fault of each result, or None."""

    def found(command: list[str]) -> str | None:
        pin = cases.ANOTHER_PIN if case.wrong_pin else pki.server_pin
        try:
            material = Path(case.material(pki))
            answer = deliver(command, server.url, pin, material, case.environment)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return f"the client itself failed: {error}"
        fault = cases.fault(expected, answer)
        return f"{fault}\n  {json.dumps(answer)}{server.said()}" if fault else None

    return {language: found(command) for language, command in clients.items()}


def run_diagnoses(
    kind: str, server: Server, pki: Pki, machine: Machine
) -> Iterator[tuple[str, str | None]]:
    """Diagnoses a good server that is not the expected one, and one that has expired."""
    yield from diagnosed.server_faults(machine.command, server, pki)
    past = machine.expired(pki)
    apart = replace(machine, work=machine.work / "expired")
    with serving(kind, cases.REQUIRES, past, apart) as late:
        yield "diagnosed, expired", diagnosed.expired_fault(machine.command, late, past)


def run_post_quantum(pki: Pki, machine: Machine) -> Iterator[tuple[str, list[str | None]]]:
    """Runs the trials with keys of ML-DSA; yields the fault of each result, or None."""
    node, work = machine.other_nodes["node-24"], machine.work / "post-quantum"
    with ExitStack() as held:
        for trial in post_quantum.trials(pki, machine.post_quantum, node, work, held):
            faults = run_case(trial.case, trial.expected, trial.server, trial.pki, machine.clients)
            told = [one and f"from {language}: {one}" for language, one in faults.items()]
            yield trial.row, told


def run_ways(server: Server, pki: Pki, machine: Machine) -> Iterator[tuple[str, list[str | None]]]:
    """Delivers from each language in each additional way; returns the fault of each result."""
    with ExitStack() as held:
        for way in ways.to(server, pki, machine.work, held):
            faults: list[str | None] = []
            for language, command in machine.clients.items():
                try:
                    answer = deliver(command, server.url, pki.server_pin, pki.ours, way.environment)
                except (OSError, ValueError, subprocess.SubprocessError) as error:
                    faults.append(f"from {language}: the client itself failed: {error}")
                    continue
                fault = way.fault(answer)
                told = f"from {language}: {fault}\n  {json.dumps(answer)}{server.said()}"
                faults.append(told if fault else None)
            yield way.name, faults


def deliver(
    command: list[str],
    url: str,
    pin: str,
    material: Path,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Runs a client once; returns its output."""
    environment = os.environ | {
        "WMTLS_URL": url,
        "WMTLS_PIN": pin,
        "WMTLS_CERT": str(material / "tls.crt"),
        "WMTLS_KEY": str(material / "tls.key"),
        "WMTLS_CA": str(material / "ca.pem"),
    }
    environment |= settings
    done = subprocess.run(
        command,
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS,
    )
    if done.returncode != 0:
        raise ValueError(f"exit code {done.returncode}: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def print_table(languages: list[str], rows: list[tuple[str, str, list[str]]]) -> None:
    """Prints the matrix: a row for each server and case, a column for each language."""
    print("  " + "server    case".ljust(34) + "".join(word.ljust(9) for word in languages))
    print("  " + "─" * (34 + 9 * len(languages)))
    for kind, case, marks in rows:
        cells = "".join(mark.ljust(9) for mark in marks)
        print(f"  {kind.ljust(10)}{case.ljust(24)}{cells}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
