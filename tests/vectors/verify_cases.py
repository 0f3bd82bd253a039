"""The verify cases: the expected verdict on a chain at a fixed instant.

Each case has one fault and is otherwise valid, so that the kind can only come from that fault.
Subjects are single CNs. A name that a context shows is unique to its case.
"""

import ipaddress

from cryptography import x509
from cryptography.x509.oid import NameOID

from forge import (
    ANY_PURPOSE,
    CLIENT_AUTH,
    CODE_SIGNING,
    FROM,
    LONG_AGO,
    LONG_AGO_END,
    SERVER_AUTH,
    UNTIL,
    authority,
    crl,
    day,
    dns,
    extension,
    integer,
    key,
    mint,
    octets,
    pem,
    sequence,
    uri,
)

AT = day(2026, 6, 1)
# Sixty days around AT, which is exactly in the middle.
LEAF_LIFE = (day(2026, 5, 2), day(2026, 7, 1))
HOST = "api.example.test"

ROOT = authority("Webhook Test Root", key("root"))
ISSUING = authority("Webhook Test Issuing CA", key("issuing"), ROOT, path_length=0)


def server_leaf(issuer=ISSUING, *, label="server leaf", kind="p256", **options):
    """Returns the leaf of a consumer; options as in `forge.mint`."""
    usual = {
        "valid": LEAF_LIFE,
        "ca": False,
        "usage": ("digital_signature",),
        "purposes": (SERVER_AUTH,),
        "sans": dns(HOST),
    }
    return mint(options.pop("subject", "consumer"), key(label, kind), issuer, **usual | options)


def client_leaf(issuer=ISSUING, *, label="client leaf", kind="p256", **options):
    """Returns the leaf of a tenant that connects to us."""
    usual = {
        "valid": LEAF_LIFE,
        "ca": False,
        "usage": ("digital_signature",),
        "purposes": (CLIENT_AUTH,),
        "sans": uri("spiffe://corp.example/tenant/acme"),
    }
    return mint(options.pop("subject", "acme"), key(label, kind), issuer, **usual | options)


def text(certificates):
    """Joins certificates (or PEM texts) to one PEM text."""
    return "".join(each if isinstance(each, str) else each.pem for each in certificates)


def case(
    name,
    role,
    chain,
    expect,
    *,
    anchors=(ROOT,),
    intermediates=(),
    crls=(),
    distrusted=(),
    at=AT,
    **more,
):
    trust = {"anchors": text(anchors)}
    if intermediates:
        trust["intermediates"] = text(intermediates)
    if crls:
        trust["crls"] = list(crls)
    if distrusted:
        trust["distrusted"] = list(distrusted)
    return {
        "name": name,
        "role": role,
        "trust": trust,
        "chain": text(chain),
        "at": int(at.timestamp()),
        **more,
        "expect": expect,
    }


def server(name, chain, expect, *, server_name=HOST, **more):
    if server_name is not None:
        more["server_name"] = server_name
    return case(f"server_{name}", "server", chain, expect, **more)


def client(name, chain, expect, **more):
    if "tenant" not in more and "authorization" not in more:
        more["authorization"] = {"ca_members": True}
    more = {each: what for each, what in more.items() if what is not None}
    return case(f"client_{name}", "client", chain, expect, **more)


def accepted(**subset):
    return {"ok": subset}


def refused(kind, **context):
    """Expects a verdict about the peer."""
    error = {"kind": kind, "stage": "verify", "sent": "nothing"}
    return {"error": error | ({"context": context} if context else {})}


def misconfigured(kind):
    """Expects a fault of ours, found before the peer is checked."""
    return {"error": {"kind": kind, "stage": "config", "sent": "nothing"}}


def cases():
    return [
        *accepted_chains(),
        *names(),
        *dates(),
        *purposes(),
        *leaves(),
        *issuers(),
        *strengths(),
        *constraints(),
        *lengths(),
        *pins(),
        *tenants(),
        *authorizations(),
        *distrusted(),
        *notes(),
        *bundles(),
        *options(),
    ]


def distrusted():
    leaf = server_leaf()
    pin = ISSUING.spki_pin
    named = refused("issuer_distrusted", issuer=ISSUING.subject, distrusted=pin)
    yield server("distrusted_intermediate", [leaf, ISSUING], named, distrusted=[pin])
    yield server(
        "distrusted_known_intermediate",
        [leaf],
        refused("issuer_distrusted"),
        intermediates=[ISSUING],
        distrusted=[pin],
    )
    yield server(
        "distrusted_intermediate_as_anchor",
        [leaf],
        refused("issuer_distrusted"),
        anchors=(ISSUING, ROOT),
        distrusted=[pin],
    )
    other = authority("Webhook Other Root", key("other root"))
    yield server(
        "distrusted_anchor",
        [leaf, ISSUING],
        refused("issuer_distrusted", issuer=ROOT.subject),
        anchors=(ROOT, other),
        distrusted=[ROOT.spki_pin],
    )
    cross = authority("Webhook Test Issuing CA", key("issuing"), other, path_length=0)
    yield server(
        "distrusted_root_with_a_way_around",
        [leaf, ISSUING, cross],
        accepted(path=[leaf.subject, ISSUING.subject, other.subject]),
        anchors=(ROOT, other),
        distrusted=[ROOT.spki_pin],
    )
    rekeyed = authority("Webhook Test Root", key("new root"))
    for name, anchors in {"first": (ROOT, rekeyed), "last": (rekeyed, ROOT)}.items():
        yield server(
            f"distrusted_old_key_of_a_rekeyed_root_{name}",
            [leaf, ISSUING],
            refused("issuer_distrusted", issuer=ROOT.subject, distrusted=ROOT.spki_pin),
            anchors=anchors,
            distrusted=[ROOT.spki_pin],
        )
        yield server(
            f"new_key_of_a_rekeyed_root_beside_the_distrusted_{name}",
            [server_leaf(rekeyed)],
            accepted(),
            anchors=anchors,
            distrusted=[ROOT.spki_pin],
        )
    yield server("distrusts_somebody_else", [leaf, ISSUING], accepted(), distrusted=[leaf.spki_pin])
    lapsed = server_leaf(valid=(LONG_AGO, LONG_AGO_END))
    yield server(
        "expired_and_distrusted",
        [lapsed, ISSUING],
        refused("certificate_expired"),
        distrusted=[pin],
    )
    yield client(
        "distrusted_intermediate",
        [client_leaf(), ISSUING],
        refused("issuer_distrusted"),
        distrusted=[pin],
    )
    revoked = crl(ISSUING, [leaf], 1, this=day(2026, 5, 20), following=day(2026, 6, 20))
    yield server(
        "revoked_and_distrusted",
        [leaf, ISSUING],
        refused("issuer_distrusted"),
        crls=[revoked],
        distrusted=[pin],
    )


