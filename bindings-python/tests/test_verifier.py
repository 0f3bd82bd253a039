"""The verifier: accepted and refused peers, and the identity of a peer."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Lab, signatures_checked

TENANT = "spiffe://lab.test/tenant/{tenant}"
UNUSED_PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def ders(pem: bytes) -> list[bytes]:
    end = "-----END CERTIFICATE-----\n"
    blocks = [block + end for block in pem.decode().replace("\r", "").split(end) if block.strip()]
    return [ssl.PEM_cert_to_DER_cert(block) for block in blocks]


def test_a_client_is_verified_with_its_tenant(lab: Lab) -> None:
    chain = lab.identity_pem[0]
    verifier = wm.Verifier(role="client", trust=lab.trust, tenant=wm.TenantRule.san_uri(TENANT))
    at = datetime.now(UTC) + timedelta(hours=1)
    forms: list[Any] = [chain, bytearray(chain), b"".join(ders(chain)), ders(chain)]
    for form in (*forms, tuple(forms[3])):
        peer = verifier.verify(form, at=at)
        assert (peer.tenant, peer.evidence) == ("dispatcher", "asserted")
        assert peer.san_uri == ["spiffe://lab.test/tenant/dispatcher"]
        assert peer.spki_pin == wm.pin_of(chain) == wm.pin_of(ders(chain)[0])
        assert peer.not_after - peer.not_before > timedelta(hours=23)
        assert peer.to_dict()["not_after_ms"] == peer.not_after.timestamp() * 1000
    assert verifier.verify(chain).tenant == "dispatcher"


def test_signatures_are_cached_unless_the_cache_is_off(lab: Lab) -> None:
    chain = lab.identity_pem[0]
    verifier = wm.Verifier(role="client", trust=lab.trust, authorization=authorized())

    def checked() -> int:
        before = signatures_checked()
        verifier.verify(chain)
        return signatures_checked() - before

    wm.remember_signatures(False)
    assert checked() == checked() > 0
    wm.remember_signatures(True)
    assert checked() > 0
    assert checked() == 0


def test_crls_may_have_more_than_one_mebibyte(lab: Lab, tmp_path: Path) -> None:
    issued = lab.authority.issue("acme")
    anchors, intermediates = lab.authority.root_pem, lab.authority.intermediate_pem
    crls = lab.authority.crl() * 3000 + lab.authority.crl([issued])
    assert len(crls) > 1024 * 1024
    files = {"ca.pem": anchors, "intermediates.pem": intermediates, "crl.pem": crls}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    read = wm.Trust.from_files(
        tmp_path / "ca.pem",
        intermediates=tmp_path / "intermediates.pem",
        crls=tmp_path / "crl.pem",
    )
    given = wm.Trust.from_pem(anchors, intermediates=intermediates, crls=[crls])
    for trust in (read, given):
        assert trust.notes == []
        verifier = wm.Verifier(role="client", trust=trust, authorization=authorized())
        with pytest.raises(wm.PeerRefused) as raised:
            verifier.verify(issued.cert_pem)
        assert raised.value.kind == "certificate_revoked"
    with pytest.raises(wm.ConfigError) as refused:
        wm.Trust.from_pem(anchors, crls=[bytes(64 * 1024 * 1024 + 1)])
    assert refused.value.kind == "pem_invalid"


def test_a_crl_in_the_wrong_file_is_a_note_and_names_the_certificates(lab: Lab) -> None:
    issued = lab.authority.issue("acme")
    crl = lab.authority.crl([issued])
    trust = wm.Trust.from_pem(lab.authority.root_pem + crl)
    assert len(trust.notes) == 1
    assert "revocation is not checked" in trust.notes[0]
    verifier = wm.Verifier(role="client", trust=trust, authorization=authorized())
    peer = verifier.verify(issued.cert_pem)
    assert peer.notes == ["revocation_unchecked"]
    assert peer.revocation_unchecked == peer.path[:-1]
    assert peer.to_dict()["revocation_unchecked"] == peer.path[:-1]


def test_the_verdict_is_for_the_instant_in_any_time_zone(lab: Lab) -> None:
    chain = lab.identity_pem[0]
    verifier = wm.Verifier(role="client", trust=lab.trust, authorization=authorized())
    end = verifier.verify(chain).not_after
    elsewhere = end.astimezone(__import__("zoneinfo").ZoneInfo("UTC"))
    assert verifier.verify(chain, at=elsewhere).not_after == end
    with pytest.raises(wm.PeerRefused) as raised:
        verifier.verify(chain, at=end + timedelta(seconds=1))
    assert (raised.value.kind, raised.value.stage) == ("certificate_expired", "verify")
    for long_ago in (datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 1, 1, tzinfo=UTC)):
        with pytest.raises(wm.PeerRefused, match="certificate_not_yet_valid"):
            verifier.verify(chain, at=long_ago)


@pytest.mark.parametrize("at", [datetime(2026, 6, 1), 1_780_000_000, "2026-06-01"])
def test_an_instant_is_an_aware_datetime(lab: Lab, at: Any) -> None:
    verifier = wm.Verifier(role="client", trust=lab.trust, authorization=authorized())
    with pytest.raises(wm.ConfigError) as raised:
        verifier.verify(lab.identity_pem[0], at=at)
    assert (raised.value.kind, raised.value.context["option"]) == ("option_invalid", "at")


def authorized() -> wm.Authorization:
    return wm.Authorization.ca_members()


def test_rules_refuse_peers_without_a_match(lab: Lab) -> None:
    chain = lab.identity_pem[0]
    uri = "spiffe://lab.test/tenant/dispatcher"
    passing: list[dict[str, Any]] = [
        {"tenant": wm.TenantRule.subject_cn()},
        {"authorization": wm.Authorization.san_uris([uri])},
        {"authorization": wm.Authorization.trust_domain("lab.test")},
        {"authorization": authorized(), "pins": wm.Pins([wm.pin_of(chain)])},
        {"authorization": authorized(), "strict_purpose": True},
    ]
    for rules in passing:
        assert wm.verify_peer(chain, role="client", trust=lab.trust, **rules).subject
    refusing: list[tuple[str, dict[str, Any]]] = [
        ("tenant_refused", {"tenant": wm.TenantRule.san_uri("spiffe://corp/{tenant}")}),
        ("tenant_refused", {"tenant": wm.TenantRule.san_dns_suffix("corp")}),
        ("not_authorized", {"authorization": wm.Authorization.san_uris([uri + "x"])}),
        ("not_authorized", {"authorization": wm.Authorization.trust_domain("other")}),
        ("pin_mismatch", {"authorization": authorized(), "pins": wm.Pins([UNUSED_PIN])}),
        ("crl_unusable", {"authorization": authorized(), "crl_policy": "require"}),
    ]
    for kind, rules in refusing:
        with pytest.raises(wm.PeerRefused) as raised:
            wm.verify_peer(chain, role="client", trust=lab.trust, **rules)
        assert raised.value.kind == kind


def test_a_wrong_role_and_an_unknown_ca_are_refused(lab: Lab) -> None:
    chain = lab.identity_pem[0]
    server = wm.Verifier(role="server", trust=lab.trust)
    with pytest.raises(wm.PeerRefused, match="purpose_not_allowed"):
        server.verify(chain, server_name="lab.test")
    with pytest.raises(wm.ConfigError, match="server_name"):
        server.verify(chain)
    with Lab() as other:
        stranger = wm.Verifier(role="client", trust=other.trust, authorization=authorized())
        with pytest.raises(wm.PeerRefused) as raised:
            stranger.verify(chain)
    assert raised.value.kind == "issuer_unknown"


@pytest.mark.parametrize("chain", [b"", []])
def test_a_missing_certificate_is_missing_evidence(lab: Lab, chain: Any) -> None:
    verifier = wm.Verifier(role="client", trust=lab.trust, authorization=authorized())
    with pytest.raises(wm.PeerRefused, match="evidence_missing"):
        verifier.verify(chain)


@pytest.mark.parametrize("chain", [None, 7, {}, {b"": 1}, object(), [b"a", None], ["text", 7]])
def test_a_chain_is_certificates(lab: Lab, chain: Any) -> None:
    verifier = wm.Verifier(role="client", trust=lab.trust, authorization=authorized())
    with pytest.raises(wm.ConfigError) as raised:
        verifier.verify(chain)
    assert raised.value.context["option"] == "chain"


def test_garbage_is_refused_as_a_peer(lab: Lab) -> None:
    verifier = wm.Verifier(role="client", trust=lab.trust, authorization=authorized())
    for chain in (b"garbage", [b"garbage"], b"-----BEGIN CERTIFICATE-----\n"):
        with pytest.raises(wm.PeerRefused):
            verifier.verify(chain)
