"""The forwarded cases: the verdict on a request whose headers forward a client certificate.

The encoders here write what each proxy writes, from its documentation: docs/receive/dialects.md
names the sources. Each case changes one thing of a request that passes.
"""

import base64
import json
from urllib.parse import quote, quote_plus

from forge import authority, crl, day, dns, key, uri
from verify_cases import AT, ISSUING, LEAF_LIFE, ROOT, TEMPLATE, client_leaf, text

NAME = "edge"
SECRET = "Zk2rVw8nYb4tQx7sLc9d"
ADDRESS = {"address": ["10.0.0.0/24", "fd00:1::/64"]}
BY_SECRET = {"secret": {"header": "X-Hop-Secret", "value": SECRET}}
REMOTE = "10.0.0.7"

LEAF = client_leaf()
OTHER = client_leaf(
    label="other leaf", subject="globex", sans=uri("spiffe://corp.example/tenant/globex")
)
EXPIRED = client_leaf(valid=(day(2026, 3, 1), day(2026, 5, 1)))
REVOKED = client_leaf(label="revoked leaf")
EVIL_ROOT = authority("Evil Root", key("evil root"))
STRANGER = client_leaf(EVIL_ROOT, label="stranger")
NO_TENANT = client_leaf(sans=uri("https://corp.example/acme"))
NAMED = client_leaf(sans=[*uri("spiffe://corp.example/tenant/acme"), *dns("a.example.test")])
# A CA should never issue this. Envoy writes the URI as it is.
SMUGGLED_ELEMENT = "spiffe://corp.example/tenant/acme"


def fixtures():
    revoked = crl(ISSUING, [REVOKED], 7, this=day(2026, 5, 25), following=day(2026, 6, 10))
    return {
        "trust": {
            "anchors": text([ROOT]),
            "intermediates": text([ISSUING]),
            "crls": [revoked],
        }
    }


# -- what the proxies write ------------------------------------------------------------------------


def b64(certificate):
    return base64.b64encode(certificate.der).decode()


def escaped(*certificates):
    """nginx and Envoy encode every reserved character."""
    return quote(text(certificates), safe="")


def aws(*certificates):
    return quote(text(certificates), safe="+=/")


def sequence(*certificates):
    return ", ".join(f":{b64(each)}:" for each in certificates)


def nginx(leaf, verdict="SUCCESS"):
    return [["ssl-client-cert", escaped(leaf)], ["ssl-client-verify", verdict]]


def ingress(leaf):
    return [*nginx(leaf), ["ssl-client-subject-dn", "CN=acme"]]


def envoy(leaf, **parts):
    return [["x-forwarded-client-cert", element(leaf, **parts)]]


def element(leaf, *, cert=True, chain=(), digest=None, subject="CN=acme", uris=None, names=()):
    pairs = ["By=spiffe://corp.example/envoy", f"Hash={digest or leaf.fingerprint}"]
    if cert:
        pairs.append(f'Cert="{escaped(leaf)}"')
    if chain:
        pairs.append(f'Chain="{escaped(*chain)}"')
    pairs.append(f'Subject="{subject}"')
    for each in ["spiffe://corp.example/tenant/acme"] if uris is None else uris:
        pairs.append(f"URI={each}")
    pairs += [f"DNS={each}" for each in names]
    return ";".join(pairs)


def envoy_json(leaf, **parts):
    return [["x-forwarded-client-cert", objects(leaf, **parts)]]


def objects(leaf, *others, more=(), **parts):
    """The objects of others and that of Envoy as compact text."""
    return json.dumps([*others, json_object(leaf, **parts), *more], separators=(",", ":"))


def json_object(leaf, *, cert=True, chain=(), digest=None, uris=None, names=(), **changes):
    made = {"by": ["spiffe://corp.example/envoy"], "hash": digest or leaf.fingerprint}
    if cert is not False:
        made["cert"] = text([leaf]) if cert is True else cert
    if chain:
        made["chain"] = [text([each]) for each in chain]
    made["subject"] = "CN=acme"
    made["uri"] = ["spiffe://corp.example/tenant/acme"] if uris is None else uris
    if names:
        made["dns"] = list(names)
    return {**made, **changes}


def aws_alb(leaf):
    return [["X-Amzn-Mtls-Clientcert-Leaf", aws(leaf)]]


def aws_alb_passthrough(*chain):
    return [["X-Amzn-Mtls-Clientcert", aws(*chain)]]


def traefik(*chain):
    return [["X-Forwarded-Tls-Client-Cert", ",".join(map(b64, chain))]]


def haproxy(leaf, *, used="1", verify="0", chain=()):
    lines = [
        ["ssl-client-cert", b64(leaf)],
        ["ssl-client-used", used],
        ["ssl-client-verify", verify],
    ]
    if chain:
        ders = b"".join(each.der for each in chain)
        lines.append(["ssl-client-chain", base64.b64encode(ders).decode()])
    return lines


def caddy(leaf):
    return [["ssl-client-cert", b64(leaf)]]


def apache(leaf, verdict="SUCCESS"):
    return [["ssl-client-cert", text([leaf]).replace("\n", " ")], ["ssl-client-verify", verdict]]


