"""The way to the consumer: names, addresses, firewalls, and what listens instead."""

import consumers
from lab import Delivery, Lab, peer, socket_at, tls_at
from said import Said, path, theirs
from testnet import PORT, SILENT

import webhook_mtls as wm


def named(host: str, **dispatcher: object) -> Delivery:
    """Delivers to a host without a server of ours."""
    return Delivery(f"https://{host}:{PORT}/in", dispatcher=dispatcher)


def allowing(*networks: str) -> dict[str, object]:
    """Returns options that allow these networks and connect for half a second."""
    return {"egress": wm.Egress("public", allow=["127.0.0.0/8", *networks]), "connect_timeout": 0.5}


def after_handshake(end: consumers.Handler, *, reads: bool = True) -> Delivery:
    """Delivers to a consumer that ends so after the handshake."""

    def handler(lab: Lab) -> consumers.Handler:
        shown = lab.certificates.shown_by("good")
        tls = consumers.context(shown, lab.certificates, "Sender Root")
        return consumers.then(tls, end, reads=reads)

    # A consumer that is not silent has longer to end so.
    quick = {"response_timeout": 0.5} if end is consumers.silent else {}
    return Delivery(tls_at(handler, f"after {end.__name__} {reads}"), dispatcher=quick)


QUICK = {"handshake_timeout": 0.5}
LOST = Said("connection_lost", "response", "unknown", "delivery", "all", "later")
SILENT_PEER = Said("deadline_exceeded|connect_failed|tls_failed", "handshake", retry="later")
DENIED = theirs("egress_denied", "resolve")
# A probe sends no request, so it does not see these faults.
NO_FAULT = Said("probe")

CASES = [
    peer(
        "no such name",
        "the host name does not exist",
        named("typo.acme.test"),
        Said("host_not_found", "resolve", "theirs", "endpoint", "nothing", "later")
        .naming("typo.acme.test", "not exist|NXDOMAIN|no such|unknown")
        .curing("URL|name"),
    ),
    peer(
        "name without address",
        "the host name exists and has no address",
        named("empty.acme.test"),
        Said("host_not_found", "resolve", "theirs", "endpoint", "nothing", "later")
        .naming("empty.acme.test", "no A or AAAA|no address")
        .curing("A or AAAA|record|address"),
    ),
    peer(
        "name server fails",
        "the name server answers SERVFAIL",
        named("fail.acme.test"),
        path("resolve_failed", "resolve", "delivery|endpoint")
        .naming("fail.acme.test", r"127\.0\.0\.1", "SERVFAIL|temporar|server failure|failed")
        .curing("DNS|name server|resolver"),
    ),
    peer(
        "name server silent",
        "the name server does not answer before the deadline",
        named("slow.acme.test", connect_timeout=0.4),
        path("resolve_failed", "resolve", "delivery|endpoint")
        .naming("slow.acme.test", r"127\.0\.0\.1")
        .curing("resolver|name server|network")
        .without("consumer is too slow"),
    ),
    peer(
        "name server gives up",
        "the resolver gives up on a silent name server",
        named("slow.acme.test"),
        path("resolve_failed", "resolve", "delivery|endpoint")
        .naming("slow.acme.test", r"127\.0\.0\.1")
        .curing("resolver|name server|network")
        .without("consumer is too slow"),
    ),
    peer(
        "refused",
        "nothing listens on the consumer's port",
        Delivery("https://hooks.acme.test:9/in"),
        path("connect_failed")
        .but(blame="theirs")
        .naming(r"127\.0\.0\.1:9", "refused")
        .curing("listen"),
    ),
    peer(
        "unanswered",
        "a firewall drops every packet",
        named("drop.acme.test", **allowing(f"{SILENT}/32")),
        path("connect_failed")
        .naming(rf"{SILENT}:{PORT}", "drop.acme.test", "answer|drop")
        .curing("firewall", "address|host")
        .without("consumer is too slow"),
    ),
    peer(
        "no route",
        "this machine has no route to the consumer's address",
        Delivery(f"https://203.0.113.9:{PORT}/in", dispatcher=allowing("203.0.113.0/24")),
        path("connect_failed").naming(r"203\.0\.113\.9", "unreachable").curing("route|network"),
    ),
    peer(
        "loopback",
        "the name leads to this machine, which the policy denies",
        named("hooks.acme.test", egress=wm.Egress("public")),
        DENIED.naming(r"127\.0\.0\.1", "loopback").curing("allow"),
    ),
    peer(
        "private address",
        "the name leads to a private address, which the policy denies",
        named("internal.acme.test"),
        DENIED.naming(r"10\.1\.2\.3", "private").curing("allow|private"),
    ),
    peer(
        "metadata address",
        "the name leads to the cloud's metadata service",
        named("metadata.acme.test"),
        DENIED.naming(r"169\.254\.169\.254", "metadata")
        .curing("hostile|do not allow|attack")
        .without("allow its network"),
    ),
    peer(
        "silent",
        "something accepts the connection and says nothing",
        Delivery(socket_at(consumers.silent), dispatcher=QUICK),
        SILENT_PEER.naming(r"127\.0\.0\.1:\d+", "sen(t|ds) nothing|no byte|nothing").curing(
            "hung|not TLS|TLS", "firewall|middlebox"
        ),
    ),
    peer(
        "reset in the handshake",
        "something resets the connection after our first bytes",
        Delivery(socket_at(consumers.read_and_reset)),
        Said("connection_lost", "handshake", "", "", "nothing", "later")
        .naming(r"127\.0\.0\.1:\d+|hooks.acme.test", "reset")
        .curing("firewall|proxy|middlebox|load balancer|server"),
    ),
    peer(
        "closed in the handshake",
        "a load balancer without a server closes the connection",
        Delivery(socket_at(consumers.close)),
        Said("connection_lost", "handshake", "", "", "nothing", "later")
        .naming(r"127\.0\.0\.1:\d+|hooks.acme.test", "closed|end")
        .curing("load balancer|proxy|firewall|server"),
    ),
    peer(
        "large first flight",
        "a middlebox resets a ClientHello that needs two packets",
        Delivery(socket_at(consumers.resets_large)),
        Said("connection_lost", "handshake", "", "", "nothing", "later")
        .naming("reset")
        .curing("post_quantum"),
    ),
    peer(
        "large first flight dropped",
        "a middlebox drops a ClientHello that needs two packets",
        Delivery(socket_at(consumers.swallows_large), dispatcher=QUICK),
        SILENT_PEER.curing("post_quantum"),
    ),
    peer(
        "lost before the answer",
        "the consumer closes the connection instead of answering",
        after_handshake(lambda stream: None),
        LOST.naming("closed|ended", "all of the request").curing("consumer"),
        NO_FAULT,
    ),
    peer(
        "reset before the answer",
        "the consumer resets the connection instead of answering",
        after_handshake(consumers.reset),
        LOST.naming("reset|closed", "all of the request").curing("consumer"),
        NO_FAULT,
    ),
    peer(
        "no answer",
        "the consumer reads the request and never answers",
        after_handshake(consumers.silent),
        Said("deadline_exceeded", "response", "theirs|unknown", "delivery", "all", "later")
        .naming("500 ms|0.5 s|15000 ms|15 s", "answer|response")
        .curing("consumer", "timeout"),
        NO_FAULT,
    ),
]
