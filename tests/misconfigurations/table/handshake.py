"""TLS that does not fit, and ports that speak something else."""

import ssl
import warnings

import consumers
from lab import Delivery, Lab, peer, socket_at, tls_at
from said import Said, theirs


def tls(name: str, *, ciphers: str | None = None, options: int = 0, **settings: object) -> Delivery:
    """Delivers to a consumer of Python's ssl with these settings of its context."""

    def handler(lab: Lab) -> consumers.Handler:
        shown = lab.certificates.shown_by("good")
        context = consumers.context(shown, lab.certificates, "Sender Root")
        # Python's ssl warns of versions that a consumer may still speak.
        with warnings.catch_warnings(action="ignore"):
            for setting, value in settings.items():
                setattr(context, setting, value)
        if ciphers is not None:
            context.set_ciphers(ciphers)
        context.options |= options
        return consumers.https(context)

    return Delivery(tls_at(handler, name))


OLD = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
TLS12 = {"maximum_version": ssl.TLSVersion.TLSv1_2}
MISMATCH = theirs("tls_failed")
# Python's ssl has no name for this option of OpenSSL.
NO_EXTENDED_MASTER_SECRET = 1


CASES = [
    peer(
        "TLS 1.2 only, nginx",
        "the consumer speaks TLS 1.2 only",
        Delivery("nginx older"),
        MISMATCH.naming("TLS 1\\.3").curing("min_tls", "1\\.2"),
    ),
    peer(
        "TLS 1.0 only",
        "the consumer speaks TLS 1.0 only",
        tls("tls 1.0", **OLD),
        MISMATCH.naming("TLS 1\\.3").curing("TLS 1\\.[23]"),
    ),
    peer(
        "TLS 1.0 only, min_tls 1.2",
        "the consumer speaks TLS 1.0 only, and we would accept 1.2",
        tls("tls 1.0", **OLD).but(endpoint={"min_tls": "1.2"}),
        MISMATCH.naming("1\\.2")
        .curing("consumer.*(enable|must)")
        .without("min_tls.{0,3}1.2 accepts"),
    ),
    peer(
        "no extended master secret",
        "the consumer speaks TLS 1.2 without extended master secret",
        tls("no ems", **TLS12, options=NO_EXTENDED_MASTER_SECRET).but(endpoint={"min_tls": "1.2"}),
        MISMATCH.naming("extended master secret").curing("update|enable|TLS 1\\.3"),
    ),
    peer(
        "no cipher in common",
        "the consumer's TLS 1.2 has none of our cipher suites",
        tls("cbc", **TLS12, ciphers="AES256-SHA:@SECLEVEL=0").but(endpoint={"min_tls": "1.2"}),
        MISMATCH.naming("cipher|handshake_failure").curing("cipher|algorithm"),
    ),
    peer(
        "HTTP/2 only",
        "the consumer speaks HTTP/2 only",
        Delivery("node http2"),
        MISMATCH.naming("no_application_protocol|ALPN|HTTP/2").curing("HTTP/1\\.1"),
    ),
    peer(
        "plain HTTP",
        "the port speaks HTTP without TLS",
        Delivery("nginx plain"),
        MISMATCH.naming("HTTP", "not TLS", r"127\.0\.0\.1:\d+|hooks.acme.test").curing("port"),
    ),
    peer(
        "SSH",
        "the port is that of an SSH server",
        Delivery(socket_at(consumers.greets(b"SSH-2.0-OpenSSH_9.6\r\n"))),
        MISMATCH.naming("SSH", "not TLS", r"127\.0\.0\.1:\d+|hooks.acme.test").curing("port"),
    ),
    peer(
        "SMTP",
        "the port is that of a mail server",
        Delivery(socket_at(consumers.greets(b"220 mail.acme.test ESMTP\r\n"))),
        MISMATCH.naming("not TLS|no TLS").curing("port"),
    ),
    peer(
        "server name unknown",
        "the consumer has no certificate for this name",
        Delivery(socket_at(consumers.alerts(112))),
        MISMATCH.naming("unrecognized_name").curing("name|URL|host"),
    ),
    peer(
        "internal error",
        "the consumer's TLS fails internally",
        Delivery(socket_at(consumers.alerts(80))),
        MISMATCH.but(retry="later").naming("internal_error").curing("consumer"),
    ),
    peer(
        "access denied in the handshake",
        "the consumer's firewall ends the handshake with an alert",
        Delivery(socket_at(consumers.alerts(49))),
        Said("tls_failed", "handshake", "theirs", "endpoint", "nothing")
        .naming("access_denied")
        .curing("consumer|firewall|allow"),
    ),
    peer(
        "certificate not requested, nginx",
        "the consumer's proxy does not ask for our certificate",
        Delivery("nginx lax"),
        theirs("client_auth_not_requested")
        .naming("never asked|not request|did not ask")
        .curing("re(quest|quire) client cert", "terminates TLS|load balancer"),
    ),
    peer(
        "certificate not requested, Node",
        "the consumer's service does not ask for our certificate",
        Delivery("node lax"),
        theirs("client_auth_not_requested")
        .naming("never asked|not request|did not ask")
        .curing("re(quest|quire) client cert"),
    ),
]
