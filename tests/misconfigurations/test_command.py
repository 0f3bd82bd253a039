"""Runs the command `diagnose` on every case, and compares what it says with what must be said."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import shell
from lab import Case, Lab
from said import NAMES, Said
from shell import NotExpressibleError, Ran
from table import TOPICS

ALL = [case for cases in TOPICS.values() for case in cases]
LISTED = shell.listed()
MET = [case for case in ALL if case.id not in LISTED]

AT_ONCE = 6

Runs = dict[str, Ran]


@pytest.fixture(scope="module")
def runs(lab: Lab) -> Iterator[Runs]:
    """Runs the command for each case, a few at once: some wait for a silent address."""
    command = os.environ["WMTLS_COMMAND"]
    lines = {case.id: shell.line(case, lab) for case in MET}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {case: pool.submit(shell.run, command, made) for case, made in lines.items()}
        yield {case: run.result() for case, run in running.items()}


def says_of(case: Case, ran: Ran) -> Said:
    """Returns what a diagnosis must say.

    It sends no payload, so the answer to one is no fault of its. A word that the parser of the
    arguments refuses has no verdict of the library.
    """
    if case.says.kind == "http_status" and case.probed is not None:
        return case.probed
    says = case.says.but(sent="")
    if ran.heard.verdict["kind"] == "usage":
        return says.but(kind="usage", stage="", blame="", scope="", retry="")
    return says


@pytest.mark.parametrize("case", MET, ids=lambda case: case.id)
def test_the_command_names_cause_culprit_and_cure(case: Case, runs: Runs) -> None:
    ran = runs[case.id]
    says = says_of(case, ran)
    if shell.is_well(says):
        assert ran.report["ok"], ran.report
    else:
        grade, missing = says.judge(ran.heard)
        assert grade == NAMES, f"{grade}: {'; '.join(missing)}\n{ran.heard}"
    assert ran.code == shell.expected(says, ran.heard), ran.heard


@pytest.mark.parametrize("case", MET, ids=lambda case: case.id)
def test_the_message_to_the_consumer_names_nothing_of_ours(case: Case, runs: Runs) -> None:
    ran = runs[case.id]
    is_for_consumer = ran.report.get("verdict", {}).get("tell") == "consumer"
    assert not is_for_consumer or ran.message is not None
    if ran.message is None:
        return
    # The first line names the URL, which the consumer has given to us.
    first, _, rest = ran.message.partition("\n")
    assert re.fullmatch(r"Webhooks .*https://[^ ]+.*", first), first
    host = re.search(r"https://([^:/ ]+)", first)
    assert host is not None
    rest = rest.replace(host[1], "the host of the URL")
    for internal in shell.INTERNAL:
        assert not re.search(internal, rest, re.IGNORECASE), f"{internal}: {ran.message}"


@pytest.mark.parametrize(
    ("host", "status", "said"),
    [
        ("beyond.acme.test", "passed", r"127\.0\.0\.1 answers \(resolv\.conf\)"),
        ("nothing.acme.test", "passed", r"127\.0\.0\.1 answers( NXDOMAIN)? \(resolv\.conf\)"),
        ("fail.acme.test", "failed", "SERVFAIL"),
        ("hooks.acme.test", "skipped", "/etc/hosts"),
    ],
)
def test_the_name_servers_are_asked(host: str, status: str, said: str, lab: Lab) -> None:
    made = shell.Material([f"https://{host}:9/"]) + own_files(lab)
    report = shell.run(os.environ["WMTLS_COMMAND"], made).report
    row = next(row for row in report["checks"] if row["id"] == "way_name_servers")
    assert row["status"] == status, row
    assert re.search(said, row["summary"]), row


def own_files(lab: Lab) -> shell.Material:
    """Returns the options of an endpoint in which everything is right."""
    ours, root = lab.certificates.identity("ours"), lab.certificates.of("Acme Root")
    return shell.Material(
        [f"--cert={ours.chain}", f"--key={ours.key}", f"--ca={root.cert}", "--allow=127.0.0.0/8"]
    )


def test_the_crls_and_what_they_cover_are_named(lab: Lab) -> None:
    crl = lab.certificates.crl("Acme Root")
    made = shell.Material(["https://hooks.acme.test:9/", f"--crl={crl}"]) + own_files(lab)
    report = shell.run(os.environ["WMTLS_COMMAND"], made).report
    row = next(row for row in report["checks"] if row["id"] == "trust_crls")
    assert re.search(r"in force until 20.* of CN=Acme Root", row["summary"]), row


@pytest.mark.parametrize("case", [case for case in ALL if case.id in LISTED], ids=lambda it: it.id)
def test_a_listed_case_cannot_be_met(case: Case, lab: Lab) -> None:
    with pytest.raises(NotExpressibleError):
        shell.line(case, lab)


def test_every_listed_case_is_a_case() -> None:
    assert {case.id for case in ALL} >= set(LISTED)