def gcp(leaf, *chain, verified="true", present="true"):
    lines = [
        ["X-Client-Cert-Present", present],
        ["X-Client-Cert-Chain-Verified", verified],
        ["X-Client-Cert-Leaf", sequence(leaf)],
    ]
    return [*lines, ["X-Client-Cert-Chain", sequence(*chain)]] if chain else lines


def cloudflare(leaf, *, verified="true", revoked="false", digest=None):
    return [
        ["Cf-Client-Cert-Der-Base64", b64(leaf)],
        ["Cf-Client-Cert-Sha256", digest or leaf.fingerprint],
        ["Cf-Cert-Presented", "true"],
        ["Cf-Cert-Verified", verified],
        ["Cf-Cert-Revoked", revoked],
    ]


def rfc9440(leaf, *chain):
    lines = [["Client-Cert", sequence(leaf)]]
    return [*lines, ["Client-Cert-Chain", sequence(*chain)]] if chain else lines


ENCODERS = {
    "nginx": nginx,
    "envoy": envoy,
    "aws_alb": aws_alb,
    "aws_alb_passthrough": lambda leaf: aws_alb_passthrough(leaf, ISSUING),
    "traefik": traefik,
    "haproxy": haproxy,
    "caddy": caddy,
    "apache": apache,
    "gcp": gcp,
    "cloudflare": cloudflare,
    "rfc9440": rfc9440,
    "envoy_json": envoy_json,
}


# -- cases -----------------------------------------------------------------------------------------


def case(name, dialect, headers, expect, *, hop=ADDRESS, remote=REMOTE, at=AT, **more):
    made = {
        "name": name,
        "role": "client",
        "dialect": dialect,
        "hop": {"name": NAME, **hop},
        "headers": [["Host", "hooks.example.test"], *headers, ["Content-Length", "2"]],
        "at": int(at.timestamp()),
    }
    if remote is not None:
        made["remote"] = remote
    if "tenant" not in more and "authorization" not in more:
        more["tenant"] = {"san_uri": TEMPLATE}
    return {**made, **more, "expect": expect}


def accepted(tenant="acme", **fields):
    return {"ok": {"tenant": tenant, "evidence": "forwarded", "hop": NAME, **fields}}


def refused(kind, reason=None, **context):
    error = {"kind": kind, "stage": "verify", "sent": "nothing"}
    context = {**({"reason": reason, "hop": NAME} if reason else {}), **context}
    return {"error": error | ({"context": context} if context else {})}


def untrusted(reason, **context):
    return refused("hop_untrusted", reason, **context)


def missing(reason, **context):
    return refused("evidence_missing", reason, **context)


def misconfigured(option=None):
    error = {"kind": "option_invalid", "stage": "config", "sent": "nothing"}
    return {"error": error | ({"context": {"option": option}} if option else {})}


def cases():
    return [
        *every_dialect(),
        *hops(),
        *verdicts(),
        *percent_encoding(),
        *pem_in_a_line(),
        *base64_text(),
        *envoy_elements(),
        *envoy_objects(),
        *structured_fields(),
        *chains(),
        *sizes(),
        *authorizations(),
    ]


def with_value(headers, name, value):
    """Returns the headers with another value under a name."""
    return [[each, value if each.lower() == name.lower() else old] for each, old in headers]


def with_name(headers, name, other):
    return [[other if each.lower() == name.lower() else each, value] for each, value in headers]


def underscored(name):
    return name.replace("-", "_")


def every_dialect():
    for dialect, encode in ENCODERS.items():
        good = encode(LEAF)
        own = next(each for each, value in good if len(value) > 300)

        def each(name, headers, expect, _dialect=dialect, **more):
            return case(f"{_dialect}_{name}", _dialect, headers, expect, **more)

        yield each("good", good, accepted())
        yield each("good_by_secret", [*good, ["X-Hop-Secret", SECRET]], accepted(), hop=BY_SECRET)
        yield each("upper_case_names", [[n.upper(), v] for n, v in good], accepted())
        yield each("nothing_forwarded", [], missing("certificate_absent"))
        yield each("empty", with_value(good, own, ""), missing("certificate_absent"))
        # Attacks: a client that speaks the dialect itself.
        outside = untrusted("remote_not_listed")
        yield each("forged_from_another_address", good, outside, remote="192.0.2.9")
        forged = [["X-Forwarded-For", REMOTE], ["Forwarded", f"for={REMOTE}"], *good]
        yield each("forged_with_x_forwarded_for", forged, outside, remote="192.0.2.9")
        twice = untrusted("repeated_header", header=own.lower())
        forged = [[own, value] for name, value in encode(OTHER) if name == own]
        yield each("forged_line_first", [*forged, *good], twice)
        yield each("forged_line_last", [*good, *forged], twice)
        yield each("forged_line_empty", [*good, [own, ""]], twice)
        twin = [[underscored(own), value] for _, value in forged]
        yield each("forged_underscore_twin", [*twin, *good], twice)
        yield each("forged_upper_case_twin", [*good, [own.upper(), forged[0][1]]], twice)
        ambiguous = untrusted("ambiguous_header", header=own.lower())
        yield each("only_an_underscore_twin", with_name(good, own, underscored(own)), ambiguous)
        yield each("stranger", encode_as(dialect, STRANGER), refused("issuer_unknown"))
        yield each("expired", encode_as(dialect, EXPIRED), refused("certificate_expired"))
        yield each("revoked", encode_as(dialect, REVOKED), refused("certificate_revoked"))
        yield each("garbage", with_value(good, own, "A" * 400), missing("malformed"))
        yield each(
            "beyond_ascii", with_value(good, own, good[0][1] + "\u00e9"), missing("malformed")
        )


