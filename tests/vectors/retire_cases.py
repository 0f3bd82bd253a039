"""Config cases of the operation `retire`: a process of the fleet may need the identity."""

import json

from merge_cases import altered

# The clock of the library, in Unix seconds, and a process that has published lately.
AT = 1_790_000_000
LATELY = AT * 1000 - 30_000
NEXT = "cert-sha256/next"


def consumer(wanted, accepted, unknown_to=(), circuit="closed"):
    """Returns what the processes know: `wanted` and `accepted` are lists by identity."""
    wanting = sorted({process for processes in wanted.values() for process in processes})
    return {
        "state": "unknown",
        "state_by": {"unknown": wanting} if wanting else {},
        "wanted_by": wanted,
        "accepted_by": accepted,
        "accepted_at_ms": LATELY if accepted else None,
        "pin_seen_by": {},
        "pins_never_seen": [],
        "peer_not_after_ms": None,
        "circuit": circuit,
        "circuit_by": {circuit: wanting} if wanting else {},
        "circuit_open_until_ms": None,
        "unknown_to": list(unknown_to),
    }


def fleet(consumers, **dates):
    """Returns a merged status of `a` and `b`. `dates` are the instants of processes."""
    identities = {}
    for name, known in consumers.items():
        for pin, processes in known["wanted_by"].items():
            needs = identities.setdefault(pin, {"wanted_by": [], "accepted_by": []})
            needs["wanted_by"] = sorted({*needs["wanted_by"], *processes})
        for pin in known["accepted_by"]:
            needs = identities.setdefault(pin, {"wanted_by": [], "accepted_by": []})
            needs["accepted_by"] = sorted({*needs["accepted_by"], name})
    return {
        "schema": 1,
        "processes": [
            {"process": name, "at_ms": dates.get(name, LATELY)}
            for name in sorted({"a", "b", *dates})
        ],
        "consumers": consumers,
        "identities": identities,
        "expiries": [
            {
                "what": "identity",
                "name": "CN=us",
                "not_after_ms": 4_000_000_000_000,
                "fraction_left": 0.5,
                "by": ["a", "b"],
            }
        ],
    }


def cases(pin):
    """* `pin`: of the certificate that is retired."""
    for name, document, force, expect in [*needed(pin), *dated()]:
        yield case(name, document, force, expect)
    for name, document in malformed(pin).items():
        # No document that cannot be read is overridden.
        yield case(f"of_{name}", document, True, OF_NO_FLEET)


def case(name, document, force, expect):
    given = {"fleet": document, "at": AT, "force": force}
    return {"name": f"retire_{name}", "do": "retire", "with": given, "expect": expect}


RETIRED = {"ok": {}}


def refused(kind, **context):
    return {"error": {"kind": kind, "stage": "config", "sent": "nothing", "context": context}}


def in_use(processes, consumers):
    return refused("identity_in_use", processes=processes, consumers=consumers)


OF_NO_FLEET = refused("option_invalid", option="fleet")


def needed(pin):
    both = {NEXT: ["a", "b"]}
    renewed = consumer(both, {NEXT: ["a"]})
    yield "an_identity_that_no_process_knows", fleet({"acme": renewed}), False, RETIRED
    yield "in_a_fleet_without_consumers", fleet({}), False, RETIRED
    late = consumer({NEXT: ["a"], pin: ["b"]}, {NEXT: ["a", "b"]})
    for force in (False, True):
        yield (
            f"an_identity_that_a_process_presents{'_by_force' if force else ''}",
            fleet({"acme": late, "other": renewed}),
            force,
            in_use(["b"], ["acme"]),
        )
    yield (
        "an_identity_that_both_present_to_different_consumers",
        fleet({"acme": late, "other": consumer({pin: ["a"]}, {}, unknown_to=["b"])}),
        True,
        in_use(["a", "b"], ["acme", "other"]),
    )
    behind = consumer(both, {NEXT: ["a"], pin: ["b"]})
    for force, expect in ((False, in_use(["b"], ["acme", "other"])), (True, RETIRED)):
        yield (
            f"an_identity_that_consumers_accepted_last{'_by_force' if force else ''}",
            fleet({"acme": behind, "other": consumer(both, {pin: ["b"]}), "third": renewed}),
            force,
            expect,
        )
    # What a process presents is named first, because no force helps.
    yield (
        "an_identity_that_is_presented_and_accepted",
        fleet({"acme": behind, "other": late}),
        False,
        in_use(["b"], ["other"]),
    )
    yield "of_a_text", json.dumps(fleet({"acme": renewed})), False, RETIRED
    later = fleet({"acme": renewed | {"added": 1}}) | {"added": "by a later version"}
    yield "ignores_unknown_fields", later, False, RETIRED
    unneeded = fleet({"acme": renewed})
    unneeded["identities"][pin] = {"wanted_by": [], "accepted_by": []}
    yield "an_identity_that_is_listed_and_not_needed", unneeded, False, RETIRED


