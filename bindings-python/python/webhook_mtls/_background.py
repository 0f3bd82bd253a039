"""Deliveries that go on after their task has ended: a slow consumer blocks no worker process.

A task starts its deliveries, and waits for a short time. Those that have not ended by then are left
to a thread, which settles them. This module knows nothing of queues: `queues` decides what a job
does that must wait.
"""

from __future__ import annotations

import logging
import os
import random
import select
import selectors
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from ._native import Completions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._native import Delivery, Dispatcher, Outcome
    from .queues import Job

_log = logging.getLogger("webhook_mtls")

# One consumer has at most this part of the deliveries that go on.
_SHARE = 16
# The longest wait of a job for its turn, in seconds: the consumer may be well again by then.
_LONGEST = 60.0


class Background:
    """The deliveries of one process that go on after their tasks have ended.

    A consumer whose last delivery did so is slow. Its next deliveries go on at once, and no task
    waits for them. It has at most a part of all, so that it leaves connections to the others.

    Args:
        most: how many deliveries of slow consumers may go on at once.
        wait: how long a task waits for its deliveries, in seconds.
    """

    def __init__(self, most: int, wait: float) -> None:
        self._most, self._wait = most, wait
        self._share = max(1, most // _SHARE)
        self._process = os.getpid()
        # Any thread may register a descriptor while another one waits.
        self._selector = selectors.DefaultSelector()
        self._changed = threading.Condition()
        # The condition guards these.
        self._flights = 0
        self._running: Counter[str] = Counter()
        self._slow: dict[str, _Slow] = {}
        self._thread: threading.Thread | None = None
        _backgrounds.append(self)

    def turn_in(self, consumer: str) -> float:
        """Returns after how many seconds a further delivery to this consumer may start.

        Jobs that must wait are spaced as the consumer answers, so that few come back too early.
        """
        with self._changed:
            slow = self._slow.get(consumer)
            running = self._running
            if slow is None or (running[consumer] < self._share and running.total() < self._most):
                return 0.0
            now = time.monotonic()
            slow.free_at = max(now, slow.free_at) + slow.seconds / self._share
            wait = slow.free_at - now
        return wait if wait < _LONGEST else random.uniform(_LONGEST / 2, _LONGEST)

    def deliver(
        self,
        dispatcher: Dispatcher,
        deliveries: Iterable[Delivery],
        settle: Callable[[Outcome], float | None],
        concurrency: int = 1,
    ) -> list[float | None]:
        """Makes deliveries, whose tags are jobs. The caller does not wait for slow ones.

        Args:
            dispatcher: makes the deliveries.
            deliveries: the deliveries.
            settle: called with each outcome, in this thread or in that of the background.
            concurrency: how many run at once.

        Returns:
            What `settle` has returned in this thread.
        """
        done: list[float | None] = []
        flight = _Flight(dispatcher, settle, concurrency)
        try:
            for delivery in deliveries:
                if self._is_slow(delivery.tag.consumer):
                    alone = _Flight(dispatcher, settle, 1)
                    alone.submit(delivery)
                    self._adopt(alone)
                    continue
                while not flight.run.has_room():
                    if not self._settle_some(flight, self._wait, done):
                        self._adopt(flight)
                        flight = _Flight(dispatcher, settle, concurrency)
                flight.submit(delivery)
            end = time.monotonic() + self._wait
            while flight.jobs:
                if (left := end - time.monotonic()) <= 0:
                    self._adopt(flight)
                    break
                self._settle_some(flight, left, done)
        except BaseException:
            flight.run.cancel()
            raise
        return done

    def drain(self) -> None:
        """Returns when all deliveries have ended and are settled."""
        with self._changed:
            self._changed.wait_for(lambda: self._flights == 0)

    @property
    def process(self) -> int:
        """The process to which it belongs."""
        return self._process

    def _is_slow(self, consumer: str) -> bool:
        with self._changed:
            return consumer in self._slow

    def _settle_some(self, flight: _Flight, seconds: float, done: list[float | None]) -> bool:
        """Settles the outcomes that arrive within a time. Returns whether there was one."""
        outcomes = flight.wait(seconds)
        for outcome in outcomes:
            with self._changed:
                self._slow.pop(outcome.delivery.tag.consumer, None)
            done.append(flight.settle(outcome))
        return bool(outcomes)

    def _adopt(self, flight: _Flight) -> None:
        """Leaves the deliveries of a flight to the thread."""
        with self._changed:
            self._flights += 1
            for job in flight.jobs.values():
                self._running[job.consumer] += 1
                self._slow.setdefault(job.consumer, _Slow(self._wait))
            if self._thread is None:
                # At the end of the process, `drain` waits for it.
                self._thread = threading.Thread(target=self._settle_all, daemon=True)
                self._thread.start()
        # It is readable at once if an outcome has arrived before.
        self._selector.register(flight.completions, selectors.EVENT_READ, flight)

    def _settle_all(self) -> None:
        while True:
            for key, _ in self._selector.select():
                flight: _Flight = key.data
                flight.completions.drain()
                self._settle_flight(flight)
                if not flight.jobs:
                    self._selector.unregister(flight.completions)
                    with self._changed:
                        self._flights -= 1
                        self._changed.notify_all()

    def _settle_flight(self, flight: _Flight) -> None:
        for outcome in flight.take():
            consumer = outcome.delivery.tag.consumer
            took = time.monotonic() - flight.started
            with self._changed:
                self._running[consumer] -= 1
                if not self._running[consumer]:
                    del self._running[consumer]
                if took <= self._wait:
                    self._slow.pop(consumer, None)
                else:
                    self._slow.setdefault(consumer, _Slow(took)).seconds = took
            try:
                flight.settle(outcome)
            except Exception:
                # The index makes the job due again.
                _log.exception("%s is not settled", outcome.delivery.tag.key)


class _Slow:
    """How long a slow consumer takes to answer, and when its next job may start."""

    def __init__(self, seconds: float) -> None:
        # How long its last delivery has taken.
        self.seconds = seconds
        # When the last job that waits for its turn may start.
        self.free_at = 0.0


class _Flight:
    """The deliveries that one task has started."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        settle: Callable[[Outcome], float | None],
        concurrency: int,
    ) -> None:
        self.run = dispatcher._run((), concurrency)
        self.settle = settle
        self.started = time.monotonic()
        # Those without an outcome.
        self.jobs: dict[str, Job] = {}
        self.completions = Completions()
        self.run.watch(self.completions, 0)

    def submit(self, delivery: Delivery) -> None:
        self.jobs[delivery.tag.key] = delivery.tag
        self.run.submit(delivery)

    def take(self) -> list[Outcome]:
        outcomes = self.run.take()
        for outcome in outcomes:
            self.jobs.pop(outcome.delivery.tag.key, None)
        return outcomes

    def wait(self, seconds: float) -> list[Outcome]:
        """Returns outcomes as soon as there are some; none after this time."""
        end = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.completions, select.POLLIN)
        while not (outcomes := self.take()):
            left = end - time.monotonic()
            if left <= 0:
                return []
            if poll.poll(left * 1000):
                self.completions.drain()
        return outcomes


# Those of this process, and of its parents before the fork.
_backgrounds: list[Background] = []


def drain(**_: object) -> None:
    """Returns when all deliveries of this process that go on have ended."""
    for each in list(_backgrounds):
        if each.process == os.getpid():
            each.drain()
