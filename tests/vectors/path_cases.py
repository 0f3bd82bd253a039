"""The verify cases about path validation by RFC 5280: names of issuers, self-issued certificates,
path lengths, purposes, name constraints and policies of CAs, cross-signed CAs, names of no peer."""

import dataclasses
import ipaddress

from cryptography import x509
from cryptography.x509.oid import NameOID

from forge import (
    ANY_PURPOSE,
    CLIENT_AUTH,
    FROM,
    LONG_AGO,
    LONG_AGO_END,
    SERVER_AUTH,
    UNTIL,
    authority,
    day,
    dns,
    extension,
    integer,
    key,
    mint,
    octets,
    oid,
    sequence,
    spelled,
    tagged,
    uri,
    value,
)
from verify_cases import (
    HOST,
    ISSUING,
    ROOT,
    accepted,
    client,
    client_leaf,
    misconfigured,
    refused,
    server,
    server_leaf,
)

VIOLATED = refused("constraint_violated")
INVALID = refused("certificate_invalid")


def cases():
    return [
        *spellings(),
        *chains(),
        *lengths(),
        *purposes(),
        *dns_constraints(),
        *other_constraints(),
        *directory_constraints(),
        *constrained_certificates(),
        *policies(),
        *identifiers(),
        *nameless(),
        *reasons(),
    ]


def renamed(issuer, name):
    """The same CA, which its certificates name in another spelling."""
    return dataclasses.replace(issuer, name=name)


def spellings():
    common_name = "Webhook Test Issuing CA"
    for name, spelling in {
        "printable_string": spelled(common_name, "PrintableString"),
        "t61_string": spelled(common_name, "T61String"),
        "bmp_string": spelled(common_name, "BMPString"),
        "universal_string": spelled(common_name, "UniversalString"),
        "other_case": spelled(common_name.upper(), "UTF8String"),
        "other_space": spelled(f" {common_name.replace(' ', '   ')} ", "UTF8String"),
    }.items():
        issuer = renamed(ISSUING, spelling)
        expect = accepted(anchor=ROOT.subject)
        yield server(f"issuer_named_in_{name}", [server_leaf(issuer), ISSUING], expect)
        yield client(f"issuer_named_in_{name}", [client_leaf(issuer), ISSUING], expect)
    for name, spelling in {
        "another_letter": common_name.replace("CA", "CB"),
        "no_space": common_name.replace(" ", ""),
    }.items():
        issuer = renamed(ISSUING, spelled(spelling, "UTF8String"))
        yield server(
            f"issuer_named_with_{name}",
            [server_leaf(issuer), ISSUING],
            refused("issuer_unknown", missing_issuer=f"CN={spelling}"),
        )
    root = renamed(ROOT, spelled("WEBHOOK test root", "PrintableString"))
    middle = authority("Spelled Test CA", key("spelled"), root, path_length=0)
    yield server("root_named_in_another_spelling", [server_leaf(middle), middle], accepted())


def chains():
    deep = ROOT
    chain = []
    for at in range(9):
        deep = authority(f"Deep CA {at}", key(f"deep {at}"), deep)
        chain.insert(0, deep)
    yield server("path_of_ten_certificates", [server_leaf(deep), *chain], accepted())
    yield client("path_of_ten_certificates", [client_leaf(deep), *chain], accepted())
    one_more = authority("Deep CA 9", key("deep 9"), deep)
    yield server(
        "path_of_eleven_with_known_intermediates",
        [server_leaf(one_more), one_more],
        refused("chain_too_long"),
        intermediates=chain,
    )
    # Two certificates of one CA: the search must try both.
    leaf = server_leaf()
    lapsed = authority(
        "Webhook Test Issuing CA", key("issuing"), ROOT, valid=(LONG_AGO, LONG_AGO_END)
    )
    other_root = authority("Cross Test Root", key("cross root"))
    foreign = authority("Webhook Test Issuing CA", key("issuing"), other_root)
    for name, order in {
        "expired_first": [lapsed, ISSUING],
        "expired_last": [ISSUING, lapsed],
        "foreign_first": [foreign, ISSUING],
        "root_presented": [foreign, other_root, lapsed, ISSUING, ROOT],
    }.items():
        yield server(f"cross_signed_{name}", [leaf, *order], accepted(anchor=ROOT.subject))
    yield server(
        "cross_signed_both_roots_known",
        [leaf, lapsed, foreign],
        accepted(anchor=other_root.subject),
        anchors=(ROOT, other_root),
    )
    narrow = authority(
        "Webhook Test Issuing CA",
        key("issuing"),
        ROOT,
        constraints=x509.NameConstraints(dns("other.test"), None),
    )
    yield server("cross_signed_constrained_first", [leaf, narrow, ISSUING], accepted())
    yield server("cross_signed_constrained_alone", [leaf, narrow, foreign], VIOLATED)


