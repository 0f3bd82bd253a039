"""Deliveries through a queue: jobs, the verdicts about them, and an index of the open jobs.

A queue owns time, and `RetryPolicy` the verdict. `webhook_mtls.celery` and `webhook_mtls.dramatiq`
connect both. This module has what they share: it imports neither, and no client of Redis.
docs/queues/README.md explains the states of a job.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from ._background import Background
from ._errors import WebhookMtlsError
from ._native import Delivery, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ._native import Decision, Dispatcher, Endpoint, Outcome, Receipt
    from ._words import Sent

__all__ = ["DeadLetter", "DueIndex", "Hooks", "Job", "RedisIndex"]

_log = logging.getLogger("webhook_mtls")

# The wait after a hook or the index has failed, in seconds.
PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """One event for one consumer. It has ids only: a message of the queue stays small.

    Args:
        consumer: the consumer id.
        event: the event's id, which the consumer receives as webhook-id in each attempt.
        attempt: the number of the next attempt, from 1.
        step: how often the job has been decided about. A message of an earlier step has no effect.
    """

    consumer: str
    event: str
    attempt: int = 1
    step: int = 0

    @property
    def key(self) -> str:
        """The name of the job, without a colon: equal for all its attempts."""
        parts = (self.event, self.consumer)
        return "/".join(quote(each, safe="!'()*", errors="replace") for each in parts)

    def following(self, decision: Decision) -> Job:
        """Returns the job after a decision about a failure."""
        return Job(self.consumer, self.event, self.attempt + decision.counts, self.step + 1)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up."""

    job: Job
    """The job, with the number of its last attempt."""
    reason: str
    """The reason of the policy."""
    sent: Sent
    """How much of the last request was sent: unless it is `nothing`, the consumer may have it."""
    error: Mapping[str, Any]
    """The last failure, as `WebhookMtlsError.to_dict` returns it."""
    at: float
    """When it was given up, in seconds since 1970."""


class DueIndex(Protocol):
    """Has every job that is not settled, with the time at which it is due, and the dead letters.

    So a job survives the loss of its message, and a message of a settled job has no effect. Each
    call is atomic for each job, and durable when it returns. `RedisIndex` is one; for PostgreSQL,
    docs/queues/postgres.md has a program.
    """

    def put(self, jobs: Iterable[Job], seconds: float, *, parked: bool = False) -> None:
        """Keeps jobs, and makes them due after a time. Replaces earlier steps of them.

        Args:
            jobs: the jobs.
            seconds: the time after which `claim` returns them.
            parked: whether `release` ends the wait.
        """
        raise NotImplementedError

    def begin(self, jobs: Iterable[Job], seconds: float) -> set[str]:
        """Returns the keys of the jobs whose step is current, and makes these due after a time.

        Args:
            jobs: the jobs of a message.
            seconds: longer than the work with them takes.
        """
        raise NotImplementedError

    def claim(self, limit: int, seconds: float) -> Sequence[Job]:
        """Takes jobs that are due, and makes them due again after a time.

        Args:
            limit: the most jobs.
            seconds: after which time a message counts as lost.
        """
        raise NotImplementedError

    def release(self, consumer: str) -> int:
        """Makes all parked jobs of a consumer due now, and returns how many."""
        raise NotImplementedError

    def settle(self, job: Job) -> None:
        """Drops a job that was delivered."""
        raise NotImplementedError

    def bury(self, letter: DeadLetter) -> None:
        """Drops a job that was given up, and keeps its letter."""
        raise NotImplementedError

    def dead(self) -> Iterator[DeadLetter]:
        """Returns the dead letters, in no order."""
        raise NotImplementedError


