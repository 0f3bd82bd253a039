"""The testing kit, used as in a user's own tests."""

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import webhook_mtls as wm
import webhook_mtls_testing
from webhook_mtls.testing import Consumer, Lab


def test_answers_are_given_in_order(acme: Any) -> None:
    acme.consumer.respond(500, times=2)
    acme.consumer.respond(204)
    statuses = []
    for _ in range(4):
        try:
            statuses.append(acme.dispatcher.deliver(acme.endpoint, b"{}").status)
        except wm.DeliveryError as error:
            statuses.append(error.context["status"])
    assert statuses == [500, 500, 204, 200]


def test_a_consumer_is_identified_by_its_name(lab: Lab) -> None:
    acme = lab.consumer("acme")
    assert lab.consumer("acme").url == acme.url
    assert lab.consumer("beta").url != acme.url
    assert (acme.name, acme.handshakes, acme.previous_pin) == ("acme", 0, None)
    assert not acme.wait(1, within=0)
    for bad in ("", "a b", 7):
        with pytest.raises(wm.ConfigError, match="option_invalid"):
            lab.consumer(bad)  # type: ignore[arg-type]


def test_the_names_of_misbehaviors_are_documented(lab: Lab) -> None:
    with pytest.raises(wm.ConfigError, match="option_invalid") as refused:
        lab.consumer("acme").misbehave("sing")  # type: ignore[arg-type]
    names = refused.value.message.partition('is "sing", not ')[2].split(" or ")
    assert "never_ask" in names
    documented = re.findall("`([a-z0-9_]+)`", str(Consumer.misbehave.__doc__))
    assert sorted(documented) == sorted([*names, "option_invalid"])
    stub = Path(webhook_mtls_testing.__file__).with_name("_kit.pyi").read_text("utf-8")
    literal = stub.partition("def misbehave(")[2].partition("]")[0]
    assert sorted(re.findall('"(.*)"', literal)) == sorted(names)


def test_a_closed_lab_serves_no_client_and_keeps_its_records(lab: Lab) -> None:
    with Lab() as closed:
        acme, dispatcher = closed.consumer("acme"), closed.dispatcher()
        endpoint = dispatcher.endpoint("acme", acme.url, pins=None)
        dispatcher.deliver(endpoint, b"{}")
    assert len(acme.received) == 1
    with pytest.raises(wm.ConfigError, match="handle_closed"):
        closed.consumer("acme")
    with pytest.raises(wm.DeliveryError, match="connect_failed"):
        dispatcher.deliver(endpoint, b"{}")


def test_the_files_are_named_as_in_a_kubernetes_secret(lab: Lab, tmp_path: Path) -> None:
    directory = tmp_path / "tls"
    lab.write_files(directory)
    assert sorted(file.name for file in directory.iterdir()) == ["ca.pem", "tls.crt", "tls.key"]
    assert stat.S_IMODE((directory / "tls.key").stat().st_mode) == 0o600
    identity = wm.Identity.from_files(directory / "tls.crt", directory / "tls.key")
    assert identity == lab.identity
    assert repr(identity) == repr(lab.identity)


def test_the_callers_options_replace_the_labs(lab: Lab) -> None:
    with Lab() as other:
        endpoint_of = lab.dispatcher(trust=other.trust).endpoint
        endpoint = endpoint_of("acme", other.consumer("acme").url, pins=None)
        assert endpoint.consumer == "acme"
        stranger = lab.dispatcher(trust=other.trust, timeout=5)
        theirs = stranger.endpoint("acme", lab.consumer("acme").url, pins=None)
        with pytest.raises(wm.DeliveryError, match="issuer"):
            stranger.deliver(theirs, b"{}")


@pytest.mark.parametrize(
    ("kit", "answer"),
    [
        ("None", "ModuleNotFoundError: the testing kit of webhook-mtls is not installed: pip"),
        ("Other", "ImportError: webhook-mtls is .*, but webhook-mtls-testing is 0.0.0; the vers"),
    ],
)
def test_a_kit_that_is_missing_or_of_another_version_is_named(kit: str, answer: str) -> None:
    program = f"""
import sys, webhook_mtls
class Other:
    __version__ = "0.0.0"
    def __getattr__(self, name): return None
sys.modules["webhook_mtls_testing"] = {kit.replace("Other", "Other()")}
import webhook_mtls.testing
"""
    command = [sys.executable, "-I", "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    last = ran.stderr.splitlines()[-1]
    assert re.match(answer, last), ran.stderr
    assert f'pip install "webhook-mtls[testing]=={wm.__version__}"' in last