def notes():
    def noted(*words):
        return accepted(notes=list(words))

    leaf = server_leaf()
    yield server("nothing_to_note", [leaf, ISSUING], noted())
    silent = server_leaf(purposes=())
    yield server("purpose_absent_is_noted", [silent, ISSUING], noted("purpose_absent"))
    astray = server_leaf(authority_key_id=b"another key")
    yield server("key_id_mismatch_is_noted", [astray, ISSUING], noted("key_id_mismatch"))
    yield server(
        "key_id_mismatch_of_an_intermediate_is_noted",
        [leaf, authority("Webhook Test Issuing CA", key("issuing"), ROOT, authority_key_id=b"x")],
        noted("key_id_mismatch"),
    )
    unsaid = server_leaf(authority_key_id=None)
    yield server("key_id_absent_is_not_noted", [unsaid, ISSUING], noted())
    yield server(
        "intermediate_as_anchor_is_noted",
        [leaf],
        noted("anchor_is_intermediate"),
        anchors=(ISSUING,),
    )
    yield client(
        "everything_noted_at_once",
        [client_leaf(purposes=(), authority_key_id=b"another key")],
        noted("purpose_absent", "key_id_mismatch", "anchor_is_intermediate"),
        anchors=(ISSUING,),
    )


def accepted_chains():
    leaf = server_leaf(serial=0x1234567890123456, subject="consumer acme")
    tenant = client_leaf(serial=0x6543210987654321)
    direct = server_leaf(ROOT)
    middle = authority("Webhook Test Middle CA", key("middle"), ROOT, path_length=1)
    lower = authority("Webhook Test Lower CA", key("lower"), middle, path_length=0)
    deep = server_leaf(lower)
    unrelated = authority("Unrelated CA", key("unrelated"))
    yield server(
        "valid_with_intermediate",
        [leaf, ISSUING],
        accepted(
            tenant=None,
            subject="CN=consumer acme",
            cn="consumer acme",
            san_dns=[HOST],
            san_ip=[],
            san_uri=[],
            san_email=[],
            spki_pin=leaf.spki_pin,
            fingerprint=leaf.fingerprint,
            x5t_s256=leaf.x5t_s256,
            serial="1234567890123456",
            issuer=ISSUING.subject,
            not_before_ms=int(LEAF_LIFE[0].timestamp()) * 1000,
            not_after_ms=int(LEAF_LIFE[1].timestamp()) * 1000,
            lifetime_left=0.5,
            anchor=ROOT.subject,
            path=["CN=consumer acme", ISSUING.subject, ROOT.subject],
            matched_pin=None,
            evidence="asserted",
            purpose="present",
        ),
    )
    yield client(
        "valid_with_intermediate",
        [tenant, ISSUING],
        accepted(
            cn="acme",
            san_dns=[],
            san_uri=["spiffe://corp.example/tenant/acme"],
            serial="6543210987654321",
            spki_pin=tenant.spki_pin,
            x5t_s256=tenant.x5t_s256,
            anchor=ROOT.subject,
            evidence="asserted",
            purpose="present",
        ),
    )
    yield server("issued_by_the_root", [direct], accepted(issuer=ROOT.subject, anchor=ROOT.subject))
    yield server("root_presented_too", [leaf, ISSUING, ROOT], accepted(anchor=ROOT.subject))
    yield server("intermediate_from_trust", [leaf], accepted(), intermediates=[ISSUING])
    yield client("intermediate_from_trust", [tenant], accepted(), intermediates=[ISSUING])
    yield server(
        "intermediate_presented_and_in_trust", [leaf, ISSUING], accepted(), intermediates=[ISSUING]
    )
    yield server("two_intermediates", [deep, lower, middle], accepted(anchor=ROOT.subject))
    yield server("two_intermediates_in_other_order", [deep, middle, lower], accepted())
    yield server(
        "one_intermediate_presented_one_from_trust",
        [deep, lower],
        accepted(),
        intermediates=[middle],
    )
    yield server("unrelated_certificate_presented", [leaf, unrelated, ISSUING], accepted())
    yield server("same_certificate_twice", [leaf, ISSUING, ISSUING, leaf], accepted())
    yield server(
        "intermediate_as_anchor", [leaf], accepted(anchor=ISSUING.subject), anchors=[ISSUING]
    )
    yield server("one_of_two_anchors", [leaf, ISSUING], accepted(), anchors=[unrelated, ROOT])
    yield server("duplicate_anchor_folded", [leaf, ISSUING], accepted(), anchors=[ROOT, ROOT])
    yield server(
        "crlf_and_leading_text",
        [("Subject: consumer\n" + text([leaf, ISSUING])).replace("\n", "\r\n")],
        accepted(),
    )
    old_root = authority("Old Test Root", key("old root"))
    crossed = authority("Webhook Test Issuing CA", key("issuing"), old_root, path_length=0)
    yield server(
        "cross_signed_way_from_trust", [leaf, crossed], accepted(), intermediates=[ISSUING]
    )
    wrong_id = server_leaf(authority_key_id=bytes(20))
    yield server("authority_key_id_mismatch_tolerated", [wrong_id, ISSUING], accepted())
    no_id = server_leaf(authority_key_id=None)
    yield server("authority_key_id_absent", [no_id, ISSUING], accepted())


