"""Runs the circuit cases of the shared vectors: the steps of each case with one endpoint."""

import queue
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import webhook_mtls as wm
from webhook_mtls.testing import Lab, set_clock

Differences = Callable[[Any, Any, str], Any]
UNUSED_PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


class Scene:
    """A receiver, its endpoint, and the clock."""

    def __init__(self, lab: Lab, options: dict[str, Any]) -> None:
        self.acme = lab.consumer("acme")
        self.dispatcher = lab.dispatcher(**options)
        self.heard: queue.Queue[str] = queue.Queue()
        self.dispatcher.on_event(lambda event: self.heard.put(event.name))
        self.endpoint = self.pinned("right")
        self.ahead = timedelta()

    def pinned(self, which: str) -> wm.Endpoint:
        pins = {
            "right": wm.Pins([self.acme.pin]),
            "wrong": wm.Pins([UNUSED_PIN]),
            "both": wm.Pins([self.acme.pin], next=[UNUSED_PIN]),
        }[which]
        return self.dispatcher.endpoint("acme", self.acme.url, pins=pins)

    def take(self, step: dict[str, Any], differences: Differences) -> list[str]:
        """Takes one step; returns the differences from what it expects."""
        name, with_ = next(iter(step.items()))
        match name:
            case "misbehave":
                self.acme.misbehave(with_["how"], times=with_["times"])
            case "respond":
                self.acme.respond(**with_)
            case "advance_ms":
                self.ahead += timedelta(milliseconds=with_)
                set_clock(datetime.now(UTC) + self.ahead)
            case "reset_circuit":
                self.endpoint.reset_circuit()
            case "reload":
                self.dispatcher.reload()
            case "pins":
                self.endpoint = self.pinned(with_)
            case "circuit":
                return list(differences(with_, self.endpoint.status().circuit, "circuit"))
            case "deliver":
                deliver = partial(self.dispatcher.deliver, self.endpoint, b"{}")
                return compare(with_, deliver, differences)
            case "probe":
                return compare(with_, lambda: self.dispatcher.probe(self.endpoint), differences)
            case "open_circuit":
                hint = partial(self.endpoint.open_circuit, with_["duration_ms"] / 1000)
                return compare(with_, hint, differences)
            case other:
                raise AssertionError(f"no step {other}")
        return []


def run(case: Any, options: Callable[[Any], dict[str, Any]], differences: Differences) -> list[str]:
    """Runs a case; returns the differences from what it expects."""
    with Lab() as lab:
        scene = Scene(lab, options(case))
        found = [
            f"step {at}: {difference}"
            for at, step in enumerate(case["steps"], 1)
            for difference in scene.take(step, differences)
        ]
        set_clock(None)
        # A callback is called after the call that caused the event.
        events = [scene.heard.get(timeout=10) for _ in case["events"]]
        events += [scene.heard.get() for _ in range(scene.heard.qsize())]
        return found + list(differences(case["events"], events, "events"))


def compare(expected: Any, call: Callable[[], Any], differences: Differences) -> list[str]:
    """Calls, and compares the failure or the success."""
    try:
        call()
    except wm.WebhookMtlsError as error:
        if "error" in expected:
            return list(differences(expected["error"], error.to_dict(), "error"))
        return [f"failed: {error}"]
    return [] if "ok" in expected else [f"succeeded, expected {expected}"]
