"""Cases with certificates as proxies write them into headers: which are read, which are refused."""

import base64
from urllib.parse import quote, quote_plus

from config_cases import CHAIN, KEY, OK
from config_cases import case as config_case
from config_cases import refused as config_refused
from verify_cases import ISSUING, accepted, client, client_leaf, refused

DECODE_COLONS = (
    "Decode the base64 between each pair of colons: it is one certificate in DER. Pass the DER, "
    "leaf first."
)
DECODE_PERCENT = "Percent-decode it, and pass the PEM text."


def encoded(certificate):
    return base64.b64encode(certificate.der).decode()


def verify_cases():
    leaf = client_leaf()
    chain = [leaf, ISSUING]
    text = "".join(each.pem for each in chain)
    passed = accepted(evidence="asserted")

    def of(name, header, expect):
        return client(f"header_{name}", [], expect) | {"chain": header}

    def named(name, header, seen, remedy):
        expect = refused("pem_invalid")
        expect["error"] |= {"message": f"chain: it is {seen}", "remedy": remedy}
        return of(name, header, expect)

    # Old nginx and Apache replace line breaks by spaces or tabs.
    yield of("spaces", text.replace("\n", " "), passed)
    yield of("tabs", text.replace("\n", "\n\t"), passed)
    yield of("without_breaks", text.replace("\n", ""), passed)
    structured = "a header of RFC 9440 (Client-Cert, Client-Cert-Chain): base64 between colons"
    yield named("rfc_9440", f":{encoded(leaf)}:", structured, DECODE_COLONS)
    both = ", ".join(f":{encoded(each)}:" for each in chain)
    yield named("rfc_9440_chain", both, structured, DECODE_COLONS)
    escaped = "percent-encoded PEM text, as nginx's $ssl_client_escaped_cert"
    yield named("percent_encoded", quote(text, safe=""), escaped, DECODE_PERCENT)
    yield named("form_encoded", quote_plus(text), escaped, DECODE_PERCENT)
    yield named("dashes_encoded", quote(text).replace("-", "%2D"), escaped, DECODE_PERCENT)
    yield named(
        "envoy",
        f'Hash={"0" * 64};Cert="{quote(leaf.pem)}";Chain="{quote(text)}"',
        "the header x-forwarded-client-cert (Envoy), not the PEM text inside",
        "Take the value of Chain or Cert, without the quotes, percent-decode it, and pass the PEM "
        "text.",
    )
    joined = (
        "base64 of several certificates with commas between them, as Traefik's "
        "X-Forwarded-Tls-Client-Cert"
    )
    split = (
        "Percent-decode it if it has %, split it at the commas, and decode each part: it is one "
        "certificate in DER. Pass the DER, leaf first."
    )
    commas = ",".join(encoded(each) for each in chain)
    yield named("traefik", commas, joined, split)
    yield named("traefik_escaped", quote(commas), joined, split)
    # One certificate in base64 has one reading.
    yield of("traefik_pem", encoded(leaf), refused("issuer_unknown"))
    plain = refused("pem_invalid")
    plain["error"]["message"] = "chain: no certificate found"
    for name, header in (
        ("colon", ":"),
        ("colons_around_text", ":Miller:"),
        ("colons_around_other_base64", ":AAAA:"),
        ("percent", "100%25"),
        ("words_with_commas", "MILK,MINT and more"),
    ):
        yield of(name, header, plain)


def config_cases():
    def of(name, cert, seen, remedy):
        expect = config_refused("pem_invalid")
        expect["error"] |= {"message": f"certificate chain: it is {seen}", "remedy": remedy}
        return config_case(name, "identity_from_pem", {"cert": cert, "key": KEY}, expect)

    escaped = "percent-encoded PEM text, as nginx's $ssl_client_escaped_cert"
    yield of("header_percent_encoded", quote(CHAIN), escaped, DECODE_PERCENT)
    spaces = {"cert": CHAIN.replace("\n", " "), "key": KEY}
    yield config_case("header_spaces", "identity_from_pem", spaces, OK)