def names():
    def named(*sans, **more):
        return [server_leaf(sans=list(sans), **more), ISSUING]

    def address(written):
        return x509.IPAddress(ipaddress.ip_address(written))

    two = named(*dns("hooks.example.test", "other.example.test"))
    yield server("second_name_matches", two, accepted(), server_name="other.example.test")
    yield server(
        "name_mismatch",
        two,
        refused("name_mismatch", presented=["hooks.example.test", "other.example.test"]),
    )
    yield server("name_in_other_case", named(*dns("API.Example.Test")), accepted())
    yield server(
        "name_asked_in_other_case", named(*dns(HOST)), accepted(), server_name="API.Example.TEST"
    )
    wildcard = named(*dns("*.example.test"))
    yield server("wildcard_matches_one_label", wildcard, accepted(san_dns=["*.example.test"]))
    yield server(
        "wildcard_never_two_labels",
        wildcard,
        refused("name_mismatch", presented=["*.example.test"]),
        server_name="a.api.example.test",
    )
    yield server(
        "wildcard_never_the_bare_domain",
        wildcard,
        refused("name_mismatch"),
        server_name="example.test",
    )
    yield server(
        "wildcard_within_a_label",
        named(*dns("a*.example.test")),
        refused("name_mismatch"),
    )
    yield server(
        "wildcard_not_leftmost",
        named(*dns("api.*.test")),
        refused("name_mismatch"),
    )
    yield server("name_is_only_a_suffix", named(*dns("example.test")), refused("name_mismatch"))
    v4, v6 = address("192.0.2.10"), address("2001:db8::10")
    yield server(
        "ipv4", named(v4), accepted(san_ip=["192.0.2.10"], san_dns=[]), server_name="192.0.2.10"
    )
    yield server(
        "ipv4_mismatch",
        named(v4),
        refused("name_mismatch", presented=["192.0.2.10"]),
        server_name="192.0.2.11",
    )
    yield server(
        "ipv4_never_matches_a_dns_name",
        named(*dns("192.0.2.10")),
        refused("name_mismatch"),
        server_name="192.0.2.10",
    )
    yield server("ipv6", named(v6), accepted(san_ip=["2001:db8::10"]), server_name="2001:db8::10")
    yield server(
        "ipv6_written_out",
        named(v6),
        accepted(),
        server_name="2001:0db8:0000:0000:0000:0000:0000:0010",
    )
    yield server(
        "ipv6_mismatch",
        named(v6),
        refused("name_mismatch", presented=["2001:db8::10"]),
        server_name="2001:db8::11",
    )
    yield server("ipv6_in_brackets", named(v6), accepted(), server_name="[2001:DB8::10]")
    a_label = "xn--bcher-kva.example"
    for name, asked in {
        "in_unicode": "bücher.example",
        "in_unicode_and_other_case": "BÜCHER.Example",
        "as_a_label": a_label,
    }.items():
        yield server(
            f"name_{name}", named(*dns(a_label)), accepted(san_dns=[a_label]), server_name=asked
        )
    yield server(
        "name_in_unicode_mismatch",
        named(*dns("bucher.example")),
        refused("name_mismatch", expected_name=a_label),
        server_name="bücher.example",
    )
    yield server("name_with_final_dot", named(*dns(HOST)), accepted(), server_name=HOST + ".")
    yield server(
        "common_name_never_matches",
        named(*dns("other.example.test"), subject=HOST),
        refused("name_mismatch", presented=["other.example.test"]),
    )
    yield server(
        "common_name_alone_never_matches",
        named(subject=HOST),
        refused("name_mismatch", presented=[]),
    )
    workload = "spiffe://corp.example/consumer/acme"
    by_uri = named(*uri(workload))
    yield server(
        "expected_san_uri_instead_of_name",
        by_uri,
        accepted(san_uri=[workload]),
        server_name=None,
        options={"server_uri": workload},
    )
    yield server(
        "expected_san_uri_mismatch",
        by_uri,
        refused("name_mismatch"),
        server_name=None,
        options={"server_uri": "spiffe://corp.example/consumer/other"},
    )
    yield server(
        "expected_san_uri_is_case_sensitive",
        by_uri,
        refused("name_mismatch"),
        server_name=None,
        options={"server_uri": "spiffe://corp.example/consumer/ACME"},
    )
    yield server(
        "expected_san_uri_and_name_both_match",
        named(*dns(HOST), *uri(workload)),
        accepted(),
        options={"server_uri": workload},
    )
    yield server(
        "expected_san_uri_matches_name_does_not",
        named(*dns("other.example.test"), *uri(workload)),
        refused("name_mismatch"),
        options={"server_uri": workload},
    )
    yield server(
        "name_matches_expected_san_uri_does_not",
        named(*dns(HOST)),
        refused("name_mismatch"),
        options={"server_uri": workload},
    )


def dates():
    leaf, tenant = server_leaf(), client_leaf()
    yield server("expired_leaf", [leaf, ISSUING], refused("certificate_expired"), at=day(2026, 8))
    yield client("expired_leaf", [tenant, ISSUING], refused("certificate_expired"), at=day(2026, 8))
    yield server(
        "not_yet_valid_leaf", [leaf, ISSUING], refused("certificate_not_yet_valid"), at=day(2026, 4)
    )
    yield client(
        "not_yet_valid_leaf",
        [tenant, ISSUING],
        refused("certificate_not_yet_valid"),
        at=day(2026, 4),
    )
    yield server(
        "first_second_of_life", [leaf, ISSUING], accepted(lifetime_left=1.0), at=LEAF_LIFE[0]
    )
    yield server(
        "last_second_of_life", [leaf, ISSUING], accepted(lifetime_left=0.0), at=LEAF_LIFE[1]
    )
    yield server(
        "a_second_before_life",
        [leaf, ISSUING],
        refused("certificate_not_yet_valid"),
        at=day(2026, 5, 1, 23, 59, 59),
    )
    yield server(
        "a_second_after_life",
        [leaf, ISSUING],
        refused("certificate_expired"),
        at=day(2026, 7, 1, 0, 0, 1),
    )
    old = authority(
        "Webhook Test Issuing CA",
        key("issuing"),
        ROOT,
        valid=(FROM, day(2026, 5, 20)),
        path_length=0,
    )
    yield server("expired_intermediate", [leaf, old], refused("certificate_expired"))
    early = authority(
        "Webhook Test Issuing CA",
        key("issuing"),
        ROOT,
        valid=(day(2026, 6, 2), UNTIL),
        path_length=0,
    )
    yield server("not_yet_valid_intermediate", [leaf, early], refused("certificate_not_yet_valid"))
    yield server("renewed_intermediate_beside_the_expired", [leaf, old, ISSUING], accepted())
    stranger = authority("Old Test Root", key("old root"))
    crossed = authority("Webhook Test Issuing CA", key("issuing"), stranger, path_length=0)
    yield server(
        "expired_way_outranks_unknown_way", [leaf, crossed, old], refused("certificate_expired")
    )
    dead = authority("Dead Test Root", key("dead root"), valid=(LONG_AGO, LONG_AGO_END))
    yield server(
        "anchor_expired_at_load_never_used",
        [server_leaf(dead)],
        refused("certificate_expired"),
        anchors=[dead, ROOT],
    )
    # Valid today, expired at the instant of the case: the machine's clock must not affect the
    # verdict.
    ending = authority("Ending Test Root", key("ending root"), valid=(FROM, day(2100)))
    yield server(
        "anchor_expired_at_the_instant",
        [server_leaf(ending, valid=(FROM, UNTIL))],
        refused("certificate_expired"),
        anchors=[ending],
        at=day(2110),
    )
    later = authority("Later Test Root", key("later root"), valid=(day(2022), UNTIL))
    yield server(
        "anchor_not_yet_valid_at_the_instant",
        [server_leaf(later, valid=(FROM, UNTIL))],
        refused("certificate_not_yet_valid"),
        anchors=[later],
        at=day(2021),
    )
    yield server(
        "dates_after_2050",
        [server_leaf(valid=(day(2090), day(2100)))],
        accepted(not_after_ms=int(day(2100).timestamp()) * 1000),
        intermediates=[ISSUING],
        at=day(2095),
    )


