#!/usr/bin/env python3
"""Writes fixtures/ and the seeds of corpus/ from the shared vectors and the PKCS#12 files.

    python3 fuzz/seeds.py

Needs only Python 3.11. Keeps the inputs that libFuzzer found, which have other names.
"""

import base64
import hashlib
import json
import re
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
CONFIG = json.loads((HERE.parent / "tests" / "vectors" / "config.json").read_text("utf-8"))
FORWARDED = json.loads((HERE.parent / "tests" / "vectors" / "forwarded.json").read_text("utf-8"))
WEBHOOK = json.loads((HERE.parent / "tests" / "vectors" / "webhook.json").read_text("utf-8"))
VERIFY = json.loads((HERE.parent / "tests" / "vectors" / "verify.json").read_text("utf-8"))
PKCS12 = HERE.parent / "core" / "tests" / "pkcs12"


def main():
    identity, trust = CONFIG["fixtures"]["identity"], CONFIG["fixtures"]["trust"]
    leaf, issuing = blocks(identity["cert"])
    fixtures = {"root": trust["anchors"], "chain": identity["cert"], "key": identity["key"]}
    for name, text in (fixtures | {"issuing": issuing}).items():
        write(HERE / "fixtures" / f"{name}.pem", text.encode())

    for case in config("identity_from_pem"):
        for part in ("cert", "key"):
            hexed = case["with"].get(f"{part}_hex")
            whole = bytes.fromhex(hexed) if hexed else case["with"][part].encode()
            # A certificate of ML-DSA is as long as all other seeds together.
            if len(whole) < 4096:
                seed("pem", f"{case['name']}-{part}", whole)
    for case in config("trust_from_pem")[::3]:
        seed("pem", case["name"], case["with"]["anchors"].encode())

    seed("certificate", "leaf", der(leaf))
    seed("certificate", "chain", identity["cert"].encode())
    for case in VERIFY["cases"][::6]:
        for at, block in enumerate(blocks(case["chain"])[:1]):
            seed("certificate", f"{case['name']}-{at}", der(block))

    # Each change of a chain, with some of its values. fuzz/src/chain.rs tells what the octets mean.
    for change in range(25):
        for value in range(0, 24, 4):
            octets = bytes([change % 4, change, change + value, value])
            seed("path", f"{change:02}-{value:02}", octets)

    for at, (dialect, lines) in enumerate(requests(leaf, issuing).items()):
        text = "\n".join(f"{name}: {value}" for name, value in lines)
        seed("forwarded", dialect, bytes([at]) + text.encode())
    dialects = list(requests(leaf, issuing))
    for case in FORWARDED["cases"][::7]:
        if case["dialect"] in dialects and "filler" not in case:
            lines = [f"{line[0]}: {line[1]}" for line in case["headers"]]
            whole = bytes([dialects.index(case["dialect"])]) + "\n".join(lines).encode()
            if len(whole) < 4096:
                seed("forwarded", case["name"], whole)

    for case in config("pins"):
        texts = case["with"]["current"] + case["with"].get("next", [])
        seed("pin", case["name"], "\n".join(texts).encode())
    for case in config("tenant_rule") + config("authorization"):
        seed("pin", case["name"], json.dumps(case["with"], ensure_ascii=False).encode())
        for value in case["with"].values():
            if isinstance(value, str):
                seed("pin", f"{case['name']}-text", value.encode())

    for case in VERIFY["cases"]:
        for at, text in enumerate(case["trust"].get("crls", [])):
            found = blocks(text)
            if found:
                seed("crl", f"{case['name']}-{at}", der(found[0]))
    seed("crl", "pem", crl_text())

    for case in config("identity_from_pkcs12"):
        if case["name"].endswith(("_ber", "_ber_pbmac1", "_pbmac1_sha256")):
            seed("pkcs12", case["name"], bytes.fromhex(case["with"]["data_hex"]))
    for file in sorted(PKCS12.glob("*.p12")):
        # The files of NSS take a second to open.
        if file.stem.startswith("nss"):
            continue
        whole = file.read_bytes()
        seed("pkcs12", file.stem, whole)
        seed("pkcs12", f"{file.stem}-content", authenticated(whole))

    for name, flight in server_flights().items():
        seed("server_hello", name, flight)

    for name, text in ANSWERS.items():
        seed("answer", name, text.replace("\n", "\r\n").encode())

    webhooks()


def webhooks():
    """Writes the keys of the webhook cases, and every fourth case as five lines."""
    peer = der(blocks(WEBHOOK["fixtures"]["acme"]["chain"])[0])
    digest = base64.urlsafe_b64encode(hashlib.sha256(peer).digest()).rstrip(b"=")
    write(HERE / "fixtures" / "webhook.x5t", digest)
    (keys,) = (case["keys"] for case in WEBHOOK["cases"] if case["name"] == "webhook_token_key_id")
    write(HERE / "fixtures" / "webhook.json", keys.encode())
    seed("webhook", "keys", keys.encode())
    names = ("webhook-id", "webhook-timestamp", "webhook-signature", "authorization")
    for case in WEBHOOK["cases"][::4]:
        headers = {name.lower(): value for name, value in case["headers"]}
        lines = [*(headers.get(name, "") for name in names), case["body"]]
        whole = "\n".join(lines).encode()
        if len(whole) < 2048:
            seed("webhook", case["name"], whole)


ANSWERS = {
    "length": "HTTP/1.1 200 OK\nContent-Length: 3\nRetry-After: 7\n\nabc",
    "chunks": "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n3;a=b\nabc\n0a\n0123456789\n0\nx: y\n\n",
    "close": "HTTP/1.0 503 Service Unavailable\nserver: x\n\nall until the end",
    "interim": "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nlink: </a>\n\nHTTP/1.1 204 No Content\n\n",
    "contradiction": "HTTP/1.1 200 OK\ncontent-length: 3, 3\ntransfer-encoding: gzip, chunked\n\n0\n\n",
    "switching": "HTTP/1.1 101 Switching Protocols\nupgrade: x\nconnection: upgrade, close\n\nhello",
}