def encode_as(dialect, leaf):
    if dialect == "aws_alb_passthrough":
        return aws_alb_passthrough(leaf)
    return ENCODERS[dialect](leaf)


def hops():
    good = rfc9440(LEAF)

    def by(name, expect, hop, headers=good, **more):
        return case(f"hop_{name}", "rfc9440", headers, expect, hop=hop, **more)

    yield by("of_ipv6", accepted(), ADDRESS, remote="fd00:1::9")
    yield by("of_mapped_ipv4", accepted(), ADDRESS, remote="::ffff:10.0.0.7")
    yield by("with_scope", accepted(), {"address": ["fe80::1"]}, remote="fe80::1%eth0")
    yield by("one_address", accepted(), {"address": ["10.0.0.7"]})
    yield by("beside_the_network", untrusted("remote_not_listed"), ADDRESS, remote="10.0.1.7")
    yield by("unknown_remote", untrusted("remote_unknown"), ADDRESS, remote=None)
    yield by("address_over_unix", untrusted("remote_not_listed"), ADDRESS, remote="unix")
    yield by("unix", accepted(), {"unix": True}, remote="unix")
    yield by("unix_over_tcp", untrusted("remote_not_listed"), {"unix": True}, remote="127.0.0.1")
    yield by("unix_unknown", untrusted("remote_unknown"), {"unix": True}, remote=None)
    pin = OTHER.spki_pin
    certificate = {"certificate": [pin]}
    yield by("certificate", accepted(), certificate, remote=pin)
    whole = {"certificate": [OTHER.fingerprint_pin]}
    yield by("whole_certificate", accepted(), whole, remote=OTHER.fingerprint_pin)
    stranger = STRANGER.spki_pin
    yield by("other_certificate", untrusted("remote_not_listed"), certificate, remote=stranger)
    yield by("certificate_over_tcp", untrusted("remote_not_listed"), certificate)
    # The secret.
    line = ["X-Hop-Secret", SECRET]
    named = {"header": "x-hop-secret"}
    yield by("secret", accepted(), BY_SECRET, [*good, line], remote=None)
    lower = ["x-hop-secret", SECRET]
    yield by("secret_in_lower_case", accepted(), BY_SECRET, [*good, lower], remote=None)
    yield by("secret_missing", untrusted("secret_missing", **named), BY_SECRET, remote=None)
    for name, value in {
        "wrong": "Zk2rVw8nYb4tQx7sLc9e",
        "shorter": SECRET[:-1],
        "longer": SECRET + "d",
        "in_other_case": SECRET.lower(),
        "in_quotes": f'"{SECRET}"',
        "listed_twice": f"{SECRET}, {SECRET}",
    }.items():
        expect = untrusted("secret_wrong", **named)
        headers = [*good, ["X-Hop-Secret", value]]
        yield by(f"secret_{name}", expect, BY_SECRET, headers, remote=None)
    repeated = untrusted("repeated_header", **named)
    yield by("secret_repeated", repeated, BY_SECRET, [*good, line, line], remote=None)
    guess = ["X_Hop_Secret", "guess"]
    yield by("secret_with_a_twin", repeated, BY_SECRET, [*good, line, guess], remote=None)
    folded = untrusted("ambiguous_header", **named)
    twin = ["X_Hop_Secret", SECRET]
    yield by("secret_as_a_twin", folded, BY_SECRET, [*good, twin], remote=None)
    empty = untrusted("secret_missing", **named)
    yield by("secret_empty", empty, BY_SECRET, [*good, ["X-Hop-Secret", ""]], remote=None)
    # What cannot be a hop.
    yield by("of_every_ipv4", misconfigured("networks"), {"address": ["0.0.0.0/0"]})
    yield by("of_every_ipv6", misconfigured("networks"), {"address": ["::/0"]})
    yield by("of_no_network", misconfigured("networks"), {"address": []})
    yield by("of_host_bits", misconfigured("networks"), {"address": ["10.0.0.7/24"]})
    yield by("of_a_name", misconfigured("networks"), {"address": ["edge.example.test"]})
    short = {"secret": {"header": "X-Hop-Secret", "value": "short"}}
    yield by("of_a_short_secret", misconfigured("value"), short)
    spaced = {"secret": {"header": "X-Hop-Secret", "value": SECRET + " x"}}
    yield by("of_a_secret_with_space", misconfigured("value"), spaced)
    own = {"secret": {"header": "Client-Cert", "value": SECRET}}
    yield by("secret_in_the_certificate", misconfigured("header"), own)
    folded = {"secret": {"header": "X_Hop_Secret", "value": SECRET}}
    yield by("secret_with_underscore", misconfigured("header"), folded)
    yield by("without_name", misconfigured("name"), {**ADDRESS, "name": ""})
    yield by("with_spaced_name", misconfigured("name"), {**ADDRESS, "name": "my edge"})
    for name, remote in {
        "port": "10.0.0.7:443",
        "list": "10.0.0.7, 192.0.2.1",
        "name": "localhost",
        "nothing": "",
        "short_pin": "sha256/AAAA",
    }.items():
        yield by(f"remote_with_{name}", misconfigured("remote"), ADDRESS, remote=remote)
    unknown = {"error": {"kind": "option_invalid", "context": {"option": "dialect"}}}
    for name in ("nginxx", "NGINX", "envoy-json", ""):
        yield case(f"dialect_{underscored(name) or 'empty'}", name, good, unknown)
    server = {"role": "server"}
    yield by("for_a_server", misconfigured("role"), ADDRESS, **server)