def purposes():
    def of(*wanted, make=server_leaf, **more):
        return [make(purposes=wanted, **more), ISSUING]

    both = (CLIENT_AUTH, SERVER_AUTH)
    # The context names the missing purpose of the leaf.
    yield server(
        "purpose_of_a_client",
        of(CLIENT_AUTH),
        refused("purpose_not_allowed", expected_purpose="serverAuth", subject="CN=consumer"),
    )
    yield client(
        "purpose_of_a_server",
        of(SERVER_AUTH, make=client_leaf),
        refused("purpose_not_allowed", expected_purpose="clientAuth", subject="CN=acme"),
    )
    yield server("purpose_of_both", of(*both), accepted(purpose="present"))
    yield client("purpose_of_both", of(*both, make=client_leaf), accepted(purpose="present"))
    yield server(
        "purpose_of_neither",
        of(CODE_SIGNING),
        refused("purpose_not_allowed", expected_purpose="serverAuth"),
    )
    yield server("purpose_absent", of(), accepted(purpose="absent"))
    yield client("purpose_absent", of(make=client_leaf), accepted(purpose="absent"))
    strict = {"strict_purpose": True}
    yield server("purpose_absent_strict", of(), refused("purpose_not_allowed"), options=strict)
    yield client(
        "purpose_absent_strict",
        of(make=client_leaf),
        refused("purpose_not_allowed"),
        options=strict,
    )
    yield server(
        "purpose_present_strict", of(SERVER_AUTH), accepted(purpose="present"), options=strict
    )
    yield server("any_purpose_alone", of(ANY_PURPOSE), refused("purpose_not_allowed"))
    yield client(
        "any_purpose_alone", of(ANY_PURPOSE, make=client_leaf), refused("purpose_not_allowed")
    )
    yield server(
        "any_purpose_beside_server",
        of(ANY_PURPOSE, SERVER_AUTH),
        accepted(purpose="present"),
    )
    signing = authority(
        "Signing Test CA", key("signing"), ROOT, path_length=0, purposes=(CODE_SIGNING,)
    )
    yield server(
        "purpose_refused_by_an_issuer",
        [server_leaf(signing), signing],
        refused("purpose_not_allowed"),
    )
    narrow = authority("Narrow Test CA", key("narrow"), ROOT, path_length=0, purposes=both)
    yield server("issuer_with_purposes", [server_leaf(narrow), narrow], accepted())
    for name, purpose, of_servers, of_clients in (
        ("clients", CLIENT_AUTH, refused("purpose_not_allowed"), accepted()),
        ("servers", SERVER_AUTH, accepted(), refused("purpose_not_allowed")),
        ("any_purpose", ANY_PURPOSE, accepted(), accepted()),
    ):
        ca = authority(f"CA for {name}", key(name), ROOT, path_length=0, purposes=(purpose,))
        yield server(f"issuer_for_{name}_alone", [server_leaf(ca), ca], of_servers)
        yield client(f"issuer_for_{name}_alone", [client_leaf(ca), ca], of_clients)
    yield server(
        "key_usage_without_digital_signature",
        of(SERVER_AUTH, usage=("key_encipherment",)),
        refused("certificate_invalid"),
    )
    yield client(
        "key_usage_without_digital_signature",
        of(CLIENT_AUTH, make=client_leaf, usage=("key_agreement",)),
        refused("certificate_invalid"),
    )
    yield server("key_usage_absent", of(SERVER_AUTH, usage=()), accepted())


def leaves():
    leaf = server_leaf()
    # X.520 allows at most 64 letters. CAs exceed this limit, and the shown name is cut.
    long_name = mint(
        [(NameOID.ORGANIZATION_NAME, "o" * 60)] * 20,
        key("server leaf"),
        ISSUING,
        valid=LEAF_LIFE,
        ca=False,
        sans=dns("other.example.test"),
        authority_key_id=None,
        purposes=(CLIENT_AUTH,),
        usage=("digital_signature",),
    )
    whole = ",".join(["O=" + "o" * 60] * 20)
    yield server(
        "long_subject_is_cut_in_errors",
        [long_name, ISSUING],
        refused("purpose_not_allowed", subject=f"{whole[:260]}… ({len(whole)} bytes in all)"),
    )
    escape = server_leaf(sans=dns("a\x1b[2J.example.test"))
    yield server(
        "presented_name_is_escaped_in_errors",
        [escape, ISSUING],
        refused("name_mismatch", presented=["a\\u{1b}[2J.example.test"]),
    )
    many = server_leaf(sans=dns(*(f"host-{at}.example.test" for at in range(30))))
    yield server(
        "presented_names_are_the_first_20",
        [many, ISSUING],
        refused("name_mismatch", presented=[f"host-{at}.example.test" for at in range(20)]),
    )
    ca_leaf = server_leaf(ca=True, usage=("digital_signature", "key_cert_sign"))
    yield server("ca_certificate_as_leaf", [ca_leaf, ISSUING], refused("certificate_invalid"))
    ca_tenant = client_leaf(ca=True, usage=("digital_signature", "key_cert_sign"))
    yield client("ca_certificate_as_leaf", [ca_tenant, ISSUING], refused("certificate_invalid"))
    yield server("intermediate_first", [ISSUING, leaf], refused("certificate_invalid"))
    alone = server_leaf(None, label="self-signed")
    yield server("self_signed_leaf", [alone], refused("issuer_unknown"))
    openssl_default = server_leaf(None, label="self-signed", ca=True, usage=())
    yield server("self_signed_ca_leaf", [openssl_default], refused("issuer_unknown"))
    critical = server_leaf(extra=[extension("1.3.6.1.4.1.32473.1", octets(b"?"), critical=True)])
    yield server("unknown_critical_extension", [critical, ISSUING], refused("certificate_invalid"))
    harmless = server_leaf(extra=[extension("1.3.6.1.4.1.32473.1", octets(b"?"))])
    yield server("unknown_extension_not_critical", [harmless, ISSUING], accepted())
    no_basic = server_leaf(ca=None)
    yield server("basic_constraints_absent", [no_basic, ISSUING], accepted())
    nameless = server_leaf(subject=[])
    yield server("empty_subject", [nameless, ISSUING], accepted(cn=None, san_dns=[HOST]))
    version_1 = mint(
        "acme", key("client leaf"), ISSUING, version=1, authority_key_id=None, valid=LEAF_LIFE
    )
    yield client("version_1_leaf", [version_1, ISSUING], refused("certificate_invalid"))
    mixed = server_leaf(
        sans=[
            *dns(HOST),
            x509.IPAddress(ipaddress.ip_address("192.0.2.10")),
            *uri("spiffe://corp.example/consumer/acme"),
            x509.RFC822Name("ops@example.test"),
        ]
    )
    yield server(
        "names_of_every_type",
        [mixed, ISSUING],
        accepted(
            san_dns=[HOST],
            san_ip=["192.0.2.10"],
            san_uri=["spiffe://corp.example/consumer/acme"],
            san_email=["ops@example.test"],
        ),
    )
    organized = server_leaf(
        subject=[
            (NameOID.ORGANIZATION_NAME, "Acme"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "Hooks"),
            (NameOID.COMMON_NAME, "consumer"),
        ]
    )
    yield server(
        "subject_of_several_attributes",
        [organized, ISSUING],
        accepted(subject="CN=consumer,OU=Hooks,O=Acme", cn="consumer"),
    )
    garbage = pem("CERTIFICATE", sequence(integer(1), octets(b"not a certificate")))
    yield server("garbage_leaf", [garbage, ISSUING], refused("certificate_invalid"))
    yield server("garbage_in_chain", [leaf, garbage, ISSUING], refused("certificate_invalid"))
    truncated = pem("CERTIFICATE", leaf.der[:-20])
    yield server("truncated_leaf", [truncated, ISSUING], refused("certificate_invalid"))
    trailing = pem("CERTIFICATE", leaf.der + b"\x00")
    yield server("trailing_byte_after_leaf", [trailing, ISSUING], refused("certificate_invalid"))
    yield client("no_certificate", [], refused("evidence_missing"))


