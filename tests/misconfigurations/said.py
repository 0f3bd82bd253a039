"""What a library says about a fault, what it must say, and the grade of the difference."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import webhook_mtls as wm

NAMES = "names cause and cure"
DIRECTION = "points the right way"
MISLEADS = "misleads"

VERDICT = ("kind", "stage", "blame", "scope", "sent", "retry")


@dataclass(frozen=True)
class Heard:
    """What the library said: the verdict, and the text that a person reads."""

    verdict: dict[str, str]
    text: str
    error: wm.WebhookMtlsError | None = None

    @staticmethod
    def of(outcome: object) -> "Heard":
        """Takes an error, an event, a decision, or the result of a delivery or a probe."""
        if isinstance(outcome, wm.WebhookMtlsError):
            verdict = {name: str(getattr(outcome, name)) for name in VERDICT}
            text = without_line(outcome.remedy, outcome.context)
            return Heard(verdict, f"{outcome.message}\n{text}", outcome)
        if isinstance(outcome, wm.Event):
            return Heard({"kind": outcome.name}, json.dumps(outcome.to_dict()))
        if isinstance(outcome, wm.Decision):
            return Heard({"kind": outcome.action}, f"{outcome.reason} {outcome.counts}")
        if isinstance(outcome, wm.Receipt | wm.Probe):
            return Heard({"kind": type(outcome).__name__.lower()}, json.dumps(outcome.to_dict()))
        return Heard({"kind": type(outcome).__name__}, str(outcome))

    @staticmethod
    def of_json(error: dict[str, Any]) -> "Heard":
        """Takes the JSON form of an error, which is equal in every language."""
        verdict = {name: str(error[name]) for name in VERDICT}
        text = without_line(error["remedy"], error["context"])
        return Heard(verdict, f"{error['message']}\n{text}")


def without_line(remedy: str, context: Mapping[str, Any]) -> str:
    """Returns a remedy without the command line at its end, whose options name every part."""
    line = context.get("diagnose")
    return remedy.removesuffix(f" This shows more: {line}")


@dataclass(frozen=True)
class Said:
    """What must be said. A word is a regular expression; upper and lower case are equal.

    Fields of the verdict are regular expressions too, and an empty one is not compared. `cause` and
    `cure` must all occur in the message or the remedy, and none of `never` may.
    """

    kind: str
    stage: str = ""
    blame: str = ""
    scope: str = ""
    sent: str = ""
    retry: str = ""
    cause: tuple[str, ...] = ()
    cure: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    def naming(self, *words: str) -> "Said":
        """Requires these words about the cause and the culprit."""
        return replace(self, cause=self.cause + words)

    def curing(self, *words: str) -> "Said":
        """Requires these words about what to do."""
        return replace(self, cure=self.cure + words)

    def without(self, *words: str) -> "Said":
        """Forbids words that send the reader the wrong way."""
        return replace(self, never=self.never + words)

    def but(self, **verdict: str) -> "Said":
        """Returns a copy with other values of the verdict."""
        return replace(self, **verdict)  # type: ignore[arg-type]

    def judge(self, heard: Heard) -> tuple[str, list[str]]:
        """Returns the grade, and what is wrong or missing."""
        wrong = [
            f"{name} is {heard.verdict.get(name)}, not {wanted}"
            for name in VERDICT
            if (wanted := getattr(self, name))
            and not re.fullmatch(wanted, heard.verdict.get(name, ""))
        ]
        wrong += [f"it says /{word}/" for word in self.never if occurs(word, heard.text)]
        missing = [
            f"it does not say /{word}/"
            for word in self.cause + self.cure
            if not occurs(word, heard.text)
        ]
        grade = MISLEADS if wrong else DIRECTION if missing else NAMES
        return grade, wrong + missing


def occurs(word: str, text: str) -> bool:
    """Searches a regular expression, without regard to case."""
    return re.search(word, text, re.IGNORECASE | re.DOTALL) is not None


# A fault of an argument, found before anything is sent.
def ours(kind: str, scope: str = "identity", retry: str = "after_repair") -> Said:
    """Returns the verdict on our own configuration."""
    return Said(kind, "config", "ours", scope, "nothing", retry)


def theirs(kind: str, stage: str = "handshake") -> Said:
    """Returns the verdict on a consumer that a person must repair. Nothing was sent to it."""
    return Said(kind, stage, "theirs", "endpoint", "nothing", "after_repair")


def path(kind: str, stage: str = "connect", scope: str = "endpoint") -> Said:
    """Returns the verdict on the way to the consumer, which may heal."""
    return Said(kind, stage, "path", scope, "nothing", "later")


def answered(status: int, retry: str = "later", scope: str = "delivery") -> Said:
    """Returns the verdict on a status other than 2xx."""
    said = Said("http_status", "response", "theirs", scope, "all", retry)
    return said.naming(rf"\b{status}\b")
