"""PKCS#12 and trust in Python's types. The shared vectors test their content."""

from pathlib import Path
from typing import Any

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Lab

FILES = Path(__file__).resolve().parents[2] / "core" / "tests" / "pkcs12"
PASSPHRASE = b"correct horse"


@pytest.mark.parametrize("name", ["openssl3", "openssl3_legacy", "keytool", "keytool_legacy"])
def test_a_file_of_another_tool_is_an_identity(name: str) -> None:
    data = (FILES / f"{name}.p12").read_bytes()
    identity = wm.Identity.from_pkcs12(data, PASSPHRASE)
    assert identity == wm.Identity.from_pkcs12(memoryview(data), passphrase=bytearray(PASSPHRASE))
    assert "acme" in repr(identity)


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("data", ("text", PASSPHRASE)),
        ("passphrase", (b"", "text")),
        ("passphrase", (b"", None)),
    ],
)
def test_arguments_of_another_type_are_named(option: str, arguments: Any) -> None:
    with pytest.raises(wm.ConfigError) as raised:
        wm.Identity.from_pkcs12(*arguments)
    assert (raised.value.kind, raised.value.context["option"]) == ("option_invalid", option)
    with pytest.raises(wm.ConfigError, match="colour"):
        wm.Identity.from_pkcs12(b"", b"", colour="red")  # type: ignore[call-arg]


def test_no_path_uses_a_distrusted_ca(lab: Lab, tmp_path: Path) -> None:
    chain = lab.identity_pem[0]
    issuer = chain.replace(b"\r", b"").split(b"-----END CERTIFICATE-----\n", 1)[1]
    pin = wm.pin_of(issuer)
    (tmp_path / "ca.pem").write_bytes(lab.trust_pem)
    for trust in (
        wm.Trust.from_pem(lab.trust_pem, distrusted=[pin]),
        wm.Trust.from_files(tmp_path / "ca.pem", distrusted=(pin,)),
    ):
        assert trust != lab.trust
        with pytest.raises(wm.PeerRefused) as raised:
            wm.verify_peer(
                chain, role="client", trust=trust, authorization=wm.Authorization.ca_members()
            )
        assert raised.value.kind == "issuer_distrusted"
        assert raised.value.context["distrusted"] == pin
    for wrong in (pin, b"bytes", 7, [7]):
        with pytest.raises(wm.ConfigError) as refused:
            wm.Trust.from_pem(lab.trust_pem, distrusted=wrong)  # type: ignore[arg-type]
        assert refused.value.context["option"] in ("distrusted", "crls")


def test_public_trust_is_only_for_pinned_endpoints(lab: Lab) -> None:
    trust = wm.Trust.dangerous_public(lab.trust_pem)
    assert trust != lab.trust
    acme = lab.consumer("acme")
    with pytest.raises(wm.ConfigError, match="dangerous_public"):
        wm.Dispatcher(identity=lab.identity, trust=trust)
    with pytest.raises(wm.ConfigError, match="dangerous_public"):
        wm.Verifier(role="server", trust=trust, pins=wm.Pins([acme.pin]))
    with lab.dispatcher() as dispatcher:
        with pytest.raises(wm.ConfigError, match="pins"):
            dispatcher.endpoint("acme", acme.url, pins=None, trust=trust)
        endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]), trust=trust)
        assert dispatcher.deliver(endpoint, b"{}").status == 200
    once: Any = {
        "identity": lab.identity,
        "trust": trust,
        "egress": wm.Egress(allow=["127.0.0.0/8"]),
    }
    assert wm.deliver(acme.url, b"{}", pins=wm.Pins([acme.pin]), **once).status == 200
    with pytest.raises(wm.ConfigError, match="pins"):
        wm.deliver(acme.url, b"{}", pins=None, **once)


def test_a_bundle_has_notes(lab: Lab) -> None:
    assert lab.trust.notes == []
    (note,) = wm.Trust.from_pem(lab.trust_pem + lab.trust_pem).notes
    assert "certificate 2" in note
