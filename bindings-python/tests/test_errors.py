"""Exceptions: their classes, their fields, and serialization."""

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from typing import Any, get_args

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Lab, error

KINDS = get_args(wm.Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_class(kind: str) -> None:
    made = error(kind)
    family = {"config": wm.ConfigError, "verify": wm.PeerRefused}
    assert type(made) is family.get(made.stage, wm.DeliveryError)
    assert made.remedy
    assert made.message


def test_a_response_that_an_earlier_version_stored_is_read() -> None:
    answer = {"status": 503, "headers": {"retry-after": "7"}, "excerpt_base64": "YnVzeQ=="}
    fields = error("http_status", response=answer).to_dict()
    fields["response"] = answer
    response = wm.DeliveryError(fields).response
    assert response is not None
    assert response.header_lines == [("retry-after", "7")]
    assert response.truncated is False


@pytest.mark.parametrize(
    "travel",
    [
        lambda made: pickle.loads(pickle.dumps(made)),
        copy.copy,
        copy.deepcopy,
        lambda made: type(made)(*made.args),
        lambda made: type(made)(*json.loads(json.dumps(made.args))),
        lambda made: type(made)(made.to_dict()),
    ],
    ids=["pickle", "copy", "deepcopy", "args", "json", "to_dict"],
)
@pytest.mark.parametrize("kind", ["option_invalid", "http_status", "not_authorized"])
def test_an_error_survives_serialization(kind: str, travel: Any) -> None:
    answer = {"status": 503, "headers": {"retry-after": "7"}, "excerpt_base64": "YnVzeQ=="}
    made: Any = error(
        kind,
        sent="all",
        retry_after=7,
        consumer="acme",
        context={"status": 503, "names": ["a"]},
        response=answer,
    )
    again = travel(made)
    assert type(again) is type(made)
    assert again.to_dict() == made.to_dict()
    assert str(again) == str(made)
    assert (again.retry_after, again.consumer, again.context["names"]) == (7.0, "acme", ["a"])
    assert again.response.excerpt == b"busy"
    policy = wm.RetryPolicy(seed=1)
    assert policy.decide(again, attempt=1) == policy.decide(made, attempt=1)


def test_an_error_is_constructed_from_its_fields() -> None:
    for fields in ("text", {}, {"kind": "internal"}):
        with pytest.raises(TypeError):
            wm.DeliveryError(fields)  # type: ignore[arg-type]


def test_changing_shown_values_does_not_change_the_error() -> None:
    made = error("http_status", context={"status": 503})
    made.to_dict()["context"]["status"] = 1
    made.context["status"] = 2  # type: ignore[index]
    assert made.context == {"status": 503}


def test_the_consumer_sees_no_address() -> None:
    made = error("connect_failed", context={"address": "10.0.0.7:443"}, message="10.0.0.7 is down")
    assert "10.0.0.7" in repr(made.to_dict())
    assert "10.0.0.7" not in repr(made.public())
    assert made.public()["kind"] == "connect_failed"


def test_no_shown_value_contains_a_secret(lab: Lab) -> None:
    key = lab.identity_pem[1]
    secret = key.splitlines()[1]
    passphrase = b"a passphrase never shown"
    one_line = b"-----BEGIN " + secret
    with pytest.raises(wm.ConfigError) as raised:
        wm.Identity.from_pem(lab.identity_pem[0], one_line, passphrase=passphrase)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    for text in (shown, json.dumps(raised.value.to_dict()), str(raised.value), repr(lab.identity)):
        assert secret.decode() not in text
        assert passphrase.decode() not in text


def test_the_kit_refuses_impossible_errors() -> None:
    attempts: tuple[Callable[[], object], ...] = (
        lambda: error("no_such_kind"),
        lambda: error("internal", colour="red"),
        lambda: error("internal", sent="some"),
        lambda: error("internal", kind_="x"),
        lambda: error("internal", context={"x": object()}),
        lambda: error("internal", number=1),
    )
    for wrong in attempts:
        with pytest.raises(wm.ConfigError, match="option_invalid"):
            wrong()


def test_a_deep_context_is_refused_without_a_crash() -> None:
    deep: Any = None
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(wm.ConfigError):
        error("internal", context={"deep": deep})


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("http_status", "retry"),
        ("client_certificate_rejected", "park"),
        ("circuit_open", "retry"),
        ("header_invalid", "drop"),
    ],
)
def test_a_policy_decides_without_a_network(kind: str, action: str) -> None:
    decision = wm.RetryPolicy(attempts=3, first=2, ceiling=60).decide(error(kind), attempt=1)
    assert decision.action == action
    assert decision.reason


def test_a_policy_increases_the_delay_and_then_drops() -> None:
    policy = wm.RetryPolicy(attempts=3, first=2, ceiling=3)
    failure = error("http_status")
    decisions = [policy.decide(failure, attempt=attempt) for attempt in (1, 2, 3)]
    assert 1.0 <= decisions[0].delay <= 2.0 and 1.5 <= decisions[1].delay <= 3.0
    assert decisions[2].delay == 0.0
    seeded = [wm.RetryPolicy(seed=7).decide(failure, attempt=5) for _ in range(2)]
    assert seeded[0] == seeded[1]
    with pytest.raises(wm.ConfigError, match="from 1"):
        policy.decide(failure, attempt=0)
    assert [decision.action for decision in decisions] == ["retry", "retry", "drop"]
    assert policy.decide(error("http_status", retry_after=30), attempt=1).delay == 30.0
    assert not policy.decide(error("overloaded"), attempt=99).counts