class Hooks:
    """What deliveries need to know of the application. A subclass defines these.

    The policy decides about a `WebhookMtlsError` of `endpoint`, `body` or `options`. After another
    exception of these, the job waits, and has lost no attempt. An exception of a method that starts
    with `on_` is logged, and changes nothing.
    """

    dispatcher: Dispatcher
    """Made when the module of the tasks is loaded. A forked child has connections of its own."""
    index: DueIndex
    """Has each job until it is settled."""
    policy: RetryPolicy = RetryPolicy()
    """Decides about failures."""
    guard: float = 900.0
    """After which time a message counts as lost, in seconds: the sweeper then sends another one.

    It is longer than a delivery takes. If the queue is behind for longer, the sweeper sends further
    messages; they have no effect.
    """

    task_wait: float | None = 0.1
    """How long a task waits for its delivery, in seconds. Then it ends, and the delivery goes on.

    So a slow consumer blocks no worker process. A thread of the process settles the delivery, and
    calls the methods that start with `on_`. If the process is killed, the sweeper sends another
    message after `guard`. None waits until the end, as tasks in greenlets always do.
    """
    background: int = 128
    """How many deliveries to slow consumers may go on without a task, in each process.

    One consumer has at most a sixteenth of them. Further jobs of slow consumers wait, at the cost
    of no attempt. Keep it well below `max_connections`: the other consumers have the rest.
    """

    def endpoint(self, consumer: str) -> Endpoint:
        """Returns the endpoint of a consumer, for instance from a row of a database."""
        raise NotImplementedError

    def body(self, event: str) -> bytes:
        """Returns the payload of an event."""
        raise NotImplementedError

    def options(self, job: Job) -> Mapping[str, Any]:
        """Returns further keyword arguments of `Dispatcher.deliver`, such as `headers`."""
        return {}

    def on_delivered(self, job: Job, receipt: Receipt) -> None:
        """Called after the consumer has confirmed the delivery."""

    def on_park(self, job: Job, decision: Decision, error: WebhookMtlsError) -> None:
        """Called after a job was parked: a person must repair something, as `error.remedy` says.

        After the repair, call `index.release(job.consumer)`. The job is tried again without it when
        `decision.delay` has passed.
        """

    def on_drop(self, letter: DeadLetter, error: WebhookMtlsError) -> None:
        """Called after a delivery was given up, and the letter is in the index."""

    def _attempt(
        self, job: Job, later: Callable[[Job, float], None], longest: float
    ) -> float | None:
        """Delivers a job once, and settles it. Does nothing for a message that is late.

        Args:
            job: the job.
            later: sends a message of a job that is run after a delay in seconds.
            longest: the longest delay that is left to the queue.

        Returns:
            The delay of the message that was sent; None without one.
        """
        if job.key not in self.index.begin([job], self.guard):
            _log.info("%s: a message of step %d has no effect", job.key, job.step)
            return None
        background = self._own_background()
        if background is not None and (turn_in := background.turn_in(job.consumer)):
            return self._wait_for_turn(job, turn_in, later, longest)
        receipt: Receipt | None = None
        try:
            endpoint, body = self.endpoint(job.consumer), self.body(job.event)
            options = self.options(job)
            if background is None:
                receipt = self.dispatcher.deliver(endpoint, body, id=job.event, **options)
        except WebhookMtlsError as error:
            return self._settle_failure(job, error, later, longest)
        if receipt is not None:
            self._settle_success(job, receipt)
        if background is None:
            return None
        delivery = Delivery.deferred(endpoint, body, id=job.event, tag=job, **options)
        settle = self._settle_with(later, longest)
        delays = background.deliver(self.dispatcher, [delivery], settle)
        return delays[0] if delays else None

    def _own_background(self) -> Background | None:
        """Returns the background of this process. None if tasks wait for their deliveries."""
        # A greenlet that waits blocks no other.
        has_greenlets = "gevent.hub" in sys.modules or "eventlet.hubs" in sys.modules
        if self.task_wait is None or has_greenlets:
            return None
        known: dict[int, Background] = vars(self).setdefault("_background_of", {})
        process = os.getpid()
        if process not in known:
            # Of two threads, one wins.
            known.setdefault(process, Background(self.background, self.task_wait))
        return known[process]

    def _wait_for_turn(
        self, job: Job, delay: float, later: Callable[[Job, float], None], longest: float
    ) -> float | None:
        """Makes a job of a slow consumer wait, at the cost of no attempt."""
        _log.info("%s waits for %.1f s: its consumer is slow", job.key, delay)
        following = Job(job.consumer, job.event, job.attempt, job.step + 1)
        return self._send_later(following, delay, later, longest)

    def _settle_with(
        self, later: Callable[[Job, float], None], longest: float
    ) -> Callable[[Outcome], float | None]:
        """Returns what settles an outcome, and returns the delay of the message that was sent."""

        def settle(outcome: Outcome) -> float | None:
            job, error = outcome.delivery.tag, outcome.error
            if error is not None:
                return self._settle_failure(job, error, later, longest)
            if outcome.receipt is not None:
                self._settle_success(job, outcome.receipt)
            return None

        return settle

    def _settle_success(self, job: Job, receipt: Receipt) -> None:
        _call(self.on_delivered, job, receipt)
        self.index.settle(job)

    def _settle_failure(
        self,
        job: Job,
        error: WebhookMtlsError,
        later: Callable[[Job, float], None],
        longest: float,
    ) -> float | None:
        """Does what the policy decides. Returns the delay of the message that was sent.

        The index has the following step when this returns.
        """
        decision = self.policy.decide(error, attempt=job.attempt)
        following = job.following(decision)
        if decision.action == "drop":
            letter = DeadLetter(job, decision.reason, error.sent, error.to_dict(), time.time())
            self.index.bury(letter)
            _call(self.on_drop, letter, error)
        elif decision.action == "park":
            self.index.put([following], decision.delay, parked=True)
            _call(self.on_park, following, decision, error)
        else:
            return self._send_later(following, decision.delay, later, longest)
        return None

    def _send_later(
        self, following: Job, delay: float, later: Callable[[Job, float], None], longest: float
    ) -> float | None:
        """Makes the next step of a job wait. Returns the delay of the message that was sent."""
        if delay > longest:
            self.index.put([following], delay)
            return None
        self.index.put([following], delay + self.guard)
        later(following, delay)
        return delay

    def _sweep(self, enqueue: Callable[[Job], None], limit: int) -> int:
        """Enqueues all jobs that are due, and returns how many."""
        swept = 0
        while jobs := self.index.claim(limit, self.guard):
            for job in jobs:
                enqueue(job)
            swept += len(jobs)
        return swept


