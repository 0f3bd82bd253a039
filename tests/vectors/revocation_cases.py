"""The verify cases about revocation: the CRLs that count, the certificates they apply to, and the
reports of CRLs that do not count."""

from forge import (
    authority,
    bare_v1,
    certificate_issuer,
    crl,
    day,
    distribution_points,
    extension,
    full_name,
    issuing_point,
    key,
    octets,
    point,
    reason_code,
    relative_name,
    spelled,
)
from verify_cases import ISSUING, ROOT, accepted, client, client_leaf, refused, server, server_leaf

FRESH = {"this": day(2026, 5, 25), "following": day(2026, 6, 10)}
LATER = {"this": day(2026, 6, 2), "following": day(2026, 6, 20)}
REQUIRE = {"crl_policy": "require"}
REQUIRE_LEAF = {"crl_policy": "require_leaf"}
REVOKED = refused("certificate_revoked")
# The error may occur at loading or at verification; both are before anything is sent.
UNUSABLE = {"error": {"kind": "crl_unusable", "sent": "nothing"}}
ROOT_CLEAN = crl(ROOT, [], 5, **FRESH)


def cases():
    return [
        *complete_lists(),
        *several_lists(),
        *order_of_lists(),
        *lists_without_number(),
        *extensions(),
        *instants(),
        *partitions(),
        *reasons(),
        *stray_lists(),
        *renewed_keys(),
        *separate_keys(),
        *long_chains(),
        *unusable_lists(),
        *names_of_issuers(),
    ]


def noted(*words):
    return accepted(notes=list(words))


def unchecked(*words, of):
    """Accepted, although no CRL says whether these certificates are revoked."""
    subjects = [certificate.subject for certificate in of]
    return accepted(notes=[*words, "revocation_unchecked"], revocation_unchecked=subjects)


def unused_list():
    """Refused because the issuer has no CRL of public key certificates."""
    return refused("crl_unusable", issuer=ISSUING.subject)


def unused(why):
    """Refused because the issuer's only CRL is unusable."""
    return refused("crl_unusable", unused=why, issuer=ISSUING.subject)


def complete_lists():
    leaf, tenant = server_leaf(), client_leaf()
    chain = [leaf, ISSUING]
    clean = crl(ISSUING, [], 5, **FRESH)
    other = crl(ISSUING, [tenant], 5, **FRESH)
    revoking = crl(ISSUING, [leaf], 6, **FRESH)
    outdated = crl(ISSUING, [], 3, this=day(2026, 5, 3), following=day(2026, 5, 20))
    root_revoking = crl(ROOT, [ISSUING], 6, **FRESH)
    endless = crl(ISSUING, [], 5, this=day(2026, 5, 25), following=None)
    stranger = authority("Unrelated CA", key("unrelated"))

    yield server("crl_clean", chain, noted(), crls=[clean])
    yield server("crl_revokes_another", chain, accepted(), crls=[other])
    yield server("crl_revokes_leaf", chain, REVOKED, crls=[revoking])
    yield client("crl_revokes_leaf", [tenant, ISSUING], REVOKED, crls=[other])
    yield server("crl_revokes_intermediate", chain, REVOKED, crls=[clean, root_revoking])
    yield server("crl_of_every_issuer_clean", chain, accepted(), crls=[clean, ROOT_CLEAN])
    yield server("crl_of_root_alone", chain, noted(), crls=[ROOT_CLEAN])
    yield server(
        "crl_of_another_issuer_alone",
        chain,
        unchecked("crl_unused", of=[leaf, ISSUING]),
        crls=[crl(stranger, [leaf], 1, **FRESH)],
    )
    yield server("crl_expired", chain, UNUSABLE, crls=[outdated])
    expired = crl(ISSUING, [leaf], 3, this=day(2026, 5, 3), following=day(2026, 5, 20))
    yield server("crl_expired_and_revoking", chain, REVOKED, crls=[expired])
    yield server("crl_without_next_update", chain, UNUSABLE, crls=[endless])
    delta = crl(ISSUING, [leaf], 7, delta_of=5, **FRESH)
    yield server("crl_delta", chain, UNUSABLE, crls=[delta])
    yield server("crl_delta_beside_complete", chain, UNUSABLE, crls=[clean, delta])
    yield server(
        "crl_expiry_is_judged_at_the_instant", chain, UNUSABLE, crls=[clean], at=day(2026, 6, 15)
    )
    yield server(
        "crl_required_of_every_issuer", chain, noted(), crls=[clean, ROOT_CLEAN], options=REQUIRE
    )
    yield server(
        "crl_required_of_root_missing",
        chain,
        refused("crl_unusable", issuer=ROOT.subject),
        crls=[clean],
        options=REQUIRE,
    )
    yield server(
        "crl_required_and_none",
        chain,
        refused("crl_unusable", issuer=ISSUING.subject),
        options=REQUIRE,
    )
    yield server(
        "crl_required_of_leaf_and_none",
        chain,
        refused("crl_unusable", issuer=ISSUING.subject, subject=leaf.subject),
        options=REQUIRE_LEAF,
    )
    yield server(
        "crl_required_of_leaf_missing",
        chain,
        refused("crl_unusable", issuer=ISSUING.subject, subject=leaf.subject),
        crls=[ROOT_CLEAN],
        options=REQUIRE_LEAF,
    )
    yield server(
        "crl_required_of_leaf_alone", chain, accepted(), crls=[clean], options=REQUIRE_LEAF
    )
    yield server(
        "crl_required_of_leaf_revokes_intermediate",
        chain,
        REVOKED,
        crls=[clean, root_revoking],
        options=REQUIRE_LEAF,
    )
    yield client(
        "crl_required_of_leaf_and_none",
        [tenant, ISSUING],
        refused("crl_unusable", issuer=ISSUING.subject),
        options=REQUIRE_LEAF,
    )
    silent = authority("Silent CA", key("silent"), ROOT, usage=("key_cert_sign",))
    unasked = crl(silent, [], 1, **FRESH)
    yield server("crl_without_crl_sign", [server_leaf(silent), silent], UNUSABLE, crls=[unasked])


