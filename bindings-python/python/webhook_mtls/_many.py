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

    An asynchronous iterator. Closing it, or letting go of it, cancels what is under way.
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
        self._feed: _Feed | _Pull
        if isinstance(deliveries, AsyncIterable):
            self._feed = _Feed(self._run, aiter(deliveries))
        else:
            self._feed = _Pull(self._run, iter(deliveries))
        self._bell: asyncio.Event | None = None
        self._forget: Callable[[], None] = _nothing

    @property
    def progress(self) -> Progress:
        """How far the run has come."""
        return self._run.progress

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        bell = self._bell or self._hang_bell()
        while True:
            bell.clear()
            self._feed.want(bell)
            if not self._ready:
                self._ready.extend(self._run.take())
                # Their places are free now.
                self._feed.want(bell)
            if self._ready:
                return self._ready.popleft()
            if self._feed.is_over and self._run.is_idle():
                await self.aclose()
                if (raised := self._feed.raised) is not None:
                    self._feed.raised = None
                    raise raised
                raise StopAsyncIteration
            await bell.wait()

    async def aclose(self) -> None:
        """Cancels what is under way, and takes no further deliveries."""
        self._run.cancel()
        self._feed.stop()
        self._forget()
        self._forget = _nothing
        if self._bell is not None:
            # Whoever waits for an outcome learns that none comes.
            self._bell.set()

    def _hang_bell(self) -> asyncio.Event:
        """Watches the run from the loop in which its outcomes are awaited."""
        notifier = notifier_of(asyncio.get_running_loop())
        ticket = next(notifier.tickets)
        self._bell = notifier.bells[ticket] = asyncio.Event()
        self._forget = partial(_pop, notifier.bells, ticket)
        self._run.watch(notifier.completions, ticket)
        return self._bell

    def __del__(self) -> None:
        # Absent where the constructor has failed.
        if (feed := getattr(self, "_feed", None)) is not None:
            feed.stop()
        if (forget := getattr(self, "_forget", None)) is not None:
            forget()


class _Pull:
    """Takes deliveries from an iterable, in the task that wants outcomes."""

    def __init__(self, run: _Run, deliveries: Iterator[Delivery]) -> None:
        self.run = run
        self.deliveries: Iterator[Delivery] | None = deliveries
        self.raised: BaseException | None = None

    @property
    def is_over(self) -> bool:
        return self.deliveries is None

    def want(self, bell: asyncio.Event) -> None:
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


class _Feed:
    """Takes deliveries from an asynchronous iterable, in a task of its own.

    It knows nothing of the outcomes' owner, so it keeps nobody from letting go of them.
    """

    def __init__(self, run: _Run, deliveries: AsyncIterator[Delivery]) -> None:
        self.run = run
        self.deliveries = deliveries
        self.wanted: asyncio.Event | None = None
        self.task: asyncio.Task[None] | None = None
        self.is_over = False
        self.raised: BaseException | None = None

    def want(self, bell: asyncio.Event) -> None:
        if self.wanted is None:
            self.wanted = asyncio.Event()
            self.task = asyncio.get_running_loop().create_task(self.feed(bell, self.wanted))
        if self.run.has_room():
            self.wanted.set()

    async def feed(self, bell: asyncio.Event, wanted: asyncio.Event) -> None:
        try:
            while True:
                await wanted.wait()
                wanted.clear()
                while self.run.has_room():
                    self.run.submit(await anext(self.deliveries))
                    # Whoever waits for outcomes has more to wait for, or one at once.
                    bell.set()
        except (StopAsyncIteration, asyncio.CancelledError):
            pass
        except BaseException as raised:
            self.raised = raised
        finally:
            self.is_over = True
            bell.set()

    def stop(self) -> None:
        self.is_over = True
        if self.task is not None and not self.task.done():
            loop = self.task.get_loop()
            if not loop.is_closed():
                # Whoever lets go may be in any thread.
                loop.call_soon_threadsafe(self.task.cancel)


def _pop(bells: dict[int, asyncio.Event], ticket: int) -> None:
    bells.pop(ticket, None)


def _nothing() -> None:
    pass
