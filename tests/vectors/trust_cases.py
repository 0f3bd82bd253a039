"""The verify cases about an exact trust, and about anchors at the instant of the case."""

from forge import (
    CLIENT_AUTH,
    CODE_SIGNING,
    LONG_AGO,
    LONG_AGO_END,
    SERVER_AUTH,
    UNTIL,
    authority,
    crl,
    day,
    dns,
    key,
    mint,
    uri,
)
from verify_cases import (
    AT,
    HOST,
    ISSUING,
    LEAF_LIFE,
    ROOT,
    accepted,
    client,
    client_leaf,
    misconfigured,
    refused,
    server,
    server_leaf,
)

PURPOSES = {"server": (SERVER_AUTH,), "client": (CLIENT_AUTH,)}


def cases():
    return [*exact_peers(), *exact_faults(), *exact_bundles(), *instants()]


def self_signed(label="self-signed", **options):
    """Returns the certificate of a consumer without a CA, as `openssl req -x509` makes it."""
    usual = {"valid": LEAF_LIFE, "ca": True, "sans": dns(HOST)}
    return mint("consumer", key(label), **usual | options)


def trusting(made, certificate, *also):
    """Changes a case to trust one certificate exactly."""
    given = "".join(each.pem for each in (certificate, *also))
    return made | {"trust": {"anchors": given, "exact": True}}


def exact(name, chain, expect, certificate=None, **more):
    made = server(f"exact_{name}", chain, expect, **more)
    return trusting(made, certificate or chain[0])


def exact_client(name, leaf, expect, **more):
    return trusting(client(f"exact_{name}", [leaf], expect, **more), leaf)


def exact_peers():
    alone = {"anchor": "CN=consumer", "path": ["CN=consumer"], "notes": ["purpose_absent"]}
    yield exact("self_signed_ca", [self_signed()], accepted(**alone))
    leaf = self_signed(ca=False, usage=("digital_signature",), purposes=(SERVER_AUTH,))
    yield exact("self_signed_leaf", [leaf], accepted(**alone | {"notes": []}))
    usage = ("digital_signature", "key_cert_sign")
    yield exact("self_signed_with_rights_of_a_ca", [self_signed(usage=usage)], accepted(**alone))
    issued = server_leaf()
    # The issuers are not needed, and do not count.
    yield exact("issued_leaf", [issued], accepted(path=["CN=consumer"], notes=[]))
    yield exact("issued_leaf_with_its_issuers", [issued, ISSUING, ROOT], accepted(notes=[]))
    pinned = {"current": [self_signed().spki_pin]}
    yield exact("pinned", [self_signed()], accepted(matched_pin=pinned["current"][0]), pins=pinned)
    # No CRL can cover it: the owner of the trust revokes it.
    for policy in ("require", "require_leaf"):
        more = {"options": {"crl_policy": policy}}
        yield exact(f"crl_policy_{policy}", [self_signed()], accepted(), **more)
    tenant = {"san_uri": "spiffe://corp.example/tenant/{tenant}"}
    sans = uri("spiffe://corp.example/tenant/acme")
    acme = self_signed(sans=sans, purposes=(CLIENT_AUTH,))
    yield exact_client("self_signed", acme, accepted(tenant="acme"), tenant=tenant)
    others = {"san_uris": ["spiffe://corp.example/tenant/other"]}
    yield exact_client("not_authorized", acme, refused("not_authorized"), authorization=others)


def exact_faults():
    own = self_signed()
    yield exact("expired", [own], refused("certificate_expired"), at=day(2026, 8))
    yield exact("not_yet_valid", [own], refused("certificate_not_yet_valid"), at=day(2026, 4))
    yield exact("other_name", [own], refused("name_mismatch"), server_name="other.example.test")
    other = self_signed(purposes=(CODE_SIGNING,))
    yield exact("other_purpose", [other], refused("purpose_not_allowed"))
    acme = self_signed(purposes=(SERVER_AUTH,))
    yield exact_client("other_purpose", acme, refused("purpose_not_allowed"))
    strict = {"options": {"strict_purpose": True}}
    yield exact("strict_purpose", [own], refused("purpose_not_allowed"), **strict)
    pins = {"current": [ROOT.spki_pin]}
    yield exact("other_pin", [own], refused("pin_mismatch"), pins=pins)
    silent = self_signed(usage=("key_cert_sign", "crl_sign"))
    yield exact("may_not_sign_handshakes", [silent], refused("certificate_invalid"))
    strange = refused("issuer_unknown", subject="CN=consumer")
    renewed = self_signed(valid=(day(2026, 5, 3), day(2026, 7, 3)))
    yield exact("renewed_with_the_same_key", [renewed], strange, own)
    yield exact("another_with_the_same_name", [self_signed("namesake")], strange, own)
    below = server_leaf(own)
    yield exact("below_the_certificate", [below, own], strange, own)
    yield exact("behind_another_leaf", [server_leaf(), own], strange, own)
    yield exact(
        "sibling_of_an_issued_leaf", [server_leaf(label="b"), ISSUING], strange, server_leaf()
    )


def exact_bundles():
    own, fault = self_signed(), misconfigured("trust_invalid")
    two = server("exact_of_two_certificates", [own], fault)
    yield trusting(two, own, ROOT)
    small = mint("consumer", key("small", "rsa1024"), valid=LEAF_LIFE, sans=dns(HOST))
    yield exact("weak_key", [small], fault)
    yield exact("version_1", [mint("consumer", key("first"), version=1)], fault)
    nothing = server("exact_of_nothing", [own], misconfigured("pem_invalid"))
    yield nothing | {"trust": {"anchors": "", "exact": True}}


def instants():
    """The instant of the case decides about anchors, not the time at which they were loaded."""
    then = day(2000, 6)
    old = authority("Old Webhook Root", key("old webhook root"), valid=(LONG_AGO, LONG_AGO_END))
    life = {"valid": (LONG_AGO, LONG_AGO_END)}
    leaf, tenant = server_leaf(old, **life), client_leaf(old, **life)
    yield server("anchor_of_the_instant", [leaf], accepted(), anchors=[old], at=then)
    yield client("anchor_of_the_instant", [tenant], accepted(), anchors=[old], at=then)
    yield server("anchors_of_two_times", [leaf], accepted(), anchors=[ROOT, old], at=then)
    covered = {"options": {"crl_policy": "require"}}
    this, following = day(2000, 5, 25), day(2000, 6, 10)
    good = crl(old, [], 1, this=this, following=following)
    yield server(
        "crl_of_the_instant", [leaf], accepted(), anchors=[old], at=then, crls=[good], **covered
    )
    revoked = crl(old, [leaf], 2, this=this, following=following)
    bad = refused("certificate_revoked")
    yield server(
        "revoked_at_the_instant", [leaf], bad, anchors=[old], at=then, crls=[good, revoked]
    )
    young = authority("Young Webhook Root", key("young root"), valid=(day(2026, 5, 20), UNTIL))
    early = server_leaf(young)
    yield server("anchor_valid_at_the_instant", [early], accepted(), anchors=[young], at=AT)
    yield server(
        "anchor_not_valid_at_the_instant_yet",
        [early],
        refused("certificate_not_yet_valid"),
        anchors=[young],
        at=day(2026, 5, 10),
    )
    own = self_signed(valid=(LONG_AGO, LONG_AGO_END))
    yield exact("certificate_of_the_instant", [own], accepted(), at=then)