def verdicts():
    for dialect, encode in {"nginx": nginx, "apache": apache}.items():

        def each(name, headers, expect, _dialect=dialect):
            return case(f"{_dialect}_verdict_{name}", _dialect, headers, expect)

        own = {"header": "ssl-client-verify"}
        none = missing("certificate_absent", **own)
        yield each("none", encode(LEAF, "NONE"), none)
        negative = missing("verdict_negative", **own)
        for name, verdict in {
            "failed": "FAILED:certificate has expired",
            "failed_without_reason": "FAILED",
            "generous": "GENEROUS",
            "in_lower_case": "success",
            "with_more": "SUCCESS x",
            "listed": "SUCCESS, SUCCESS",
            "zero": "0",
        }.items():
            yield each(name, encode(LEAF, verdict), negative)
        absent = untrusted("verdict_missing", **own)
        yield each("absent", encode(LEAF)[:1], absent)
        yield each("empty", encode(LEAF, ""), absent)
        twice = untrusted("repeated_header", **own)
        yield each("twice", [*encode(LEAF, "NONE"), ["Ssl-Client-Verify", "SUCCESS"]], twice)
        yield each("with_a_twin", [*encode(LEAF, "NONE"), ["ssl_client_verify", "SUCCESS"]], twice)
    null = [["ssl-client-cert", "(null)"], ["ssl-client-verify", "(null)"]]
    yield case("apache_null", "apache", null, missing("certificate_absent"))
    null = [*apache(LEAF, "SUCCESS")[1:], ["ssl-client-cert", "(null)"]]
    yield case("apache_null_certificate", "apache", null, missing("certificate_absent"))
    absent = missing("certificate_absent", header="ssl-client-used")
    yield case("haproxy_nothing_used", "haproxy", haproxy(LEAF, used="0"), absent)
    empty = [["ssl-client-cert", ""], ["ssl-client-used", "0"], ["ssl-client-verify", "0"]]
    yield case("haproxy_verify_0_of_nothing", "haproxy", empty, absent)
    negative = missing("verdict_negative", header="ssl-client-verify")
    for code in ("10", "18", "23", "00", "-0", "ok"):
        headers = haproxy(LEAF, verify=code)
        yield case(f"haproxy_verify_{code}", "haproxy", headers, negative)
    used = untrusted("verdict_missing", header="ssl-client-used")
    good = haproxy(LEAF)
    yield case("haproxy_without_used", "haproxy", [good[0], good[2]], used)
    verify = untrusted("verdict_missing", header="ssl-client-verify")
    yield case("haproxy_without_verify", "haproxy", good[:2], verify)
    own = {"header": "x-client-cert-chain-verified"}
    negative = missing("verdict_negative", **own)
    yield case("gcp_not_verified", "gcp", gcp(LEAF, verified="false"), negative)
    yield case("gcp_verified_in_capitals", "gcp", gcp(LEAF, verified="TRUE"), negative)
    yield case("gcp_without_verdict", "gcp", gcp(LEAF)[2:], untrusted("verdict_missing", **own))
    absent = missing("certificate_absent", header="x-client-cert-present")
    yield case("gcp_not_present", "gcp", gcp(LEAF, present="false"), absent)
    yield case("gcp_present_unsaid", "gcp", gcp(LEAF)[1:], accepted())
    own = {"header": "cf-cert-verified"}
    negative = missing("verdict_negative", **own)
    yield case(
        "cloudflare_not_verified", "cloudflare", cloudflare(LEAF, verified="false"), negative
    )
    unsaid = [*cloudflare(LEAF)[:3], cloudflare(LEAF)[4]]
    yield case("cloudflare_unsaid", "cloudflare", unsaid, untrusted("verdict_missing", **own))
    own = {"header": "cf-cert-revoked"}
    negative = missing("verdict_negative", **own)
    yield case("cloudflare_says_revoked", "cloudflare", cloudflare(LEAF, revoked="true"), negative)
    unsaid = cloudflare(LEAF)[:4]
    unsaid_revoked = untrusted("verdict_missing", **own)
    yield case("cloudflare_revocation_unsaid", "cloudflare", unsaid, unsaid_revoked)
    other = cloudflare(LEAF, digest=OTHER.fingerprint)
    wrong = missing("inconsistent", header="cf-client-cert-sha256")
    yield case("cloudflare_other_digest", "cloudflare", other, wrong)
    yield case(
        "cloudflare_without_digest",
        "cloudflare",
        [cloudflare(LEAF)[0], *cloudflare(LEAF)[2:]],
        accepted(),
    )


