"""The cases as command lines: stand-ins for the types of the library record their arguments, and a
delivery becomes a run of `webhook-mtls diagnose` with the same files and values."""

import contextlib
import itertools
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from unittest import mock

import lab as of_lab
from lab import Case, Lab, port_of
from said import Heard, Said

import webhook_mtls as wm
from server import CLOCK

SECONDS = 60
DAY = 24 * 3600
# The largest payload that the library takes.
LARGEST = 32 << 20

Words = list[str]


class NotExpressibleError(Exception):
    """The command has no words for an argument or a call."""


@dataclass
class Material:
    """Options of the command, and what it needs beside them."""

    words: Words
    environment: dict[str, str] = field(default_factory=dict)
    days: int = 0

    def __add__(self, other: "Material") -> "Material":
        environment = self.environment | other.environment
        days = self.days or other.days
        return Material(self.words + other.words, environment, days)


NUMBERS = itertools.count()


@dataclass
class Shell:
    """The stand-ins, while they record one case."""

    lab: Lab
    days: int = 0

    def material(self, *words: str, **environment: str) -> Material:
        """Returns options that were given while the clock was wrong, or right."""
        return Material(list(words), environment, self.days)

    def file(self, content: object) -> str:
        """Writes bytes that were given to the library, for a command that reads files."""
        if not isinstance(content, bytes):
            raise NotExpressibleError("material of another type")
        return str(self.lab.file(f"given-{next(NUMBERS)}", content))

    def set_clock(self, now: datetime | None) -> None:
        """Records by how many days the clock is wrong."""
        shift = 0.0 if now is None else (now - datetime.now(UTC)).total_seconds()
        self.days = round(shift / DAY)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Puts the stand-ins in the place of the types."""
        types = {
            "Identity": identity(self),
            "Trust": trust(self),
            "Pins": pins(self),
            "Egress": lambda *given, **named: egress(self, *given, **named),
            "Dispatcher": lambda **options: Dispatcher(self, options),
            "Verifier": other("a verifier"),
            "TenantRule": other("a tenant rule"),
            "RetryPolicy": other("a retry policy"),
            "StandardWebhooks": other("a signature of the payload"),
        }
        with (
            mock.patch.multiple(wm, **types),
            mock.patch.object(of_lab, "set_clock", self.set_clock),
        ):
            yield


def other(what: str) -> Any:
    """Returns a stand-in for a type that a diagnosis does not use."""

    def refuse(*_: object, **__: object) -> object:
        raise NotExpressibleError(what)

    return type("Other", (), {"__new__": refuse, "san_uri": staticmethod(refuse)})


def option(name: str, value: object) -> str:
    """Returns an option with a value that may begin with a hyphen."""
    if not isinstance(value, str | os.PathLike):
        raise NotExpressibleError(f"{name} of another type")
    return f"--{name}={os.fspath(value)}"


def identity(shell: Shell) -> Any:
    """Returns the stand-in for identities."""

    def secret(passphrase: bytes | None) -> dict[str, str]:
        return {} if passphrase is None else {"WEBHOOK_MTLS_PASSPHRASE": passphrase.decode()}

    class Identity:
        @staticmethod
        def from_files(cert: Any, key: Any, passphrase: bytes | None = None) -> Material:
            if os.geteuid() != 0:
                raise NotExpressibleError(
                    "another user, whose files are gone when the command runs"
                )
            words = option("cert", cert), option("key", key)
            return shell.material(*words, **secret(passphrase))

        @staticmethod
        def from_pem(cert: Any, key: Any, passphrase: bytes | None = None) -> Material:
            files = shell.file(cert), shell.file(key)
            return Identity.from_files(*files, passphrase)

        @staticmethod
        def from_pkcs12(data: Any, passphrase: bytes) -> Material:
            return shell.material(option("p12", shell.file(data)), **secret(passphrase))

    return Identity


def trust(shell: Shell) -> Any:
    """Returns the stand-in for trusts."""

    class Trust:
        @staticmethod
        def from_files(
            anchors: Any,
            intermediates: Any = None,
            crls: Any = None,
            distrusted: tuple[str, ...] = (),
        ) -> Material:
            files = {"ca": anchors, "intermediates": intermediates, "crl": crls}
            words = [option(name, file) for name, file in files.items() if file is not None]
            return shell.material(*words, *(option("distrust", pin) for pin in distrusted))

        @staticmethod
        def from_pem(anchors: Any) -> Material:
            return Trust.from_files(shell.file(anchors))

    return Trust


def pins(shell: Shell) -> Any:
    """Returns the stand-in for pins."""

    class Pins:
        def __new__(cls, current: Any) -> Any:
            if isinstance(current, str) or not current:
                raise NotExpressibleError("pins that are no list, or an empty one")
            return shell.material(*(option("pin", pin) for pin in current))

        @staticmethod
        def from_file(path: Any) -> Material:
            return shell.material(option("pin-file", path))

    return Pins


def egress(shell: Shell, preset: str = "public", **networks: list[str]) -> Material:
    """Returns the options of an egress policy."""
    words = [option("egress", preset)]
    for name, given in networks.items():
        words += [option(name, network) for network in given]
    return shell.material(*words)


def proxy(shell: Shell, url: Any) -> Material:
    """Returns the options of a proxy, whose credentials are no argument."""
    if not isinstance(url, str):
        raise NotExpressibleError("a proxy of another type")
    scheme, slashes, rest = url.partition("://")
    credentials, at, authority = rest.rpartition("@")
    secret = {"WEBHOOK_MTLS_PROXY_CREDENTIALS": credentials} if at else {}
    return shell.material(option("proxy", scheme + slashes + authority), **secret)


def of_value(shell: Shell, name: str, value: Any) -> Material:
    """Returns the options for an option of a dispatcher or an endpoint."""
    if isinstance(value, Material):
        return value
    if name == "egress" and hasattr(value, "__reduce__"):
        # Made when the table was read, before the stand-ins.
        _, (_, _, arguments) = value.__reduce__()
        return egress(shell, **arguments)
    if name == "proxy":
        return proxy(shell, value)
    if name.endswith("_timeout"):
        # A diagnosis has one limit, and ends earlier where the library's own are shorter.
        return Material([])
    if name == "timeout" and isinstance(value, int):
        return shell.material(option("timeout", str(value)))
    if name in ("min_tls", "server_name", "server_uri") and isinstance(value, str):
        return shell.material(option(name.replace("_", "-"), value))
    if name == "pins" and value is None:
        return Material([])
    raise NotExpressibleError(f"the option {name}")


class Dispatcher:
    """The stand-in for dispatchers. A delivery returns its line, and sends nothing."""

    def __init__(self, shell: Shell, options: Mapping[str, Any]) -> None:
        self._shell = shell
        self.given = Material([])
        for name, value in options.items():
            self.given += of_value(shell, name, value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def endpoint(self, _: str, url: str, **options: Any) -> Material:
        """Returns the line of an endpoint."""
        if "pins" not in options:
            raise NotExpressibleError("pins that are not mentioned")
        given = self.given + Material([url])
        for name, value in options.items():
            given += of_value(self._shell, name, value)
        given.days = given.days or self._shell.days
        return given

    def deliver(self, endpoint: Material, body: Any, **options: Any) -> Material:
        """Returns the line of a delivery, of which a diagnosis sends no part."""
        if options or not isinstance(body, bytes) or len(body) > LARGEST:
            raise NotExpressibleError("a payload or an option of the delivery")
        return endpoint

    def close(self) -> None:
        """Refuses."""
        raise NotExpressibleError("a dispatcher that is closed")

    def remove(self, _: str) -> None:
        """Refuses."""
        raise NotExpressibleError("an endpoint that is removed")


def line(case: Case, lab: Lab) -> Material:
    """Returns the command line of a case: what it makes, and else what is right.

    Fails with `NotExpressibleError`.
    """
    shell = Shell(lab)
    with shell.recording():
        made: Any = case.make(lab)
        if isinstance(made, Dispatcher):
            made = made.given
        if not isinstance(made, Material):
            raise NotExpressibleError("a case without an endpoint")
        has = {word.split("=")[0] for word in made.words}
        if not has & {"--cert", "--p12"}:
            made += lab.identity()
        if "--ca" not in has:
            made += lab.trust()
        if "--egress" not in has:
            made += Material(["--allow=127.0.0.0/8"])
        if all(word.startswith("--") for word in made.words):
            made += Material([f"https://hooks.acme.test:{port_of('nginx strict', lab)}/in"])
    return made


@dataclass(frozen=True)
class Ran:
    """What a run of the command said."""

    code: int
    shown: dict[str, Any]

    @property
    def report(self) -> dict[str, Any]:
        """Returns the report; an empty one if the arguments were refused."""
        report: dict[str, Any] = self.shown.get("report", {})
        return report

    @property
    def message(self) -> str | None:
        """Returns the text for the consumer's operator."""
        message: str | None = self.report.get("message_to_consumer")
        return message

    @property
    def heard(self) -> Heard:
        """Returns the verdict, and all that a person reads."""
        if "error" in self.shown:
            error = self.shown["error"]
            text = f"{error['message']}\n{error.get('remedy')}"
            return Heard({name: str(error.get(name)) for name in FIELDS}, spelled(text))
        rows = [f"{row['summary']}\n{row['remedy'] or ''}" for row in self.report["checks"]]
        verdict = self.report["verdict"]
        fields = next(
            (
                finding
                for finding in self.report["findings"]
                if finding["check"] == verdict["check"]
            ),
            {"kind": "well"},
        )
        text = "\n".join([verdict["message"], verdict["remedy"], *rows])
        return Heard({name: str(fields.get(name)) for name in FIELDS}, spelled(text))


