"""What the instruments of a dispatcher share: one hub, which the native module calls.

A dispatcher has no hub until it is instrumented. The native module calls `begin` on the thread that
starts a delivery, and `end` on the thread that takes an outcome, with the records of all deliveries
that have ended meanwhile. A record is the same JSON in every language.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ._native import Dispatcher

if TYPE_CHECKING:
    from ._asyncio import AsyncDispatcher

Record = Mapping[str, Any]


class Instrument(Protocol):
    """A dispatcher calls it at the start and at the end of each delivery."""

    def begin(
        self, number: int, consumer: str, server: str, port: int
    ) -> Sequence[tuple[str, str]]:
        """A delivery begins. Returns the headers to add to its request."""
        ...

    def end(self, record: Record) -> None:
        """A delivery has ended."""
        ...


def dispatcher_of(dispatcher: Dispatcher | AsyncDispatcher) -> Dispatcher:
    """Returns the dispatcher below one for asyncio."""
    known = getattr(dispatcher, "_dispatcher", dispatcher)
    if not isinstance(known, Dispatcher):
        seen = type(dispatcher).__name__
        raise TypeError(f"dispatcher must be a Dispatcher or an AsyncDispatcher, not {seen}")
    return known


class Hub:
    """The instruments of one dispatcher."""

    def __init__(self) -> None:
        self._instruments: dict[object, Instrument] = {}

    def add(self, key: object, instrument: Instrument) -> None:
        """Adds an instrument. Another one with the same key is replaced, so none counts twice."""
        # Copied, because another thread may iterate.
        self._instruments = {**self._instruments, key: instrument}

    def get(self, key: object) -> Instrument | None:
        """Returns the instrument with this key."""
        return self._instruments.get(key)

    def begin(self, number: int, consumer: str, server: str, port: int) -> list[tuple[str, str]]:
        """Tells all instruments that a delivery begins. Returns the headers that they add."""
        headers: list[tuple[str, str]] = []
        for instrument in self._instruments.values():
            try:
                headers.extend(instrument.begin(number, consumer, server, port))
            except Exception:
                _report(instrument)
        return headers

    def end(self, records: list[Record]) -> None:
        """Tells all instruments which deliveries have ended."""
        for instrument in self._instruments.values():
            for record in records:
                try:
                    instrument.end(record)
                except Exception:
                    _report(instrument)


def _report(instrument: Instrument) -> None:
    """Reports the current exception of an instrument. It must not change how a delivery ends."""
    logging.getLogger("webhook_mtls").exception("the instrument %r failed", instrument)
