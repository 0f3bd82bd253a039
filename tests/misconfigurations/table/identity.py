"""Certificates of ours that no consumer can accept, and clocks that make good ones bad."""

from collections.abc import Callable

from certificates import openssl
from lab import Case, Delivery, Lab, clock, peer
from said import ours, theirs

import webhook_mtls as wm

UNUSABLE = ours("identity_unusable")
DATE = r"20\d\d-\d\d-\d\d \d\d:\d\d"


def at(days: int, name: str) -> Callable[[Lab], object]:
    """Returns the call that loads an identity while our clock is wrong by this many days."""

    def load(lab: Lab) -> object:
        with clock(days):
            return lab.identity(name)

    return load


def without_key(lab: Lab) -> bytes:
    """Exports our certificate alone."""
    cert = lab.certificates.identity("ours").cert
    return openssl("pkcs12", "-export", "-nokeys", "-in", cert, "-passout", "pass:secret")


CASES = [
    Case(
        "our certificate expired",
        "our certificate has expired",
        lambda lab: lab.identity("expired"),
        UNUSABLE.naming("CN=webhook-sender", f"expired on {DATE}").curing("renew|new cert"),
    ),
    Case(
        "our certificate not yet valid",
        "our certificate becomes valid in three days",
        lambda lab: lab.identity("not yet valid"),
        UNUSABLE.naming("CN=webhook-sender", DATE).curing("clock", "wait|notBefore|until"),
    ),
    Case(
        "our clock is behind",
        "our clock is three days behind, and our certificate is new",
        at(-3, "ours"),
        UNUSABLE.naming("CN=webhook-sender", f"{DATE}.*{DATE}").curing("clock"),
    ),
    Case(
        "our clock is ahead",
        "our clock is three days ahead, and our certificate has two days left",
        at(3, "ends soon"),
        UNUSABLE.naming("CN=webhook-sender", f"{DATE}.*{DATE}").curing("clock.*renew"),
    ),
    Case(
        "server certificate as identity",
        "our certificate allows servers only",
        lambda lab: lab.identity("server purpose"),
        UNUSABLE.naming("CN=webhook-sender", "clientAuth").curing("client certificate|clientAuth"),
    ),
    Case(
        "ca as identity",
        "our certificate is a CA",
        lambda lab: lab.identity("authority"),
        UNUSABLE.naming("CN=webhook-sender", "CA").curing("client certificate|leaf|not a CA"),
    ),
    Case(
        "our key may not sign",
        "our certificate does not allow signatures",
        lambda lab: lab.identity("encipherment only"),
        UNUSABLE.naming("CN=webhook-sender", "digitalSignature").curing("issue.*digitalSignature"),
    ),
    Case(
        "our key is small",
        "our key has 1024 bits",
        lambda lab: lab.identity("small key"),
        ours("identity_unusable|pem_invalid|key_weak").naming("1024").curing("2048"),
    ),
    Case(
        "chain in the wrong order",
        "the issuer stands above our certificate in the file",
        lambda lab: lab.identity("wrong order"),
        ours("identity_unusable|key_mismatch|pem_invalid")
        .naming("CN=Sender Issuing CA|CN=webhook-sender|order|first")
        .curing("leaf first|first"),
    ),
    Case(
        "no private key",
        "the PKCS#12 file holds no key",
        lambda lab: wm.Identity.from_pkcs12(without_key(lab), b"secret"),
        ours("pem_invalid").naming("PKCS#12", "no private key").curing("key").without("PEM blocks"),
    ),
    peer(
        "consumer certificate new, our clock behind",
        "our clock is three days behind, and the consumer's certificate is new",
        Delivery("python good", days=-3, shows="older"),
        theirs("certificate_not_yet_valid")
        .naming("CN=hooks.acme.test", f"{DATE}.*{DATE}")
        .curing("clock"),
    ),
]