def lengths():
    old = authority("Renewed CA", key("renewed old"), ROOT, path_length=0)
    new = authority("Renewed CA", key("renewed new"), old, path_length=0)
    yield server("self_issued_is_no_length", [server_leaf(new), new, old], accepted())
    yield client("self_issued_is_no_length", [client_leaf(new), new, old], accepted())
    spelling = renamed(old, spelled("RENEWED ca", "PrintableString"))
    spelled_new = authority("Renewed CA", key("renewed new"), spelling, path_length=0)
    yield server(
        "self_issued_in_another_spelling", [server_leaf(spelled_new), spelled_new, old], accepted()
    )
    below = authority("Below Renewed CA", key("below renewed"), new)
    yield server(
        "self_issued_and_one_more",
        [server_leaf(below), below, new, old],
        refused("constraint_violated", position=3, issuer="CN=Renewed CA"),
    )
    short_root = authority("Short Test Root", key("short root"), path_length=0)
    under = authority("Under Short CA", key("under short"), short_root)
    yield server(
        "length_of_anchor_kept", [server_leaf(short_root)], accepted(), anchors=[short_root]
    )
    yield server(
        "length_of_anchor_exceeded",
        [server_leaf(under), under],
        refused("constraint_violated", issuer=short_root.subject),
        anchors=[short_root],
    )


def purposes():
    for name, wanted, of_servers, of_clients in (
        ("both", (SERVER_AUTH, CLIENT_AUTH), accepted(), accepted()),
        ("clients", (CLIENT_AUTH,), refused("purpose_not_allowed"), accepted()),
        ("servers", (SERVER_AUTH,), accepted(), refused("purpose_not_allowed")),
    ):
        root = authority(f"Root for {name}", key(f"root for {name}"), purposes=wanted)
        yield server(f"root_for_{name}", [server_leaf(root)], of_servers, anchors=[root])
        yield client(f"root_for_{name}", [client_leaf(root)], of_clients, anchors=[root])
    yield server(
        "purpose_refused_by_an_issuer_names_it",
        *_purposes_of_issuer((CLIENT_AUTH,)),
        refused(
            "purpose_not_allowed",
            expected_purpose="serverAuth",
            position=2,
            subject="CN=Purpose CA",
        ),
    )
    yield client(
        "any_purpose_beside_client",
        [client_leaf(purposes=(ANY_PURPOSE, CLIENT_AUTH)), ISSUING],
        accepted(purpose="present"),
    )


def _purposes_of_issuer(wanted):
    ca = authority("Purpose CA", key("purpose"), ROOT, purposes=wanted)
    return [[server_leaf(ca), ca]]


def limited(*, permitted=None, excluded=None, leaf=server_leaf, extra=(), **options):
    """A chain below a CA with name constraints."""
    limits = x509.NameConstraints(permitted, excluded) if permitted or excluded else None
    ca = authority("Limited CA", key("limited"), ROOT, constraints=limits, extra=extra)
    return [leaf(ca, **options), ca]


def emails(*names):
    return [x509.RFC822Name(name) for name in names]


