"""A secret in a wrong argument is never shown: not in an exception, not in a created object, not on
the terminal.

Introspection finds the public functions and their arguments, so that a new one is tested as soon as
it exists.
"""

import asyncio
import inspect
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import webhook_mtls
from webhook_mtls import testing
from webhook_mtls.testing import Lab

wm: Any = webhook_mtls

WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
PIN = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

# Not tried: types that only checkers know, and containers of what a test of its own gave.
PASSED_OVER = {"Blame", "Kind", "Retry", "Scope", "Sent", "Stage", "AsyncOutcomes", "Response"}

# Names by which a caller knows things again. What can be nothing but a secret is refused there;
# words and digits can be a name.
NAMES = {
    ("Dispatcher.endpoint", "consumer"),
    ("Dispatcher.process_status", "process"),
    ("Authorization.trust_domain", "domain"),
    ("Hop.address", "name"),
    ("Hop.certificate", "name"),
    ("Hop.secret", "name"),
    ("Hop.unix", "name"),
}

# Returned unchanged: the consumer's name in the testing kit, and the caller's tag of a delivery.
OWN = {
    ("Authority", "name"),
    ("Authority.issue", "tenant"),
    ("Delivery", "tag"),
    ("Lab.consumer", "name"),
}


@dataclass
class Secret:
    what: str
    text: str
    # By which it is known again.
    parts: list[str]

    @property
    def may_be_a_name(self) -> bool:
        return self.what in ("passphrase", "hex")


