"""Bad input gets a typed error from the table, with nothing sent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import webhook_mtls
from webhook_mtls.testing import Lab, error

# Untyped, because a type checker would refuse these calls.
wm: Any = webhook_mtls

PIN = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def refused(kind: str, use: Callable[[], object], *words: str) -> webhook_mtls.ConfigError:
    with pytest.raises(wm.ConfigError) as raised:
        use()
    found: webhook_mtls.ConfigError = raised.value
    assert (found.kind, found.sent, found.stage) == (kind, "nothing", "config")
    assert isinstance(found, ValueError)
    for word in words:
        assert word in found.message, found.message
    return found


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.acme.example",
        "http://acme.example/",
        "https://user:secret@acme.example/",
        "https://acme.example/#part",
        "https:///path",
        "https://acme.example/\r\nx: y",
        "https://acme.example:99999/",
    ],
)
def test_a_bad_url(lab: Lab, url: str) -> None:
    with lab.dispatcher() as dispatcher:
        found = refused("url_invalid", lambda: dispatcher.endpoint("acme", url, pins=None))
    assert found.consumer == "acme"
    assert "secret" not in repr(found.to_dict())


@pytest.mark.parametrize(
    "headers",
    [
        {"x-event": "a\r\nx-evil: b"},
        {"x-event": "a\0"},
        {"x event": "a"},
        {"x\r\n": "a"},
        {"content-length": "1"},
    ],
)
def test_a_bad_header(acme: Any, headers: dict[str, str]) -> None:
    refused(
        "header_invalid",
        lambda: acme.dispatcher.deliver(acme.endpoint, b"{}", headers=headers),
    )
    assert acme.consumer.connections == 0


def test_a_too_large_body(acme: Any) -> None:
    body = bytes(32 * 1024 * 1024 + 1)
    refused("body_too_large", lambda: acme.dispatcher.deliver(acme.endpoint, body))
    assert acme.consumer.connections == 0


def test_bad_pem(lab: Lab) -> None:
    chain, key = lab.identity_pem
    for cert in (b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n", chain[:200]):
        refused("pem_invalid", partial(wm.Identity.from_pem, cert, key))
    for bad in (b"", b"garbage", key[:60]):
        found = refused("pem_invalid", partial(wm.Identity.from_pem, chain, bad))
        assert "garbage" not in repr(found.to_dict())
    refused("trust_invalid", lambda: wm.Trust.from_pem(b""))
    refused("pem_invalid", lambda: wm.Trust.from_pem(b"garbage"))
    refused("trust_invalid", lambda: wm.Trust.from_pem(chain))
    refused("pem_invalid", lambda: wm.pin_of(b"garbage"))


def test_the_key_of_another_certificate(lab: Lab) -> None:
    with Lab() as other:
        chain, key = lab.identity_pem[0], other.identity_pem[1]
    refused("key_mismatch", lambda: wm.Identity.from_pem(chain, key))


def test_unreadable_files(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    refused("pem_invalid", lambda: wm.Identity.from_files(missing, missing))
    refused("pem_invalid", lambda: wm.Trust.from_files(tmp_path))
    refused("pem_invalid", lambda: wm.Pins.from_file(missing))


@pytest.mark.parametrize("pins", [[], [""], ["sha256/"], ["00" * 32], [PIN + "x"]])
def test_bad_pins(pins: list[str]) -> None:
    refused("pin_invalid", lambda: wm.Pins(pins))


def test_pins_are_required(lab: Lab) -> None:
    dispatcher: Any = lab.dispatcher()
    url = lab.consumer("acme").url
    refused("option_invalid", lambda: dispatcher.endpoint("acme", url), "pins", "is missing")
    one_shot: Any = wm.deliver
    own = {"identity": lab.identity, "trust": lab.trust}
    refused("option_invalid", lambda: one_shot(url, b"", **own), "pins")
    assert lab.consumer("acme").connections == 0


def test_missing_material(lab: Lab) -> None:
    bare = wm.Dispatcher()
    make = bare.endpoint
    refused("option_invalid", lambda: make("acme", "https://acme.example/", pins=None), "trust")
    trusting = partial(make, "acme", "https://acme.example/", pins=None, trust=lab.trust)
    refused("option_invalid", trusting, "identity")


@pytest.mark.parametrize(
    "use",
    [
        lambda lab, acme: wm.Dispatcher(colour="red"),
        lambda lab, acme: wm.Dispatcher(colour=None),
        lambda lab, acme: lab.dispatcher(colour="red"),
        lambda lab, acme: acme.dispatcher.endpoint("b", "https://b.example", pins=None, colour=1),
        lambda lab, acme: acme.dispatcher.deliver(acme.endpoint, b"", colour="red"),
        lambda lab, acme: acme.dispatcher.close(colour="red"),
        lambda lab, acme: wm.deliver("https://b.example", b"", pins=None, colour="red"),
        lambda lab, acme: wm.Identity.from_files("a", "b", colour="red"),
        lambda lab, acme: wm.Identity.from_pem(b"a", b"b", colour="red"),
        lambda lab, acme: wm.Trust.from_files("a", colour="red"),
        lambda lab, acme: wm.Trust.from_pem(b"a", colour="red"),
        lambda lab, acme: wm.Pins([PIN], colour="red"),
        lambda lab, acme: wm.Egress("public", colour="red"),
        lambda lab, acme: wm.RetryPolicy(colour="red"),
        lambda lab, acme: wm.RetryPolicy().decide(error("internal"), attempt=1, colour="red"),
        lambda lab, acme: wm.Verifier(role="server", trust=lab.trust, colour="red"),
        lambda lab, acme: wm.Verifier(role="server", trust=lab.trust).verify(b"", colour="red"),
        lambda lab, acme: wm.verify_peer(b"", role="server", trust=lab.trust, colour="red"),
    ],
)
def test_an_unknown_option_is_named(lab: Lab, acme: Any, use: Callable[..., object]) -> None:
    found = refused("option_invalid", lambda: use(lab, acme), "colour")
    assert found.context["option"] == "colour"


class NotANumber:
    def __float__(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("option", "use"),
    [
        ("timeout", lambda lab, acme: wm.Dispatcher(timeout="5")),
        ("timeout", lambda lab, acme: wm.Dispatcher(timeout=True)),
        ("timeout", lambda lab, acme: wm.Dispatcher(timeout=NotANumber())),
        ("identity", lambda lab, acme: wm.Dispatcher(identity="tls.crt")),
        ("trust", lambda lab, acme: wm.Dispatcher(trust=lab.identity)),
        ("egress", lambda lab, acme: wm.Dispatcher(egress=["10.0.0.0/8"])),
        ("egress", lambda lab, acme: wm.Dispatcher(egress="internet")),
        ("allow", lambda lab, acme: wm.Egress(allow="10.0.0.0/8")),
        ("egress", lambda lab, acme: wm.Egress(allow=["10.0.0.1/8"])),
        ("preset", lambda lab, acme: wm.Egress(1)),
        ("current", lambda lab, acme: wm.Pins(PIN)),
        ("current", lambda lab, acme: wm.Pins([PIN.encode()])),
        ("current", lambda lab, acme: wm.Pins(7)),
        ("current", lambda lab, acme: wm.Pins(["\udc80"])),
        ("cert", lambda lab, acme: wm.Identity.from_pem(7, b"")),
        ("key", lambda lab, acme: wm.Identity.from_files("a", 3)),
        ("passphrase", lambda lab, acme: wm.Identity.from_pem(b"", b"", passphrase="text")),
        ("anchors", lambda lab, acme: wm.Trust.from_pem(7)),
        ("anchors", lambda lab, acme: wm.Trust.from_files(1.5)),
        ("crls", lambda lab, acme: wm.Trust.from_pem(lab.trust_pem, crls=b"one")),
        ("crls", lambda lab, acme: wm.Trust.from_pem(lab.trust_pem, crls=["one"])),
        ("cert", lambda lab, acme: wm.pin_of(7)),
        ("path", lambda lab, acme: wm.Pins.from_file(7)),
        ("consumer", lambda lab, acme: acme.dispatcher.endpoint(7, "https://a", pins=None)),
        ("consumer", lambda lab, acme: acme.dispatcher.endpoint("", "https://a", pins=None)),
        ("consumer", lambda lab, acme: acme.dispatcher.remove(b"acme")),
        ("url", lambda lab, acme: acme.dispatcher.endpoint("b", b"https://b", pins=None)),
        ("pins", lambda lab, acme: acme.dispatcher.endpoint("b", "https://b", pins=[PIN])),
        (
            "min_tls",
            lambda lab, acme: acme.dispatcher.endpoint("b", "https://b", pins=None, min_tls=1.3),
        ),
        (
            "min_tls",
            lambda lab, acme: acme.dispatcher.endpoint("b", "https://b", pins=None, min_tls="1.1"),
        ),
        ("endpoint", lambda lab, acme: acme.dispatcher.deliver("acme", b"")),
        ("endpoint", lambda lab, acme: lab.dispatcher().deliver(acme.endpoint, b"")),
        ("body", lambda lab, acme: acme.dispatcher.deliver(acme.endpoint, "text")),
        ("body", lambda lab, acme: acme.dispatcher.deliver(acme.endpoint, None)),
        ("body", lambda lab, acme: acme.dispatcher.deliver(acme.endpoint, {"a": 1})),
        ("id", lambda lab, acme: acme.dispatcher.deliver(acme.endpoint, b"", id=7)),
        (
            "content_type",
            lambda lab, acme: acme.dispatcher.deliver(acme.endpoint, b"", content_type=b"x"),
        ),
        (
            "headers",
            lambda lab, acme: acme.dispatcher.deliver(acme.endpoint, b"", headers=[("a", "b")]),
        ),
        (
            "headers",
            lambda lab, acme: acme.dispatcher.deliver(acme.endpoint, b"", headers={"a": 1}),
        ),
        (
            "timeout",
            lambda lab, acme: acme.dispatcher.deliver(
                acme.endpoint, b"", timeout=datetime.now(UTC)
            ),
        ),
        ("drain", lambda lab, acme: acme.dispatcher.close(drain="1")),
        ("drain", lambda lab, acme: acme.dispatcher.close(drain=-1)),
        ("drain", lambda lab, acme: acme.dispatcher.close(drain=float("nan"))),
        ("enabled", lambda lab, acme: wm.remember_signatures(1)),
        ("role", lambda lab, acme: wm.Verifier(trust=lab.trust)),
        ("role", lambda lab, acme: wm.Verifier(role="peer", trust=lab.trust)),
        ("role", lambda lab, acme: wm.Verifier(role=1, trust=lab.trust)),
        ("trust", lambda lab, acme: wm.Verifier(role="server")),
        ("trust", lambda lab, acme: wm.Verifier(role="server", trust=None)),
        ("pins", lambda lab, acme: wm.Verifier(role="server", trust=lab.trust, pins=PIN)),
        ("authorization", lambda lab, acme: wm.Verifier(role="client", trust=lab.trust)),
        (
            "strict_purpose",
            lambda lab, acme: wm.Verifier(role="server", trust=lab.trust, strict_purpose=1),
        ),
        ("template", lambda lab, acme: wm.TenantRule.san_uri(None)),
        ("tenant", lambda lab, acme: wm.TenantRule.san_uri("spiffe://corp/{name}")),
        ("uris", lambda lab, acme: wm.Authorization.san_uris("spiffe://corp/a")),
        ("authorization", lambda lab, acme: wm.Authorization.san_uris([])),
        ("attempts", lambda lab, acme: wm.RetryPolicy(attempts="8")),
        ("attempts", lambda lab, acme: wm.RetryPolicy(attempts=0)),
        ("first", lambda lab, acme: wm.RetryPolicy(first=-1)),
        ("attempt", lambda lab, acme: wm.RetryPolicy().decide(error("internal"))),
        ("attempt", lambda lab, acme: wm.RetryPolicy().decide(error("internal"), attempt=-1)),
        ("error", lambda lab, acme: wm.RetryPolicy().decide(ValueError(), attempt=1)),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(
    lab: Lab, acme: Any, option: str, use: Callable[..., object]
) -> None:
    found = refused("option_invalid", lambda: use(lab, acme))
    assert found.context["option"] == option
    assert acme.consumer.connections == 0


@pytest.mark.parametrize(
    "timeout",
    [0, -1, float("nan"), float("inf"), 10**400, timedelta(0), timedelta(days=2), -timedelta(1)],
)
def test_a_duration_is_finite_and_above_zero(acme: Any, timeout: Any) -> None:
    for use in (
        lambda: wm.Dispatcher(timeout=timeout),
        lambda: wm.Dispatcher(connect_timeout=timeout),
        lambda: acme.dispatcher.deliver(acme.endpoint, b"", timeout=timeout),
    ):
        refused("option_invalid", use, "timeout")


def test_a_panic_is_an_error_without_a_crash(capfd: pytest.CaptureFixture[str]) -> None:
    from webhook_mtls import _native

    refused("internal", _native._panic)
    assert "asked for by a test" in capfd.readouterr().err
