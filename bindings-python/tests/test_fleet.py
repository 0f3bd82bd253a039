"""The statuses of several processes as one. The shared vectors have the rules."""

import json

import pytest
import redis
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


@pytest.mark.slow
@pytest.mark.runtime
def test_an_identity_is_needed_until_the_last_process_has_the_next_one(lab: Lab) -> None:
    shares = example("fleet_status")
    acme = lab.consumer("acme")
    issued = lab.authority.issue("second")
    following = wm.Identity.from_pem(issued.cert_pem, issued.key_pem)
    with (
        redis_server() as place,
        redis.Redis(unix_socket_path=str(place)) as shared,
        lab.dispatcher() as one,
        lab.dispatcher() as two,
    ):
        for dispatcher, name in ((one, "one"), (two, "two")):
            dispatcher.deliver(dispatcher.endpoint("acme", acme.url, pins=None), b"{}")
            shares.publish(dispatcher, name, shared)
        (previous,) = shares.fleet(shared)["identities"]

        renewed = one.endpoint("acme", acme.url, pins=None, identity=following)
        one.deliver(renewed, b"{}")
        shares.publish(one, "one", shared)
        known = shares.fleet(shared)
        assert known["consumers"]["acme"]["state"] == "previous"
        assert shares.needed_by(known, previous) == ["two", "acme"]

        shares.withdraw("two", shared)
        known = shares.fleet(shared)
        assert known["consumers"]["acme"]["state"] == "current"
        assert shares.needed_by(known, previous) == []