def server_flights():
    """Returns the first flights of TLS servers."""

    def vector(data, length_bytes=2):
        return len(data).to_bytes(length_bytes, "big") + data

    def extension(number, content):
        return number.to_bytes(2, "big") + vector(content)

    def message(kind, body):
        return bytes([kind]) + vector(body, 3)

    def record(content_type, *bodies):
        return bytes([content_type, 3, 3]) + vector(b"".join(bodies))

    def hello(suite, *extensions, version=0x0303, random=b"\x09" * 32):
        head = version.to_bytes(2, "big") + random + vector(b"session", 1)
        rest = vector(b"".join(extensions)) if extensions else b""
        return message(2, head + suite.to_bytes(2, "big") + b"\0" + rest)

    tls13 = extension(43, b"\x03\x04")
    encrypted = record(23, b"\x17" * 40)
    retry = hashlib.sha256(b"HelloRetryRequest").digest()
    x25519 = extension(51, b"\x00\x1d" + vector(b"k" * 32))
    hybrid = extension(51, b"\x11\xec" + vector(b"k" * 1120))
    secp384r1 = extension(51, b"\x00\x18")
    done = message(14, b"")
    exchange = message(12, b"\x03\x00\x17" + vector(b"k" * 65, 1) + b"\x04\x03" + vector(b"s" * 70))
    tls12 = hello(0xC02B, extension(23, b""), extension(65281, b"\0"))
    certificate = message(11, vector(vector(b"c" * 90, 3), 3))
    return {
        "tls-1.3": record(22, hello(0x1301, x25519, tls13)) + record(20, b"\1") + encrypted,
        "tls-1.3-hybrid": record(22, hello(0x1302, tls13, hybrid)) + encrypted,
        "retry": record(22, hello(0x1303, tls13, secp384r1, random=retry))
        + record(20, b"\1")
        + record(22, hello(0x1303, tls13, x25519)),
        "tls-1.2": record(22, tls12, certificate, exchange, done),
        "tls-1.2-in-records": b"".join(
            record(22, part) for part in (tls12, certificate, message(22, b"o"), exchange, done)
        ),
        "tls-1.0": record(22, hello(0x002F, version=0x0301), certificate, done),
        "alert": record(21, b"\x02\x46"),
        "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    }


def requests(leaf, issuing):
    """Returns the header lines of a good request in each dialect, in the order of the dialects."""
    one, other = (base64.b64encode(der(each)).decode() for each in (leaf, issuing))
    both = base64.b64encode(der(leaf) + der(issuing)).decode()
    escaped, chain = quote(leaf, safe=""), quote(leaf + issuing, safe="")
    digest = hashlib.sha256(der(leaf)).hexdigest()
    certificate, success = "ssl-client-cert", ("ssl-client-verify", "SUCCESS")
    return {
        "nginx": [(certificate, escaped), success],
        "envoy": [
            (
                "x-forwarded-client-cert",
                f'Hash={digest};Cert="{escaped}";Chain="{chain}";Subject=""',
            )
        ],
        "aws_alb": [("x-amzn-mtls-clientcert-leaf", quote(leaf, safe="+=/"))],
        "aws_alb_passthrough": [("x-amzn-mtls-clientcert", quote(leaf + issuing, safe="+=/"))],
        "traefik": [("x-forwarded-tls-client-cert", f"{one},{other}")],
        "haproxy": [
            (certificate, one),
            ("ssl-client-used", "1"),
            ("ssl-client-verify", "0"),
            ("ssl-client-chain", both),
        ],
        "caddy": [(certificate, one)],
        "apache": [(certificate, leaf.replace("\n", " ")), success],
        "gcp": [
            ("x-client-cert-leaf", f":{one}:"),
            ("x-client-cert-chain-verified", "true"),
            ("x-client-cert-chain", f":{other}:"),
        ],
        "cloudflare": [
            ("cf-client-cert-der-base64", one),
            ("cf-client-cert-sha256", digest),
            ("cf-cert-verified", "true"),
            ("cf-cert-revoked", "false"),
        ],
        "rfc9440": [("client-cert", f":{one}:"), ("client-cert-chain", f":{other}:")],
        "envoy_json": [
            (
                "x-forwarded-client-cert",
                json.dumps([{"hash": digest, "cert": leaf, "chain": [leaf, issuing], "uri": []}]),
            )
        ],
    }


def config(operation):
    return [case for case in CONFIG["cases"] if case["do"] == operation]


def crl_text():
    texts = (text for case in VERIFY["cases"] for text in case["trust"].get("crls", []))
    return next(texts).encode()


def blocks(text):
    return re.findall(r"-----BEGIN [^-]+-----\n.*?-----END [^-]+-----\n", text, re.DOTALL)


def der(block):
    return base64.b64decode("".join(block.splitlines()[1:-1]))


def authenticated(pfx):
    """Returns the octets that the MAC of a PKCS#12 file covers."""

    def content(data, at):
        size, at = data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        return at, size

    at, _ = content(pfx, 0)
    at += 3
    at, _ = content(pfx, at)
    at += 11
    at, _ = content(pfx, at)
    at, size = content(pfx, at)
    return pfx[at : at + size]


def seed(target, name, data):
    # Many cases differ only in the request, not in the parsed input.
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    if len(data) <= 4096 and all(data != file.read_bytes() for file in folder.iterdir()):
        write(folder / name, data)


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


if __name__ == "__main__":
    main()
