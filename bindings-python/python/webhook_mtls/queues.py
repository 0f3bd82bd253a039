"""Deliveries through a queue: jobs, the verdicts about them, and an index of jobs that wait long.

A queue owns time, and `RetryPolicy` the verdict. `webhook_mtls.celery` and `webhook_mtls.dramatiq`
connect both. This module has what they share: it imports neither, and no client of Redis.
docs/queues/README.md explains the states of a job.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from ._errors import WebhookMtlsError
from ._native import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ._native import Decision, Dispatcher, Endpoint, Receipt
    from ._words import Sent

__all__ = ["Claim", "DeadLetter", "DueIndex", "Hooks", "Job", "RedisIndex"]

_log = logging.getLogger("webhook_mtls")

# How long the marks of a fan-out are kept, in seconds. No broker delivers a message later again.
_MARKS_FOR = 7 * 24 * 3600

# The wait after a hook or the index has failed, in seconds.
PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """One event for one consumer. It has ids only: a message of the queue stays small.

    Args:
        consumer: the consumer id.
        event: the event's id, which the consumer receives as webhook-id in each attempt.
        attempt: the number of the next attempt, from 1.
    """

    consumer: str
    event: str
    attempt: int = 1

    @property
    def key(self) -> str:
        """The name of the job, without a colon: equal for all its attempts."""
        parts = (self.event, self.consumer)
        return "/".join(quote(each, safe="!'()*", errors="replace") for each in parts)

    def following(self, decision: Decision) -> Job:
        """Returns the job with the number of the attempt after a failed one."""
        return Job(self.consumer, self.event, self.attempt + decision.counts)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is due, as `DueIndex.claim` returns it."""

    job: Job
    """The job to give back to the queue."""
    token: str
    """Tells this wait of the job from a later one."""


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
    """Keeps jobs that wait longer than a queue allows, parked jobs, and dead letters.

    Each call is atomic, and durable when it returns. `RedisIndex` is one; for PostgreSQL,
    docs/queues/README.md has the statement of each call.
    """

    def delay(self, job: Job, seconds: float, *, parked: bool) -> None:
        """Keeps a job until `seconds` have passed. A job that waits already is replaced.

        Args:
            job: the job.
            seconds: the longest wait.
            parked: whether `release` ends the wait.
        """
        raise NotImplementedError

    def claim(self, limit: int, lease: float) -> Sequence[Claim]:
        """Takes jobs that are due.

        A later call returns them again after the lease, unless `confirm` was called.

        Args:
            limit: the most jobs.
            lease: how long the caller may take to give them to the queue, in seconds.
        """
        raise NotImplementedError

    def confirm(self, claim: Claim) -> None:
        """Drops a claimed job that the queue has. A job that has begun a new wait since stays."""
        raise NotImplementedError

    def release(self, consumer: str) -> int:
        """Makes all parked jobs of a consumer due now, and returns how many."""
        raise NotImplementedError

    def settle(self, job: Job) -> None:
        """Drops a job that was delivered, whether it waits or is a dead letter."""
        raise NotImplementedError

    def bury(self, letter: DeadLetter) -> None:
        """Keeps a dead letter, and drops the job if it waits."""
        raise NotImplementedError

    def dead(self) -> Iterator[DeadLetter]:
        """Returns the dead letters, in no order."""
        raise NotImplementedError

    def mark(self, batch: str, consumer: str) -> None:
        """Notes that a fan-out has settled a consumer. Marks may be dropped after some days."""
        raise NotImplementedError

    def marked(self, batch: str) -> set[str]:
        """Returns the consumers that a fan-out has settled."""
        raise NotImplementedError


class Hooks:
    """What a task needs to know of the application. Subclass the task, and define these.

    The policy decides about a `WebhookMtlsError` of `endpoint`, `body` or `options`. After another
    exception of these, the job waits, and has lost no attempt. An exception of a method that starts
    with `on_` is logged, and changes nothing.
    """

    dispatcher: Dispatcher
    """Made when the module of the tasks is loaded. A forked child has connections of its own."""
    index: DueIndex
    """Where jobs wait that the queue does not keep."""
    policy: RetryPolicy = RetryPolicy()
    """Decides about failures."""

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

    def _attempt(self, job: Job, later: Callable[[Job, float], None], longest: float) -> None:
        """Delivers a job once, and settles it.

        Args:
            job: the job.
            later: gives a job back to the queue, to be run after a delay in seconds.
            longest: the longest delay that is left to the queue.
        """
        try:
            endpoint, body = self.endpoint(job.consumer), self.body(job.event)
            receipt = self.dispatcher.deliver(endpoint, body, id=job.event, **self.options(job))
        except WebhookMtlsError as error:
            self._settle_failure(job, error, later, longest)
        else:
            _call(self.on_delivered, job, receipt)

    def _settle_failure(
        self,
        job: Job,
        error: WebhookMtlsError,
        later: Callable[[Job, float], None],
        longest: float,
    ) -> None:
        """Does what the policy decides. The job is safe elsewhere when this returns."""
        decision = self.policy.decide(error, attempt=job.attempt)
        following = job.following(decision)
        if decision.action == "drop":
            letter = DeadLetter(job, decision.reason, error.sent, error.to_dict(), time.time())
            self.index.bury(letter)
            _call(self.on_drop, letter, error)
        elif decision.action == "park":
            self.index.delay(following, decision.delay, parked=True)
            _call(self.on_park, following, decision, error)
        elif decision.delay > longest:
            self.index.delay(following, decision.delay, parked=False)
        else:
            later(following, decision.delay)


