"""Certificates as Python programs have them: bytes, text, objects of `cryptography` and `ssl`."""

import base64
import ssl
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import webhook_mtls as wm
from webhook_mtls.testing import Lab


def forms(pem: bytes) -> dict[str, Any]:
    """Returns all forms of a PEM text with several certificates."""
    objects = x509.load_pem_x509_certificates(pem)
    ders = [each.public_bytes(Encoding.DER) for each in objects]
    text = pem.decode()
    pems = [ssl.DER_cert_to_PEM_cert(der) for der in ders]
    return {
        "bytes": pem,
        "str": text,
        "str on one line": text.replace("\r", "").replace("\n", " "),
        "DER": b"".join(ders),
        "list of DER": ders,
        "list of str": pems,
        "list of PEM": [each.encode() for each in pems],
        "list of objects": objects,
        "tuple of objects": tuple(objects),
        "generator": (each for each in objects),
        "mixed": [objects[0], *pems[1:]],
        "mixed with DER": [pems[0], *ders[1:]],
    }


NAMES = [
    "bytes",
    "str",
    "str on one line",
    "DER",
    "list of DER",
    "list of str",
    "list of PEM",
    "list of objects",
    "tuple of objects",
    "generator",
    "mixed",
    "mixed with DER",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_chain_has_any_form(lab: Lab, name: str) -> None:
    chain, key = lab.identity_pem
    verifier = wm.Verifier(
        role="client", trust=lab.trust, authorization=wm.Authorization.ca_members()
    )
    peer = verifier.verify(forms(chain)[name])
    assert peer == verifier.verify(chain)
    assert len(peer.path) == 3
    assert wm.Identity.from_pem(forms(chain)[name], key) == wm.Identity.from_pem(chain, key)


@pytest.mark.parametrize("name", NAMES)
def test_a_trust_has_any_form(lab: Lab, name: str) -> None:
    with Lab() as other:
        roots = lab.authority.root_pem + other.authority.root_pem
        issued = lab.authority.issue("acme").cert_pem
    leaf = x509.load_pem_x509_certificates(issued)[0]
    intermediates = lab.authority.intermediate_pem + roots
    trust = wm.Trust.from_pem(forms(roots)[name], intermediates=forms(intermediates)[name])
    verifier = wm.Verifier(role="client", trust=trust, tenant=wm.TenantRule.subject_cn())
    assert verifier.verify(leaf).tenant == "acme"


def test_one_certificate_has_any_form(lab: Lab) -> None:
    pem = lab.authority.root_pem
    certificate = x509.load_pem_x509_certificate(pem)
    pin = wm.pin_of(pem)
    for form in (certificate, [certificate], pem.decode(), certificate.public_bytes(Encoding.DER)):
        assert wm.pin_of(form) == pin
        assert wm.Trust.exact(form) == wm.Trust.exact(pem)


@pytest.mark.parametrize("wrong", [None, 7, object(), {}, [None], [7], ["text", None], x509])
def test_another_value_is_named(lab: Lab, wrong: Any) -> None:
    key = lab.identity_pem[1]
    uses: dict[str, Any] = {
        "cert": lambda: wm.pin_of(wrong),
        "anchors": lambda: wm.Trust.from_pem(wrong),
        "certificate": lambda: wm.Trust.exact(wrong),
        "chain": lambda: wm.Verifier(role="server", trust=lab.trust).verify(wrong, server_name="a"),
    }
    for option, use in uses.items():
        with pytest.raises(wm.ConfigError) as raised:
            use()
        assert (raised.value.kind, raised.value.context["option"]) == ("option_invalid", option)
    with pytest.raises(wm.ConfigError, match="cert"):
        wm.Identity.from_pem(wrong, key)
    with pytest.raises(wm.ConfigError, match="key must be"):
        wm.Identity.from_pem(lab.identity_pem[0], key.decode())  # type: ignore[arg-type]


def test_what_ssl_returns_in_place_of_a_certificate_is_named(lab: Lab) -> None:
    verifier = wm.Verifier(role="server", trust=lab.trust)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    secure = context.wrap_bio(there, back, server_hostname="localhost")
    wrong: Any = {"subject": ()}
    with pytest.raises(wm.ConfigError, match=r"getpeercert\(True\)"):
        verifier.verify(wrong, server_name="localhost")
    wrong = secure
    with pytest.raises(wm.ConfigError, match="verify_socket"):
        verifier.verify(wrong, server_name="localhost")


def test_a_path_in_place_of_the_content_is_named(lab: Lab) -> None:
    for use in (wm.Trust.from_pem, wm.Trust.exact, wm.pin_of):
        with pytest.raises(wm.ConfigError, match="path") as raised:
            use("/etc/webhooks/ca.pem")
        assert "from_files" in raised.value.remedy


def test_a_header_of_a_proxy_is_named(lab: Lab) -> None:
    chain = lab.identity_pem[0]
    leaf = x509.load_pem_x509_certificates(chain)[0]
    encoded = base64.b64encode(leaf.public_bytes(Encoding.DER)).decode()
    verifier = wm.Verifier(
        role="client", trust=lab.trust, authorization=wm.Authorization.ca_members()
    )
    for header, named in (
        (f":{encoded}:", "RFC 9440"),
        (quote(chain), "percent-encoded"),
        (f'Hash=0;Cert="{quote(chain)}"', "Envoy"),
        (f"{encoded},{encoded}", "Traefik"),
    ):
        with pytest.raises(wm.PeerRefused, match=named) as raised:
            verifier.verify(header)
        assert raised.value.kind == "pem_invalid"
        assert "pass the" in raised.value.remedy.lower()


def test_a_hostile_object_is_no_certificate(lab: Lab) -> None:
    def public_bytes(_self: object, _encoding: object) -> Any:
        raise AssertionError("called")

    for module in ("cryptographyx.x509", "elsewhere"):
        fake = type("Certificate", (), {"__module__": module, "public_bytes": public_bytes})
        with pytest.raises(wm.ConfigError, match="option_invalid"):
            wm.pin_of(fake())
    lying = type(
        "Certificate", (), {"__module__": "cryptography.x509", "public_bytes": lambda *_: "text"}
    )
    with pytest.raises(TypeError):
        wm.pin_of(lying())