def dated():
    def untimely(cause, *processes):
        return refused("option_invalid", option="fleet", cause=cause, processes=[*processes])

    # Ten seconds from each limit, because the clock runs on.
    old, fresh = (AT - 301) * 1000, (AT - 290) * 1000
    ahead, close = (AT + 70) * 1000, (AT + 59) * 1000
    yield "a_status_of_almost_five_minutes", fleet({}, a=fresh), False, RETIRED
    for force in (False, True):
        yield (
            f"an_old_status{'_by_force' if force else ''}",
            fleet({}, a=old),
            force,
            untimely("status_outdated", "a"),
        )
    yield (
        "the_oldest_status_first",
        fleet({}, a=old, b=0),
        True,
        untimely("status_outdated", "b", "a"),
    )
    yield "a_status_ahead_of_the_clock", fleet({}, b=close), False, RETIRED
    yield (
        "a_status_far_ahead_of_the_clock",
        fleet({}, b=ahead),
        True,
        untimely("status_premature", "b"),
    )
    yield (
        "a_status_of_the_end_of_time",
        fleet({}, a=253_402_300_799_000),
        True,
        untimely("status_premature", "a"),
    )


def malformed(pin):
    whole = fleet(
        {
            "acme": consumer({NEXT: ["a"], pin: ["b"]}, {NEXT: ["a"]}),
            "other": consumer({NEXT: ["a"]}, {}, unknown_to=["b"]),
        }
    )

    def changed(*path, to):
        return altered(whole, path, to)

    of_acme = ("consumers", "acme")
    twice = [{"process": "a", "at_ms": LATELY}, {"process": "a", "at_ms": LATELY}]
    return {
        "no_json": "{",
        "an_empty_text": "",
        "null": "null",
        "a_list": "[]",
        "deep_nesting": "[" * 1000,
        "the_status_of_a_process": {
            "schema": 1,
            "process": "a",
            "at_ms": LATELY,
            "consumers": {},
            "expiries": [],
        },
        "another_schema": changed("schema", to=2),
        "no_schema": changed("schema", to=None),
        "no_processes": changed("processes", to=None),
        "no_process": changed("processes", to=[]),
        "one_process_twice": changed("processes", to=twice),
        "a_process_without_a_date": changed("processes", 0, "at_ms", to=None),
        "a_date_in_words": changed("processes", 0, "at_ms", to="today"),
        "a_process_without_a_name": changed("processes", 0, "process", to=""),
        "no_consumers": changed("consumers", to=None),
        "a_list_of_consumers": changed("consumers", to=[]),
        "a_consumer_without_a_name": changed("consumers", to={"": whole["consumers"]["acme"]}),
        "another_state": changed(*of_acme, "state", to="staged"),
        "another_state_of_a_process": changed(*of_acme, "state_by", to={"staged": ["a"]}),
        "another_circuit": changed(*of_acme, "circuit", to="ajar"),
        "another_circuit_of_a_process": changed(*of_acme, "circuit_by", to={"ajar": ["a"]}),
        "no_wanted_identities": changed(*of_acme, "wanted_by", to=None),
        "no_accepted_identities": changed(*of_acme, "accepted_by", to=None),
        "an_identity_wanted_by_none": changed(*of_acme, "wanted_by", NEXT, to=[]),
        "an_identity_accepted_by_a_text": changed(*of_acme, "accepted_by", NEXT, to="a"),
        "an_unknown_process": changed(*of_acme, "accepted_by", NEXT, to=["c"]),
        "a_process_that_is_silent": changed("consumers", "other", "unknown_to", to=[]),
        "no_identities": changed("identities", to=None),
        "an_identity_left_out": changed("identities", pin, to=None),
        "a_wanting_process_left_out": changed("identities", NEXT, "wanted_by", to=[]),
        "an_accepting_consumer_left_out": changed("identities", NEXT, "accepted_by", to=[]),
        "an_unknown_consumer": changed("identities", NEXT, "accepted_by", to=["acme", "third"]),
        "no_expiries": changed("expiries", to=None),
        "an_expiry_by_no_process": changed("expiries", 0, "by", to=["c"]),
        "an_end_of_a_pause_in_words": changed(*of_acme, "circuit_open_until_ms", to="soon"),
    }
