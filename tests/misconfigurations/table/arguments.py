"""Options and arguments that are misspelled, of another type, or out of range."""

from collections.abc import Callable
from typing import Any

from lab import BODY, Case, Delivery, Lab
from said import Said, ours

import webhook_mtls as wm

OPTION = ours("option_invalid", "process")
GOOD = Delivery("nginx strict")


def dispatcher(**options: Any) -> Delivery:
    """Creates a dispatcher with these options."""
    return GOOD.but(dispatcher=options)


def endpoint(**options: Any) -> Delivery:
    """Creates an endpoint with these options."""
    return GOOD.but(endpoint=options)


def url(text: str) -> Delivery:
    """Creates an endpoint with this URL."""
    return GOOD.but(to=lambda _: text)


def deliver(**options: Any) -> Delivery:
    """Delivers with these options."""
    return GOOD.but(options=options)


def pins(make: Callable[[Lab], Any]) -> Delivery:
    """Creates an endpoint with these pins."""
    return GOOD.but(pins=make)


def without_pins(lab: Lab) -> object:
    """Forgets the pins."""
    with wm.Dispatcher(identity=lab.identity(), trust=lab.trust()) as made:
        return made.endpoint("acme", "https://hooks.acme.test/in")  # type: ignore[call-arg]


def closed(lab: Lab) -> object:
    """Delivers after the dispatcher was closed."""
    made = wm.Dispatcher(identity=lab.identity(), trust=lab.trust())
    acme = made.endpoint("acme", "https://hooks.acme.test/in", pins=None)
    made.close()
    return made.deliver(acme, BODY)


def removed(lab: Lab) -> object:
    """Delivers to an endpoint that was removed."""
    with wm.Dispatcher(identity=lab.identity(), trust=lab.trust()) as made:
        acme = made.endpoint("acme", "https://hooks.acme.test/in", pins=None)
        made.remove("acme")
        return made.deliver(acme, BODY)


def verifier(**options: Any) -> Callable[[Lab], object]:
    """Creates a verifier with these options."""
    return lambda lab: wm.Verifier(trust=lab.trust(), **options)


URL = ours("url_invalid", "endpoint")
HEADER = ours("header_invalid", "delivery", "never")
PIN = ours("pin_invalid", "endpoint")
CLOSED = Said("handle_closed", "config|admit", "ours", "process|endpoint", "nothing", "later|never")
ADVICE = r"sha256/|pin_of"


def case(id: str, title: str, make: Callable[[Lab], object], says: Said) -> Case:
    """An argument that is refused before anything is sent."""
    return Case(id, title, make, says)


def misspelled(word: str, meant: str, make: Callable[[Lab], object]) -> Case:
    """An option whose name is nearly right."""
    says = OPTION.naming(word).curing(rf"(mean|write|use)\W.{{0,12}}\b{meant}\b")
    return Case(f"misspelled {word}", f"`{word}` is written for `{meant}`", make, says)


def switch(name: str, make: Callable[[Lab], object]) -> Case:
    """A switch of other libraries that turns verification off."""
    says = OPTION.naming(name).curing("no such switch|cannot be turned off|always")
    return Case(f"switch {name}", f"`{name}` is set to turn verification off", make, says)