def percent_encoding():
    wrong = missing("malformed", header="ssl-client-cert")

    def each(name, value, expect=wrong):
        return case(
            f"nginx_{name}", "nginx", with_value(nginx(LEAF), "ssl-client-cert", value), expect
        )

    good = escaped(LEAF)
    yield each("form_encoded", quote_plus(text([LEAF])))
    yield each("literal_plus", good.replace("%2B", "+"))
    yield each("spaces", good.replace("%20", " "))
    yield each("lower_case_hex", good.replace("%2B", "%2b").replace("%0A", "%0a"), accepted())
    yield each("encoded_twice", quote(good, safe=""))
    yield each("cut", good[:-20])
    yield each("cut_in_an_escape", good[:-1])
    yield each("bad_escape", good.replace("%0A", "%0G", 1))
    yield each("encoded_nul", good + "%00")
    yield each("raw_pem_with_tabs", text([LEAF]).strip().replace("\n", "\t"))
    yield each("raw_pem_with_spaces", text([LEAF]).replace("\n", " "))
    yield each("base64_alone", b64(LEAF))
    yield each("carriage_returns", quote(text([LEAF]).replace("\n", "\r\n"), safe=""))
    yield each("text_before", quote("leaf:\n" + text([LEAF]), safe=""))
    yield each("text_after", quote(text([LEAF]) + "x", safe=""))
    yield each("no_last_line_break", quote(text([LEAF]).rstrip(), safe=""), accepted())
    yield each("private_key_label", good.replace("CERTIFICATE", "PRIVATE%20KEY"))
    yield each("quoted", f'"{good}"')

    def alb(name, value, expect):
        headers = [["X-Amzn-Mtls-Clientcert-Leaf", value]]
        return case(f"aws_alb_{name}", "aws_alb", headers, expect)

    wrong = missing("malformed", header="x-amzn-mtls-clientcert-leaf")
    plus = next(each for each in (LEAF, OTHER, NAMED) if "+" in text([each]))
    tenant = "globex" if plus is OTHER else "acme"
    yield alb("literal_plus", aws(plus), accepted(tenant))
    yield alb("escaped_plus", escaped(plus), accepted(tenant))
    yield alb("form_decoded_on_the_way", aws(plus).replace("+", "%20"), wrong)
    yield alb("form_encoded", quote_plus(text([LEAF])), wrong)


def pem_in_a_line():
    wrong = missing("malformed", header="ssl-client-cert")

    def each(name, value, expect=wrong):
        headers = with_value(apache(LEAF), "ssl-client-cert", value)
        return case(f"apache_{name}", "apache", headers, expect)

    good = text([LEAF]).replace("\n", " ")
    yield each("without_last_space", good.rstrip(), accepted())
    yield each("without_spaces", good.replace(" ", ""))
    yield each("two_spaces", good.replace("----- ", "-----  "))
    yield each("tabs", good.replace(" ", "\t"))
    yield each("percent_encoded", escaped(LEAF))
    yield each("cut", good[:-30])
    yield each("null_and_certificate", "(null) " + good)
    yield each("truncated_base64", good.replace(" -----END", "x -----END"))


def base64_text():
    wrong = missing("malformed", header="ssl-client-cert")
    good = b64(LEAF)
    for name, value in {
        "without_padding": good.rstrip("=") if good.endswith("=") else good[:-1],
        "with_spaces": good[:64] + " " + good[64:],
        "base64url": base64.urlsafe_b64encode(LEAF.der + b"\xff\xff\xff").decode(),
        "two_certificates": base64.b64encode(LEAF.der + ISSUING.der).decode(),
        "trailing_bytes": base64.b64encode(LEAF.der + b"\x00").decode(),
        "cut": base64.b64encode(LEAF.der[:-1]).decode(),
        "of_pem": base64.b64encode(text([LEAF]).encode()).decode(),
        "in_colons": f":{good}:",
        "listed": f"{good},{good}",
        "placeholder": "{tls_client_certificate_der_base64}",
    }.items():
        headers = with_value(caddy(LEAF), "ssl-client-cert", value)
        yield case(f"caddy_{name}", "caddy", headers, wrong)
    wrong = missing("malformed", header="x-forwarded-tls-client-cert")
    issuing = b64(ISSUING)
    for name, value in {
        "empty_member": f"{good},,{issuing}",
        "last_comma": f"{good},",
        "spaces": f"{good}, {issuing}",
        "query_escaped": quote_plus(good),
        "pem": escaped(LEAF),
    }.items():
        yield case(f"traefik_{name}", "traefik", [["X-Forwarded-Tls-Client-Cert", value]], wrong)


