"""Consumers that refuse our certificate, each in the way of its server."""

import consumers
from lab import Delivery, Lab, peer, tls_at
from said import Said

ALERT = Said(
    "client_certificate_rejected", "handshake", "unknown", "endpoint", "nothing", "after_repair"
)
PAGE = Said("client_certificate_rejected", "response", "unknown", "endpoint", "", "after_repair")
# A close is not told apart from a crash by one delivery.
CLOSE = Said(
    "client_certificate_rejected|connection_lost", "", "", "", "nothing", "after_repair|later"
)
LEAF = "CN=webhook-sender"
NOT_JUDGED = Said("probe")
CA = ("CN=Other Root", "CN=Sender Root")
DATE = r"20\d\d-\d\d-\d\d"
NOT_THE_CA = ("Compare the CA",)


def at(server: str, shows: str = "ours") -> Delivery:
    """Delivers to a server with this identity."""
    return Delivery(server, shows=shows)


def python(name: str, shows: str, accepts: str = "Sender Root", crl: bool = False) -> Delivery:
    """Delivers to a receiver of Python's ssl that accepts this root."""

    def handler(lab: Lab) -> consumers.Handler:
        certificates = lab.certificates
        tls = consumers.context(certificates.shown_by("good"), certificates, accepts)
        if crl:
            consumers.with_crl(tls, certificates.crl("Sender Issuing CA"))
        return consumers.https(tls)

    return Delivery(tls_at(handler, f"python {name}"), shows=shows)


def noted(*words: str) -> Said:
    """Returns what a probe must say where the verdict comes with the first answer."""
    return NOT_JUDGED.naming("verdict.{1,40}not known", *words)


CASES = [
    peer(
        "other CA, nginx",
        "nginx accepts certificates of another CA",
        at("nginx other CA"),
        PAGE.naming(LEAF, "400", *CA).curing("CA", "consumer|ask|give"),
        noted(*CA),
    ),
    peer(
        "other CA, HAProxy",
        "HAProxy accepts certificates of another CA",
        at("haproxy other CA"),
        ALERT.naming(LEAF, "unknown_ca", *CA).curing("CA", "consumer|ask|give"),
    ),
    peer(
        "other CA, Node",
        "Node accepts certificates of another CA",
        at("node other CA"),
        CLOSE.naming(*CA).curing("CA", "consumer|ask|give"),
    ),
    peer(
        "other CA, Python",
        "Python accepts certificates of another CA",
        # Python names no CAs to its clients.
        python("other", "ours", "Other Root"),
        ALERT.naming(LEAF, "unknown_ca", "CN=Sender Root").curing("CA", "consumer|ask|give"),
    ),
    peer(
        "our intermediate missing, nginx",
        "our file lacks the intermediate; nginx knows our root",
        at("nginx strict", "leaf only"),
        PAGE.naming("1 certificate", "CN=Sender Issuing CA", "CN=Sender Root").curing(
            "intermediate"
        ),
        noted("CN=Sender Issuing CA", "CN=Sender Root"),
    ),
    peer(
        "our intermediate missing, HAProxy",
        "our file lacks the intermediate; HAProxy knows our root",
        at("haproxy strict", "leaf only"),
        ALERT.naming("1 certificate", "CN=Sender Issuing CA", "CN=Sender Root").curing(
            "intermediate"
        ),
    ),
    peer(
        "our intermediate missing, Node",
        "our file lacks the intermediate; Node knows our root",
        at("node strict", "leaf only"),
        CLOSE.naming("CN=Sender Issuing CA", "CN=Sender Root").curing("intermediate"),
    ),
    peer(
        "depth, nginx",
        "our chain has two intermediates; nginx follows one",
        at("nginx shallow", "deep"),
        PAGE.naming("2 intermediates|3 certificates", "CN=Sender Root").curing(
            "ssl_verify_depth|depth"
        ),
        noted(),
    ),
    peer(
        "revoked, nginx",
        "our certificate is on the CRL of nginx",
        at("nginx crl", "revoked"),
        PAGE.naming(LEAF, "400")
        .curing("revoked", "error log|ssl_verify_depth|log")
        .without(*NOT_THE_CA),
        noted(),
    ),
    peer(
        "revoked, HAProxy",
        "our certificate is on the CRL of HAProxy",
        at("haproxy crl", "revoked"),
        ALERT.naming(LEAF, "revoked", "serial")
        .curing("new certificate|issue|new one")
        .without(*NOT_THE_CA),
    ),
    peer(
        "revoked, Node",
        "our certificate is on the CRL of Node",
        at("node crl", "revoked"),
        CLOSE.but(sent="").naming("certificate", "clos").curing("ask.*refuses", "revoked|expired"),
    ),
    peer(
        "revoked, Python",
        "our certificate is on the CRL of Python",
        python("crl", "revoked", crl=True),
        ALERT.naming(LEAF, "revoked", "serial")
        .curing("new certificate|issue|new one")
        .without(*NOT_THE_CA),
    ),
    peer(
        "their clock, nginx",
        "the clock of nginx is three days ahead",
        at("nginx ahead", "ends soon"),
        PAGE.naming(LEAF, "400").curing("clock|expired", "revoked", "log").without(*NOT_THE_CA),
        noted(),
    ),
    peer(
        "their clock, HAProxy",
        "the clock of HAProxy is three days ahead",
        at("haproxy ahead", "ends soon"),
        ALERT.naming("expired", f"valid until {DATE}|until {DATE}")
        .curing("clock")
        .without(*NOT_THE_CA),
    ),
    peer(
        "their clock, Node",
        "the clock of Node is three days ahead",
        at("node ahead", "ends soon"),
        CLOSE.but(sent="").naming("certificate", "clos").curing("ask.*refuses", "revoked|expired"),
    ),
    peer(
        "refused by rule, HAProxy",
        "HAProxy accepts our certificate in the handshake, and a rule answers 403",
        at("haproxy rules", "stranger"),
        Said("http_status", "response", "theirs", "", "all", "")
        .naming("403", LEAF, "spiffe://sender.test/webhooks")
        .curing("allow|accept|rules", "ask|consumer"),
        NOT_JUDGED,
    ),
]