# A diagnosis sends no payload, so it has no field for what was sent.
FIELDS = ("kind", "stage", "blame", "scope", "retry")

# How the command writes the names of the library.
SPELLED = {
    "--p12": "from_pkcs12",
    "--exact": "Trust.exact",
    "webhook-mtls inspect": "pin_of",
    "--cert and --key": "from_pem from_files",
    "--ca": "from_files",
    "no --pin": "pins=None",
}


def spelled(text: str) -> str:
    """Adds the names of the library to a text of the command, so that the same words are asked."""
    names = [name for option, name in SPELLED.items() if option in text]
    options = [name.replace("-", "_") for name in re.findall(r"--([a-z][a-z0-9-]+)", text)]
    return "\n".join([text, *names, *options])


def run(command: str, made: Material) -> Ran:
    """Diagnoses with a request without a payload, so that nginx judges us too."""
    environment = os.environ | made.environment
    if made.days:
        environment |= {
            "LD_PRELOAD": str(CLOCK),
            "FAKETIME": f"{made.days:+d}d",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    done = subprocess.run(
        [command, "diagnose", "--json", "--request=options", *made.words],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment,
        timeout=SECONDS,
    )
    text = done.stdout or b"{}"
    shown = json.loads(text)
    if not shown:
        # The parser of the arguments refuses before there is a form of output.
        shown = {"error": {"kind": "usage", "message": done.stderr.decode()}}
    return Ran(done.returncode, shown)


def expected(says: Said, heard: Heard) -> int:
    """Returns the exit code that belongs to a verdict."""
    if is_well(says):
        return 0
    if heard.verdict["kind"] in USAGE:
        return 2
    return 3 if heard.verdict["blame"] == "ours" else 1


# The kinds of arguments that cannot be used.
USAGE = ("option_invalid", "url_invalid", "pin_invalid", "usage")

WELL = ("receipt", "probe", "Identity", "Trust", "Pins", "Dispatcher")


def is_well(says: Said) -> bool:
    """Returns whether a case is no fault."""
    return says.kind in WELL


# What is ours: no address of this network, file, option or rule of ours belongs into a mail.
INTERNAL = (
    r"\b(127|10|192\.168|172\.16)\.\d+\.\d+",
    r"169\.254\.",
    r"93\.184\.216\.",
    r"/(tmp|work|etc|root|home)/",
    r"\.(crt|key|pem|crl|p12|conf|toml)\b",
    r"(^|\s)--[a-z]",
    r"resolv|egress|\bproxy|name server",
    r"\bour (CA|bundle|trust|configuration)|\bpeer\b",
    r"webhook-mtls",
)

LISTED = Path(__file__).with_name("command_exceptions.toml")


def listed() -> dict[str, str]:
    """Returns the cases that the command cannot meet, with the reason of each."""
    groups = tomllib.loads(LISTED.read_text())["reason"]
    return {case: group["why"] for group in groups for case in group["cases"]}