def envoy_elements():
    own = "x-forwarded-client-cert"
    wrong = missing("malformed", header=own)

    def each(name, value, expect=wrong):
        return case(f"envoy_{name}", "envoy", [[own, value]], expect)

    good, other = element(LEAF), element(OTHER, uris=["spiffe://corp.example/tenant/globex"])
    yield each("last_element_counts", f"{other},{good}", accepted())
    yield each("last_element_counts_too", f"{good},{other}", accepted("globex"))
    bare = element(LEAF, cert=False)
    yield each("forged_first_element", f"{bare},{good}", accepted())
    yield each("last_without_certificate", f"{good},{bare}")
    yield each("only_a_hash", bare)
    yield each("chain_alone", element(LEAF, cert=False, chain=[LEAF, ISSUING]), accepted())
    yield each("cert_and_chain", element(LEAF, chain=[LEAF, ISSUING]), accepted())
    yield each("cert_of_another_chain", element(LEAF, chain=[OTHER, ISSUING]))
    yield each("chain_of_another_leaf_first", element(LEAF, chain=[ISSUING, LEAF]))
    yield each("hash_of_another", element(LEAF, digest=OTHER.fingerprint))
    yield each("hash_in_capitals", element(LEAF, digest=LEAF.fingerprint.upper()), accepted())
    yield each(
        "keys_in_lower_case", good.replace("Cert=", "cert=").replace("Hash=", "hash="), accepted()
    )
    yield each("cert_twice", f'{good};Cert="{escaped(OTHER)}"')
    yield each("cert_twice_by_case", f'{good};cert="{escaped(OTHER)}"')
    yield each("hash_twice", f"{good};Hash={LEAF.fingerprint}")
    yield each("cert_without_quotes", good.replace('"', ""), accepted())
    yield each("escaped_quotes", element(LEAF, subject='CN=\\"a\\",O=b;c=d\\\\'), accepted())
    yield each("unknown_escape", element(LEAF, subject="CN=\\n"))
    yield each("subject_with_separators", element(LEAF, subject="CN=a,Cert=b;Chain=c"), accepted())
    yield each("open_quote", good[:-1] + ';Subject2="x')
    yield each("open_quote_before", f'By="x,{good}')
    yield each("quote_in_a_value", f'By=a"b;{good}')
    yield each("text_after_quotes", good.replace('";Subject', '"x;Subject'))
    yield each("empty_element", f",{good}")
    yield each("empty_last_element", f"{good},")
    yield each("empty_pair", good.replace(";", ";;", 1))
    yield each("spaces_between", good.replace(";", "; "))
    yield each("space_after_comma", f"{bare}, {good}")
    yield each("pair_without_value", f"{good};Extra")
    yield each("key_with_digits", f"{good};X1=2")
    yield each("unknown_key", f"{good};Issuer=x", accepted())
    yield each("two_certificates_in_cert", good.replace(escaped(LEAF), escaped(LEAF, ISSUING)))
    yield each("form_encoded", good.replace(escaped(LEAF), quote_plus(text([LEAF]))))
    yield each("array_of_objects", '[{"Hash":"' + LEAF.fingerprint + '"}]')
    yield each("sixteen_elements", ",".join([bare] * 15 + [good]), accepted())
    yield each("seventeen_elements", ",".join([bare] * 16 + [good]))
    yield each("without_uris", element(LEAF, uris=[]), accepted())
    yield each("empty_uri", element(LEAF, uris=[""]), accepted())
    yield each("all_names", element(NAMED, names=["a.example.test"]), accepted())
    yield each("name_of_another", element(LEAF, names=["b.example.test"]))
    yield each("uri_of_another", element(LEAF, uris=["spiffe://corp.example/tenant/globex"]))
    # A certificate whose URI breaks out of its element, to show the certificate of someone else.
    out = SMUGGLED_ELEMENT + f",Hash={OTHER.fingerprint};Cert={escaped(OTHER)}"
    smuggler = client_leaf(label="smuggler", sans=uri(out))
    yield each("uri_with_an_element", element(smuggler, uris=[out]))
    out = SMUGGLED_ELEMENT + f";Chain={escaped(OTHER)}"
    smuggler = client_leaf(label="smuggler", sans=uri(out))
    yield each("uri_with_a_pair", element(smuggler, uris=[out]))
    out = f"{SMUGGLED_ELEMENT},Hash={OTHER.fingerprint};Cert={escaped(OTHER)}"
    smuggler = client_leaf(label="smuggler", sans=uri(SMUGGLED_ELEMENT, out))
    yield each("second_uri_with_an_element", element(smuggler, uris=[SMUGGLED_ELEMENT, out]))