def several_lists():
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    clean = crl(ISSUING, [], 5, **FRESH)
    revoking = crl(ISSUING, [leaf], 6, **FRESH)
    stale = crl(ISSUING, [], 2, this=day(2026, 5, 3), following=day(2026, 6, 20))
    outdated = crl(ISSUING, [], 3, this=day(2026, 5, 3), following=day(2026, 5, 20))
    forged = crl(ISSUING, [leaf], 9, signer=key("forger"), **FRESH)
    forged_clean = crl(ISSUING, [], 9, signer=key("forger"), **FRESH)

    yield server("crl_stale_clean_first", chain, REVOKED, crls=[stale, revoking])
    yield server("crl_stale_clean_last", chain, REVOKED, crls=[revoking, stale])
    yield server("crl_two_in_one_text", chain, REVOKED, crls=[stale + revoking])
    yield server("crl_expired_beside_current", chain, noted(), crls=[outdated, clean])
    yield server("crl_expired_beside_revoking", chain, REVOKED, crls=[outdated, revoking])
    held = crl(ISSUING, [leaf], 4, this=day(2026, 5, 20), following=day(2026, 6, 10))
    yield server("crl_released_by_a_later_one", chain, noted(), crls=[held, clean])
    # The CA's CRL number was set back, so neither CRL is known to be the later one.
    backward = crl(ISSUING, [], 9, this=day(2026, 5, 3), following=day(2026, 6, 20))
    yield server("crl_number_against_date", chain, REVOKED, crls=[backward, revoking])
    dead = crl(ISSUING, [], 9, this=day(2026, 5, 3), following=day(2026, 5, 20))
    yield server("crl_expired_with_higher_number", chain, noted(), crls=[dead, clean])
    yield server("crl_forged_never_blocks", chain, noted("crl_unused"), crls=[forged, clean])
    yield server("crl_forged_clean_never_hides", chain, REVOKED, crls=[forged_clean, revoking])

    rotated = authority("Webhook Test Issuing CA", key("rotated issuing"), ROOT, path_length=0)
    victim = server_leaf(rotated)
    old_list, new_list = crl(ISSUING, [], 9, **FRESH), crl(rotated, [victim], 1, **FRESH)
    yield server("crl_of_rekeyed_issuer", [victim, rotated], REVOKED, crls=[old_list, new_list])
    yield server(
        "crl_of_rekeyed_issuer_leaves_the_old", chain, accepted(), crls=[new_list, old_list]
    )
    new_list = crl(rotated, [victim], 10, this=day(2026, 5, 30), following=day(2026, 6, 10))
    yield server(
        "crl_of_rekeyed_issuer_that_is_unknown",
        chain,
        noted("crl_unused"),
        crls=[new_list, old_list],
    )
    yield server(
        "crl_of_rekeyed_issuer_that_is_known",
        chain,
        noted(),
        crls=[new_list, old_list],
        intermediates=[rotated],
    )
    yield server(
        "crl_of_rekeyed_issuer_alone_required",
        chain,
        unused("another_key"),
        crls=[new_list, ROOT_CLEAN],
        options=REQUIRE,
    )