def _call(hook: Callable[..., object], *args: object) -> None:
    """Calls a hook that is told what has happened."""
    try:
        hook(*args)
    except Exception:
        _log.exception("%s has failed", getattr(hook, "__qualname__", hook))


class RedisIndex:
    """A `DueIndex` in Redis 5 or later. All instances with one prefix share the jobs.

    The clock is that of the server. Jobs are as durable as Redis: with `appendfsync always`, a
    job survives a crash. The keys have one hash tag, so they are in one slot of a cluster.

    Args:
        client: a `redis.Redis`. It may be made before the process forks.
        prefix: the first part of each key.
    """

    def __init__(self, client: Any, *, prefix: str = "webhook-mtls") -> None:
        self._client = client
        self._prefix = "{" + prefix + "}:"
        names = ("delay", "claim", "confirm", "release", "settle", "bury")
        self._scripts = {name: client.register_script(_SCRIPTS[name]) for name in names}

    def delay(self, job: Job, seconds: float, *, parked: bool) -> None:
        """Keeps a job until its time."""
        text = json.dumps({"token": uuid.uuid4().hex, "job": asdict(job)})
        self._run("delay", job.consumer, job.key, text, round(seconds * 1000), int(parked))

    def claim(self, limit: int, lease: float) -> list[Claim]:
        """Takes jobs that are due."""
        found = self._run("claim", "", limit, round(lease * 1000))
        read = map(json.loads, found)
        return [Claim(Job(**each["job"]), each["token"]) for each in read]

    def confirm(self, claim: Claim) -> None:
        """Drops a claimed job that the queue has."""
        self._run("confirm", claim.job.consumer, claim.job.key, claim.token)

    def release(self, consumer: str) -> int:
        """Makes all parked jobs of a consumer due now."""
        return int(self._run("release", consumer))

    def settle(self, job: Job) -> None:
        """Drops a job that was delivered."""
        self._run("settle", job.consumer, job.key)

    def bury(self, letter: DeadLetter) -> None:
        """Keeps a dead letter."""
        job = letter.job
        self._run("bury", job.consumer, job.key, json.dumps(asdict(letter)))

    def dead(self) -> Iterator[DeadLetter]:
        """Returns the dead letters."""
        for _, text in self._client.hscan_iter(f"{self._prefix}dead"):
            fields = json.loads(text)
            yield DeadLetter(**{**fields, "job": Job(**fields["job"])})

    def mark(self, batch: str, consumer: str) -> None:
        """Notes that a fan-out has settled a consumer."""
        key = f"{self._prefix}batch:{batch}"
        pipeline = self._client.pipeline(transaction=True)
        pipeline.sadd(key, consumer)
        pipeline.expire(key, _MARKS_FOR)
        pipeline.execute()

    def marked(self, batch: str) -> set[str]:
        """Returns the consumers that a fan-out has settled."""
        members = self._client.smembers(f"{self._prefix}batch:{batch}")
        return {each.decode() if isinstance(each, bytes) else each for each in members}

    def _run(self, name: str, consumer: str, *arguments: object) -> Any:
        tails = ("due", "jobs", f"parked:{consumer}", "dead")
        keys = [self._prefix + tail for tail in tails]
        return self._scripts[name](keys=keys, args=list(arguments))


# Keys: jobs by due time, job texts by key, the parked keys of one consumer, dead letters by key.
_NOW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""
_DROP = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
"""
_SCRIPTS = {
    "delay": _NOW
    + """
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call(ARGV[4] == '1' and 'SADD' or 'SREM', KEYS[3], ARGV[1])
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
    "confirm": """
local text = redis.call('HGET', KEYS[2], ARGV[1])
if not text or cjson.decode(text).token ~= ARGV[2] then return end
"""
    + _DROP,
    "release": _NOW
    + """
local parked = redis.call('SMEMBERS', KEYS[3])
for _, key in ipairs(parked) do
    redis.call('ZADD', KEYS[1], 'XX', now, key)
end
redis.call('DEL', KEYS[3])
return #parked
""",
    "settle": _DROP + "redis.call('HDEL', KEYS[4], ARGV[1])",
    "bury": _DROP + "redis.call('HSET', KEYS[4], ARGV[1], ARGV[2])",
}
