"""The dispatcher for asyncio.

One notifier per event loop takes the outcomes that the runtime's threads have queued. The loop
watches its descriptor, so no foreign thread ever enters the interpreter, not even while it exits.
"""

from __future__ import annotations

import asyncio
import itertools
import select
import threading
import weakref
from typing import TYPE_CHECKING, Any, Never, Self

from ._native import CancelToken, Completions, Dispatcher, Endpoint, Event, Probe, Receipt

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping
    from datetime import timedelta
    from types import TracebackType

    from ._many import AsyncOutcomes
    from ._native import Delivery


class AsyncDispatcher:
    """A `Dispatcher` for asyncio: the same endpoints, the same connections.

    Made by `Dispatcher.as_async`. May be used from several event loops at once.
    """

    __module__ = "webhook_mtls"
    __slots__ = ("_dispatcher", "_near")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._near: Callable[[], _Notifier | None] = _nobody

    async def deliver(
        self,
        endpoint: Endpoint,
        body: bytes | bytearray | memoryview,
        *,
        id: str | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | timedelta | None = None,
        **unknown: Never,
    ) -> Receipt:
        """Delivers one payload. Canceling the task cancels the delivery.

        Args:
            endpoint: one of this dispatcher.
            body: bytes-like, at most 32 MiB; a str is refused. Taken before the first await.
            id: the event's id, sent as `webhook-id`; the same for every attempt.
            content_type: the type of the payload, if not `application/json`.
            headers: further request headers.
            timeout: the time this delivery may take in all, in seconds or as a timedelta.

        Returns:
            The receipt, once the consumer has answered with a final 2xx head.

        Raises:
            DeliveryError: any kind; its `sent` says how much may have reached the consumer.
            ConfigError: `option_invalid`, `header_invalid`, `body_too_large`, `handle_closed`;
                nothing was sent.
        """
        options: dict[str, Any] = dict(unknown)
        if id is not None:
            options["id"] = id
        if content_type is not None:
            options["content_type"] = content_type
        if headers is not None:
            options["headers"] = headers
        if timeout is not None:
            options["timeout"] = timeout
        # As _outcome does, but without its calls: this is the path that is taken most.
        loop = asyncio.get_running_loop()
        notifier = self._near()
        if notifier is None or notifier.loop is not loop:
            notifier = notifier_of(loop)
            self._near = weakref.ref(notifier)
        ticket = next(notifier.tickets)
        token = self._dispatcher._start(notifier.completions, ticket, endpoint, body, options)
        future: asyncio.Future[Receipt] = loop.create_future()
        notifier.waiting[ticket] = future
        try:
            return await future
        except BaseException:
            notifier.waiting.pop(ticket, None)
            token.cancel()
            raise

    async def probe(
        self, endpoint: Endpoint, *, timeout: float | timedelta | None = None, **unknown: Never
    ) -> Probe:
        """Shakes hands with a consumer, judges it as a delivery would, and closes.

        No byte of a request is sent. Canceling the task cancels the probe.

        Args:
            endpoint: one of this dispatcher.
            timeout: the time it may take in all, in seconds or as a timedelta.

        Returns:
            What the handshake has shown.

        Raises:
            DeliveryError: what a delivery fails with before its request.
            ConfigError: `option_invalid` or `handle_closed`.
        """

        def start(completions: Completions, ticket: int) -> CancelToken:
            return self._dispatcher._start_probe(
                completions, ticket, endpoint, timeout=timeout, **unknown
            )

        probe: Probe = await _outcome(start)
        return probe

    async def reload(self) -> list[Event]:
        """Looks at all watched files now, as `Dispatcher.reload` does.

        Raises:
            ConfigError: `handle_closed`.
        """

        def start(completions: Completions, ticket: int) -> None:
            self._dispatcher._start_reload(completions, ticket)

        events: list[Event] = await _outcome(start)
        return events

    def deliver_many(
        self,
        deliveries: Iterable[Delivery] | AsyncIterable[Delivery],
        *,
        concurrency: int | None = None,
        **unknown: Never,
    ) -> AsyncOutcomes:
        """Delivers many at once, and gives outcomes as they finish.

        As `Dispatcher.deliver_many`, for `async for`.

        Args:
            deliveries: an iterable or an asynchronous iterable of `Delivery`.
            concurrency: how many are under way at once; 64 unless said.

        Returns:
            An asynchronous iterator of `Outcome` with `progress` and `aclose`. Letting go of it
            cancels what is under way.

        Raises:
            ConfigError: `option_invalid`.
        """
        from ._many import AsyncOutcomes

        return AsyncOutcomes(self._dispatcher, deliveries, concurrency, **unknown)

    async def close(self, drain: float | timedelta = 0.0) -> None:
        """Lets the deliveries under way finish, then cancels them. New ones are refused.

        Closes the dispatcher that this one was made from. Closing twice is the same as once.

        Args:
            drain: how long they may take, in seconds or as a timedelta.

        Raises:
            ConfigError: `option_invalid`.
        """

        def start(completions: Completions, ticket: int) -> None:
            self._dispatcher._start_close(completions, ticket, drain)

        await _outcome(start)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


async def _outcome(start: Callable[[Completions, int], CancelToken | None]) -> Any:
    """Starts a piece of work and waits for its outcome."""
    loop = asyncio.get_running_loop()
    notifier = notifier_of(loop)
    ticket = next(notifier.tickets)
    token = start(notifier.completions, ticket)
    future = notifier.waiting[ticket] = loop.create_future()
    try:
        return await future
    except BaseException:
        # Whoever no longer waits no longer wants it; what has ended cannot be canceled.
        notifier.waiting.pop(ticket, None)
        if token is not None:
            token.cancel()
        raise


class _Notifier:
    """What one event loop is told, and who waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.completions = Completions()
        self.tickets = itertools.count()
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        # Where there is more than one thing to wait for.
        self.bells: dict[int, asyncio.Event] = {}

    def drain(self) -> None:
        """Takes all that has arrived. Runs in the loop."""
        self.settle(self.completions.drain())

    def settle(self, arrived: list[tuple[int, Any, BaseException | None]]) -> None:
        for ticket, result, error in arrived:
            future = self.waiting.pop(ticket, None)
            if future is None:
                if (bell := self.bells.get(ticket)) is not None:
                    bell.set()
            elif future.done():
                pass
            elif error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def watch(self) -> None:
        """Drains from a thread, for loops that cannot watch a descriptor."""
        loop = self.loop
        while not loop.is_closed():
            # A second: so long a thread may outlive its loop.
            if select.select([self.completions], [], [], 1.0)[0]:
                arrived = self.completions.drain()
                try:
                    loop.call_soon_threadsafe(self.settle, arrived)
                except RuntimeError:
                    return  # closed in between: nobody waits any more


# Weak on both sides: a loop's own list of readers is what keeps its notifier, so closing the loop
# frees the notifier and its descriptor.
_notifiers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Notifier]]
_notifiers = weakref.WeakKeyDictionary()


def notifier_of(loop: asyncio.AbstractEventLoop) -> _Notifier:
    known = _notifiers.get(loop)
    notifier = known() if known is not None else None
    if notifier is None:
        notifier = _Notifier(loop)
        try:
            loop.add_reader(notifier.completions.fileno(), notifier.drain)
        except NotImplementedError:
            thread = threading.Thread(target=notifier.watch, daemon=True)
            thread.start()
        _notifiers[loop] = weakref.ref(notifier)
    return notifier


def _nobody() -> None:
    return None