def order_of_lists():
    """The CRL that replaces another has the higher number and is not the earlier one."""
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    early = {"this": day(2026, 5, 20), "following": day(2026, 6, 10)}

    def both_orders(name, expect, *crls):
        yield server(f"crl_{name}", chain, expect, crls=list(crls))
        yield server(f"crl_{name}_reversed", chain, expect, crls=list(reversed(crls)))

    def clean(number, **dates):
        return crl(ISSUING, [], number, **dates)

    def revoking(number, **dates):
        return crl(ISSUING, [leaf], number, **dates)

    # Numbers of several bytes are compared as numbers, not byte by byte.
    for low, high in ((5, 6), (127, 128), (255, 256)):
        yield from both_orders(
            f"{high}_revokes_after_clean_{low}_of_one_date",
            REVOKED,
            clean(low, **FRESH),
            revoking(high, **FRESH),
        )
        yield from both_orders(
            f"{high}_clean_after_revoking_{low}_of_one_date",
            noted(),
            revoking(low, **FRESH),
            clean(high, **FRESH),
        )
    yield from both_orders(
        "lower_number_later_date", REVOKED, clean(5, **FRESH), revoking(6, **early)
    )
    yield from both_orders(
        "equal_number_later_date", noted(), clean(6, **FRESH), revoking(6, **early)
    )
    # A clean CRL that is not in force yet replaces nothing.
    yield from both_orders(
        "clean_in_future_beside_revoking", REVOKED, clean(7, **LATER), revoking(6, **FRESH)
    )


def extensions():
    """Extensions of a CRL and of its entries, critical or not."""
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    unknown = "1.3.6.1.4.1.32473.1"

    def of(name, expect, *lists, **more):
        return server(f"crl_{name}", chain, expect, crls=[*lists], **more)

    def clean(**more):
        return crl(ISSUING, [], 5, **FRESH, **more)

    def revoking(**more):
        return crl(ISSUING, [leaf], 5, **FRESH, **more)

    critical = extension(unknown, octets(b"?"), critical=True)
    harmless = extension(unknown, octets(b"?"))
    yield of("with_unknown_critical_extension", UNUSABLE, clean(extra=[critical]))
    yield of("with_unknown_extension", noted(), clean(extra=[harmless]))
    yield of("with_unknown_extension_revokes", REVOKED, revoking(extra=[harmless]))
    yield of("with_critical_number", UNUSABLE, clean(critical_number=True))
    yield of("delta_not_critical", UNUSABLE, clean(delta_of=4, critical=False))
    for name, scope, expect in (
        ("indirect", {"indirect": True}, UNUSABLE),
        ("of_some_reasons", {"reasons": (1, 2)}, unchecked(of=[leaf])),
        ("of_attribute_certificates", {"attributes": True}, unchecked(of=[leaf])),
    ):
        partial = issuing_point(critical=False, **scope)
        yield of(f"{name}_not_critical", expect, clean(extra=[partial]))
    of_cas = clean(extra=[issuing_point(cas=True, critical=False)])
    yield of("of_cas_not_critical", unused("other_scope"), of_cas, ROOT_CLEAN, options=REQUIRE)
    twice = clean(extra=[issuing_point(users=True), issuing_point(users=True)])
    malformed = {"error": {"kind": "pem_invalid", "sent": "nothing"}}
    yield of("with_two_issuing_points", malformed, twice)
    for name, is_critical in {"critical": True, "not_critical": False}.items():
        foreign = certificate_issuer(ROOT.name, is_critical)
        yield of(f"entry_with_issuer_{name}", UNUSABLE, revoking(entry=[foreign]))
    yield of("entry_with_reason", REVOKED, revoking(entry=[reason_code(1)]))
    yield of("entry_with_reason_and_unknown", REVOKED, revoking(entry=[reason_code(4), harmless]))
    yield of("entry_with_unknown_critical_extension", UNUSABLE, revoking(entry=[critical]))