def envoy_objects():
    own = "x-forwarded-client-cert"
    wrong = missing("malformed", header=own)

    def each(name, value, expect=wrong):
        return case(f"envoy_json_{name}", "envoy_json", [[own, value]], expect)

    good, globex = json_object(LEAF), ["spiffe://corp.example/tenant/globex"]
    other = json_object(OTHER, uris=globex)
    bare = json_object(LEAF, cert=False)
    yield each("last_object_counts", objects(LEAF, other), accepted())
    yield each("last_object_counts_too", objects(OTHER, good, uris=globex), accepted("globex"))
    yield each("forged_first_object", objects(LEAF, bare), accepted())
    yield each("last_without_certificate", objects(LEAF, more=[bare]))
    yield each("only_a_hash", objects(LEAF, cert=False))
    yield each("chain_alone", objects(LEAF, cert=False, chain=[LEAF, ISSUING]), accepted())
    yield each("cert_and_chain", objects(LEAF, chain=[LEAF, ISSUING]), accepted())
    yield each("cert_of_another_chain", objects(LEAF, chain=[OTHER, ISSUING]))
    yield each("chain_of_another_leaf_first", objects(LEAF, chain=[ISSUING, LEAF]))
    yield each("hash_of_another", objects(LEAF, digest=OTHER.fingerprint))
    yield each("names", objects(NAMED, names=["a.example.test"]), accepted())
    yield each("name_of_another", objects(NAMED, names=["b.example.test"]))
    yield each("uri_of_another", objects(LEAF, uris=globex))
    yield each("without_uris", objects(LEAF, uris=[]), accepted())
    yield each("unknown_member", objects(LEAF, issuer="CN=x"), accepted())
    yield each("spaces", json.dumps([good]), accepted())
    yield each("capitals", objects(LEAF, cert=False, Cert=good["cert"]))
    yield each("two_certificates_in_cert", objects(LEAF, cert=text([LEAF, ISSUING])))
    chained = json_object(LEAF, cert=False) | {"chain": [text([LEAF, ISSUING])]}
    yield each("two_certificates_in_one_text", objects(LEAF, more=[chained]))
    yield each("percent_encoded", objects(LEAF, cert=escaped(LEAF)))
    for name, value in {"number": 1, "null": None, "list": [good["cert"]], "empty": ""}.items():
        yield each(f"cert_as_{name}", objects(LEAF, cert=value))
    whole = objects(LEAF)
    doubled = whole.replace('"cert":', '"cert":' + json.dumps(text([OTHER])) + ',"cert":')
    yield each("cert_twice", doubled)
    yield each("cert_twice_by_escape", doubled.replace('"cert"', '"\\u0063ert"', 1))
    yield each("object_alone", whole[1:-1])
    yield each("empty_array", "[]")
    yield each("number_in_the_array", "[1," + whole[1:])
    yield each("text_after", whole + "x")
    yield each("last_comma", whole[:-1] + ",]")
    yield each("cut", whole[:-2])
    yield each("text_form", element(LEAF))
    # Envoy puts its object in place of a `]` at the end of what a client sent.
    for name, sent in {
        "empty_array": "[]",
        "open_text": '[{"cert":' + json.dumps(text([OTHER])) + ',"x":"]',
        "open_array": '[{"cert":' + json.dumps(text([OTHER])) + ',"x":[]',
        "open_object": '[{"cert":' + json.dumps(text([OTHER])) + ',"x":{"a":1]',
        "array_in_the_array": "[" + json.dumps([other]) + "",
    }.items():
        yield each(f"appended_to_{name}", sent[:-1] + "," + whole[1:])
    yield each("text_before", "[" + element(OTHER, uris=globex) + "," + whole[1:])
    yield each("sixteen_objects", objects(LEAF, *[bare] * 15), accepted())
    yield each("seventeen_objects", objects(LEAF, *[bare] * 16))
    deep = "[" * 500 + "]" * 500
    yield each("deep", '[{"x":' + deep + "}," + whole[1:])


def structured_fields():
    wrong = missing("malformed", header="client-cert")
    good = b64(LEAF)
    for name, value in {
        "without_colons": good,
        "one_colon": f":{good}",
        "quoted": f'":{good}:"',
        "string": f'"{good}"',
        "parameter": f":{good}:;a=1",
        "list": f":{good}:, :{good}:",
        "list_without_space": f":{good}:,:{good}:",
        "space_inside": f": {good}:",
        "empty_sequence": "::",
        "base64url": ":" + base64.urlsafe_b64encode(LEAF.der + b"\xff\xff\xff").decode() + ":",
        "two_ders": ":" + base64.b64encode(LEAF.der * 2).decode() + ":",
        "pem": ":" + base64.b64encode(text([LEAF]).encode()).decode() + ":",
        "percent_encoded": quote(f":{good}:", safe=""),
        "boolean": "?1",
        "token": "certificate",
        "inner_list": f"(:{good}:)",
    }.items():
        yield case(f"rfc9440_{name}", "rfc9440", [["Client-Cert", value]], wrong)
    spaced = [["Client-Cert", f"  :{good}:\t"]]
    yield case("rfc9440_space_around", "rfc9440", spaced, accepted())
    wrong = missing("malformed", header="client-cert-chain")
    issuing = b64(ISSUING)
    for name, value in {
        "empty_member": f":{issuing}:,,:{issuing}:",
        "last_comma": f":{issuing}:,",
        "inner_list": f"(:{issuing}:)",
        "parameter": f":{issuing}:;q=1",
        "token": "none",
        "semicolons": f":{issuing}:;:{issuing}:",
    }.items():
        headers = [*rfc9440(LEAF), ["Client-Cert-Chain", value]]
        yield case(f"rfc9440_chain_{name}", "rfc9440", headers, wrong)
    twice = untrusted("repeated_header", header="client-cert-chain")
    lines = [["Client-Cert-Chain", sequence(ISSUING)]] * 2
    yield case("rfc9440_chain_in_two_lines", "rfc9440", [*rfc9440(LEAF), *lines], twice)
    twin = [*rfc9440(LEAF, ISSUING), ["Client_Cert_Chain", "x"]]
    yield case("rfc9440_chain_with_a_twin", "rfc9440", twin, twice)
    alone = [["Client-Cert-Chain", sequence(LEAF, ISSUING)]]
    yield case("rfc9440_chain_alone", "rfc9440", alone, missing("certificate_absent"))


