"""Answers other than 2xx, and answers that are no HTTP."""

import consumers
from lab import Case, Delivery, Lab, peer, tls_at
from said import Said, answered

PROBED = Said("probe")
LARGE = b"x" * 4096
SEE_RESPONSE = ("^See the response", "\nSee the response")


def status(number: int, title: str, says: Said, **fields: object) -> Case:
    """A case in which nginx answers so."""
    delivery = Delivery("nginx strict", path=f"/status/{number}").but(**fields)
    says = says.without(*SEE_RESPONSE)
    return peer(f"status {number}", title, delivery, says, PROBED)


def answers(id: str, title: str, text: bytes, says: Said) -> Case:
    """A case in which the consumer answers with these bytes."""

    def handler(lab: Lab) -> consumers.Handler:
        shown = lab.certificates.shown_by("good")
        tls = consumers.context(shown, lab.certificates, "Sender Root")
        return consumers.https(tls, text)

    return peer(id, title, Delivery(tls_at(handler, f"answers {id}")), says, PROBED)


def plain(number: int, reason: str, title: str, retry: str, *cure: str) -> Case:
    """A case in which the consumer answers this status and nothing else."""
    head = f"HTTP/1.1 {number} {reason}\r\ncontent-length: 0\r\n\r\n".encode()
    says = answered(number, retry, "delivery|endpoint").curing(*cure).without(*SEE_RESPONSE)
    return answers(f"status {number}", title, head, says)


def moved(number: int) -> Case:
    """A redirect, which is never followed."""
    says = answered(number, "after_repair", "endpoint|delivery")
    says = says.naming("https://hooks2.acme.test/in").curing("ask|consumer", "URL")
    return status(number, f"the consumer redirects with {number}", says)


PAGE = Said("client_certificate_rejected", "response", scope="endpoint", retry="after_repair")
CERTIFICATE = PAGE.but(kind="client_certificate_rejected|http_status", scope="")
INVALID = Said("http_invalid", "response", "theirs", "endpoint", "all", "")

