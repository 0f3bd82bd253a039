"""The statuses of several processes as one. The shared vectors have the rules."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from postgres_server import postgres_server
from redis_server import redis_server

import webhook_mtls as wm
from barrier import example
from webhook_mtls.testing import Lab


def test_the_statuses_of_two_processes_are_merged(lab: Lab) -> None:
    acme = lab.consumer("acme")
    with lab.dispatcher() as one, lab.dispatcher() as two:
        one.deliver(one.endpoint("acme", acme.url, pins=None), b"{}")
        two.endpoint("acme", acme.url, pins=None).open_circuit(600)
        texts = [json.dumps(it.process_status(name)) for it, name in ((one, "one"), (two, "two"))]
    fleet = wm.merge(texts)
    known = fleet["consumers"]["acme"]
    assert [it["process"] for it in fleet["processes"]] == ["one", "two"]
    assert (known["state"], known["state_by"]) == (
        "current",
        {"current": ["one"], "unknown": ["two"]},
    )
    assert (known["circuit"], known["circuit_by"]) == ("open", {"open": ["two"], "closed": ["one"]})
    assert list(fleet["identities"].values()) == [
        {"wanted_by": ["one", "two"], "accepted_by": ["acme"]}
    ]
    assert all(
        item["by"] == ["one", "two"] for item in fleet["expiries"] if item["what"] != "consumer"
    )


def test_what_is_no_status_is_refused(lab: Lab) -> None:
    with lab.dispatcher() as dispatcher:
        status = json.dumps(dispatcher.process_status("one"))
        for name in ("", "a\nb", "x" * 257, 1, None):
            with pytest.raises(wm.ConfigError) as refused:
                dispatcher.process_status(name)  # type: ignore[arg-type]
            assert refused.value.context["option"] == "process"
    for wrong in ([], [status, status], ["{}"], status, [json.loads(status)], None):
        with pytest.raises(wm.ConfigError) as refused:
            wm.merge(wrong)  # type: ignore[arg-type]
        assert (refused.value.kind, refused.value.context["option"]) == (
            "option_invalid",
            "statuses",
        )
    # 1000 endpoints take more than the limit of other texts.
    assert wm.merge([status + " " * 200_000])["consumers"] == {}


def test_an_identity_is_retired_if_no_process_of_the_fleet_needs_it(lab: Lab) -> None:
    acme = lab.consumer("acme")
    issued = lab.authority.issue("second")
    following = wm.Identity.from_pem(issued.cert_pem, issued.key_pem)
    with lab.dispatcher() as one, lab.dispatcher() as two:
        two.deliver(two.endpoint("acme", acme.url, pins=None), b"{}")
        fleet = wm.merge(json.dumps(it.process_status(name)) for it, name in ((two, "two"),))
        for shape in (fleet, json.dumps(fleet)):
            with pytest.raises(wm.ConfigError) as refused:
                one.retire(lab.identity, force=True, fleet=shape)
            assert refused.value.kind == "identity_in_use"
            assert refused.value.context["processes"] == ["two"]
            assert refused.value.context["consumers"] == ["acme"]
        # This process alone has no endpoint that depends.
        assert one.retire(lab.identity, fleet=None) == []

        two.endpoint("acme", acme.url, pins=None, identity=following)
        fleet = wm.merge([json.dumps(two.process_status("two"))])
        with pytest.raises(wm.ConfigError) as refused:
            one.retire(lab.identity, fleet=fleet)
        assert refused.value.context["consumers"] == ["acme"]
        assert one.retire(lab.identity, force=True, fleet=fleet) == ["acme"]
        fleet["processes"][0]["at_ms"] -= 600_000
        with pytest.raises(wm.ConfigError) as refused:
            one.retire(lab.identity, force=True, fleet=fleet)
        assert refused.value.context["cause"] == "status_outdated"
        cyclic: dict[str, Any] = {}
        cyclic["processes"] = cyclic
        wrong: Any
        for wrong in (b"{}", "{", {}, [], 1, {"schema": object()}, cyclic, {1: 2}):
            with pytest.raises(wm.ConfigError) as refused:
                one.retire(lab.identity, fleet=wrong)
            assert refused.value.context["option"] == "fleet"


@contextmanager
def shared_by_processes(store: str) -> Iterator[tuple[Any, Any]]:
    """Yields the program of the pages, and its store."""
    if store == "redis":
        with redis_server() as place, redis.Redis(unix_socket_path=str(place)) as shared:
            yield example("fleet_status"), shared
    else:
        shares = example("postgres_index")
        with postgres_server() as conninfo:
            shared = shares.Postgres(conninfo)
            shared.rows(shares.TABLES)
            yield shares, shared


@pytest.mark.slow
@pytest.mark.runtime
@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_an_identity_is_needed_until_the_last_process_has_the_next_one(
    lab: Lab, store: str
) -> None:
    acme = lab.consumer("acme")
    issued = lab.authority.issue("second")
    following = wm.Identity.from_pem(issued.cert_pem, issued.key_pem)
    with (
        shared_by_processes(store) as (shares, shared),
        lab.dispatcher() as one,
        lab.dispatcher() as two,
    ):
        for dispatcher, name in ((one, "one"), (two, "two")):
            dispatcher.deliver(dispatcher.endpoint("acme", acme.url, pins=None), b"{}")
            shares.publish(dispatcher, name, shared)
        renewed = one.endpoint("acme", acme.url, pins=None, identity=following)
        one.deliver(renewed, b"{}")
        shares.publish(one, "one", shared)
        assert shares.fleet(shared)["consumers"]["acme"]["state"] == "previous"
        with pytest.raises(wm.ConfigError) as refused:
            shares.retire(one, lab.identity, shared)
        assert refused.value.context["processes"] == ["two"]

        shares.withdraw("two", shared)
        assert shares.fleet(shared)["consumers"]["acme"]["state"] == "current"
        shares.retire(one, lab.identity, shared)