def log_wait(job: Job, seconds: float, fault: Exception) -> None:
    _log.error("%s waits for %g s: %s", job.key, seconds, fault, exc_info=fault)


def in_millis(seconds: float) -> int:
    return round(seconds * 1000)


def _call(hook: Callable[..., object], *args: object) -> None:
    """Calls a hook whose failure is logged and changes nothing."""
    try:
        hook(*args)
    except Exception:
        _log.exception("%s has failed", getattr(hook, "__qualname__", hook))


class RedisIndex:
    """A `DueIndex` in Redis 5 or later. All instances with one prefix share the jobs.

    The clock is that of the server. Jobs are as durable as Redis: with `appendfsync always`, a job
    survives a crash. The keys have one hash tag, so they are in one slot of a cluster.

    Args:
        client: a `redis.Redis`. It may be made before the process forks.
        prefix: the first part of each key.
    """

    def __init__(self, client: Any, *, prefix: str = "webhook-mtls") -> None:
        self._client = client
        self._prefix = "{" + prefix + "}:"
        self._scripts = {name: client.register_script(text) for name, text in _SCRIPTS.items()}

    def put(self, jobs: Iterable[Job], seconds: float, *, parked: bool = False) -> None:
        """Keeps jobs, and makes them due after a time."""
        millis = in_millis(seconds)
        self._run_all(
            "put", [(job, json.dumps(asdict(job)), millis, int(parked), job.step) for job in jobs]
        )

    def begin(self, jobs: Iterable[Job], seconds: float) -> set[str]:
        """Returns the keys of the jobs whose step is current."""
        asked = list(jobs)
        millis = in_millis(seconds)
        answers = self._run_all("begin", [(job, job.step, millis) for job in asked])
        return {job.key for job, is_current in zip(asked, answers, strict=True) if is_current}

    def claim(self, limit: int, seconds: float) -> list[Job]:
        """Takes jobs that are due."""
        keys = [f"{self._prefix}{tail}" for tail in ("due", "jobs")]
        found = self._scripts["claim"](keys=keys, args=[limit, in_millis(seconds)])
        return [Job(**json.loads(text)) for text in found]

    def release(self, consumer: str) -> int:
        """Makes all parked jobs of a consumer due now."""
        return int(self._scripts["release"](keys=self._keys(consumer)))

    def settle(self, job: Job) -> None:
        """Drops a job that was delivered."""
        self._run_all("settle", [(job,)])

    def bury(self, letter: DeadLetter) -> None:
        """Drops a job that was given up, and keeps its letter."""
        self._run_all("bury", [(letter.job, json.dumps(asdict(letter)))])

    def dead(self) -> Iterator[DeadLetter]:
        """Returns the dead letters."""
        for _, text in self._client.hscan_iter(f"{self._prefix}dead"):
            fields = json.loads(text)
            yield DeadLetter(**{**fields, "job": Job(**fields["job"])})

    def _keys(self, consumer: str) -> list[str]:
        return [self._prefix + tail for tail in ("due", "jobs", f"parked:{consumer}", "dead")]

    def _run_all(self, name: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Runs a script for each job: for one job in one round trip, for several in two."""
        script = self._scripts[name]
        given = [(self._keys(job.consumer), [job.key, *rest]) for job, *rest in calls]
        if len(given) == 1:
            return [script(*given[0])]
        # The first round trip asks whether the server has the script.
        pipeline = self._client.pipeline(transaction=False)
        for keys, arguments in given:
            script(keys, arguments, client=pipeline)
        answers: list[Any] = pipeline.execute()
        return answers


# Keys: jobs by due time, job texts by key, the parked keys of one consumer, dead letters by key.
_NOW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""
# The step of a job, or -1. cjson has no integers beyond 2^53, and needs none.
_STEP = """
local text = redis.call('HGET', KEYS[2], ARGV[1])
local step = text and cjson.decode(text).step or -1
"""
_DROP = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
"""
_SCRIPTS = {
    "put": _NOW
    + _STEP
    + """
if step > tonumber(ARGV[5]) then return end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call(ARGV[4] == '1' and 'SADD' or 'SREM', KEYS[3], ARGV[1])
""",
    "begin": _NOW
    + _STEP
    + """
if step ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
return 1
""",
    "claim": _NOW
    + """
local found = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
    redis.call('ZADD', KEYS[1], now + ARGV[2], key)
    table.insert(found, redis.call('HGET', KEYS[2], key))
end
return found
""",
    "release": _NOW
    + """
local parked = redis.call('SMEMBERS', KEYS[3])
for _, key in ipairs(parked) do
    redis.call('ZADD', KEYS[1], 'XX', now, key)
end
redis.call('DEL', KEYS[3])
return #parked
""",
    "settle": _DROP,
    "bury": _DROP + "redis.call('HSET', KEYS[4], ARGV[1], ARGV[2])",
}
