"""The header lines with which a client claims to be another one."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

from certificates import Issued, Pki

Lines = list[tuple[str, str]]

# The dialect of the configuration that the library writes for each proxy. The suite changes the one
# for Envoy to JSON.
DIALECTS = {
    "nginx": "nginx",
    "haproxy": "rfc9440",
    "apache": "apache",
    "caddy": "rfc9440",
    "envoy": "envoy",
    "envoy-json": "envoy_json",
    "traefik": "traefik",
}


def lines(dialect: str, client: Issued) -> Lines:
    """Returns what the proxy would write for a client."""
    encoded = base64.b64encode(client.der).decode()
    return {
        "nginx": [
            ("ssl-client-cert", quote(client.pem, safe="")),
            ("ssl-client-verify", "SUCCESS"),
        ],
        "apache": [
            ("ssl-client-cert", client.pem.replace("\n", " ").strip()),
            ("ssl-client-verify", "SUCCESS"),
        ],
        "rfc9440": [("client-cert", f":{encoded}:")],
        "envoy": [("x-forwarded-client-cert", f'Cert="{quote(client.pem, safe="")}"')],
        "envoy_json": [("x-forwarded-client-cert", json.dumps([{"cert": client.pem}]))],
        "traefik": [("x-forwarded-tls-client-cert", encoded)],
    }[dialect]


def attacks(dialect: str, pki: Pki) -> Iterator[tuple[str, Lines]]:
    """Returns the names and the lines of what a client sends through the proxy."""
    victim = lines(dialect, pki.clients["victim"])
    underscored = [(name.replace("-", "_"), value) for name, value in victim]
    yield "its own line", victim
    yield "two lines", victim * 2
    yield "an underscore twin", underscored
    yield "both", [*victim, *underscored]
    yield "capitals", [(name.upper(), value) for name, value in victim]
    yield "capitals with underscores", [(name.upper(), value) for name, value in underscored]
    yield "the chain of a stranger", lines(dialect, pki.clients["stranger"])
    yield "an address", [*victim, ("X-Forwarded-For", "127.0.0.1")]
    yield "an address and a port", [*victim, ("X-Forwarded-For", "127.0.0.1:4711")]
    yield (
        "every dialect",
        [
            line
            for each in ("nginx", "rfc9440", "envoy", "traefik")
            for line in lines(each, pki.clients["victim"])
        ],
    )
    names = ", ".join(name for name, _ in victim)
    yield "hop-by-hop headers", [("Connection", f"close, {names}"), *victim]
    if dialect == "rfc9440":
        yield "a chain alone", [("client-cert-chain", victim[0][1])]