CASES = [
    misspelled("time_out", "timeout", dispatcher(time_out=5)),
    misspelled("connectTimeout", "connect_timeout", dispatcher(connectTimeout=5)),
    misspelled("statusretries", "status_retry", endpoint(statusretries={})),
    misspelled("mintls", "min_tls", endpoint(mintls="1.2")),
    misspelled("header", "headers", deliver(header={})),
    misspelled("contentType", "content_type", deliver(contentType="text/plain")),
    switch("verify", dispatcher(verify=False)),
    switch("insecure", endpoint(insecure=True)),
    switch("rejectUnauthorized", endpoint(rejectUnauthorized=False)),
    switch("check_hostname", endpoint(check_hostname=False)),
    case(
        "pins not said",
        "the pins are forgotten",
        without_pins,
        OPTION.naming("pins").curing("pins=None|None"),
    ),
    case(
        "body is text",
        "the payload is a str",
        GOOD.but(body='{"event":"ping"}'),
        ours("option_invalid", "", ".*").naming("body", "str").curing("encode"),
    ),
    case(
        "body is a dict",
        "the payload is a dict",
        GOOD.but(body={"event": "ping"}),
        ours("option_invalid", "", ".*").naming("body", "dict").curing(r"json\.dumps"),
    ),
    case(
        "headers are a list",
        "the headers are a list",
        deliver(headers=["x-a: 1"]),
        ours("option_invalid", "", ".*").naming("headers", "list").curing("dict"),
    ),
    case(
        "header value is a number",
        "the value of a header is a number",
        deliver(headers={"x-a": 5}),
        ours("option_invalid|header_invalid", "", ".*").naming("x-a", "int").curing(r"str"),
    ),
    case(
        "header value is bytes",
        "the value of a header is bytes",
        deliver(headers={"x-a": b"5"}),
        ours("option_invalid|header_invalid", "", ".*").naming("x-a", "bytes").curing("str|decode"),
    ),
    case(
        "header with a line break",
        "the value of a header has a line break",
        deliver(headers={"x-a": "1\r\nx-b: 2"}),
        HEADER.naming("x-a", "line|control|CR").curing("remove|correct"),
    ),
    case(
        "header of the library",
        "the caller sets the length of the content",
        deliver(headers={"content-length": "5"}),
        HEADER.naming("content-length").curing("the library sets"),
    ),
    case(
        "pins are one string",
        "the pins are a single str",
        pins(lambda lab: lab.certificates.of("server good").pin),
        ours("option_invalid|pin_invalid", "", ".*").naming("pins", "str").curing(r"Pins\("),
    ),
    case(
        "pins are characters",
        "a str is given where a list of pins is expected",
        pins(lambda lab: wm.Pins(lab.certificates.of("server good").pin)),
        ours("option_invalid|pin_invalid", "", ".*").naming("str").curing(r"Pins\(\[|list"),
    ),
    case(
        "pin is a fingerprint",
        "the pin is a fingerprint in hex, as openssl prints it",
        pins(lambda _: wm.Pins(["AB:" * 31 + "AB"])),
        PIN.naming("hex|colon|fingerprint").curing("cert-sha256/", "pin_of"),
    ),
    case(
        "pin of SHA-1",
        "the pin is made with SHA-1",
        pins(lambda _: wm.Pins(["sha1/" + "A" * 27 + "="])),
        PIN.naming("sha1|SHA-1|prefix|base64").curing(ADVICE),
    ),
    case(
        "pin too short",
        "the pin lacks its end",
        pins(lambda _: wm.Pins(["sha256/AAAA"])),
        PIN.naming("pin 1", "32").curing(ADVICE),
    ),
    case(
        "pins empty",
        "the list of pins is empty",
        pins(lambda _: wm.Pins([])),
        PIN.naming("empty").curing("None|pin"),
    ),
    case(
        "url http",
        "the URL has no TLS",
        url("http://hooks.acme.test/in"),
        URL.naming("http|scheme").curing("https://"),
    ),
    case(
        "url relative",
        "the URL has no scheme",
        url("hooks.acme.test/in"),
        URL.naming("absolute|scheme").curing("https://"),
    ),
    case(
        "url with password",
        "the URL has a user and a password",
        url("https://user:hunter2@hooks.acme.test/in"),
        URL.naming("user").curing("without user|header").without("hunter2"),
    ),
    case(
        "url with fragment",
        "the URL has a fragment",
        url("https://hooks.acme.test/in#a"),
        URL.naming("fragment").curing("fragment"),
    ),
    case(
        "url empty",
        "the URL is empty",
        url(""),
        URL.naming("empty|absolute|scheme").curing("https://"),
    ),
    case(
        "url with space",
        "the URL has a space",
        url("https://hooks.acme.test/a b"),
        URL.naming("space|character").curing("encode|%20|URL"),
    ),
    case(
        "url port",
        "the port of the URL is too large",
        url("https://hooks.acme.test:99999/"),
        URL.naming("port").curing("port|URL"),
    ),
    case(
        "timeout is text",
        "the timeout is a str",
        dispatcher(timeout="30"),
        OPTION.naming("timeout", "str").curing("seconds|number|float|timedelta"),
    ),
    case(
        "timeout zero",
        "the timeout is 0",
        dispatcher(timeout=0),
        OPTION.naming("timeout", "0").curing("above|between|24 h|greater"),
    ),
    case(
        "timeout in milliseconds",
        "the timeout is given in milliseconds",
        dispatcher(timeout=300_000),
        OPTION.naming("timeout", "24 h|86400").curing("second"),
    ),
    case(
        "min_tls is a number",
        "min_tls is a float",
        endpoint(min_tls=1.2),
        OPTION.naming("min_tls", "float").curing('"?1\\.[23]"?'),
    ),
    case(
        "min_tls too old",
        "min_tls is 1.1",
        endpoint(min_tls="1.1"),
        OPTION.naming("min_tls", "1\\.1").curing("1\\.3"),
    ),
    case(
        "preset misspelled",
        "the egress preset has a typo",
        lambda _: wm.Egress("privat"),
        OPTION.naming("privat").curing("\\bprivate\\b"),
    ),
    case(
        "network malformed",
        "an allowed network is malformed",
        lambda _: wm.Egress("public", allow=["10.0.0.0/33"]),
        OPTION.naming("10\\.0\\.0\\.0/33").curing("prefix|/32|CIDR"),
    ),
    case(
        "proxy without port",
        "the proxy's URL has no port",
        dispatcher(proxy="http://proxy.acme.test"),
        OPTION.naming("proxy", "port").curing("http://host:port"),
    ),
    case(
        "proxy with socks",
        "the proxy is a SOCKS proxy",
        dispatcher(proxy="socks5://proxy.acme.test:1080"),
        OPTION.naming("proxy", "socks5|scheme").curing("http://host:port"),
    ),
    case(
        "proxy with TLS",
        "the proxy's URL is https",
        dispatcher(proxy="https://proxy.acme.test:3128"),
        OPTION.naming("proxy", "scheme|https").curing("http://host:port"),
    ),
    case(
        "status_retry unknown",
        "the verdict for a status does not exist",
        endpoint(status_retry={"410": "drop"}),
        OPTION.naming("status_retry", "410|drop").curing("never"),
    ),
    case(
        "signing secret raw",
        "the secret of Standard Webhooks has no prefix",
        lambda _: wm.StandardWebhooks(["hunter2hunter2hunter2"]),
        OPTION.naming("signing|secret").curing("whsec_").without("hunter2"),
    ),
    case(
        "signing without id",
        "a signed delivery has no id",
        endpoint(signing=wm.StandardWebhooks(["whsec_" + "QUFB" * 8])),
        ours("option_invalid", "", ".*").naming("\\bid\\b").curing("id"),
    ),
    case(
        "dispatcher closed",
        "the dispatcher is closed",
        closed,
        CLOSED.but(retry="later").naming("closed").curing("dispatcher"),
    ),
    case(
        "endpoint removed",
        "the endpoint was removed",
        removed,
        CLOSED.naming("removed").curing("endpoint"),
    ),
    case(
        "no identity",
        "the dispatcher has no identity and the endpoint neither",
        dispatcher(identity=None),
        OPTION.naming("identity").curing("identity"),
    ),
    case(
        "identity is a path",
        "the path of the certificate is given as the identity",
        dispatcher(identity="tls.crt"),
        OPTION.naming("identity", "str").curing("Identity|from_files"),
    ),
    case(
        "role misspelled",
        "the role of a verifier is `servers`",
        verifier(role="servers"),
        OPTION.naming("role", "servers").curing("\\bserver\\b"),
    ),
    case(
        "no authorization",
        "a verifier of clients has no rule",
        verifier(role="client"),
        OPTION.naming("tenant|authorization").curing("ca_members|allow list|tenant"),
    ),
    case(
        "tenant template",
        "the template of tenants has no {tenant}",
        lambda _: wm.TenantRule.san_uri("spiffe://acme.test/tenant"),
        OPTION.naming("\\{tenant\\}").curing("\\{tenant\\}"),
    ),
    case(
        "body too large",
        "the payload has more than 32 MiB",
        GOOD.but(body=bytes((32 << 20) + 1)),
        ours("body_too_large", "delivery", "never")
        .naming("33554433|32 MiB|33554432")
        .curing("small"),
    ),
]
