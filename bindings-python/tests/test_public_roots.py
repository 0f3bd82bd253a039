"""No root of certifi passes as a private trust, and its bundle loads as a public one."""

import re
from pathlib import Path

import certifi
import pytest

import webhook_mtls as wm
from webhook_mtls import testing

BUNDLE = Path(certifi.__file__).with_name("cacert.pem").read_bytes()
ROOTS = re.findall(rb"-----BEGIN CERTIFICATE.*?END CERTIFICATE-----\n", BUNDLE, re.DOTALL)


def refusal(bundle: bytes) -> str:
    with pytest.raises(wm.ConfigError) as refused:
        wm.Trust.from_pem(bundle)
    return refused.value.kind


def test_each_root_alone_beside_another_and_the_bundle_are_refused(lab: testing.Lab) -> None:
    assert len(ROOTS) >= 100
    for at, root in enumerate(ROOTS):
        assert refusal(root) == "public_root_in_trust", root
        assert refusal(ROOTS[at - 1] + root) == "public_root_in_trust", root
        assert refusal(lab.trust_pem + root) == "public_root_in_trust", root
    assert refusal(BUNDLE) == "public_root_in_trust"


def test_the_bundle_loads_as_a_public_trust() -> None:
    notes = wm.Trust.dangerous_public(BUNDLE).notes
    skipped = [note for note in notes if note.endswith("it is skipped")]
    assert len(skipped) <= len(ROOTS) / 20, skipped