def issuers():
    leaf = server_leaf()
    unknown_root = authority("Unknown Test Root", key("unknown root"))
    unknown_ca = authority(
        "Unknown Issuing CA", key("unknown issuing"), unknown_root, path_length=0
    )
    yield server(
        "unknown_root",
        [server_leaf(unknown_root)],
        refused("issuer_unknown", missing_issuer=unknown_root.subject),
    )
    yield server(
        "unknown_root_presented",
        [server_leaf(unknown_root), unknown_root],
        refused("issuer_unknown"),
    )
    yield server(
        "unknown_root_behind_intermediate",
        [server_leaf(unknown_ca), unknown_ca],
        refused("issuer_unknown", missing_issuer=unknown_root.subject),
    )
    yield client("unknown_root", [client_leaf(unknown_ca), unknown_ca], refused("issuer_unknown"))
    yield server(
        "missing_intermediate", [leaf], refused("issuer_unknown", missing_issuer=ISSUING.subject)
    )
    yield client(
        "missing_intermediate",
        [client_leaf()],
        refused("issuer_unknown", missing_issuer=ISSUING.subject),
    )
    middle = authority("Webhook Test Middle CA", key("middle"), ROOT, path_length=1)
    lower = authority("Webhook Test Lower CA", key("lower"), middle, path_length=0)
    yield server(
        "missing_upper_intermediate",
        [server_leaf(lower), lower],
        refused("issuer_unknown", missing_issuer=middle.subject),
    )
    yield server(
        "leaf_as_anchor_of_another", [leaf], refused("issuer_unknown"), anchors=[unknown_root]
    )
    new_root = authority("Webhook Test Root", key("new root"))
    yield server("rekeyed_root", [server_leaf(new_root)], refused("issuer_rekeyed"))
    yield client("rekeyed_root", [client_leaf(new_root)], refused("issuer_rekeyed"))
    yield server(
        "rekeyed_root_without_key_ids",
        [server_leaf(new_root, authority_key_id=None)],
        refused("issuer_rekeyed"),
    )
    new_issuing = authority("Webhook Test Issuing CA", key("new issuing"), new_root, path_length=0)
    yield server(
        "rekeyed_root_behind_intermediate",
        [server_leaf(new_issuing), new_issuing],
        refused("issuer_rekeyed"),
    )
    yield server(
        "rekeyed_root_both_trusted", [server_leaf(new_root)], accepted(), anchors=[ROOT, new_root]
    )
    rotated = authority("Webhook Test Issuing CA", key("rotated issuing"), ROOT, path_length=0)
    yield server(
        "rekeyed_intermediate_both_known",
        [server_leaf(rotated)],
        accepted(),
        intermediates=[ISSUING, rotated],
    )
    yield server(
        "corrupted_leaf_signature",
        [server_leaf(corrupt=True), ISSUING],
        refused("certificate_invalid"),
    )
    yield client(
        "corrupted_leaf_signature",
        [client_leaf(corrupt=True), ISSUING],
        refused("certificate_invalid"),
    )
    corrupt_ca = authority(
        "Webhook Test Issuing CA", key("issuing"), ROOT, path_length=0, corrupt=True
    )
    yield server(
        "corrupted_intermediate_signature", [leaf, corrupt_ca], refused("certificate_invalid")
    )
    plain = mint(
        "Plain Certificate",
        key("plain"),
        ROOT,
        ca=False,
        usage=("digital_signature", "key_cert_sign"),
    )
    yield server("issuer_is_no_ca", [server_leaf(plain), plain], refused("constraint_violated"))
    silent = authority("Silent CA", key("silent"), ROOT, ca=None)
    yield server(
        "issuer_without_basic_constraints",
        [server_leaf(silent), silent],
        refused("constraint_violated"),
    )
    powerless = authority(
        "Powerless CA", key("powerless"), ROOT, usage=("digital_signature", "crl_sign")
    )
    yield server(
        "issuer_without_key_cert_sign",
        [server_leaf(powerless), powerless],
        refused("constraint_violated"),
    )
    unsaid = authority("Unsaid CA", key("unsaid"), ROOT, usage=())
    yield server("issuer_without_key_usage", [server_leaf(unsaid), unsaid], accepted())
    extra = [extension("1.3.6.1.4.1.32473.1", octets(b"?"), critical=True)]
    odd = authority("Odd CA", key("odd"), ROOT, extra=extra)
    yield server(
        "issuer_with_unknown_critical_extension",
        [server_leaf(odd), odd],
        refused("certificate_invalid"),
    )


UNSUPPORTED_KEYS = {
    "k256": "an EC key of the curve secp256k1 (1.3.132.0.10), for which TLS 1.3 defines no "
    "signature scheme",
    "brainpool256": "an EC key of the curve brainpoolP256r1 (1.3.36.3.3.2.8.1.1.7), which is not "
    "supported",
    "ed448": "a key for Ed448 (1.3.101.113), which is not supported",
    "rsapss2048": "a key for RSA-PSS (1.2.840.113549.1.1.10), whose type id-RSASSA-PSS is not "
    "supported: use the same key as plain RSA (rsaEncryption), which signs with PSS in TLS 1.3, "
    "too",
}


