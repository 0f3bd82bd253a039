"""Log records of deliveries and events under the logger `webhook_mtls`."""

import json
import logging
import time
from typing import Any

import pytest
from conftest import Acme

import webhook_mtls as wm
from barrier import LONG


def fields(record: logging.LogRecord) -> dict[str, Any]:
    known: dict[str, Any] = record.__dict__["webhook_mtls"]
    return known


def test_each_delivery_is_one_line(acme: Acme, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "webhook_mtls")
    for _ in range(2):
        wm.log_deliveries(acme.dispatcher)
    acme.dispatcher.deliver(acme.endpoint, b"{}", id="evt_1")
    (line,) = caplog.records
    assert (line.name, line.levelname) == ("webhook_mtls", "INFO")
    assert line.getMessage().startswith("delivered with status 200 address=127.0.0.1:")
    assert " consumer=acme " in line.getMessage()
    assert " id=evt_1 " in line.getMessage()
    assert fields(line)["tls_version"] == "TLSv1.3"
    assert fields(line)["reused"] is False


def test_the_level_says_whose_fault_it_is(acme: Acme, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "webhook_mtls")
    wm.log_deliveries(acme.dispatcher)
    acme.dispatcher.deliver(acme.endpoint, b"{}")
    acme.consumer.renew(new_key=True)
    with pytest.raises(wm.DeliveryError):
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    (theirs,) = caplog.records
    assert theirs.levelname == "WARNING"
    assert fields(theirs)["kind"] == "pin_mismatch"
    acme.dispatcher.close()
    with pytest.raises(wm.ConfigError):
        acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert caplog.records[-1].levelname == "ERROR"


def test_a_line_is_short_and_shows_no_secret(acme: Acme, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "webhook_mtls")
    wm.log_deliveries(acme.dispatcher)
    acme.consumer.respond(500, headers={"set-cookie": "s3cret"}, body=b"\n\xe2\x82\xac" * 20_000)
    with pytest.raises(wm.DeliveryError):
        acme.dispatcher.deliver(
            acme.endpoint, b"payl0ad", id="e" * 200, headers={"authorization": "Bearer t0ken"}
        )
    (line,) = caplog.records
    for text in (line.getMessage(), json.dumps(fields(line))):
        assert len(text.encode()) < 1024
        for secret in ("s3cret", "payl0ad", "t0ken", "/webhooks"):
            assert secret not in text


def test_events_are_logged(acme: Acme, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "webhook_mtls")
    wm.log_deliveries(acme.dispatcher)
    acme.consumer.misbehave("expired", times=0)
    for _ in range(5):
        with pytest.raises(wm.DeliveryError):
            acme.dispatcher.deliver(acme.endpoint, b"{}")
    end = time.monotonic() + LONG
    while not (opened := [it for it in caplog.records if "circuit_opened" in it.getMessage()]):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert fields(opened[0])["consumer"] == "acme"


def test_a_logger_may_be_chosen(acme: Acme, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    wm.log_deliveries(acme.dispatcher.as_async(), logger=logging.getLogger("orders"))
    acme.dispatcher.deliver(acme.endpoint, b"{}")
    assert [line.name for line in caplog.records] == ["orders"]


def test_an_argument_of_another_type_is_refused(acme: Acme) -> None:
    untyped: Any = "orders"
    with pytest.raises(TypeError, match=r"must be a logging\.Logger, not str"):
        wm.log_deliveries(acme.dispatcher, logger=untyped)
    with pytest.raises(TypeError, match="must be a Dispatcher or an AsyncDispatcher, not str"):
        wm.log_deliveries(untyped)