def dns_constraints():
    for name, base, names, expect in (
        ("leading_period_below", ".example.test", [HOST], accepted()),
        ("leading_period_deep_below", ".test", [HOST], accepted()),
        ("leading_period_itself", "." + HOST, [HOST], VIOLATED),
        ("leading_period_outside", ".other.test", [HOST], VIOLATED),
        ("other_case", "EXAMPLE.Test", [HOST], accepted()),
        ("suffix_of_a_label", "ple.test", [HOST], VIOLATED),
        ("exact", HOST, [HOST], accepted()),
        ("wildcard_below", "example.test", ["*.example.test", HOST], accepted()),
        ("wildcard_above", HOST, ["*.example.test", HOST], VIOLATED),
        ("malformed_name", "example.test", ["a..example.test", HOST], INVALID),
    ):
        yield server(
            f"dns_permitted_{name}", limited(permitted=dns(base), sans=dns(*names)), expect
        )
    for name, base, names, expect in (
        ("leading_period_below", ".example.test", [HOST], VIOLATED),
        ("leading_period_itself", "." + HOST, [HOST], accepted()),
        ("wildcard_beside", "db.example.test", ["*.example.test", HOST], VIOLATED),
        ("wildcard_elsewhere", "db.other.test", ["*.example.test", HOST], accepted()),
        ("other_type", "corp.example", [HOST], accepted()),
    ):
        yield server(f"dns_excluded_{name}", limited(excluded=dns(base), sans=dns(*names)), expect)
    yield server("dns_excluded_all", limited(excluded=[x509.DNSName("")]), VIOLATED)
    both = limited(permitted=dns("example.test"), excluded=dns(HOST))
    yield server("dns_permitted_and_excluded", both, VIOLATED)
    wildcard = sequence(value(0x82, b"*.example.test"))
    malformed = limited(extra=[extension("2.5.29.30", sequence(tagged(0, wildcard)), True)])
    yield server("dns_constraint_with_wildcard", malformed, VIOLATED)


