"""`deliver_many` for asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Never, Self

from ._asyncio import notifier_of

if TYPE_CHECKING:
    from ._native import Delivery, Dispatcher, Outcome, Progress, _Run


class AsyncOutcomes:
    """The outcomes of `AsyncDispatcher.deliver_many`, as they finish.

    An asynchronous iterator of `Outcome`. A failed delivery is an outcome. If the iterable of
    deliveries raises, the iteration raises the exception again, after the outcomes of all earlier
    deliveries. Closing or dropping it cancels deliveries in flight.
    """

    __module__ = "webhook_mtls"

    def __init__(
        self,
        dispatcher: Dispatcher,
        deliveries: Iterable[Delivery] | AsyncIterable[Delivery],
        concurrency: int | None,
        **unknown: Never,
    ) -> None:
        self._run = dispatcher._run(deliveries, concurrency, **unknown)
        self._ready: deque[Outcome] = deque()
        self._source: _AsyncSource | _SyncSource
        if isinstance(deliveries, AsyncIterable):
            self._source = _AsyncSource(self._run, aiter(deliveries))
        else:
            self._source = _SyncSource(self._run, iter(deliveries))
        self._wakeup: asyncio.Event | None = None
        self._unregister: Callable[[], None] = _nothing

    @property
    def progress(self) -> Progress:
        """The numbers of deliveries that are done, failed, in flight and waiting."""
        return self._run.progress

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        wakeup = self._wakeup or self._register_wakeup()
        while True:
            wakeup.clear()
            self._source.submit(wakeup)
            if not self._ready:
                self._ready.extend(self._run.take())
                # The finished deliveries have made room for new ones.
                self._source.submit(wakeup)
            if self._ready:
                return self._ready.popleft()
            if self._source.is_over and self._run.is_idle():
                await self.aclose()
                if (raised := self._source.raised) is not None:
                    self._source.raised = None
                    raise raised
                raise StopAsyncIteration
            await wakeup.wait()

    async def aclose(self) -> None:
        """Cancels deliveries in flight and takes no further ones.

        The iteration ends. A second call has no effect.
        """
        self._run.cancel()
        self._source.stop()
        self._unregister()
        self._unregister = _nothing
        if self._wakeup is not None:
            # Wakes a task that waits for an outcome, which then ends its iteration.
            self._wakeup.set()

    def _register_wakeup(self) -> asyncio.Event:
        """Watches the run from the event loop that iterates over the outcomes."""
        notifier = notifier_of(asyncio.get_running_loop())
        ticket = next(notifier.tickets)
        self._wakeup = notifier.wakeups[ticket] = asyncio.Event()
        self._unregister = partial(_pop, notifier.wakeups, ticket)
        self._run.watch(notifier.completions, ticket)
        return self._wakeup

    def __del__(self) -> None:
        # The attributes are absent if the constructor failed.
        if (source := getattr(self, "_source", None)) is not None:
            source.stop()
        if (unregister := getattr(self, "_unregister", None)) is not None:
            unregister()


class _SyncSource:
    """Takes deliveries from an iterable, in the task that iterates over the outcomes."""

    def __init__(self, run: _Run, deliveries: Iterator[Delivery]) -> None:
        self.run = run
        self.deliveries: Iterator[Delivery] | None = deliveries
        self.raised: BaseException | None = None

    @property
    def is_over(self) -> bool:
        return self.deliveries is None

    def submit(self, wakeup: asyncio.Event) -> None:
        while self.deliveries is not None and self.run.has_room():
            try:
                self.run.submit(next(self.deliveries))
            except StopIteration:
                self.deliveries = None
            except BaseException as raised:
                self.raised = raised
                self.deliveries = None

    def stop(self) -> None:
        self.deliveries = None


class _AsyncSource:
    """Takes deliveries from an asynchronous iterable, in its own task.

    The task holds no reference to the `AsyncOutcomes`, so the caller can drop it at any time.
    """

    def __init__(self, run: _Run, deliveries: AsyncIterator[Delivery]) -> None:
        self.run = run
        self.deliveries = deliveries
        self.resume: asyncio.Event | None = None
        self.task: asyncio.Task[None] | None = None
        self.is_over = False
        self.raised: BaseException | None = None

    def submit(self, wakeup: asyncio.Event) -> None:
        if self.resume is None:
            self.resume = asyncio.Event()
            self.task = asyncio.get_running_loop().create_task(self.submit_all(wakeup, self.resume))
        if self.run.has_room():
            self.resume.set()

    async def submit_all(self, wakeup: asyncio.Event, resume: asyncio.Event) -> None:
        try:
            while True:
                await resume.wait()
                resume.clear()
                while self.run.has_room():
                    self.run.submit(await anext(self.deliveries))
                    # Wakes the iterating task: a delivery can have an outcome at once.
                    wakeup.set()
        except (StopAsyncIteration, asyncio.CancelledError):
            pass
        except BaseException as raised:
            self.raised = raised
        finally:
            self.is_over = True
            wakeup.set()

    def stop(self) -> None:
        self.is_over = True
        if self.task is not None and not self.task.done():
            loop = self.task.get_loop()
            if not loop.is_closed():
                # The caller may be in any thread.
                loop.call_soon_threadsafe(self.task.cancel)


def _pop(wakeups: dict[int, asyncio.Event], ticket: int) -> None:
    wakeups.pop(ticket, None)


def _nothing() -> None:
    pass