def instants():
    """The bounds of a CRL's dates, each of which belongs to its life."""
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    clean = crl(ISSUING, [], 5, **FRESH)
    last, next_second = FRESH["following"], day(2026, 6, 10, 0, 0, 1)
    yield server("crl_at_next_update", chain, noted(), crls=[clean], at=last)
    yield server("crl_after_next_update", chain, UNUSABLE, crls=[clean], at=next_second)
    future = crl(ISSUING, [], 5, **LATER)
    before = day(2026, 6, 1, 23, 59, 59)
    unchecked = noted("crl_unused", "revocation_unchecked")
    yield server("crl_at_this_update", chain, noted(), crls=[future], at=LATER["this"])
    yield server("crl_before_this_update", chain, unchecked, crls=[future], at=before)
    known = crl(ISSUING, [leaf], 6, revoked_on=before, **LATER)
    yield server("crl_of_the_future_at_the_revocation", chain, REVOKED, crls=[known], at=before)
    unknown = day(2026, 6, 1, 23, 59, 58)
    yield server(
        "crl_of_the_future_before_the_revocation", chain, unchecked, crls=[known], at=unknown
    )
    # A serial number that occurs twice is revoked from its earliest date on.
    yield server(
        "crl_of_the_future_that_lists_twice",
        chain,
        REVOKED,
        crls=[crl(ISSUING, [leaf, leaf], 6, revoked_on=[LATER["this"], before], **LATER)],
        at=before,
    )


FIRST, SECOND = "http://crl.test/shard1.crl", "http://crl.test/shard2.crl"


