"""An actor of Dramatiq that delivers webhooks. It needs Dramatiq 2.

    pip install 'webhook-mtls[dramatiq]'

    class Deliveries(Hooks):
        dispatcher = dispatcher
        index = RedisIndex(redis.Redis())

        def endpoint(self, consumer): ...
        def body(self, event): ...

    deliver = DeliverActor(Deliveries())
    deliver.send("evt_1", "acme")

docs/queues/dramatiq.md tells how to run the sweeper.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

import dramatiq

from ._background import drain
from .queues import PAUSE, Hooks, Job, in_millis, log_wait

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DeliverActor"]


class DeliverActor:
    """Delivers one event to one consumer in each message, and settles failures by the policy.

    Dramatiq acknowledges a message after its work, and gives the messages of a dead worker to
    another. It counts no attempt: the job does, as the policy says.

    Args:
        hooks: what the actor needs to know of the application.
        name: the name of the actor.
        queue: the name of its queue.
        broker: the broker; by default the global one.
        long_wait: the longest delay that is left to Dramatiq, in seconds. A worker holds delayed
            messages in memory. Longer waits are left to the index.
    """

    def __init__(
        self,
        hooks: Hooks,
        *,
        name: str = "webhook_mtls_deliver",
        queue: str = "webhooks",
        broker: dramatiq.Broker | None = None,
        long_wait: float = 300.0,
    ) -> None:
        self._hooks = hooks
        self._long_wait = long_wait
        broker = broker or dramatiq.get_broker()
        if not any(isinstance(each, _Drain) for each in broker.middleware):
            broker.add_middleware(_Drain())
        # Without max_retries, Dramatiq would give up after 20 failures of a hook.
        decorate = dramatiq.actor(
            actor_name=name, queue_name=queue, broker=broker, max_retries=None
        )
        self.actor: dramatiq.Actor[[str, str, int, int], None] = decorate(self._run)
        """The actor, for the options and middleware of Dramatiq."""

    def send(self, event: str, consumer: str) -> None:
        """Enqueues the delivery of an event to a consumer. It is safe when this returns.

        Args:
            event: the event's id.
            consumer: the consumer id.
        """
        self.send_all(event, [consumer])

    def send_all(self, event: str, consumers: Iterable[str]) -> None:
        """Enqueues the deliveries of an event, in one message for each consumer.

        Args:
            event: the event's id.
            consumers: the consumer ids.
        """
        jobs = [Job(consumer, event) for consumer in consumers]
        self._hooks.index.put(jobs, self._hooks.guard)
        for job in jobs:
            self._enqueue(job)

    def sweep(self, *, limit: int = 500) -> int:
        """Enqueues all jobs of the index that are due. Call it each few seconds, in any process.

        Args:
            limit: how many jobs are taken at once.

        Returns:
            The number of jobs.
        """
        return self._hooks._sweep(self._enqueue, limit)

    def _enqueue(self, job: Job, delay: float | None = None) -> None:
        millis = None if delay is None else in_millis(delay)
        self.actor.send_with_options(args=astuple(job), delay=millis)

    def _run(self, consumer: str, event: str, attempt: int, step: int) -> None:
        job = Job(consumer, event, attempt, step)
        try:
            self._hooks._attempt(job, self._enqueue, self._long_wait)
        except Exception as fault:
            log_wait(job, PAUSE, fault)
            raise dramatiq.Retry(str(fault), delay=in_millis(PAUSE)) from fault


class _Drain(dramatiq.Middleware):
    """Lets the deliveries of a worker end that go on without their messages."""

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        drain()
