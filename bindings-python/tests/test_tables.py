"""Copies of the core's tables are equal to them, and every public item is documented."""

import ast
import doctest
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import webhook_mtls as wm
import webhook_mtls_testing
from webhook_mtls import AsyncDispatcher, _native, testing

TABLES = _native._tables()
NAMES = vars(wm) | vars(testing)


def options(*nouns: str) -> set[str]:
    return {row["name"] for row in TABLES["options"] if row["of"] in nouns}


def keywords(function: Any) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def test_the_kinds_equal_the_table() -> None:
    assert list(get_args(wm.Kind)) == [kind["name"] for kind in TABLES["kinds"]]


@pytest.mark.parametrize("word", ["stage", "blame", "scope", "sent", "retry"])
def test_the_names_equal_the_tables(word: str) -> None:
    assert list(get_args(getattr(wm, word.capitalize()))) == TABLES["words"][word]


def test_every_kind_has_the_fields_of_the_table() -> None:
    for kind in TABLES["kinds"]:
        made = testing.error(kind["name"])
        for field in ("number", "stage", "blame", "scope", "retry", "remedy"):
            assert getattr(made, field) == kind[field]


@pytest.mark.parametrize(
    ("function", "nouns", "more"),
    [
        (wm.Dispatcher, ["dispatcher"], set()),
        (wm.Dispatcher.endpoint, ["endpoint"], set()),
        (wm.Dispatcher.deliver, ["deliver"], set()),
        (AsyncDispatcher.deliver, ["deliver"], set()),
        (wm.Dispatcher.probe, ["probe"], set()),
        (AsyncDispatcher.probe, ["probe"], set()),
        (wm.Dispatcher.diagnose, ["diagnosis"], set()),
        (AsyncDispatcher.diagnose, ["diagnosis"], set()),
        (wm.deliver, ["dispatcher", "endpoint", "deliver"], set()),
        (wm.Verifier, ["verifier"], set()),
        (wm.verify_peer, ["verifier"], {"server_name", "at"}),
        (wm.RetryPolicy, ["retry_policy"], set()),
    ],
)
def test_the_options_equal_the_table(function: Any, nouns: list[str], more: set[str]) -> None:
    assert keywords(function) == options(*nouns) | more


def test_a_default_is_written_only_in_the_core() -> None:
    for function in (
        wm.Dispatcher,
        wm.Dispatcher.endpoint,
        wm.Dispatcher.deliver,
        wm.deliver,
        AsyncDispatcher.deliver,
        wm.Dispatcher.probe,
        AsyncDispatcher.probe,
        wm.Dispatcher.diagnose,
        AsyncDispatcher.diagnose,
        wm.Verifier,
        wm.verify_peer,
        wm.RetryPolicy,
    ):
        for parameter in inspect.signature(function).parameters.values():
            assert parameter.default in (None, parameter.empty), (function, parameter)


def public() -> Iterator[tuple[str, Any]]:
    for module in (wm, testing):
        for name in module.__all__:
            yield f"{module.__name__}.{name}", getattr(module, name)


def documented() -> Iterator[tuple[str, Any]]:
    """Yields every public item that can have a docstring."""
    for name, item in public():
        if inspect.isclass(item) or (callable(item) and not get_args(item)):
            yield name, item
        if inspect.isclass(item):
            for member in vars(item):
                if not member.startswith("_"):
                    yield f"{name}.{member}", getattr(item, member)


def test_every_public_item_is_documented() -> None:
    names = dict(documented())
    assert len(names) > 120
    assert [name for name, item in names.items() if not (item.__doc__ or "").strip()] == []