def strengths():
    for kind in ("p384", "p521", "ed25519", "rsa2048", "rsa4096"):
        yield server(f"leaf_{kind}", [server_leaf(label="strong", kind=kind), ISSUING], accepted())
    for kind in ("mldsa44", "mldsa65", "mldsa87"):
        yield server(f"leaf_{kind}", [server_leaf(label="pq", kind=kind), ISSUING], accepted())
        strong = authority(f"ML-DSA CA {kind}", key("pq ca", kind))
        leaf = server_leaf(strong, label="pq", kind=kind)
        yield server(f"chain_of_{kind}", [leaf], accepted(), anchors=[strong])
    post_quantum = authority("ML-DSA CA mldsa65", key("pq ca", "mldsa65"))
    dates = {"this": day(2026, 5, 31), "following": day(2026, 6, 7)}
    yield server(
        "revoked_by_a_crl_of_mldsa65",
        [(leaf := server_leaf(post_quantum))],
        refused("certificate_revoked"),
        anchors=[post_quantum],
        crls=[crl(post_quantum, [leaf], 1, **dates)],
    )
    forged = server_leaf(post_quantum, corrupt=True)
    yield server(
        "forged_signature_mldsa65", [forged], refused("certificate_invalid"), anchors=[post_quantum]
    )
    yield client(
        "chain_of_mldsa44",
        [client_leaf(authority("ML-DSA CA mldsa44", key("pq ca", "mldsa44")), kind="mldsa44")],
        accepted(),
        anchors=[authority("ML-DSA CA mldsa44", key("pq ca", "mldsa44"))],
    )
    yield client("leaf_ed25519", [client_leaf(label="strong", kind="ed25519"), ISSUING], accepted())
    for kind in ("p384", "p521", "ed25519", "rsa2048", "rsa4096"):
        strong = authority(f"Strong CA {kind}", key("strong", kind))
        yield server(f"issuer_{kind}", [server_leaf(strong)], accepted(), anchors=[strong])
    digest = server_leaf(digest="sha384")
    yield server("signature_p256_with_sha384", [digest, ISSUING], accepted())
    for kind in ("rsa1024", "rsa2048e3", "p192", "k256"):
        yield server(
            f"weak_leaf_{kind}",
            [server_leaf(label="weak", kind=kind), ISSUING],
            refused("key_weak"),
        )
    for kind, weakness in UNSUPPORTED_KEYS.items():
        yield server(
            f"unsupported_leaf_{kind}",
            [server_leaf(subject=f"consumer with {kind}", label="weak", kind=kind), ISSUING],
            refused("key_weak", subject=f"CN=consumer with {kind}", weakness=weakness),
        )
    yield client(
        "weak_leaf_rsa1024",
        [client_leaf(label="weak", kind="rsa1024"), ISSUING],
        refused("key_weak"),
    )
    for kind in ("rsa1024", "p192"):
        weak = authority(f"Weak CA {kind}", key("weak", kind), ROOT, path_length=0)
        yield server(f"weak_intermediate_{kind}", [server_leaf(weak), weak], refused("key_weak"))
    rsa_root = authority("Test Root rsa2048", key("strong", "rsa2048"))
    for digest in ("pss_sha256", "pss_sha384", "pss_sha512"):
        yield server(
            f"signature_rsa_{digest}",
            [server_leaf(rsa_root, digest=digest)],
            accepted(),
            anchors=[rsa_root],
        )
    sha1 = server_leaf(rsa_root, digest="sha1")
    yield server("sha1_signature_rsa", [sha1], refused("certificate_invalid"), anchors=[rsa_root])
    yield server(
        "sha1_signature_ecdsa",
        [server_leaf(digest="sha1"), ISSUING],
        refused("certificate_invalid"),
    )


def constraints():
    middle = authority("Webhook Test Middle CA", key("middle"), ROOT, path_length=0)
    lower = authority("Webhook Test Lower CA", key("lower"), middle)
    yield server(
        "path_length_exceeded", [server_leaf(lower), lower, middle], refused("constraint_violated")
    )
    yield client(
        "path_length_exceeded", [client_leaf(lower), lower, middle], refused("constraint_violated")
    )

    def limited(*, permitted=None, excluded=None, sans):
        limits = x509.NameConstraints(permitted, excluded)
        ca = authority("Limited CA", key("limited"), ROOT, path_length=0, constraints=limits)
        return [server_leaf(ca, sans=sans), ca]

    inside, outside = dns(HOST), dns(HOST, "api.other.test")
    zone = dns("example.test")
    yield server("name_permitted", limited(permitted=zone, sans=inside), accepted())
    yield server(
        "name_not_permitted",
        limited(permitted=zone, sans=outside),
        refused("constraint_violated"),
    )
    yield server(
        "name_excluded",
        limited(excluded=zone, sans=inside),
        refused("constraint_violated"),
    )
    yield server(
        "name_not_excluded",
        limited(excluded=dns("other.test"), sans=inside),
        accepted(),
    )
    network = [x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))]

    def address(written):
        return [x509.IPAddress(ipaddress.ip_address(written))]

    yield server(
        "address_permitted",
        limited(permitted=network, sans=address("192.0.2.10")),
        accepted(),
        server_name="192.0.2.10",
    )
    yield server(
        "address_not_permitted",
        limited(permitted=network, sans=address("198.51.100.10")),
        refused("constraint_violated"),
        server_name="198.51.100.10",
    )
    limited_root = authority(
        "Limited Test Root",
        key("limited root"),
        constraints=x509.NameConstraints(dns("other.test"), None),
    )
    yield server(
        "name_not_permitted_by_anchor",
        [server_leaf(limited_root)],
        refused("constraint_violated"),
        anchors=[limited_root],
    )


def lengths():
    leaf = server_leaf()
    fill = [authority(f"Unrelated CA {at}", key(f"unrelated {at}")) for at in range(1, 10)]
    yield server("ten_certificates", [leaf, ISSUING, *fill[:8]], accepted())
    yield server("eleven_certificates", [leaf, ISSUING, *fill], refused("chain_too_long"))
    yield client("eleven_certificates", [client_leaf(), ISSUING, *fill], refused("chain_too_long"))


WRONG_PIN = "sha256/" + "A" * 43 + "="


def pins():
    leaf, tenant = server_leaf(), client_leaf()
    chain = [leaf, ISSUING]

    def pinned(current, following=()):
        return {"current": [current], "next": list(following)}

    yield server(
        "pin_current", chain, accepted(matched_pin=leaf.spki_pin), pins=pinned(leaf.spki_pin)
    )
    yield server(
        "pin_next",
        chain,
        accepted(matched_pin=leaf.spki_pin),
        pins=pinned(WRONG_PIN, [leaf.spki_pin]),
    )
    yield server(
        "pin_second_of_several",
        chain,
        accepted(),
        pins={"current": [WRONG_PIN, leaf.spki_pin], "next": []},
    )
    yield server(
        "pin_wrong",
        chain,
        refused("pin_mismatch", observed_pin=leaf.spki_pin, chain_valid=True),
        pins=pinned(WRONG_PIN),
    )
    yield client("pin_current", [tenant, ISSUING], accepted(), pins=pinned(tenant.spki_pin))
    yield client(
        "pin_wrong",
        [tenant, ISSUING],
        refused("pin_mismatch", observed_pin=tenant.spki_pin),
        pins=pinned(leaf.spki_pin),
    )
    yield server(
        "pin_of_the_certificate",
        chain,
        accepted(matched_pin=leaf.fingerprint_pin),
        pins=pinned(leaf.fingerprint_pin),
    )
    renewed = server_leaf(valid=(day(2026, 5, 20), day(2026, 7, 20)))
    yield server(
        "pin_survives_renewal_with_the_key",
        [renewed, ISSUING],
        accepted(),
        pins=pinned(leaf.spki_pin),
    )
    yield server(
        "pin_of_the_certificate_ends_with_renewal",
        [renewed, ISSUING],
        refused("pin_mismatch", observed_pin=leaf.spki_pin),
        pins=pinned(leaf.fingerprint_pin),
    )
    yield server(
        "pin_is_the_issuers",
        chain,
        refused("pin_mismatch", observed_pin=leaf.spki_pin, configured_is="issuer_spki"),
        pins=pinned(ISSUING.spki_pin),
    )
    yield server(
        "pin_is_the_roots",
        chain,
        refused("pin_mismatch", observed_pin=leaf.spki_pin, configured_is="issuer_spki"),
        pins=pinned(ROOT.spki_pin),
    )
    yield server(
        "pin_is_the_fingerprint_without_saying_so",
        chain,
        refused(
            "pin_mismatch", observed_pin=leaf.spki_pin, configured_is="certificate_fingerprint"
        ),
        pins=pinned(leaf.fingerprint_pin.removeprefix("cert-")),
    )
    yield server(
        "pin_never_replaces_the_chain",
        [leaf],
        refused("issuer_unknown"),
        pins=pinned(leaf.spki_pin),
    )
    yield server(
        "pin_never_replaces_the_name",
        [server_leaf(sans=dns("other.example.test")), ISSUING],
        refused("name_mismatch"),
        pins=pinned(leaf.spki_pin),
    )
    yield server(
        "expiry_outranks_a_wrong_pin",
        chain,
        refused("certificate_expired"),
        pins=pinned(WRONG_PIN),
        at=day(2026, 8),
    )