def other_constraints():
    spiffe = "spiffe://corp.example/tenant/acme"
    for name, base, names, expect in (
        ("host", "corp.example", [spiffe], accepted()),
        ("host_in_other_case", "CORP.example", [spiffe], accepted()),
        ("other_host", "other.example", [spiffe], VIOLATED),
        ("host_below_without_period", "example", [spiffe], VIOLATED),
        ("host_below_with_period", ".example", [spiffe], accepted()),
        ("host_with_port", "corp.example", ["https://u@corp.example:8443/x"], accepted()),
        ("one_of_two_outside", "corp.example", [spiffe, "https://other.test/"], VIOLATED),
        ("address", "corp.example", ["https://192.0.2.10/x"], INVALID),
        ("no_host", "corp.example", ["urn:example:acme"], INVALID),
        ("no_uri_in_the_certificate", "corp.example", [], accepted()),
    ):
        chain = limited(permitted=uri(base), leaf=client_leaf, sans=[*dns("a.test"), *uri(*names)])
        yield client(f"uri_permitted_{name}", chain, expect)
    whole = limited(permitted=uri("spiffe://corp.example"), leaf=client_leaf)
    yield client("uri_constraint_of_a_whole_id", whole, VIOLATED)
    yield client("uri_excluded", limited(excluded=uri("corp.example"), leaf=client_leaf), VIOLATED)
    elsewhere = limited(excluded=uri("other.example"), leaf=client_leaf)
    yield client("uri_excluded_elsewhere", elsewhere, accepted())
    for name, base, address, expect in (
        ("mailbox", "ops@example.test", "ops@example.test", accepted()),
        ("mailbox_of_another", "ops@example.test", "dev@example.test", VIOLATED),
        ("mailbox_in_other_case", "ops@example.test", "OPS@example.test", VIOLATED),
        ("host", "example.test", "ops@Example.test", accepted()),
        ("host_above", "example.test", "ops@mail.example.test", VIOLATED),
        ("domain", ".example.test", "ops@mail.example.test", accepted()),
        ("domain_itself", ".example.test", "ops@example.test", VIOLATED),
    ):
        chain = limited(permitted=emails(base), sans=[*dns(HOST), *emails(address)])
        yield server(f"email_permitted_{name}", chain, expect)
    chain = limited(
        permitted=emails("example.test"),
        subject=[(NameOID.EMAIL_ADDRESS, "ops@other.test"), (NameOID.COMMON_NAME, "consumer")],
    )
    yield server("email_in_the_subject_not_permitted", chain, VIOLATED)
    networks = [
        x509.IPAddress(ipaddress.ip_network(each)) for each in ("192.0.2.0/24", "2001:db8::/32")
    ]
    for name, address, permitted, excluded in (
        ("v6", "2001:db8::10", accepted(), VIOLATED),
        ("v6_elsewhere", "2001:db9::10", VIOLATED, accepted()),
        ("v4", "192.0.2.10", accepted(), VIOLATED),
    ):
        sans = [x509.IPAddress(ipaddress.ip_address(address))]
        permitting, excluding = (
            limited(permitted=networks, sans=sans),
            limited(excluded=networks, sans=sans),
        )
        yield server(f"address_{name}_permitted", permitting, permitted, server_name=address)
        yield server(f"address_{name}_excluded", excluding, excluded, server_name=address)
    # No library compares otherName: it is refused if the certificate has one.
    other = [x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.32473.2"), b"\x0c\x01a")]
    yield server("other_name_constrained", limited(permitted=other), accepted())
    yield server(
        "other_name_not_supported",
        limited(permitted=other, sans=[*dns(HOST), *other]),
        refused("certificate_invalid", issuer="CN=Limited CA"),
    )
    yield server("other_name_unconstrained", limited(sans=[*dns(HOST), *other]), accepted())


def directory_constraints():
    def directory(*attributes):
        return [x509.DirectoryName(x509.Name([x509.NameAttribute(*each) for each in attributes]))]

    organization, unit = NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME
    acme = [(organization, "Acme"), (NameOID.COMMON_NAME, "consumer")]
    for name, base, permitted, excluded in (
        ("prefix", [(organization, "Acme")], accepted(), VIOLATED),
        ("prefix_in_other_case", [(organization, "ACME  ")], accepted(), VIOLATED),
        ("another", [(organization, "Other")], VIOLATED, accepted()),
        ("not_the_first", [(NameOID.COMMON_NAME, "consumer")], VIOLATED, accepted()),
        ("longer", [*acme, (unit, "Hooks")], VIOLATED, accepted()),
    ):
        permitting = limited(permitted=directory(*base), subject=acme)
        yield server(f"directory_permitted_{name}", permitting, permitted)
        yield server(
            f"directory_excluded_{name}", limited(excluded=directory(*base), subject=acme), excluded
        )
    yield client(
        "directory_permitted",
        limited(permitted=directory(*acme[:1]), leaf=client_leaf, subject=acme),
        accepted(),
    )
    inside = limited(permitted=directory(*acme[:1]), subject=[])
    yield server("directory_permitted_without_subject", inside, accepted())
    beside = limited(
        permitted=directory(*acme[:1]),
        subject=acme,
        sans=[*dns(HOST), *directory((organization, "Other"))],
    )
    yield server("directory_in_alternative_names_not_permitted", beside, VIOLATED)


def constrained_certificates():
    zone = x509.NameConstraints(dns("example.test"), None)
    upper = authority("Zone CA", key("zone"), ROOT, constraints=zone)
    lower = authority("Zone Lower CA", key("zone lower"), upper)
    chain = [server_leaf(lower), lower, upper]
    yield server("constraint_two_levels_above", chain, accepted())
    wide = authority(
        "Zone Lower CA",
        key("zone lower"),
        upper,
        constraints=x509.NameConstraints(dns("test"), None),
    )
    yield server(
        "constraint_not_widened_below",
        [server_leaf(wide, sans=dns(HOST, "a.other.test")), wide, upper],
        refused("constraint_violated", issuer="CN=Zone CA"),
    )
    named = authority("Zone Lower CA", key("zone lower"), upper, sans=dns("ca.other.test"))
    yield server(
        "constraint_on_an_intermediate",
        [server_leaf(named), named, upper],
        refused("constraint_violated", position=2, issuer="CN=Zone CA"),
    )
    # A self-issued CA is exempt; a leaf never is.
    renewed = authority("Zone CA", key("zone new"), upper, sans=dns("ca.other.test"))
    yield server(
        "constraint_not_on_a_self_issued_ca", [server_leaf(renewed), renewed, upper], accepted()
    )
    yield server(
        "constraint_on_a_leaf_with_the_name_of_its_ca",
        [server_leaf(upper, subject="Zone CA", sans=dns(HOST, "a.other.test")), upper],
        VIOLATED,
    )
    root = authority(
        "Zone Root", key("zone root"), constraints=x509.NameConstraints(uri("corp.example"), None)
    )
    yield client("constraint_of_anchor_kept", [client_leaf(root)], accepted(), anchors=[root])
    outside = client_leaf(root, sans=uri("spiffe://other.example/x"))
    yield client(
        "constraint_of_anchor_violated",
        [outside],
        refused("constraint_violated", issuer=root.subject),
        anchors=[root],
    )


POLICY = "1.3.6.1.4.1.32473.10"
OTHER_POLICY = "1.3.6.1.4.1.32473.11"
ANY_POLICY = "2.5.29.32.0"


def asserting(*names, critical=False):
    """certificatePolicies."""
    return extension("2.5.29.32", sequence(*(sequence(oid(name)) for name in names)), critical)


def mapping(*pairs):
    return extension(
        "2.5.29.33", sequence(*(sequence(oid(a), oid(b)) for a, b in pairs)), critical=True
    )


def requiring(explicit=None, *, no_mapping=None):
    parts = [
        value(0x80 | at, bytes([number]))
        for at, number in enumerate((explicit, no_mapping))
        if number is not None
    ]
    return extension("2.5.29.36", sequence(*parts), critical=True)


def policies():
    def chain(of_ca, of_leaf=(), leaf=server_leaf):
        ca = authority("Policy CA", key("policy"), ROOT, extra=of_ca)
        return [leaf(ca, extra=list(of_leaf)), ca]

    no_any = extension("2.5.29.54", integer(0), critical=True)
    for name, of_ca, of_leaf, expect in (
        (
            "critical",
            [asserting(POLICY, critical=True)],
            [asserting(POLICY, critical=True)],
            accepted(),
        ),
        ("of_no_ca", [], [asserting(POLICY, critical=True)], accepted()),
        ("not_required", [asserting(POLICY)], [asserting(OTHER_POLICY)], accepted()),
        ("required", [asserting(POLICY), requiring(0)], [asserting(POLICY)], accepted()),
        ("required_and_absent", [asserting(POLICY), requiring(0)], [], VIOLATED),
        (
            "required_and_another",
            [asserting(POLICY), requiring(0)],
            [asserting(OTHER_POLICY)],
            VIOLATED,
        ),
        ("required_later", [asserting(POLICY), requiring(2)], [], accepted()),
        (
            "required_and_any",
            [asserting(ANY_POLICY), requiring(0)],
            [asserting(POLICY)],
            accepted(),
        ),
        ("any_of_leaf", [asserting(POLICY), requiring(0)], [asserting(ANY_POLICY)], accepted()),
        (
            "any_inhibited",
            [asserting(POLICY), requiring(0), no_any],
            [asserting(ANY_POLICY)],
            VIOLATED,
        ),
        (
            "any_inhibited_unrequired",
            [asserting(POLICY), no_any],
            [asserting(ANY_POLICY)],
            accepted(),
        ),
        (
            "mapped",
            [asserting(POLICY), mapping((POLICY, OTHER_POLICY)), requiring(0)],
            [asserting(OTHER_POLICY)],
            accepted(),
        ),
        (
            "mapped_away",
            [asserting(POLICY), mapping((POLICY, OTHER_POLICY)), requiring(0)],
            [asserting(POLICY)],
            VIOLATED,
        ),
        ("any_mapped", [asserting(ANY_POLICY), mapping((ANY_POLICY, POLICY))], [], VIOLATED),
        ("mapped_to_any", [asserting(POLICY), mapping((POLICY, ANY_POLICY))], [], VIOLATED),
    ):
        yield server(f"policy_{name}", chain(of_ca, of_leaf), expect)
    yield client(
        "policy_required_and_absent",
        chain([asserting(POLICY), requiring(0)], leaf=client_leaf),
        refused("constraint_violated", issuer="CN=Policy CA"),
    )
    upper = authority(
        "Mapping CA",
        key("mapping"),
        ROOT,
        extra=[asserting(POLICY), requiring(0, no_mapping=0)],
    )
    lower = authority(
        "Mapping Lower CA",
        key("mapping lower"),
        upper,
        extra=[asserting(POLICY), mapping((POLICY, OTHER_POLICY))],
    )
    yield server(
        "policy_mapping_inhibited",
        [server_leaf(lower, extra=[asserting(OTHER_POLICY)]), lower, upper],
        VIOLATED,
    )
    root = authority("Policy Root", key("policy root"), extra=[requiring(0)])
    yield server(
        "policy_required_by_anchor",
        [server_leaf(root)],
        refused("constraint_violated", issuer=root.subject),
        anchors=[root],
    )
    kept = server_leaf(root, extra=[asserting(POLICY)])
    yield server("policy_required_by_anchor_and_present", [kept], accepted(), anchors=[root])
    malformed = [extension("2.5.29.32", sequence(octets(b"?")), critical=True), requiring(0)]
    yield server("policy_malformed", chain(malformed), INVALID)


def identifiers():
    name = value(0xA4, ROOT.name.public_bytes())
    # authorityCertIssuer and authorityCertSerialNumber, without a key identifier.
    old_form = extension(
        "2.5.29.35", sequence(tagged(1, name), value(0x82, integer(ROOT.serial)[2:]))
    )
    ca = authority("Old Form CA", key("old form"), ROOT, authority_key_id=None, extra=[old_form])
    yield server("key_id_by_issuer_and_serial", [server_leaf(ca), ca], accepted(notes=[]))
    root = authority("Old Form Root", key("old form root"), extra=[old_form])
    yield server(
        "root_key_id_by_issuer_and_serial", [server_leaf(root)], accepted(), anchors=[root]
    )
    noted = accepted(notes=["serial_unusual"])
    for which, serial, expect in (
        ("zero", 0, noted),
        ("of_20_octets", 2**159 - 1, accepted(notes=[])),
        ("of_21_octets", 2**161, noted),
        ("negative", -5, INVALID),
    ):
        yield server(f"serial_{which}", [server_leaf(serial=serial), ISSUING], expect)
        yield client(f"serial_{which}", [client_leaf(serial=serial), ISSUING], expect)
    ca = authority("Serial CA", key("serial"), ROOT, serial=0)
    yield server("serial_of_issuer_zero", [server_leaf(ca), ca], noted)


def nameless():
    nobody = client_leaf(subject=[], sans=())
    yield client("leaf_without_any_name", [nobody, ISSUING], INVALID)
    yield server("leaf_without_any_name", [server_leaf(subject=[], sans=()), ISSUING], INVALID)
    empty = authority([], key("empty"), ROOT, path_length=0)
    yield client(
        "issuer_without_subject",
        [client_leaf(empty), empty],
        refused("certificate_invalid", position=2),
    )
    empty_root = authority([], key("empty root"))
    yield client(
        "anchor_without_subject",
        [client_leaf(empty_root)],
        misconfigured("trust_invalid"),
        anchors=[empty_root],
    )
    for name, subject in {"": "acme\0.evil.test", "_at_the_end": "acme\0"}.items():
        yield client(f"nul_in_the_subject{name}", [client_leaf(subject=subject), ISSUING], INVALID)
        yield server(f"nul_in_the_subject{name}", [server_leaf(subject=subject), ISSUING], INVALID)
    yield server(
        "nul_in_a_dns_name", [server_leaf(sans=dns(HOST, "a\0.example.test")), ISSUING], INVALID
    )
    wide = server_leaf(subject=spelled("consumer", "BMPString"))
    yield server("no_nul_in_a_wide_subject", [wide, ISSUING], accepted(cn="consumer"))


def reasons():
    leaf = server_leaf()
    critical = [extension("1.3.6.1.4.1.32473.1", octets(b"?"), critical=True)]
    strange = authority("Strange CA", key("strange"), ROOT, extra=critical)
    yield server(
        "unknown_critical_extension_of_an_issuer",
        [server_leaf(strange), strange],
        refused("certificate_invalid", subject="CN=Strange CA", position=2),
    )
    strange_root = authority("Strange Root", key("strange root"), extra=critical)
    yield server(
        "unknown_critical_extension_of_an_anchor",
        [server_leaf(strange_root)],
        misconfigured("trust_invalid"),
        anchors=[strange_root],
    )
    yield server(
        "unknown_critical_extension_of_the_anchor_beside_another",
        [server_leaf(strange_root)],
        refused("certificate_invalid", subject="CN=Strange Root"),
        anchors=[ROOT, strange_root],
    )
    yield server(
        "unknown_critical_extension_of_an_unrelated_anchor",
        [leaf, ISSUING],
        accepted(),
        anchors=[strange_root, ROOT],
    )
    yield server("unknown_critical_extension_elsewhere", [leaf, strange, ISSUING], accepted())
    weak = authority("Webhook Test Issuing CA", key("issuing"), ROOT, digest="sha1")
    yield server(
        "sha1_signature_of_an_issuer",
        [leaf, weak],
        refused(
            "certificate_invalid",
            subject=weak.subject,
            position=2,
            weakness="ecdsa-with-SHA1 (1.2.840.10045.4.1)",
        ),
    )
    lapsed = authority("Lapsed CA", key("lapsed"), ROOT, valid=(LONG_AGO, LONG_AGO_END))
    yield server(
        "expired_issuer_is_named",
        [server_leaf(lapsed), lapsed],
        refused("certificate_expired", subject="CN=Lapsed CA", position=2),
    )
    # A CA that did not sign the leaf is no reason.
    namesake = authority("Lapsed CA", key("namesake"), ROOT, valid=(FROM, UNTIL))
    yield server(
        "expired_issuer_beside_a_namesake",
        [server_leaf(lapsed), namesake, lapsed],
        refused("certificate_expired", subject="CN=Lapsed CA", position=3),
    )
    no_ca = mint("Plain", key("plain"), ROOT, ca=False, usage=("digital_signature",))
    yield server(
        "issuer_that_is_no_ca_is_named",
        [server_leaf(no_ca), no_ca],
        refused("constraint_violated", subject="CN=Plain", position=2),
    )
    version_1 = mint("Version 1", key("version 1"), ROOT, version=1, authority_key_id=None)
    yield server(
        "issuer_of_version_1",
        [server_leaf(version_1), version_1],
        refused("constraint_violated", subject="CN=Version 1", position=2),
    )
    yield server(
        "address_as_dns_name",
        [server_leaf(sans=dns("192.0.2.10")), ISSUING],
        refused("name_mismatch", expected_name="192.0.2.10"),
        server_name="192.0.2.10",
    )
    critical_policy = [asserting(POLICY, critical=True)]
    yield server(
        "critical_policies_of_a_leaf", [server_leaf(extra=critical_policy), ISSUING], accepted()
    )
    future = authority("Future CA", key("future"), ROOT, valid=(day(2100), UNTIL))
    yield server(
        "issuer_not_yet_valid_is_named",
        [server_leaf(future), future],
        refused("certificate_not_yet_valid", subject="CN=Future CA", position=2),
    )