CASES = [
    *(moved(number) for number in (301, 302, 307, 308)),
    status(400, "the consumer finds the request bad", answered(400).curing("consumer")),
    status(
        401,
        "the consumer wants a credential beside the certificate",
        answered(401, "later|after_repair", "delivery|endpoint")
        .naming("bearer token is missing|credential")
        .curing("header|credential"),
    ),
    status(
        403,
        "the application of the consumer does not know us",
        answered(403, "later|after_repair", "delivery|endpoint")
        .naming("CN=webhook-sender")
        .curing("allow"),
    ),
    status(404, "the path is wrong", answered(404, ".*", ".*").naming("404").curing("URL|path")),
    status(405, "the path takes no POST", answered(405, ".*", ".*").curing("POST", "URL|path")),
    answers(
        "status 408",
        "the request came too slowly",
        b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
        answered(408).curing("slow|time"),
    ),
    status(
        410,
        "the endpoint is gone for good",
        answered(410, "never", "endpoint").naming("gone").curing("owner|disable|remove"),
    ),
    status(
        413,
        "the payload is too large for the consumer",
        answered(413, "never").naming("4096|4 KiB|bytes").curing("limit|smaller"),
        path="/large",
        body=LARGE,
    ),
    status(415, "the consumer takes another type", answered(415, ".*").curing("content.type")),
    status(
        421,
        "the server in front serves another name here",
        answered(421, ".*", ".*").naming("host").curing("name|URL|host"),
    ),
    status(425, "the consumer fears a replay", answered(425).curing("again|early")),
    status(429, "we are too fast", answered(429).naming("30 s").curing("slow|rate|wait")),
    peer(
        "page 495, nginx",
        "nginx answers its page about a bad certificate",
        Delivery("nginx strict", path="/status/495"),
        PAGE.naming("400", "not accepted").curing("log|consumer"),
        PROBED,
    ),
    peer(
        "page 496, nginx",
        "nginx answers its page about a missing certificate",
        Delivery("nginx strict", path="/status/496"),
        PAGE.naming("400", "no certificate").curing("log|consumer"),
        PROBED,
    ),
    answers(
        "status 495",
        "the consumer answers 495 of its own",
        b"HTTP/1.1 495 SSL Certificate Error\r\ncontent-length: 0\r\n\r\n",
        CERTIFICATE.naming("495", "certificate").curing("log|consumer"),
    ),
    answers(
        "status 496",
        "the consumer answers 496 of its own",
        b"HTTP/1.1 496 SSL Certificate Required\r\ncontent-length: 0\r\n\r\n",
        CERTIFICATE.naming("496", "certificate").curing("log|consumer"),
    ),
    plain(304, "Not Modified", "the consumer answers as to a GET", "after_repair", "ask|consumer"),
    plain(409, "Conflict", "the event conflicts with the consumer's state", "later", "conflict"),
    plain(414, "URI Too Long", "the URL is too long for the consumer", "never", "shorten|limit"),
    plain(422, "Unprocessable", "the consumer refuses the content", "later", "content|schema"),
    plain(431, "Too Large", "our headers are too large for the consumer", "never", "headers"),
    plain(451, "Legal", "the consumer refuses with a rare status", "later", "ask|consumer"),
    plain(501, "Not Implemented", "the consumer's server takes no POST", "later", "POST", "URL"),
    plain(520, "Unknown", "a network in front answers a status of its own", "later", "consumer"),
    status(500, "the application of the consumer fails", answered(500).curing("consumer")),
    peer(
        "status 502",
        "the server in front is up, and the application behind it is down",
        Delivery("nginx strict", path="/down"),
        answered(502).naming("in front", "application").curing("consumer").without(*SEE_RESPONSE),
        PROBED,
    ),
    status(
        503,
        "the consumer is in maintenance and says for how long",
        answered(503).naming("30 s").curing("maintenance|down|overload"),
    ),
    peer(
        "status 503, HAProxy",
        "HAProxy has no server for the consumer",
        Delivery("haproxy none"),
        answered(503).curing("maintenance|down|overload").without(*SEE_RESPONSE),
        PROBED,
    ),
    peer(
        "status 504, HAProxy",
        "the application behind HAProxy does not answer",
        Delivery("haproxy slow"),
        answered(504).naming("in front", "application").curing("consumer").without(*SEE_RESPONSE),
        PROBED,
    ),
    answers(
        "not HTTP",
        "the answer is no HTTP",
        b"+OK POP3 ready\r\n",
        INVALID.naming("HTTP/1\\.1").curing("consumer", "HTTP/1\\.1"),
    ),
    answers(
        "space before the colon",
        "a header has a space before its colon",
        b"HTTP/1.1 200 OK\r\nx-a : 1\r\ncontent-length: 0\r\n\r\n",
        INVALID.naming("line 2|header 1|x-a|second line").curing("consumer"),
    ),
    answers(
        "folded header",
        "a header goes on in the next line, which is valid",
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\tfolded\r\ncontent-length: 0\r\n\r\n",
        Said("receipt"),
    ),
    answers(
        "too many headers",
        "the answer has 200 headers",
        b"HTTP/1.1 200 OK\r\n" + b"x-a: 1\r\n" * 200 + b"content-length: 0\r\n\r\n",
        Said("response_too_large", "response", "theirs", "endpoint", "all")
        .naming("100 headers")
        .curing("100"),
    ),
    answers(
        "large head",
        "the head of the answer has 20 KiB",
        b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 20000 + b"\r\ncontent-length: 0\r\n\r\n",
        Said("response_too_large", "response", "theirs", "endpoint", "all")
        .naming("16384|16 KiB")
        .curing("16 KiB"),
    ),
    answers(
        "HTTP/2 answer",
        "the answer is HTTP/2",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18,
        INVALID.naming("HTTP/1\\.1").curing("HTTP/1\\.1"),
    ),
]