def partitions():
    def in_partition(*names, **more):
        points = distribution_points(*(point(full_name(name), **more) for name in names))
        return server_leaf(extra=[points])

    def partition(revoked, number, *names, **more):
        return crl(
            ISSUING, revoked, number, extra=[issuing_point(full_name(*names))], **FRESH | more
        )

    def required(name, leaf, expect, *crls):
        return server(
            f"crl_{name}", [leaf, ISSUING], expect, crls=[*crls, ROOT_CLEAN], options=REQUIRE
        )

    leaf = in_partition(FIRST)
    chain = [leaf, ISSUING]
    revoking, clean = partition([leaf], 10, FIRST), partition([], 10, FIRST)
    newer_clean = partition([], 11, SECOND, this=day(2026, 5, 30))
    tenant = client_leaf(extra=[distribution_points(point(full_name(FIRST)))])
    of_tenant = partition([tenant], 10, FIRST)

    yield server("crl_partition_revokes", chain, REVOKED, crls=[revoking])
    yield client("crl_partition_revokes", [tenant, ISSUING], REVOKED, crls=[of_tenant, newer_clean])
    for name, lists in {"first": [revoking, newer_clean], "last": [newer_clean, revoking]}.items():
        yield server(f"crl_partition_revokes_{name}", chain, REVOKED, crls=lists)
        yield required(f"partition_revokes_{name}_required", leaf, REVOKED, *lists)
    yield required("partition_clean", leaf, noted(), clean)
    yield required("partition_clean_beside_another", leaf, noted(), newer_clean, clean)
    yield required("partition_of_others", leaf, unused("other_scope"), newer_clean)
    yield server(
        "crl_partition_of_others_is_noted",
        chain,
        noted("revocation_unchecked"),
        crls=[newer_clean],
    )
    # The issuer revokes its own serial number, in whichever list it appears.
    yield server(
        "crl_partition_of_others_revokes", chain, REVOKED, crls=[partition([leaf], 3, SECOND)]
    )
    yield required(
        "partition_beside_complete", leaf, noted(), newer_clean, crl(ISSUING, [], 1, **FRESH)
    )
    old = partition([], 10, FIRST, this=day(2026, 5, 3), following=day(2026, 5, 20))
    yield required("partition_expired", leaf, UNUSABLE, old, newer_clean)
    unnamed = server_leaf()
    yield required("partition_for_no_point", unnamed, unused("other_scope"), clean)
    yield required("partition_of_two_names", leaf, noted(), partition([], 1, SECOND, FIRST))
    yield required("partition_of_second_point", in_partition(SECOND, FIRST), noted(), clean)
    upper = partition([], 1, "HTTP://CRL.test/shard1.crl")
    yield required("partition_host_in_other_case", leaf, noted(), upper)
    path = partition([], 1, "http://crl.test/SHARD1.crl")
    yield required("partition_path_in_other_case", leaf, unused("other_scope"), path)
    some = in_partition(FIRST, reasons=(1,))
    yield required("partition_of_point_for_some_reasons", some, unused("other_scope"), clean)
    foreign = in_partition(FIRST, issuer=ROOT.name)
    yield required("partition_of_point_of_another_issuer", foreign, unused("other_scope"), clean)

    by_directory = partition([], 1, ISSUING.name)
    yield required("partition_named_as_the_issuer", unnamed, noted(), by_directory)
    other_directory = partition([], 1, ROOT.name)
    yield required("partition_named_as_another", unnamed, unused("other_scope"), other_directory)
    relative = crl(ISSUING, [], 1, extra=[issuing_point(relative_name("shard1"))], **FRESH)
    near = server_leaf(extra=[distribution_points(point(relative_name("SHARD1")))])
    yield required("partition_of_relative_name", near, noted(), relative)
    far = server_leaf(extra=[distribution_points(point(relative_name("shard2")))])
    yield required("partition_of_other_relative_name", far, unused("other_scope"), relative)

    def held(**scope):
        return crl(ISSUING, [], 1, extra=[issuing_point(**scope)], **FRESH)

    yield required("of_users", leaf, noted(), held(users=True))
    yield required("of_cas", leaf, unused("other_scope"), held(cas=True))
    root_of_cas = crl(ROOT, [], 1, extra=[issuing_point(cas=True)], **FRESH)
    root_of_users = crl(ROOT, [], 1, extra=[issuing_point(users=True)], **FRESH)
    complete = crl(ISSUING, [], 1, **FRESH)
    for name, root_list, expect in (
        ("cas", root_of_cas, noted()),
        (
            "users",
            root_of_users,
            refused("crl_unusable", unused="other_scope", issuer=ROOT.subject),
        ),
    ):
        yield server(
            f"crl_of_root_for_{name}", chain, expect, crls=[complete, root_list], options=REQUIRE
        )
    named_users = crl(ISSUING, [], 1, extra=[issuing_point(full_name(FIRST), users=True)], **FRESH)
    yield required("partition_of_users", leaf, noted(), named_users)
    yield required("partition_of_users_elsewhere", unnamed, unused("other_scope"), named_users)
    for name, scope, expect in (
        ("indirect", {"indirect": True}, UNUSABLE),
        ("of_some_reasons", {"reasons": (1,)}, unchecked(of=[leaf])),
        ("of_attribute_certificates", {"attributes": True}, unchecked(of=[leaf])),
        (
            "partition_of_some_reasons",
            {"name": full_name(FIRST), "reasons": (1,)},
            unchecked(of=[leaf]),
        ),
    ):
        yield server(f"crl_{name}", chain, expect, crls=[held(**scope)])
    # Attribute certificates have serial numbers of their own.
    attributes = crl(ISSUING, [leaf], 1, extra=[issuing_point(attributes=True)], **FRESH)
    yield required("of_attribute_certificates_required", leaf, unused_list(), attributes)
    yield required("of_attribute_certificates_beside_complete", leaf, noted(), attributes, complete)


# ReasonFlags: all but the unused bit 0.
COMPROMISE, OTHERS = (1, 2, 8), (3, 4, 5, 6, 7)