TEMPLATE = "spiffe://corp.example/tenant/{tenant}"


def tenants():
    def named(*names):
        return [client_leaf(sans=uri(*names) if names else []), ISSUING]

    rule = {"san_uri": TEMPLATE}
    acme = "spiffe://corp.example/tenant/acme"

    def good(name, tenant, *names, template=TEMPLATE):
        return client(
            f"tenant_{name}", named(*names), accepted(tenant=tenant), tenant={"san_uri": template}
        )

    def bad(name, *names, template=TEMPLATE):
        return client(
            f"tenant_{name}", named(*names), refused("tenant_refused"), tenant={"san_uri": template}
        )

    yield good("matches", "acme", acme)
    yield good("keeps_its_case", "Acme-EU_1.x", "spiffe://corp.example/tenant/Acme-EU_1.x")
    yield good("of_64_characters", "a" * 64, "spiffe://corp.example/tenant/" + "a" * 64)
    yield good("beside_another_uri", "acme", "https://other.example/acme", acme)
    yield good(
        "in_the_middle",
        "acme",
        "spiffe://corp.example/tenant/acme/webhooks",
        template="spiffe://corp.example/tenant/{tenant}/webhooks",
    )
    yield bad("of_65_characters", "spiffe://corp.example/tenant/" + "a" * 65)
    yield bad("of_no_character", "spiffe://corp.example/tenant/")
    yield bad("without_match", "spiffe://corp.example/service/acme")
    yield bad("without_any_uri")
    yield bad("with_two_matches", acme, "spiffe://corp.example/tenant/other")
    yield bad("of_dots", "spiffe://corp.example/tenant/...")
    yield client(
        "tenant_with_nul",
        named(acme + "\0"),
        refused("certificate_invalid"),
        tenant={"san_uri": TEMPLATE},
    )
    yield bad("with_bad_characters", "spiffe://corp.example/tenant/acme~eu")
    yield bad("percent_encoded", "spiffe://corp.example/tenant/acm%65")
    yield bad("percent_encoded_slash", "spiffe://corp.example/tenant/acme%2Fother")
    yield bad("with_extra_segment", "spiffe://corp.example/tenant/acme/admin")
    yield bad("with_trailing_slash", "spiffe://corp.example/tenant/acme/")
    yield bad("with_query", "spiffe://corp.example/tenant/acme?x=1")
    yield bad("under_other_case", "spiffe://corp.example/Tenant/acme")
    yield bad("under_other_domain", "spiffe://corp.example.evil.test/tenant/acme")
    yield bad("under_other_scheme", "https://corp.example/tenant/acme")
    yield bad("template_only_a_suffix", "spiffe://evil.test/spiffe://corp.example/tenant/acme")
    yield client(
        "tenant_never_from_the_common_name",
        [client_leaf(sans=dns("acme.example.test")), ISSUING],
        refused("tenant_refused"),
        tenant=rule,
    )
    suffix = {"san_dns_suffix": "tenants.example.test"}

    def by_dns(name, expect, *names):
        return client(
            f"tenant_dns_{name}", [client_leaf(sans=dns(*names)), ISSUING], expect, tenant=suffix
        )

    yield by_dns("matches", accepted(tenant="acme"), "acme.tenants.example.test")
    yield by_dns(
        "beside_another_name",
        accepted(tenant="acme"),
        "www.example.test",
        "acme.tenants.example.test",
    )
    yield by_dns("without_match", refused("tenant_refused"), "acme.example.test")
    yield by_dns("without_label_border", refused("tenant_refused"), "acme.eviltenants.example.test")
    yield by_dns("with_two_labels", refused("tenant_refused"), "a.acme.tenants.example.test")
    yield by_dns("bare_suffix", refused("tenant_refused"), "tenants.example.test")
    yield by_dns("wildcard", refused("tenant_refused"), "*.tenants.example.test")
    yield by_dns(
        "with_two_matches",
        refused("tenant_refused"),
        "acme.tenants.example.test",
        "other.tenants.example.test",
    )
    yield by_dns("with_hyphen_at_the_end", refused("tenant_refused"), "acme-.tenants.example.test")
    yield by_dns("with_underscore", refused("tenant_refused"), "ac_me.tenants.example.test")
    by_cn = {"subject_cn": True}
    yield client("tenant_cn_matches", named(acme), accepted(tenant="acme"), tenant=by_cn)
    yield client(
        "tenant_cn_with_bad_characters",
        [client_leaf(subject="acme eu"), ISSUING],
        refused("tenant_refused"),
        tenant=by_cn,
    )
    yield client(
        "tenant_cn_absent",
        [client_leaf(subject=[]), ISSUING],
        refused("tenant_refused"),
        tenant=by_cn,
    )
    twice = [(NameOID.COMMON_NAME, "acme"), (NameOID.COMMON_NAME, "other")]
    yield client(
        "tenant_cn_twice",
        [client_leaf(subject=twice), ISSUING],
        refused("tenant_refused"),
        tenant=by_cn,
    )
    yield client(
        "tenant_of_untrusted_chain", [client_leaf()], refused("issuer_unknown"), tenant=rule
    )


# URIs that begin with the trust domain and are not SPIFFE IDs.
NO_SPIFFE_PATHS = {
    "climbing": "/tenant/../acme",
    "of_a_dot": "/./acme",
    "of_dots": "/tenant/...",
    "with_empty_segment": "//acme",
    "with_trailing_slash": "/tenant/acme/",
    "percent_encoded": "/tenant/%2e%2e/acme",
    "with_query": "/tenant/acme?x=1",
    "with_fragment": "/tenant/acme#x",
    "with_space": "/tenant/acme eu",
    "with_tilde": "/tenant/acme~eu",
    "too_long": "/" + "a" * 2048,
}


