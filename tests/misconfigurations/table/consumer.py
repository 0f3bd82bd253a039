"""Consumers whose certificate we must refuse, and trust or pins of ours that refuse a good one."""

import hashlib
import ssl
from base64 import b64encode

from lab import Delivery, Lab, peer, port_of
from said import Said, theirs

import webhook_mtls as wm

LEAF = "CN=hooks.acme.test"
DATE = r"20\d\d-\d\d-\d\d \d\d:\d\d"


def shown(name: str) -> Delivery:
    """Delivers to a consumer that shows the certificate of this name."""
    return Delivery(f"python {name}")


def trusting_crl(*names: str) -> Delivery:
    """Delivers with these CRLs of ours."""

    def trust(lab: Lab) -> wm.Trust:
        text = b"".join(lab.certificates.crl(name).read_bytes() for name in names)
        return lab.trust(crls=lab.file(f"{'-'.join(names)}.crl", text))

    return shown("good").but(trusts=trust)


def pinned(name: str) -> Delivery:
    """Delivers with the pin of this certificate."""
    return shown("good").but(pins=lambda lab: wm.Pins([lab.certificates.of(name).pin]))


def fingerprint(lab: Lab) -> wm.Pins:
    """Pins the fingerprint of the certificate as if it were that of its key."""
    pem = lab.certificates.of("server good").cert.read_text()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
    return wm.Pins([f"sha256/{b64encode(digest).decode()}"])


def distrusting(lab: Lab) -> wm.Trust:
    """Trusts the root and distrusts its issuing CA."""
    return lab.trust(distrusted=[lab.certificates.of("Acme Issuing CA").pin])


UNKNOWN = theirs("issuer_unknown")