def secrets_of(lab: Lab) -> list[Secret]:
    key = lab.identity_pem[1].decode()
    body = "".join(key.splitlines()[1:-1])
    letters = [body[at : at + 8] for at in range(0, len(body) - 8, 4)]
    return [
        Secret("PEM", key, letters),
        Secret("one line", body, letters),
        Secret("passphrase", "correct horse battery staple", ["battery"]),
        Secret("hex", "5ec2e70f" * 8, ["5ec2e70f"]),
        Secret("signing secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ["MfKQ9r8G"]),
        Secret("token", "Bearer mF_9.B5f-4.1JqMmF_9.B5f-4.1JqM", ["mF_9.B5f"]),
        Secret("userinfo", f"https://user:{'hunter2/' * 40}@acme.example/in", ["hunter2"]),
    ]


def misplaced(text: str) -> list[Any]:
    """In every shape in which an argument takes text or bytes."""
    data = text.encode()
    return [text, data, bytearray(data), [text], [data], {text: "x"}, {"x-a": text}, {"404": text}]


@dataclass
class Call:
    name: str
    function: Callable[..., Any]
    arguments: list[inspect.Parameter]


def calls(nouns: dict[str, Any]) -> Iterator[Call]:
    for module in (webhook_mtls, testing):
        for name in module.__all__:
            if not callable(getattr(module, name)):
                continue
            if name in PASSED_OVER:
                continue
            value = getattr(module, name)
            yield call(name, value)
            for method in dir(value) if inspect.isclass(value) else []:
                of_base = hasattr(Exception, method)
                if method.startswith("_") or of_base or not callable(getattr(value, method)):
                    continue
                found = call(f"{name}.{method}", getattr(value, method))
                if "self" in inspect.signature(found.function).parameters and found.arguments:
                    found = call(found.name, getattr(nouns[name], method))
                yield found


def call(name: str, function: Callable[..., Any]) -> Call:
    skipped = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(function).parameters.values()
    arguments = [one for one in parameters if one.kind not in skipped and one.name != "self"]
    return Call(name, function, arguments)


def outcome(call: Call, given: dict[str, Any]) -> list[str]:
    """All that a call shows."""
    positional = [
        given.pop(one.name)
        for one in call.arguments
        if one.kind is not one.KEYWORD_ONLY and one.name in given
    ]
    try:
        made = call.function(*positional, **given)
        if inspect.iscoroutine(made):
            made = asyncio.run(made)
        if call.name.endswith("deliver_many"):
            made = list(made) if hasattr(made, "__next__") else made
        return [repr(made), str(made)]
    except Exception as raised:
        shown = [repr(raised), str(raised), repr(raised.args), repr(raised.__cause__)]
        shown += traceback.format_exception(raised, chain=True)
        if isinstance(raised, wm.WebhookMtlsError):
            shown += [repr(raised.to_dict()), repr(raised.public()), repr(raised.context)]
        return shown


def test_a_secret_in_a_wrong_argument_is_never_shown(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    events: list[str] = []
    tried = 0
    with Lab() as lab:
        dispatcher = lab.dispatcher()
        dispatcher.on_event(lambda event: events.append(repr(event)))
        # No server listens there, so a value that is refused only at sending is not sent.
        endpoint = dispatcher.endpoint("acme", "https://127.0.0.1:1/", pins=None)
        verifier = wm.Verifier(role="server", trust=lab.trust)
        clients = wm.Verifier(role="client", trust=lab.trust, tenant=wm.TenantRule.subject_cn())
        peer = clients.verify(lab.identity_pem[0])
        acme = lab.consumer("acme")
        reachable = dispatcher.endpoint("reachable", acme.url, pins=None)
        nouns = {
            "Probe": dispatcher.probe(reachable),
            "Receipt": dispatcher.deliver(reachable, b"{}"),
            "Dispatcher": dispatcher,
            "AsyncDispatcher": dispatcher.as_async(),
            "Endpoint": endpoint,
            "Verifier": verifier,
            "WebhookVerifier": wm.WebhookVerifier(secrets=[WEBHOOK_SECRET]),
            "ConfigError": testing.error("option_invalid"),
            "DeliveryError": testing.error("pin_mismatch"),
            "PeerRefused": testing.error("tenant_refused"),
            "WebhookMtlsError": testing.error("internal"),
            "RetryPolicy": wm.RetryPolicy(),
            "Authority": lab.authority,
            "Consumer": acme,
            "Issued": acme.issued,
            "Lab": lab,
        }
        sound = {
            "anchors": lab.trust_pem,
            "attempt": 1,
            "body": b"",
            "cert": "/dev/null",
            "chain": b"",
            "consumer": "acme",
            "count": 0,
            "current": [PIN],
            "data": b"",
            "deliveries": [],
            "dispatcher": dispatcher,
            "duration": 1,
            "dialect": "rfc9440",
            "endpoint": endpoint,
            "header": "x-hop",
            "headers": [],
            "hop": wm.Hop.unix("edge"),
            "keys": lab.identity_pem[1],
            "peer": peer,
            "error": testing.error("internal"),
            "how": "stall",
            "identity": lab.identity,
            "key": "/dev/null",
            "name": "acme",
            "new_key": False,
            "passphrase": b"",
            "path": "/dev/null",
            "pins": None,
            "role": "server",
            "sign": bytes,
            "socket": None,
            "status": 200,
            "tenant": "acme",
            "trust": lab.trust,
            "url": "https://127.0.0.1:1/",
            "value": "0123456789abcdef",
            "within": 0,
        }
        for secret in secrets_of(lab):
            for one in calls(nouns):
                for argument in one.arguments:
                    if secret.may_be_a_name and (one.name, argument.name) in NAMES:
                        continue
                    if (one.name, argument.name) in OWN:
                        continue
                    for value in misplaced(secret.text):
                        given = {
                            other.name: sound[other.name]
                            for other in one.arguments
                            if other.default is other.empty and other.name != argument.name
                        }
                        shown = outcome(one, given | {argument.name: value})
                        shown += events
                        tried += 1
                        for part in secret.parts:
                            assert not any(part in text for text in shown), (
                                f"{one.name}({argument.name}=) shows {secret.what}: {shown}"
                            )
        parts = [part for secret in secrets_of(lab) for part in secret.parts]
    told = capfd.readouterr()
    for text in (told.out, told.err, caplog.text):
        assert not any(part in text for part in parts), text
    assert tried > 1000, "the public functions were not found"
