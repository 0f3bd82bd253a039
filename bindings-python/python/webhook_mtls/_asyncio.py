"""The dispatcher for asyncio.

The runtime's threads queue outcomes, and one notifier per event loop takes them. The loop watches
the notifier's descriptor, so no thread of the runtime enters the interpreter, not even at exit.
"""

from __future__ import annotations

import asyncio
import itertools
import select
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Never, Self

from ._errors import DeliveryError
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
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping
    from datetime import timedelta
    from types import TracebackType

    from ._many import AsyncOutcomes
    from ._native import Delivery, _DiagnosisRequest


# How long a canceled task waits for the outcome of its delivery, in seconds.
_SETTLED_WITHIN = 1.0


class AsyncDispatcher:
    """A `Dispatcher` for asyncio, with the same endpoints and connections.

    Created by `Dispatcher.as_async`. Several event loops may use it at the same time. As a context
    manager (`async with`), it closes the dispatcher at the end, without waiting.

    Every method that awaits raises RuntimeError outside an asyncio task, under trio for example.
    """

    __module__ = "webhook_mtls"
    __slots__ = ("_cached_notifier", "_dispatcher")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._cached_notifier: Callable[[], _Notifier | None] = _no_notifier

    async def deliver(
        self,
        endpoint: Endpoint,
        body: bytes | bytearray | memoryview,
        *,
        # generated: begin keywords deliver
        id: str | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | timedelta | None = None,
        # generated: end
        **unknown: Never,
    ) -> Receipt:
        """Delivers one body. Canceling the task cancels the delivery.

        Args:
            endpoint: an endpoint of this dispatcher.
            body: bytes-like, at most 32 MiB; a str is refused. Copied before the first await.
            id: the event's id, sent as `webhook-id`; use the same id for every attempt.
            content_type: the content type of the body; by default `application/json`.
            headers: additional request headers.
            timeout: the maximum time of this delivery, in seconds or as a timedelta; by default the
                dispatcher's.

        Returns:
            The receipt, once the consumer has answered with a final 2xx head.

        Raises:
            DeliveryError: any kind; its `sent` tells how much may have reached the consumer.
            ConfigError: `option_invalid`, `header_invalid`, `body_too_large`, `handle_closed`;
                nothing was sent.
            asyncio.CancelledError: the task was canceled. `outcome` is the DeliveryError of kind
                `canceled`, whose `sent` tells how much may have reached the consumer, or the
                receipt if the consumer has answered. It is missing if the delivery did not end
                within a second. The TimeoutError of asyncio.timeout and wait_for has the
                CancelledError as `__cause__`.
        """
        options: dict[str, Any] = dict(unknown)
        # generated: begin collect deliver
        if id is not None:
            options["id"] = id
        if content_type is not None:
            options["content_type"] = content_type
        if headers is not None:
            options["headers"] = headers
        if timeout is not None:
            options["timeout"] = timeout
        # generated: end
        # As _outcome, but inlined, because this is the hot path.
        loop = _running_loop()
        notifier = self._cached_notifier()
        if notifier is None or notifier.loop is not loop:
            notifier = notifier_of(loop)
            self._cached_notifier = weakref.ref(notifier)
        ticket = next(notifier.tickets)
        token = self._dispatcher._start(notifier.completions, ticket, endpoint, body, options)
        future: asyncio.Future[Receipt] = loop.create_future()
        notifier.waiting[ticket] = future
        try:
            return await future
        except asyncio.CancelledError as canceled:
            await notifier.settle_canceled(ticket, token, canceled)
            raise
        except BaseException:
            notifier.waiting.pop(ticket, None)
            token.cancel()
            raise

    async def probe(
        self,
        endpoint: Endpoint,
        *,
        # generated: begin keywords probe
        timeout: float | timedelta | None = None,
        # generated: end
        **unknown: Never,
    ) -> Probe:
        """Completes a handshake with a consumer, verifies it as a delivery does, and closes.

        Sends no byte of a request. Canceling the task cancels the probe. A probe cannot detect a
        consumer that rejects our certificate only in its HTTP response, as nginx does.

        Args:
            endpoint: an endpoint of this dispatcher.
            timeout: the maximum time of the probe, in seconds or as a timedelta; by default the
                dispatcher's.

        Returns:
            The result of the handshake.

        Raises:
            DeliveryError: the kinds of a delivery that fails before its request, at the stages
                `admit`, `resolve`, `connect` and `handshake`.
            ConfigError: `option_invalid` or `handle_closed`.
        """
        options: dict[str, Any] = dict(unknown)
        # generated: begin collect probe
        if timeout is not None:
            options["timeout"] = timeout
        # generated: end

        def start(completions: Completions, ticket: int) -> CancelToken:
            return self._dispatcher._start_probe(completions, ticket, endpoint, **options)

        probe: Probe = await _outcome(start)
        return probe

    async def diagnose(
        self,
        endpoint: Endpoint,
        *,
        # generated: begin keywords diagnosis
        timeout: float | timedelta | None = None,
        request: _DiagnosisRequest | None = None,
        # generated: end
        **unknown: Never,
    ) -> Report:
        """Says what is wrong with an endpoint, whose fault it is and whom to tell.

        Goes on after a fault where it can. Sends no payload, and presents our certificate only to a
        consumer that a delivery would accept. Canceling the task cancels the diagnosis.

        Args:
            endpoint: an endpoint of this dispatcher.
            timeout: the time limit of the whole diagnosis, in seconds or as a timedelta; by default
                the dispatcher's. At the limit, the report has the checks that have ended.
            request: `head` or `options`: makes a request without a payload after the handshake, for
                servers like nginx, which judge our certificate only then.

        Returns:
            The report. A fault of the endpoint is in it, and raises nothing.

        Raises:
            ConfigError: `option_invalid` or `handle_closed`.
            DeliveryError: `canceled` or `overloaded`.
        """
        options: dict[str, Any] = dict(unknown)
        # generated: begin collect diagnosis
        if timeout is not None:
            options["timeout"] = timeout
        if request is not None:
            options["request"] = request
        # generated: end

        def start(completions: Completions, ticket: int) -> CancelToken:
            return self._dispatcher._start_diagnosis(completions, ticket, endpoint, **options)

        report: Report = await _outcome(start)
        return report

    async def reload(self) -> list[Event]:
        """Checks all watched files now and uses their new content.

        Listeners receive the events as well. An unusable file is an event `rotation_failed`, and
        its previous content remains in use. Canceling the task does not stop the check.

        Returns:
            The events; empty if nothing has changed.

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
        """Delivers many bodies concurrently and yields outcomes as they finish.

        As `Dispatcher.deliver_many`, for `async for`. A failed delivery is an outcome and does not
        end the run. If the iterable raises, the iteration raises the exception again, after the
        outcomes of all earlier deliveries.

        Args:
            deliveries: an iterable or an asynchronous iterable of `Delivery`.
            concurrency: the maximum number in flight; by default 64.

        Returns:
            An asynchronous iterator of `Outcome` with `progress` and `aclose`. Dropping it cancels
            deliveries in flight.

        Raises:
            ConfigError: `option_invalid`. A delivery to a closed dispatcher is an outcome with
                `handle_closed`.
        """
        from ._many import AsyncOutcomes

        return AsyncOutcomes(self._dispatcher, deliveries, concurrency, **unknown)

    async def close(self, drain: float | timedelta = 0.0) -> None:
        """Lets deliveries in flight finish for up to `drain`, then cancels the rest.

        New deliveries fail with `handle_closed`. Closes the underlying `Dispatcher` as well. A
        second call has no further effect. Canceling the task does not stop the closing.

        Args:
            drain: the time to finish, in seconds or as a timedelta; by default 0, which cancels
                them at once.

        Raises:
            ConfigError: `option_invalid`.
        """

        def start(completions: Completions, ticket: int) -> None:
            self._dispatcher._start_close(completions, ticket, drain)

        await _outcome(start)

    def __repr__(self) -> str:
        # Another object, given by mistake, could be a secret.
        known = isinstance(self._dispatcher, Dispatcher)
        return f"<AsyncDispatcher of {self._dispatcher!r}>" if known else "<AsyncDispatcher>"

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
    """Starts an operation and waits for its outcome."""
    loop = _running_loop()
    notifier = notifier_of(loop)
    ticket = next(notifier.tickets)
    token = start(notifier.completions, ticket)
    future = notifier.waiting[ticket] = loop.create_future()
    try:
        return await future
    except BaseException:
        # The caller no longer needs the outcome. A finished operation ignores the cancellation.
        notifier.waiting.pop(ticket, None)
        if token is not None:
            token.cancel()
        raise


class _Notifier:
    """Passes the outcomes of the runtime to the futures of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.completions = Completions()
        self.tickets = itertools.count()
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        # For runs of deliver_many, which wait for outcomes and for deliveries.
        self.wakeups: dict[int, asyncio.Event] = {}

    async def settle_canceled(
        self, ticket: int, token: CancelToken, canceled: asyncio.CancelledError
    ) -> None:
        """Cancels a delivery, and adds its outcome to the exception that ends the task."""
        settled = self.waiting[ticket] = self.loop.create_future()
        token.cancel()
        try:
            # The delivery ends at once, unless its thread has no turn.
            await asyncio.wait([settled], timeout=_SETTLED_WITHIN)
        finally:
            self.waiting.pop(ticket, None)
        if settled.done():
            outcome = settled.exception() or settled.result()
            canceled.outcome = outcome  # type: ignore[attr-defined]
            if isinstance(outcome, DeliveryError):
                canceled.add_note(f"The delivery was canceled; sent: {outcome.sent}.")

    def drain(self) -> None:
        """Takes all queued outcomes. Runs in the loop."""
        self.settle(self.completions.drain())

    def settle(self, outcomes: list[tuple[int, Any, BaseException | None]]) -> None:
        for ticket, result, error in outcomes:
            future = self.waiting.pop(ticket, None)
            if future is None:
                if (wakeup := self.wakeups.get(ticket)) is not None:
                    wakeup.set()
            elif future.done():
                pass
            elif error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def watch(self) -> None:
        """Takes outcomes in a thread, for loops that cannot watch a descriptor."""
        loop = self.loop
        while not loop.is_closed():
            # The thread notices within a second that its loop is closed.
            if select.select([self.completions], [], [], 1.0)[0]:
                outcomes = self.completions.drain()
                try:
                    loop.call_soon_threadsafe(self.settle, outcomes)
                except RuntimeError:
                    return  # the loop was closed meanwhile, so no task waits


# Weak keys and weak values: the loop's list of readers owns the notifier, so closing the loop frees
# the notifier and its descriptor.
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


def _running_loop() -> asyncio.AbstractEventLoop:
    """Returns the loop of this task.

    Raises:
        RuntimeError: the loop is not asyncio's, with what to use instead.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_run():
            raise
    raise RuntimeError(
        "AsyncDispatcher is for asyncio, and this task runs under trio. Use a worker thread: "
        "await trio.to_thread.run_sync(dispatcher.deliver, endpoint, body)"
    )


def _no_notifier() -> None:
    return None