CASES = [
    peer(
        "other CA",
        "the consumer's chain ends at another private CA",
        shown("other root"),
        UNKNOWN.naming("CN=Other", "CN=Acme Root").curing("ask the consumer|changed its CA"),
    ),
    peer(
        "no intermediate",
        "the consumer sends its certificate without the intermediate",
        shown("no intermediate"),
        UNKNOWN.naming("CN=Acme Issuing CA").curing("intermediate"),
    ),
    peer(
        "rekeyed",
        "the consumer's CA was made again with the same name",
        shown("rekeyed"),
        theirs("issuer_rekeyed").naming("CN=Acme Root", "another key").curing("bundle|re-?keyed"),
    ),
    peer(
        "self-signed",
        "the consumer's certificate is self-signed",
        Delivery("python self signed"),
        UNKNOWN.naming("self-signed", LEAF).curing("Trust.exact|exact"),
    ),
    peer(
        "distrusted",
        "the consumer's issuing CA is on our list of distrusted keys",
        shown("good").but(trusts=distrusting),
        theirs("issuer_distrusted").naming("CN=Acme Issuing CA").curing("distrusted"),
    ),
    peer(
        "expired",
        "the consumer's certificate has expired",
        shown("expired"),
        theirs("certificate_expired").naming(LEAF, DATE).curing("renew"),
    ),
    peer(
        "not yet valid",
        "the consumer's certificate becomes valid in three days",
        shown("not yet valid"),
        theirs("certificate_not_yet_valid").naming(LEAF, DATE).curing("clock"),
    ),
    peer(
        "intermediate expired",
        "the consumer's intermediate has expired; its certificate is fine",
        shown("past intermediate"),
        theirs("certificate_expired").naming("CN=Acme Past Issuing CA", DATE).curing("renew"),
    ),
    peer(
        "wrong name",
        "the consumer's certificate is for another name",
        shown("wrong name"),
        theirs("name_mismatch")
        .naming("hooks.acme.test", "shop.acme.test")
        .curing("subjectAlt|URL"),
    ),
    peer(
        "no subject alternative name",
        "the consumer's certificate has only a common name",
        shown("no names"),
        theirs("name_mismatch").naming("hooks.acme.test").curing("subjectAltName", "common name"),
    ),
    peer(
        "address in the URL",
        "the URL has an IP address, and the certificate has names",
        Delivery(lambda lab: f"https://127.0.0.1:{port_of('python good', lab)}/in"),
        theirs("name_mismatch")
        .naming("IP address", "hooks.acme.test")
        .curing("name.{1,24}in the URL", "iPAddress|IP subjectAltName|IP"),
    ),
    peer(
        "another name in the URL",
        "the URL has an alias that is not in the certificate",
        Delivery(lambda lab: f"https://other.acme.test:{port_of('python good', lab)}/in"),
        theirs("name_mismatch")
        .naming("other.acme.test", "hooks.acme.test")
        .curing("URL|subjectAlt"),
    ),
    peer(
        "client certificate on the server",
        "the consumer's certificate allows clients only",
        shown("client purpose"),
        theirs("purpose_not_allowed")
        .naming(LEAF, "serverAuth", "clientAuth")
        .curing("server certificate|serverAuth")
        .without("a CA above"),
    ),
    peer(
        "purpose of the CA",
        "the consumer's issuing CA allows clients only",
        shown("of clients"),
        theirs("purpose_not_allowed").naming("CN=Acme Clients CA", "serverAuth|role").curing("CA"),
    ),
    peer(
        "leaf with SHA-1",
        "the consumer's certificate is signed with SHA-1",
        shown("sha1"),
        theirs("certificate_invalid|key_weak")
        .naming(LEAF, "sha-?1")
        .curing("sha-?256", "again|renew|issue")
        .without("or one of its issuers"),
    ),
    peer(
        "intermediate with SHA-1",
        "the consumer's intermediate is signed with SHA-1; its certificate is fine",
        shown("sha1 intermediate"),
        theirs("certificate_invalid|key_weak")
        .naming("CN=Acme Legacy CA", "sha-?1")
        .curing("CA", "renew|again|issue")
        .without("or one of its issuers"),
    ),
    peer(
        "small key",
        "the consumer's key has 1024 bits",
        shown("small key"),
        theirs("key_weak").naming(LEAF, "1024").curing("2048"),
    ),
    peer(
        "key for encipherment only",
        "the consumer's key may not sign",
        shown("encipherment only"),
        theirs("certificate_invalid|purpose_not_allowed|constraint_violated")
        .naming(LEAF, "keyUsage|digitalSignature")
        .curing("digitalSignature|issue"),
    ),
    peer(
        "critical extension",
        "the consumer's certificate has a critical extension that is not known",
        shown("strange extension"),
        theirs("certificate_invalid")
        .naming(LEAF, r"1\.2\.3\.4|critical extension")
        .curing("issue|extension"),
    ),
    peer(
        "path length",
        "the consumer's intermediate may not issue CAs, and did",
        shown("too deep"),
        theirs("constraint_violated").naming("path|pathlen", "CN=Acme").curing("path length|issue"),
    ),
    peer(
        "name constraint",
        "the consumer's intermediate may issue for other names only",
        shown("outside"),
        theirs("constraint_violated")
        .naming("name constraint", "hooks.acme.test|CN=Acme Fenced CA")
        .curing("name constraint|issue"),
    ),
    peer(
        "authority as server",
        "the consumer's certificate is a CA",
        shown("authority"),
        theirs("certificate_invalid|purpose_not_allowed").naming(LEAF, "CA").curing("leaf|issue"),
    ),
    peer(
        "revoked",
        "the consumer's certificate is on the CRL",
        shown("revoked").but(trusts=trusting_crl("Acme Issuing CA", "Acme Root").trusts),
        theirs("certificate_revoked").naming(LEAF, "revoked").curing("new certificate"),
    ),
    peer(
        "crl old",
        "our CRL of the consumer's CA has expired",
        trusting_crl("old", "Acme Root"),
        theirs("crl_unusable").but(blame="ours").naming("CN=Acme Issuing CA").curing("current"),
    ),
    peer(
        "crl to come",
        "our CRL of the consumer's CA becomes valid in three days",
        trusting_crl("to come"),
        Said("receipt").naming("revocation_unchecked|crl_unused"),
        Said("probe").naming("revocation_unchecked|crl_unused"),
    ),
    peer(
        "crl of another CA",
        "our CRL belongs to another CA, so nothing is checked",
        trusting_crl("Other Issuing CA"),
        Said("receipt").naming("revocation_unchecked|crl_unused"),
        Said("probe").naming("revocation_unchecked|crl_unused"),
    ),
    peer(
        "pin of another key",
        "the pin is that of another key",
        pinned("server other key"),
        theirs("pin_mismatch").naming("sha256/").curing("announced", "attack"),
    ),
    peer(
        "pin of the issuer",
        "the pin is that of the consumer's CA",
        pinned("Acme Issuing CA"),
        theirs("pin_mismatch").naming("issuer|CA", "sha256/").curing("leaf|pin"),
    ),
    peer(
        "pin of the certificate",
        "the pin is the fingerprint of the certificate",
        shown("good").but(pins=fingerprint),
        theirs("pin_mismatch").naming("fingerprint").curing("cert-sha256/"),
    ),
    peer(
        "public certificate",
        "our trust has the CA of the sender in place of that of the consumer",
        shown("good").but(trusts="Sender Root"),
        UNKNOWN.naming("CN=Acme", "CN=Sender Root").curing("ask the consumer|CA"),
    ),
]