def reasons():
    """CRLs for some reasons of revocation: all reasons must be covered together."""
    leaf = server_leaf()
    chain = [leaf, ISSUING]

    def part(revoked, bits, name=b"", **more):
        scope = [issuing_point(name, reasons=bits)]
        return crl(ISSUING, revoked, 1, extra=scope, **FRESH | more)

    def required(name, expect, *crls, leaf=leaf):
        return server(
            f"crl_{name}", [leaf, ISSUING], expect, crls=[*crls, ROOT_CLEAN], options=REQUIRE
        )

    one, other = part([], COMPROMISE), part([], OTHERS)
    yield required("of_all_reasons_together", noted(), one, other)
    yield required("of_all_reasons_in_three", noted(), one, part([], (3, 4)), part([], (5, 6, 7)))
    yield required("of_all_reasons_that_overlap", noted(), part([], range(1, 9)), one)
    yield required("of_all_reasons_but_one", unused("other_scope"), one, part([], (3, 4, 5, 6)))
    yield required("of_some_reasons_required", unused("other_scope"), one)
    yield required("of_the_unused_reason_alone", unused("other_scope"), part([], (0,)))
    yield server(
        "crl_of_some_reasons_revokes", chain, REVOKED, crls=[part([leaf], COMPROMISE), other]
    )
    yield server("crl_of_other_reasons_revokes", chain, REVOKED, crls=[one, part([leaf], OTHERS)])
    yield server("crl_of_some_reasons_alone_revokes", chain, REVOKED, crls=[part([leaf], (4,))])
    outdated = part([], OTHERS, this=day(2026, 5, 3), following=day(2026, 5, 20))
    yield server("crl_of_other_reasons_expired", chain, UNUSABLE, crls=[one, outdated])
    # A list of one scope does not replace one of another.
    later = part([], COMPROMISE, this=day(2026, 5, 30))
    yield server(
        "crl_of_some_reasons_is_no_later_one", chain, REVOKED, crls=[part([leaf], OTHERS), later]
    )
    yield required("of_some_reasons_beside_complete", noted(), one, crl(ISSUING, [], 2, **FRESH))

    pointed = server_leaf(
        extra=[
            distribution_points(
                point(full_name(FIRST), reasons=COMPROMISE),
                point(full_name(SECOND), reasons=OTHERS),
            )
        ]
    )
    of_first, of_second = (
        crl(ISSUING, [], 1, extra=[issuing_point(full_name(name))], **FRESH)
        for name in (FIRST, SECOND)
    )
    yield required("of_points_for_all_reasons", noted(), of_first, of_second, leaf=pointed)
    yield required("of_one_point_for_some_reasons", unused("other_scope"), of_first, leaf=pointed)
    first, second = (
        part([], bits, full_name(name)) for bits, name in ((COMPROMISE, FIRST), (OTHERS, SECOND))
    )
    yield required("of_points_and_reasons", noted(), first, second, leaf=pointed)
    first, second = (
        part([], bits, full_name(name)) for bits, name in ((COMPROMISE, SECOND), (OTHERS, FIRST))
    )
    yield required(
        "of_points_and_other_reasons", unused("other_scope"), first, second, leaf=pointed
    )
    nameless = server_leaf(extra=[distribution_points(point(b"", reasons=(1,)))])
    yield required("of_a_point_without_name", noted(), crl(ISSUING, [], 1, **FRESH), leaf=nameless)


def lists_without_number():
    """easy-rsa and a plain `openssl ca -gencrl` number no CRL. thisUpdate decides between two."""
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    early = {"this": day(2026, 5, 20), "following": day(2026, 6, 10)}

    def bare(revoked, **dates):
        return crl(ISSUING, revoked, None, **dates)

    yield server("crl_without_number", chain, noted(), crls=[bare([], **FRESH)])
    yield server("crl_without_number_revokes", chain, REVOKED, crls=[bare([leaf], **FRESH)])
    yield server(
        "crl_without_number_required",
        chain,
        noted(),
        crls=[bare([], **FRESH), ROOT_CLEAN],
        options=REQUIRE,
    )
    for name, lists, expect in (
        ("later_revokes", [bare([], **early), bare([leaf], **FRESH)], REVOKED),
        ("later_releases", [bare([leaf], **early), bare([], **FRESH)], noted()),
        # Neither is known to be the later one.
        ("of_one_date", [bare([leaf], **FRESH), bare([], **FRESH)], REVOKED),
        ("beside_a_later_number", [bare([leaf], **early), crl(ISSUING, [], 1, **FRESH)], noted()),
        ("after_a_number", [crl(ISSUING, [leaf], 9, **early), bare([], **FRESH)], noted()),
    ):
        yield server(f"crl_without_number_{name}", chain, expect, crls=lists)
        reverse = list(reversed(lists))
        yield server(f"crl_without_number_{name}_reversed", chain, expect, crls=reverse)
    first = bare_v1(ISSUING, [leaf], **FRESH)
    yield server("crl_of_version_1_revokes", chain, REVOKED, crls=[first])
    first = bare_v1(ISSUING, [], **FRESH)
    yield server("crl_of_version_1", chain, noted(), crls=[first, ROOT_CLEAN], options=REQUIRE)


