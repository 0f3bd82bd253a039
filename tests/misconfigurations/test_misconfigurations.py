"""Makes each misconfiguration, and compares what the library says with what it must say."""

import os
from pathlib import Path

import exceptions
import page
import pytest
from lab import Case, Lab
from said import NAMES, Heard, Said
from table import TOPICS
from table.languages import CASES

import webhook_mtls as wm

ALL = [case for cases in TOPICS.values() for case in cases]
PROBED = [case for case in ALL if case.probed is not None]
SPELLED = [(language, case) for case, (_, says) in CASES.items() for language in says]
LISTED = exceptions.read()

DAY = 24 * 3600

TITLES = {"c": "C", "node": "Node", "rust": "Rust"}

# What was said in this run, by the case's id, and the grade.
said: dict[str, tuple[Heard, str]] = {}


def judge(name: str, says: Said, heard: Heard) -> None:
    """Fails unless cause and cure are named, or the case is listed, and not both."""
    grade, missing = says.judge(heard)
    said[name] = (heard, grade)
    shown = f"{grade}: {'; '.join(missing)}\n{heard.verdict}\n{heard.text}"
    if name in LISTED:
        assert grade != NAMES, f"{name} is good now: remove it from {exceptions.FILE.name}"
    else:
        assert grade == NAMES, shown


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_the_error_names_cause_and_cure(case: Case, lab: Lab) -> None:
    judge(case.id, case.says, case.heard(lab))


@pytest.mark.parametrize("case", PROBED, ids=lambda case: case.id)
def test_a_probe_says_the_same(case: Case, lab: Lab) -> None:
    assert case.probed is not None
    judge(f"probe: {case.id}", case.probed, case.heard_by_probe(lab))


@pytest.mark.parametrize(("language", "case"), SPELLED)
def test_each_language_spells_the_cure(language: str, case: str, lab: Lab) -> None:
    _, says = CASES[case]
    judge(f"{language}: {case}", says[language], lab.told(language, case))


def test_no_fault_that_can_be_mended_is_dropped_within_a_day() -> None:
    errors = [heard.error for heard, _ in said.values() if heard.error is not None]
    for error in errors:
        if error.retry != "never":
            assert waited(error) >= DAY, error.kind


def waited(error: wm.WebhookMtlsError) -> float:
    """Returns the seconds after which the default policy drops a payload that always fails so."""
    policy, seconds, attempt = wm.RetryPolicy(), 0.0, 1
    while seconds < DAY:
        decision = policy.decide(error, attempt=attempt)
        if decision.action == "drop":
            return seconds
        seconds += decision.delay
        attempt += decision.counts
    return seconds


def test_every_exception_is_a_case() -> None:
    known = {case.id for case in ALL} | {f"probe: {case.id}" for case in PROBED}
    known |= {f"{language}: {case}" for language, case in SPELLED}
    assert known >= LISTED


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({case.id for case in ALL}) == len(ALL)


def test_the_page_shows_this_run() -> None:
    if len(said) < len(ALL) + len(PROBED) + len(SPELLED):
        pytest.skip("some cases were left out")
    rows = {topic: [row(case) for case in cases] for topic, cases in TOPICS.items()}
    rows["The same in C, Node and Rust"] = [
        page.Row(f"{TITLES[language]}: {CASES[case][0]}", *said[f"{language}: {case}"])
        for language, case in SPELLED
    ]
    text = page.text(rows)
    if os.environ.get("WMTLS_WRITE_PAGE"):
        page.FILE.write_text(text)
    Path(os.environ["WMTLS_WORK"], "misconfigurations.md").write_text(text)
    current = page.FILE.read_text() if page.FILE.exists() else ""
    assert current == text, "docs/misconfigurations.md differs: run cargo xtask misconfigurations"


def row(case: Case) -> page.Row:
    """Returns the row of a case."""
    heard, grade = said[case.id]
    _, probed = said.get(f"probe: {case.id}", (heard, ""))
    return page.Row(case.title, heard, grade, probed)