def authorizations():
    chain = [client_leaf(), ISSUING]
    acme = "spiffe://corp.example/tenant/acme"

    def allowed(name, expect, **authorization):
        return client(f"allowed_{name}", chain, expect, authorization=authorization)

    yield allowed("by_list", accepted(), san_uris=["spiffe://corp.example/tenant/x", acme])
    yield allowed(
        "not_by_list", refused("not_authorized"), san_uris=["spiffe://corp.example/tenant/x"]
    )
    yield allowed(
        "not_by_prefix", refused("not_authorized"), san_uris=["spiffe://corp.example/tenant"]
    )
    other_case = acme.removesuffix("acme") + "ACME"
    yield allowed("not_in_other_case", refused("not_authorized"), san_uris=[other_case])
    yield allowed(
        "by_no_spiffe_id",
        misconfigured("option_invalid"),
        san_uris=["spiffe://corp.example/a/../b"],
    )
    yield allowed("by_trust_domain", accepted(), trust_domain="corp.example")
    yield allowed("not_by_trust_domain", refused("not_authorized"), trust_domain="other.example")
    yield allowed("not_by_domain_suffix", refused("not_authorized"), trust_domain="example")
    yield allowed(
        "not_by_domain_prefix", refused("not_authorized"), trust_domain="corp.example.test"
    )
    plain = [client_leaf(sans=uri("https://corp.example/tenant/acme")), ISSUING]
    yield client(
        "trust_domain_of_spiffe_only",
        plain,
        refused("not_authorized"),
        authorization={"trust_domain": "corp.example"},
    )
    domain = {"trust_domain": "corp.example"}
    for name, path in NO_SPIFFE_PATHS.items():
        odd = "spiffe://corp.example" + path
        chain_of = [client_leaf(sans=uri(odd)), ISSUING]
        yield client(
            f"trust_domain_{name}", chain_of, refused("not_authorized"), authorization=domain
        )
        yield client(f"no_tenant_{name}", chain_of, accepted(tenant=None, san_uri=[odd]))
    # A NUL ends a text in C. A certificate with one never passes.
    with_nul = [client_leaf(sans=uri("spiffe://corp.example/tenant/acme\0")), ISSUING]
    yield client(
        "trust_domain_with_nul", with_nul, refused("certificate_invalid"), authorization=domain
    )
    yield client("no_tenant_with_nul", with_nul, refused("certificate_invalid"))
    for name, odd in {
        "in_other_case": "SPIFFE://corp.example/tenant/acme",
        "with_user": "spiffe://admin@corp.example/tenant/acme",
        "with_port": "spiffe://corp.example:443/tenant/acme",
        "in_capitals": "spiffe://Corp.Example/tenant/acme",
    }.items():
        chain_of = [client_leaf(sans=uri(odd)), ISSUING]
        yield client(
            f"trust_domain_{name}", chain_of, refused("not_authorized"), authorization=domain
        )
    bare = [client_leaf(sans=uri("spiffe://corp.example")), ISSUING]
    yield client(
        "trust_domain_without_path",
        bare,
        accepted(tenant="spiffe://corp.example"),
        authorization=domain,
    )
    two = [client_leaf(sans=uri(acme, "https://corp.example/acme")), ISSUING]
    yield client("trust_domain_of_two_uris", two, refused("not_authorized"), authorization=domain)
    for name, other in {
        "with_space": "https://corp.example/a b",
        "with_escape": "https://corp.example/\x1b[2J",
        "climbing": "https://corp.example/a/%2e%2E/b",
        "with_fragment": "https://corp.example/a#b",
    }.items():
        yield client(
            f"no_tenant_of_a_uri_{name}",
            [client_leaf(sans=uri(other)), ISSUING],
            accepted(tenant=None),
        )
    nameless = [client_leaf(sans=[]), ISSUING]
    yield client("allowed_as_member_without_names", nameless, accepted(cn="acme", tenant=None))
    yield client(
        "list_against_no_names",
        nameless,
        refused("not_authorized"),
        authorization={"san_uris": [acme]},
    )
    yield client(
        "tenant_and_list",
        chain,
        accepted(tenant="acme"),
        tenant={"san_uri": TEMPLATE},
        authorization={"san_uris": [acme]},
    )
    yield client(
        "tenant_but_not_list",
        chain,
        refused("not_authorized"),
        tenant={"san_uri": TEMPLATE},
        authorization={"san_uris": ["spiffe://corp.example/tenant/x"]},
    )
    yield client(
        "without_authorization", chain, misconfigured("option_invalid"), authorization=None
    )
    yield server(
        "tenant_of_a_server",
        [
            server_leaf(sans=[*dns(HOST), *uri(acme)]),
            ISSUING,
        ],
        accepted(tenant="acme"),
        tenant={"san_uri": TEMPLATE},
    )


def bundles():
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    fault = misconfigured("trust_invalid")
    yield server("trust_empty", chain, fault, anchors=[])
    not_ca = mint("Webhook Test Root", key("root"), ca=False, usage=("key_cert_sign",))
    yield server("trust_no_ca", chain, fault, anchors=[not_ca])
    yield server("trust_holds_a_leaf", chain, fault, anchors=[ROOT, leaf])
    powerless = authority("Webhook Test Root", key("root"), usage=("digital_signature", "crl_sign"))
    yield server("trust_without_key_cert_sign", chain, fault, anchors=[powerless])
    weak = authority("Weak CA rsa1024", key("weak", "rsa1024"))
    yield server("trust_weak_key", chain, fault, anchors=[ROOT, weak])
    dead = authority("Dead Test Root", key("dead root"), valid=(LONG_AGO, LONG_AGO_END))
    yield server("trust_all_expired", chain, fault, anchors=[dead])
    version_1 = mint("Webhook Test Root", key("root"), version=1)
    yield server("trust_version_1", chain, fault, anchors=[version_1])
    yield client("trust_no_ca", [client_leaf(), ISSUING], fault, anchors=[not_ca])


def options():
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    fault = misconfigured("option_invalid")
    yield server("name_unsaid", chain, fault, server_name=None)
    yield server("name_empty", chain, fault, server_name="")
    yield server("name_with_space", chain, fault, server_name="api example.test")
    # No certificate can have these names, so a URL with them is refused as well.
    for name, asked in {
        "underscore": "a_b.test",
        "wildcard": "*.example.test",
        "port": f"{HOST}:443",
        "two_dots": f"{HOST}..",
        "ipv4_of_two_parts": "127.1",
        "ipv4_hexadecimal": "0x7f000001",
        "ipv6_with_zone": "fe80::1%eth0",
        "ipv6_unfinished": "[2001:db8::10",
    }.items():
        yield server(f"name_with_{name}", chain, fault, server_name=asked)
    yield server("option_unknown", chain, fault, options={"strict_purposes": True})
