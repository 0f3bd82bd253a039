"""Config cases of the operation `merge`: the statuses of several processes as one."""

import copy
import json

OLD, NEW = "cert-sha256/old", "cert-sha256/new"


def rotation(state, wanted=NEW, accepted=None, at_ms=None):
    return {
        "wanted": wanted,
        "accepted": accepted,
        "accepted_at_ms": at_ms,
        "state": state,
        "pin": None,
        "pin_slot": None,
    }


UNKNOWN = rotation("unknown")
CURRENT = rotation("current", accepted=NEW, at_ms=2000)
PREVIOUS = rotation("previous", accepted=OLD, at_ms=1000)
# A process that has not read the new files.
BEHIND = rotation("current", wanted=OLD, accepted=OLD, at_ms=3000)


def endpoint(circuit="closed", until=None, seen=None, never=(), not_after=None):
    return {
        "pin_seen": seen,
        "pins_never_seen": list(never),
        "peer_not_after_ms": not_after,
        "identity_accepted": None,
        "circuit": circuit,
        "circuit_open_until_ms": until,
    }


def acme(rotation=UNKNOWN, **status):
    return {"acme": {"rotation": rotation, "endpoint": endpoint(**status)}}


def expiry(name, not_after, left, what="identity"):
    return {"what": what, "name": name, "not_after_ms": not_after, "fraction_left": left}


def status(process, consumers=None, expiries=(), **more):
    return {
        "schema": 1,
        "process": process,
        "at_ms": 5000,
        "consumers": consumers or {},
        "expiries": list(expiries),
        **more,
    }


def cases():
    yield from (case(f"merge_{name}", given, expect) for name, given, expect in merged())
    yield from (case(f"merge_of_{name}", given, REFUSED) for name, given in bad_documents().items())


def in_order(document):
    """Sorts the keys: one runner compares lists by their text."""
    return json.loads(json.dumps(document, sort_keys=True))


def case(name, statuses, expect):
    return {"name": name, "do": "merge", "with": {"statuses": statuses}, "expect": in_order(expect)}


def ok(**expected):
    return {"ok": {"schema": 1, **expected}}


def of_acme(**expected):
    return ok(consumers={"acme": expected})


