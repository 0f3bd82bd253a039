"""Waits of gevent: the greenlet that delivers waits in its hub, which runs the others meanwhile.

The runtime's threads queue outcomes, and one notifier per hub takes them, as for asyncio.
"""

from __future__ import annotations

import itertools
import os
import weakref
from typing import TYPE_CHECKING, Any

from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists
from gevent.event import AsyncResult

from ._errors import WebhookMtlsError
from ._native import (
    CancelToken,
    Completions,
    Dispatcher,
    Endpoint,
    Event,
    Probe,
    Receipt,
    Report,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta


# How long an interrupted greenlet waits for the outcome of its delivery, in seconds.
_SETTLED_WITHIN = 1.0


def is_active() -> bool:
    """Whether this code runs in a greenlet that a hub can suspend."""
    hub = get_hub_if_exists()
    return hub is not None and getcurrent() is not hub


def deliver(dispatcher: Dispatcher, endpoint: Endpoint, body: Any, **options: Any) -> Receipt:
    """Delivers as `Dispatcher.deliver`.

    An exception in the greenlet, such as gevent.Timeout, cancels the delivery. It then has
    `outcome`: the DeliveryError, whose `sent` tells how much may have reached the consumer, or the
    receipt if the consumer has answered.
    """
    receipt: Receipt = _outcome(
        lambda completions, ticket: dispatcher._start(completions, ticket, endpoint, body, options)
    )
    return receipt


def probe(dispatcher: Dispatcher, endpoint: Endpoint, **options: Any) -> Probe:
    """Probes as `Dispatcher.probe`."""
    probed: Probe = _outcome(
        lambda completions, ticket: dispatcher._start_probe(
            completions, ticket, endpoint, **options
        )
    )
    return probed


def diagnose(dispatcher: Dispatcher, endpoint: Endpoint, **options: Any) -> Report:
    """Diagnoses as `Dispatcher.diagnose`."""
    report: Report = _outcome(
        lambda completions, ticket: dispatcher._start_diagnosis(
            completions, ticket, endpoint, **options
        )
    )
    return report


def reload(dispatcher: Dispatcher) -> list[Event]:
    """Reloads as `Dispatcher.reload`."""
    events: list[Event] = _outcome(dispatcher._start_reload)
    return events


def close(dispatcher: Dispatcher, drain: float | timedelta) -> None:
    """Closes as `Dispatcher.close`."""
    _outcome(lambda completions, ticket: dispatcher._start_close(completions, ticket, drain))


class _Ticket:
    """A new ticket of the notifier of this hub."""

    def __init__(self) -> None:
        self._notifier = _notifier_of(get_hub_if_exists())
        self.completions = self._notifier.completions
        self.ticket = next(self._notifier.tickets)


class Wait(_Ticket):
    """The wait of a greenlet for one outcome."""

    def __init__(self) -> None:
        super().__init__()
        self._result = AsyncResult()
        self._notifier.add(self.ticket, self._result)

    def wait(self) -> Any:
        """Suspends the greenlet until the ticket has an outcome."""
        return self._result.get()

    def settled(self) -> Any:
        """Waits for the outcome of a canceled delivery: its error, or its receipt."""
        if self._result.wait(_SETTLED_WITHIN) is None:
            return self._result.exception
        return self._result.value

    def close(self) -> None:
        """Waits no longer."""
        self._notifier.discard(self.ticket)


class Wakeup(_Ticket):
    """Wakes a greenlet whenever a run of `deliver_many` has outcomes to take."""

    def wait(self) -> None:
        """Suspends the greenlet until the run has outcomes, or for nothing.

        Raises:
            RuntimeError: another thread started to take the outcomes.
        """
        if _notifier_of(get_hub_if_exists()) is not self._notifier:
            raise RuntimeError("the outcomes of a run are taken by one thread")
        result = AsyncResult()
        self._notifier.add(self.ticket, result)
        try:
            result.get()
        finally:
            self._notifier.discard(self.ticket)


def _outcome(start: Callable[[Completions, int], CancelToken | None]) -> Any:
    """Starts an operation and waits for its outcome."""
    wait = Wait()
    try:
        token = start(wait.completions, wait.ticket)
        try:
            return wait.wait()
        except WebhookMtlsError:
            raise
        except BaseException as raised:
            # For instance gevent.Timeout, or GreenletExit.
            if token is not None:
                token.cancel()
                raised.outcome = wait.settled()  # type: ignore[attr-defined]
            raise
    finally:
        wait.close()


class _Notifier:
    """Passes the outcomes of the runtime to the greenlets of one hub."""

    def __init__(self, hub: Any) -> None:
        self.completions = Completions()
        self.tickets = itertools.count()
        self.process = os.getpid()
        self._waiting: dict[int, Any] = {}
        self._watcher = hub.loop.io(self.completions.fileno(), 1)

    def add(self, ticket: int, result: Any) -> None:
        # The hub would run forever with a watcher that no greenlet needs.
        if not self._waiting:
            self._watcher.start(self._drain)
        self._waiting[ticket] = result

    def discard(self, ticket: int) -> None:
        if self._waiting.pop(ticket, None) is not None and not self._waiting:
            self._watcher.stop()

    def _drain(self) -> None:
        for ticket, value, error in self.completions.drain():
            result = self._waiting.get(ticket)
            if result is None:
                continue
            if error is None:
                result.set(value)
            else:
                result.set_exception(error)


_notifiers: weakref.WeakKeyDictionary[Any, _Notifier] = weakref.WeakKeyDictionary()


def _notifier_of(hub: Any) -> _Notifier:
    notifier = _notifiers.get(hub)
    # A forked child shares the descriptor of its parent, so it needs one of its own.
    if notifier is None or notifier.process != os.getpid():
        notifier = _notifiers[hub] = _Notifier(hub)
    return notifier