def stray_lists():
    """CRLs that may have been meant for the path, and are not used for it."""
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    clean = crl(ISSUING, [], 5, **FRESH)
    stray = crl(authority("Unrelated CA", key("unrelated")), [leaf], 1, **FRESH)

    yield server(
        "crl_stray_beside_used",
        chain,
        noted("crl_unused", "revocation_unchecked"),
        crls=[clean, stray],
    )
    yield server("crl_stray_beside_all", chain, noted(), crls=[clean, ROOT_CLEAN, stray])
    yield server(
        "crl_of_a_known_ca_elsewhere",
        chain,
        noted(),
        crls=[crl(authority("Unrelated CA", key("unrelated")), [], 1, **FRESH)],
        intermediates=[authority("Unrelated CA", key("unrelated"))],
    )
    yield server(
        "crl_stray_required",
        chain,
        refused("crl_unusable", issuer=ISSUING.subject),
        crls=[stray],
        options=REQUIRE,
    )


def renewed_keys():
    """A CA that renews its key issues a certificate to itself; each key may sign its CRL."""
    name = "Webhook Test Issuing CA"
    renewed = authority(name, key("renewed issuing"), ROOT, path_length=1)
    old_with_new = authority(name, ISSUING.key, renewed, path_length=0)
    leaf = server_leaf(old_with_new)
    chain = [leaf, old_with_new, renewed]
    complete = [crl(renewed, [], 1, **FRESH), ROOT_CLEAN]
    yield server("crl_of_the_next_key_covers", chain, noted(), crls=complete, options=REQUIRE)
    revoking = crl(renewed, [leaf], 1, **FRESH)
    yield server("crl_of_the_next_key_revokes", chain, REVOKED, crls=[revoking])
    # A CA does not vouch for itself: a CRL under the key of a certificate says nothing about it.
    own = crl(old_with_new, [], 1, **FRESH)
    yield server(
        "crl_of_the_own_key_required",
        chain,
        unused("another_key"),
        crls=[own, ROOT_CLEAN],
        options=REQUIRE,
    )


def separate_keys():
    """A CA may have a key for CRLs alone. The peer presents its certificate beside the path."""
    name = "Webhook Test Issuing CA"
    own, leaf = key("crl signer"), server_leaf()

    def signer(issuer=ROOT, usage=("crl_sign",), **more):
        return authority(name, own, issuer, usage=usage, **more)

    clean = crl(ISSUING, [], 5, signer=own, **FRESH)
    revoking = crl(ISSUING, [leaf], 5, signer=own, **FRESH)

    def of(label, beside, expect, *crls):
        return server(
            f"crl_of_a_separate_key_{label}",
            [leaf, ISSUING, beside],
            expect,
            crls=[*crls, ROOT_CLEAN],
            options=REQUIRE,
        )

    foreign = unused("another_key")
    yield of("covers", signer(), noted(), clean)
    yield of("revokes", signer(), REVOKED, revoking)
    yield of("without_its_certificate", ROOT, foreign, clean)
    yield of("without_crl_sign", signer(usage=("key_cert_sign",)), foreign, clean)
    yield of("without_key_usage", signer(usage=()), foreign, clean)
    yield of("that_has_expired", signer(valid=(day(2020), day(2026, 5, 1))), foreign, clean)
    stranger = authority("Unrelated CA", key("unrelated"))
    yield of("of_another_issuer", signer(stranger), foreign, clean)
    forged = signer(authority(ROOT.subject.removeprefix("CN="), key("forger")))
    yield of("that_the_issuer_did_not_certify", forged, foreign, clean)
    revoked = crl(ROOT, [signer()], 6, **FRESH)
    yield server(
        "crl_of_a_separate_key_that_is_revoked",
        [leaf, ISSUING, signer()],
        foreign,
        crls=[clean, revoked],
        options=REQUIRE,
    )
    # Certified by the CA itself: its own revocation needs a CRL under the CA's key.
    by_itself = signer(ISSUING)
    yield of("of_the_ca_itself_unchecked", by_itself, foreign, clean)
    part = crl(ISSUING, [], 5, extra=[issuing_point(cas=True)], **FRESH)
    yield of("of_the_ca_itself", by_itself, noted(), clean, part)