def merged():
    yield (
        "of_one_process",
        [status("a", acme(CURRENT))],
        ok(
            processes=[{"process": "a", "at_ms": 5000}],
            consumers={"acme": {"state": "current", "circuit": "closed", "unknown_to": []}},
            identities={NEW: {"wanted_by": ["a"], "accepted_by": ["acme"]}},
            expiries=[],
        ),
    )
    yield (
        "sorts_the_processes",
        [status("b", at_ms=1), status("a")],
        ok(processes=[{"process": "a", "at_ms": 5000}, {"process": "b", "at_ms": 1}]),
    )
    yield (
        "current_if_none_contradicts",
        [status("a", acme(CURRENT)), status("b", acme())],
        of_acme(
            state="current",
            state_by={"current": ["a"], "unknown": ["b"]},
            wanted_by={NEW: ["a", "b"]},
            accepted_by={NEW: ["a"]},
            accepted_at_ms=2000,
        ),
    )
    yield (
        "previous_if_one_process_says_so",
        [status("a", acme(CURRENT)), status("b", acme(PREVIOUS)), status("c", acme(CURRENT))],
        of_acme(
            state="previous",
            state_by={"current": ["a", "c"], "previous": ["b"]},
            accepted_by={NEW: ["a", "c"], OLD: ["b"]},
            accepted_at_ms=2000,
        ),
    )
    yield (
        "previous_if_two_identities_are_wanted",
        [status("a", acme(CURRENT)), status("b", acme(BEHIND))],
        ok(
            consumers={
                "acme": {
                    "state": "previous",
                    "state_by": {"current": ["a", "b"]},
                    "wanted_by": {NEW: ["a"], OLD: ["b"]},
                    "accepted_at_ms": 3000,
                }
            },
            identities={
                NEW: {"wanted_by": ["a"], "accepted_by": ["acme"]},
                OLD: {"wanted_by": ["b"], "accepted_by": ["acme"]},
            },
        ),
    )
    yield (
        "unknown_if_none_has_seen_it",
        [status("a", acme()), status("b")],
        of_acme(
            state="unknown", state_by={"unknown": ["a"]}, accepted_at_ms=None, unknown_to=["b"]
        ),
    )
    yield (
        "the_worst_circuit",
        [
            status("a", acme(circuit="half_open")),
            status("b", acme(circuit="open", until=7000)),
            status("c", acme(circuit="open", until=9000)),
            status("d", acme()),
        ],
        of_acme(
            circuit="open",
            circuit_by={"open": ["b", "c"], "half_open": ["a"], "closed": ["d"]},
            circuit_open_until_ms=9000,
        ),
    )
    yield (
        "a_half_open_circuit",
        [status("a", acme()), status("b", acme(circuit="half_open"))],
        of_acme(circuit="half_open", circuit_open_until_ms=None),
    )
    yield (
        "the_keys_of_the_consumer",
        [
            status("a", acme(seen="sha256/x", never=["sha256/z"], not_after=9000)),
            status("b", acme(seen="sha256/y", never=["sha256/x", "sha256/z"], not_after=8000)),
            status("c", acme()),
        ],
        of_acme(
            pin_seen_by={"sha256/x": ["a"], "sha256/y": ["b"]},
            pins_never_seen=["sha256/x", "sha256/z"],
            peer_not_after_ms=8000,
        ),
    )
    yield (
        "the_earliest_expiry",
        [
            status(
                "a", expiries=[expiry("CN=us", 9000, 0.5), expiry("CN=ca", 1000, 0.7, "anchor")]
            ),
            status("b", expiries=[expiry("CN=us", 8000, 0.4)]),
            status("c", expiries=[expiry("CN=us", 8000, 0.3)]),
        ],
        ok(
            expiries=[
                expiry("CN=us", 8000, 0.3) | {"by": ["b", "c"]},
                expiry("CN=ca", 1000, 0.7, "anchor") | {"by": ["a"]},
            ]
        ),
    )
    yield (
        "ignores_unknown_fields",
        [status("a", acme(CURRENT), added={"by": "a later version"})],
        of_acme(state="current"),
    )
    yield "of_texts", [json.dumps(status("a", acme(CURRENT)))], of_acme(state="current")


REFUSED = {
    "error": {
        "kind": "option_invalid",
        "stage": "config",
        "sent": "nothing",
        "context": {"option": "statuses"},
    }
}


def altered(document, path, to):
    """Returns a copy of a document whose field at `path` is `to`, or is missing if `to` is None."""
    copied = copy.deepcopy(document)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return copied


def bad_documents():
    whole = status("a", acme(CURRENT), [expiry("CN=us", 9000, 0.5)])

    def changed(*path, to):
        return [status("b"), altered(whole, path, to)]

    of_rotation, of_endpoint = (("consumers", "acme", it) for it in ("rotation", "endpoint"))
    return {
        "no_process": [],
        "one_process_twice": [whole, whole],
        "no_json": ["{"],
        "an_empty_text": [""],
        "a_list": ["[]"],
        "null": ["null"],
        "deep_nesting": ["[" * 1000],
        "another_schema": changed("schema", to=2),
        "no_schema": changed("schema", to=None),
        "no_name": changed("process", to=None),
        "an_empty_name": changed("process", to=""),
        "a_name_that_is_a_number": changed("process", to=4711),
        "no_date": changed("at_ms", to=None),
        "no_consumers": changed("consumers", to=None),
        "a_list_of_consumers": changed("consumers", to=[]),
        "no_expiries": changed("expiries", to=None),
        "no_rotation": changed(*of_rotation, to=None),
        "no_endpoint": changed(*of_endpoint, to=None),
        "another_state": changed(*of_rotation, "state", to="staged"),
        "another_circuit": changed(*of_endpoint, "circuit", to="ajar"),
        "no_wanted_identity": changed(*of_rotation, "wanted", to=None),
        "a_date_in_words": changed(*of_rotation, "accepted_at_ms", to="today"),
        "pins_that_are_a_text": changed(*of_endpoint, "pins_never_seen", to="sha256/x"),
        "a_pin_that_is_a_number": changed(*of_endpoint, "pins_never_seen", to=[1]),
        "a_share_above_one": changed("expiries", 0, "fraction_left", to=1.5),
        "an_expiry_without_date": changed("expiries", 0, "not_after_ms", to=None),
    }