def stubbed(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Yields the public names of the stub, and their docstrings."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, ast.get_docstring(node)
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    yield f"{node.name}.{member.name}", ast.get_docstring(member)


def test_the_stubs_have_the_docstrings_of_the_native_modules() -> None:
    places = [
        Path(_native.__file__).with_name("_native.pyi"),
        Path(webhook_mtls_testing.__file__).with_name("_kit.pyi"),
    ]
    pairs = (pair for place in places for pair in stubbed(ast.parse(place.read_text())))
    stub = {name: doc for name, doc in pairs if not re.search(r"(^|\.)_", name)}
    native: dict[str, str | None] = {}
    for name, item in documented():
        name = name.removeprefix("webhook_mtls.").removeprefix("testing.")
        if name in stub:
            native[name] = inspect.getdoc(item)
    assert len(native) > 110
    known = {name.split(".")[-1] for name, _ in public()} | {"Completions", "CancelToken"}
    assert {name for name in stub if name.split(".")[0] not in known} == set()
    assert {name: stub[name] for name in native} == native
    assert [name for name in native if not stub[name]] == []


@pytest.mark.parametrize(
    ("name", "item"), [pair for pair in documented() if ">>>" in (pair[1].__doc__ or "")]
)
def test_the_examples_of_docstrings_run(name: str, item: Any) -> None:
    text = inspect.getdoc(item) or ""
    example = doctest.DocTestParser().get_doctest(text, NAMES.copy(), name, None, None)
    assert doctest.DocTestRunner().run(example).failed == 0


def run(program: str) -> str:
    command = [sys.executable, "-I", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_importing_loads_only_needed_modules() -> None:
    loaded = run("import sys; import webhook_mtls; print(*sys.modules)").split()
    assert "webhook_mtls._native" in loaded
    heavy = ["asyncio", "ssl", "json", "typing", "dataclasses", "inspect", "threading", "logging"]
    ours = ["webhook_mtls.testing", "webhook_mtls._asyncio", "webhook_mtls._words"]
    ours += ["webhook_mtls_testing"]
    bare = run("import sys; print(*sys.modules)").split()
    assert [name for name in heavy + ours if name in loaded and name not in bare] == []


def test_delivering_never_imports_the_testing_kit() -> None:
    program = """
import asyncio, sys, webhook_mtls as wm
async def main():
    endpoint = object()
    try:
        await wm.Dispatcher().as_async().deliver(endpoint, b"")
    except wm.ConfigError as error:
        error.public(); error.to_dict(); repr(error)
asyncio.run(main())
print("webhook_mtls.testing" in sys.modules)
"""
    assert run(program) == "False\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="colour"):
        wm.colour  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.slow
def test_the_stubs_match_the_native_module(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    # stubtest treats a Literal alias as a function, and a native module lists all its names.
    # stubtest reads Annotated[…] as a class.
    names = [
        "webhook_mtls\\._words\\..*",
        "webhook_mtls\\.fastapi\\.Peer.*",
        # functools.cache hides the signature from the stub only.
        "webhook_mtls\\.uvicorn\\._carrying",
        # Classes of libraries without types are their bases.
        "webhook_mtls\\.(celery|dramatiq|gunicorn)\\..*",
        "webhook_mtls.*\\._(native|kit)\\.__all__",
    ]
    allowed.write_text("\n".join(names))
    # Libraries without types, which some modules use.
    config = tmp_path / "mypy.ini"
    untyped = "celery.*,dramatiq.*,eventlet.*,gevent.*,gunicorn.*"
    config.write_text(f"[mypy-{untyped}]\nignore_missing_imports = True\n")
    packages = ["webhook_mtls", "webhook_mtls_testing"]
    command = [sys.executable, "-m", "mypy.stubtest", *packages, "--allowlist", str(allowed)]
    command += ["--mypy-config-file", str(config)]
    compared = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert compared.returncode == 0, compared.stdout


# An Ed25519 private key in PKCS#8, and the public key of RFC 8037.
ED25519 = bytes.fromhex("302e020100300506032b657004220420") + bytes(32)
ED25519_JWK = b'{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'


def valid(row: dict[str, Any], lab: testing.Lab) -> Any:
    """Returns a value of the type that the table gives for the option."""
    words = TABLES["words"].get(row["words"], [])
    samples = {"proxy": "http://127.0.0.1:1", "proxy_credentials": "user:password"}
    samples |= {"server_uri": "spiffe://corp/a", "content_type": "text/plain"}
    values = {
        "duration": 1.5,
        "integer": 2,
        "number": 0.5,
        "flag": True,
        "text": words[0] if words else samples.get(row["name"], "a"),
        "pairs": {"404": words[0]} if words else {"x-a": "b"},
        "role": words[-1:],
        "egress": words[-1:],
        "identity": lab.identity,
        "trust": lab.trust,
        "pins": wm.Pins([lab.consumer("pinned").pin]),
        "signing": wm.StandardWebhooks(["whsec_" + "A" * 32]),
        "json": {"tier": 7},
        "secrets": {"acme": ["whsec_" + "A" * 32]},
        "keys": wm.JwtKeys(ED25519_JWK),
        "tenant_rule": wm.TenantRule.subject_cn(),
        "authorization": wm.Authorization.ca_members(),
    }
    value = values[row["kind"]]
    return value[0] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "row", TABLES["options"], ids=[f"{row['of']}.{row['name']}" for row in TABLES["options"]]
)
def test_every_option_takes_its_type_and_refuses_another(
    row: dict[str, Any], lab: testing.Lab, acme: Any
) -> None:
    url = acme.consumer.url
    # Credentials are refused without a proxy.
    needs_proxy = row["name"] in ("proxy_credentials", "proxy_by_name")
    proxy = {"proxy": "http://127.0.0.1:1"} if needs_proxy else {}
    needed: dict[str, Any] = {"role": "server", "trust": lab.trust}
    take: Callable[..., object] = {
        "dispatcher": lambda **given: wm.Dispatcher(**proxy | given),
        "endpoint": lambda **given: acme.dispatcher.endpoint("b", url, **{"pins": None} | given),
        "deliver": lambda **given: wm.Delivery(acme.endpoint, b"", **given),
        "probe": lambda **given: acme.dispatcher.probe(acme.endpoint, **given),
        "diagnosis": lambda **given: acme.dispatcher.diagnose(acme.endpoint, **given),
        "verifier": lambda **given: wm.Verifier(**needed | given),
        "retry_policy": lambda **given: wm.RetryPolicy(**given),
        "jwt_bearer": lambda **given: wm.JwtBearer.from_pem(ED25519, **given),
        "webhook_verifier": lambda **given: wm.WebhookVerifier(
            **{"keys": wm.JwtKeys(ED25519_JWK)} | given
        ),
    }[row["of"]]
    if (row["of"], row["name"]) not in [("verifier", "tenant"), ("verifier", "authorization")]:
        take(**{row["name"]: valid(row, lab)})
    with pytest.raises(wm.ConfigError) as caught:
        take(**{row["name"]: object()})
    assert caught.value.kind == "option_invalid"
    assert caught.value.context["option"] == row["name"]


def test_every_kind_has_a_verdict() -> None:
    actions = {"later": "retry", "after_repair": "park", "never": "drop"}
    for kind in TABLES["kinds"]:
        decision = wm.RetryPolicy().decide(testing.error(kind["name"]), attempt=1)
        assert decision.action == actions[kind["retry"]], kind["name"]
        assert decision.reason