def chains():
    anchors = {"trust": {"anchors": text([ROOT])}}

    def each(name, dialect, headers, expect):
        return case(f"{dialect}_{name}", dialect, headers, expect, **anchors)

    lost = refused("issuer_unknown")
    yield each("leaf_alone", "nginx", nginx(LEAF), lost)
    yield each("leaf_alone", "rfc9440", rfc9440(LEAF), lost)
    yield each("with_chain", "rfc9440", rfc9440(LEAF, ISSUING), accepted())
    yield each("with_unneeded", "rfc9440", rfc9440(LEAF, EVIL_ROOT, ISSUING), accepted())
    yield each("with_chain", "gcp", gcp(LEAF, ISSUING), accepted())
    yield each("with_chain", "haproxy", haproxy(LEAF, chain=[ISSUING]), accepted())
    yield each("with_leaf_in_chain", "haproxy", haproxy(LEAF, chain=[LEAF, ISSUING]), accepted())
    yield each("with_chain", "traefik", traefik(LEAF, ISSUING), accepted())
    yield each("with_chain", "envoy", envoy(LEAF, chain=[LEAF, ISSUING]), accepted())
    yield each("leaf_alone", "envoy", envoy(LEAF), lost)
    yield each("with_chain", "envoy_json", envoy_json(LEAF, chain=[LEAF, ISSUING]), accepted())
    yield each("leaf_alone", "envoy_json", envoy_json(LEAF), lost)
    yield each("with_chain", "aws_alb_passthrough", aws_alb_passthrough(LEAF, ISSUING), accepted())
    yield each("leaf_alone", "aws_alb_passthrough", aws_alb_passthrough(LEAF), lost)
    # The proxy verifies nothing, so these arrive.
    forged = client_leaf(
        authority("Webhook Test Issuing CA", key("evil issuing"), EVIL_ROOT), label="forged"
    )
    fake = authority("Webhook Test Issuing CA", key("evil issuing"), EVIL_ROOT)
    chain = aws_alb_passthrough(forged, fake, EVIL_ROOT)
    yield case(
        "aws_alb_passthrough_chain_of_a_stranger",
        "aws_alb_passthrough",
        chain,
        refused("issuer_unknown"),
    )
    own = client_leaf(None, label="self signed")
    yield case(
        "aws_alb_passthrough_self_signed",
        "aws_alb_passthrough",
        aws_alb_passthrough(own),
        refused("issuer_unknown"),
    )
    reversed_ = aws_alb_passthrough(ISSUING, LEAF)
    ca = refused("certificate_invalid")
    yield case("aws_alb_passthrough_ca_first", "aws_alb_passthrough", reversed_, ca)
    ten = refused("chain_too_long")
    yield case("rfc9440_chain_too_long", "rfc9440", rfc9440(LEAF, *[ISSUING] * 10), ten)
    yield case("traefik_chain_too_long", "traefik", traefik(LEAF, *[ISSUING] * 30), ten)
    no_der = haproxy(LEAF, chain=[ISSUING])
    no_der[3][1] = base64.b64encode(ISSUING.der[:-2]).decode()
    cut = missing("malformed", header="ssl-client-chain")
    yield case("haproxy_chain_cut", "haproxy", no_der, cut)


def sizes():
    for dialect in ("nginx", "envoy", "envoy_json", "rfc9440", "traefik", "caddy", "apache"):
        own = next(name for name, value in ENCODERS[dialect](LEAF) if len(value) > 300)
        headers = [each for each in ENCODERS[dialect](LEAF) if each[0] != own]
        long = [*headers, [own, "A", 65537]]
        large = missing("too_large", header=own.lower())
        yield case(f"{dialect}_too_large", dialect, long, large)
        fits = [*headers, [own, "A", 65536]]
        yield case(f"{dialect}_at_the_limit", dialect, fits, missing("malformed"))
    good = rfc9440(LEAF)
    many = missing("too_large")
    yield case("lines_too_many", "rfc9440", good, many, filler=1022)
    yield case("lines_at_the_limit", "rfc9440", good, accepted(), filler=1021)
    other = [*good, ["X-Other", "A", 200000]]
    yield case("another_header_may_be_long", "rfc9440", other, accepted())


def authorizations():
    good = rfc9440(NO_TENANT)
    yield case("tenant_refused", "rfc9440", good, refused("tenant_refused"))
    other = {"authorization": {"san_uris": ["spiffe://corp.example/tenant/globex"]}}
    yield case("not_authorized", "rfc9440", rfc9440(LEAF), refused("not_authorized"), **other)
    members = {"authorization": {"ca_members": True}}
    expect = {"ok": {"tenant": "https://corp.example/acme", "hop": NAME, "matched_pin": None}}
    yield case("ca_members", "rfc9440", good, expect, **members)
    pins = {"pins": {"current": [LEAF.spki_pin]}}
    matched = accepted(matched_pin=LEAF.spki_pin)
    yield case("pinned", "rfc9440", rfc9440(LEAF), matched, **pins)
    yield case("not_pinned", "rfc9440", rfc9440(OTHER), refused("pin_mismatch"), **pins)
    late = LEAF_LIFE[1].replace(year=2027)
    expired = refused("certificate_expired")
    yield case("at_another_time", "rfc9440", rfc9440(LEAF), expired, at=late)