def long_chains():
    """The longest chain that is judged, each certificate with a CRL."""
    cas = [ROOT]
    for at in range(9):
        cas.append(authority(f"Level {at} CA", key(f"level {at}"), cas[-1]))
    leaf = server_leaf(cas[-1])
    chain = [leaf, *reversed(cas[1:])]
    lists = [crl(ca, [], 1, **FRESH) for ca in cas]
    yield server("crl_of_ten_certificates", chain, noted(), crls=lists, options=REQUIRE)
    for label, missing in {"first": 0, "last": 9}.items():
        yield server(
            f"crl_of_ten_certificates_but_the_{label}",
            chain,
            refused("crl_unusable", issuer=cas[missing].subject),
            crls=[*lists[:missing], *lists[missing + 1 :]],
            options=REQUIRE,
        )
    revoking = crl(cas[4], [cas[5]], 2, **FRESH)
    yield server(
        "crl_of_ten_certificates_revokes_one",
        chain,
        refused("certificate_revoked", subject=cas[5].subject),
        crls=[*lists, revoking],
        options=REQUIRE,
    )


def unusable_lists():
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    clean = crl(ISSUING, [], 5, **FRESH)
    forged = crl(ISSUING, [leaf], 9, signer=key("forger"), **FRESH)
    future = crl(ISSUING, [], 6, **LATER)
    unchecked = noted("crl_unused", "revocation_unchecked")

    def required(name, expect, *crls):
        return server(f"crl_{name}", chain, expect, crls=[*crls, ROOT_CLEAN], options=REQUIRE)

    yield server("crl_forged_alone_is_noted", chain, unchecked, crls=[forged])
    yield required("forged_alone_required", unused("another_key"), forged)
    yield required("forged_beside_clean_required", noted("crl_unused"), forged, clean)
    yield server("crl_of_the_future_is_noted", chain, unchecked, crls=[future])
    yield required("of_the_future_required", unused("not_yet_valid"), future)
    yield server(
        "crl_of_the_future_beside_current", chain, noted("crl_unused"), crls=[future, clean]
    )
    yield server("crl_of_the_future_in_its_time", chain, noted(), crls=[future], at=day(2026, 6, 3))
    # The clock may be slow, or the instant in the past: the certificate was already revoked then.
    known = crl(ISSUING, [leaf], 6, revoked_on=day(2026, 5, 30), **LATER)
    yield server("crl_of_the_future_revokes", chain, REVOKED, crls=[known])
    yield server("crl_of_the_future_revokes_beside_current", chain, REVOKED, crls=[clean, known])
    yet_to_be = crl(ISSUING, [leaf], 6, **LATER)
    yield server(
        "crl_of_the_future_revokes_later",
        chain,
        noted("crl_unused"),
        crls=[clean, yet_to_be],
    )


def names_of_issuers():
    leaf = server_leaf()
    chain = [leaf, ISSUING]
    name = ISSUING.subject.removeprefix("CN=")
    for label, spelling in {
        "printable_string": spelled(name, "PrintableString"),
        "bmp_string": spelled(name, "BMPString"),
        "other_case": spelled(name.upper(), "UTF8String"),
        "other_spaces": spelled(f" {name.replace(' ', '   ')} ", "UTF8String"),
    }.items():
        revoking = crl(ISSUING, [leaf], 6, name=spelling, **FRESH)
        clean = crl(ISSUING, [], 6, name=spelling, **FRESH)
        yield server(f"crl_issuer_in_{label}_revokes", chain, REVOKED, crls=[revoking])
        yield server(
            f"crl_issuer_in_{label}_covers",
            chain,
            noted(),
            crls=[clean, ROOT_CLEAN],
            options=REQUIRE,
        )
    joined = crl(ISSUING, [leaf], 6, name=spelled(name.replace(" ", ""), "UTF8String"), **FRESH)
    yield server(
        "crl_issuer_with_other_letters",
        chain,
        unchecked("crl_unused", of=[leaf, ISSUING]),
        crls=[joined],
    )
    clean = crl(ISSUING, [], 5, **FRESH)
    # CRLs among the anchors are not used.
    for label, lists, expect in (
        ("alone", [], unchecked(of=[leaf, ISSUING])),
        ("beside_used", [clean], unchecked(of=[ISSUING])),
        ("beside_all", [clean, ROOT_CLEAN], noted()),
    ):
        case = server(f"crl_among_anchors_{label}", chain, expect, crls=lists)
        case["trust"]["anchors"] += clean
        yield case
    case = server("crl_among_anchors_required", chain, unused_list(), options=REQUIRE)
    case["trust"]["anchors"] += clean
    yield case
