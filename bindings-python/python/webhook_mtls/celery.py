"""Tasks of Celery that deliver webhooks. It needs Celery 5.

    pip install 'webhook-mtls[celery]'

    class Deliver(DeliverTask):
        name = "hooks.deliver"
        dispatcher = dispatcher
        index = RedisIndex(redis.Redis())

        def endpoint(self, consumer): ...
        def body(self, event): ...

    deliver = app.register_task(Deliver())
    fan_out = app.register_task(FanOutTask(deliver))
    app.register_task(SweepTask(deliver))

The index has each job until it is settled. So no delivery is lost if a worker or the broker is
killed, or if the broker loses a message; some are made twice. docs/queues/celery.md tells how to
run the sweeper, and what each setting guards against.
"""

from __future__ import annotations

import functools
import time
from dataclasses import astuple
from typing import TYPE_CHECKING

from celery.exceptions import Reject, Retry
from celery.signals import worker_process_shutdown, worker_shutdown

from ._background import drain
from ._errors import WebhookMtlsError
from ._native import Delivery
from .queues import PAUSE, Hooks, Job, _log, log_wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, ClassVar

    class Task:
        """What this module uses of Celery's class, which has no types."""

        abstract: ClassVar[bool]
        name: str
        app: Any
        request: Any

        def apply_async(
            self, args: Sequence[object] = (), kwargs: dict[str, Any] | None = None, **options: Any
        ) -> Any: ...
        def delay(self, *args: Any, **kwargs: Any) -> Any: ...
else:
    from celery import Task

__all__ = ["DeliverTask", "FanOutTask", "SweepTask"]

# The shortest time after which a transport of kombu delivers an unacknowledged message again, or
# RabbitMQ closes the channel, in seconds. Redis waits for twice as long.
_VISIBILITY = 1800.0

# A process ends after the deliveries that go on without their tasks.
worker_process_shutdown.connect(drain)
worker_shutdown.connect(drain)


class _LateTask(Task):
    """A task whose message stays with the broker until its work is done."""

    abstract = True
    acks_late: bool = True
    # The message of a killed child goes to another one.
    reject_on_worker_lost: bool = True
    # By default, Celery acknowledges the message of a task that has raised.
    acks_on_failure_or_timeout: bool = False
    max_retries: int | None = None
    ignore_result: bool = True

    def _give_back(self, fault: Exception) -> Reject:
        """Returns the exception with which the broker keeps the message."""
        _log.error("%s gives its message back: %s", self.name, fault, exc_info=fault)
        # Another child may get the message at once.
        time.sleep(1)
        return Reject(fault, requeue=True)


class DeliverTask(Hooks, _LateTask):
    """Delivers one event to one consumer. Subclass it, and define `name` and the hooks.

    A failure ends as the policy decides: the job is sent again with a countdown, waits in the
    index, is parked there, or becomes a dead letter. Attempts that do not count cost none.
    """

    abstract = True
    long_wait: float = 300.0
    """The longest countdown, in seconds. It is at most half of the broker's `visibility_timeout`:
    after this time, the broker delivers a message again that a worker has. Longer waits are left to
    the index.
    """

    def send(self, event: str, consumer: str) -> None:
        """Enqueues the delivery of an event to a consumer. It is safe when this returns.

        Args:
            event: the event's id.
            consumer: the consumer id.

        Raises:
            kombu.exceptions.OperationalError: the broker has not confirmed it. The sweeper may send
                it later.
        """
        job = Job(consumer, event)
        self.index.put([job], self.guard)
        self._enqueue(job)

    def run(self, consumer: str, event: str, attempt: int, step: int) -> None:
        """Makes an attempt. Call `send` instead: a job that is not in the index is not delivered.

        Args:
            consumer, event, attempt, step: the fields of the job.
        """
        job = Job(consumer, event, attempt, step)
        try:
            delay = self._attempt(job, self._enqueue, self._longest())
        except Exception as fault:
            delay = self._put_off(job, fault)
        if delay is not None:
            # The other message is safe. Celery acknowledges this one, and its event is a retry.
            raise Retry(f"attempt {attempt}", when=delay)

    def _longest(self) -> float:
        """Returns the longest countdown."""
        options = self.app.conf.broker_transport_options or {}
        return min(self.long_wait, float(options.get("visibility_timeout", _VISIBILITY)) / 2)

    def _put_off(self, job: Job, fault: Exception) -> float:
        """Sends a job again after a failure of a hook, of the index or of the broker.

        Returns:
            The delay of the message.

        Raises:
            Reject: the broker takes no message, and keeps the one that it has.
        """
        delay = min(PAUSE, self._longest())
        log_wait(job, delay, fault)
        try:
            self._enqueue(job, delay)
        except Exception as refused:
            raise self._give_back(refused) from fault
        return delay

    def _enqueue(self, job: Job, delay: float | None = None) -> None:
        self.apply_async(astuple(job), task_id=job.key, countdown=delay)


class FanOutTask(_LateTask):
    """Delivers one event to many consumers, several at once, in one task for each part of them.

    The first attempts share the payload and the connections of one process. A failed delivery
    becomes a message of the deliver task, and a bad row stops no other. If a worker is killed,
    another one continues after the deliveries that have ended. The name of the task is that of the
    deliver task and `.fan_out`.

    Args:
        deliver: the registered deliver task.
        size: the most consumers of one message.
        concurrency: how many deliveries of one message run at once.
    """

    def __init__(self, deliver: DeliverTask, *, size: int = 100, concurrency: int = 64) -> None:
        self.name: str = f"{deliver.name}.fan_out"
        self._deliver = deliver
        self._size = size
        self._concurrency = concurrency

    def send(self, event: str, consumers: Iterable[str]) -> None:
        """Enqueues the deliveries of an event. They are safe when this returns.

        Args:
            event: the event's id.
            consumers: the consumer ids.

        Raises:
            kombu.exceptions.OperationalError: the broker has not confirmed some of them. Sending
                all again makes some deliveries twice.
        """
        rest, deliver = list(consumers), self._deliver
        for at in range(0, len(rest), self._size):
            part = rest[at : at + self._size]
            deliver.index.put([Job(consumer, event) for consumer in part], deliver.guard)
            self.apply_async((event, part))

    def run(self, event: str, consumers: Sequence[str]) -> None:
        """Delivers to a part of the consumers. Call `send` instead.

        Args:
            event: the event's id.
            consumers: the consumer ids.
        """
        deliver = self._deliver
        try:
            jobs = [Job(consumer, event) for consumer in dict.fromkeys(consumers)]
            current = deliver.index.begin(jobs, deliver.guard)
            deliveries = self._deliveries([job for job in jobs if job.key in current])
            settle = deliver._settle_with(deliver._enqueue, deliver._longest())
            dispatcher, concurrency = deliver.dispatcher, self._concurrency
            if (background := deliver._own_background()) is not None:
                background.deliver(dispatcher, deliveries, settle, concurrency)
            else:
                for outcome in dispatcher.deliver_many(deliveries, concurrency=concurrency):
                    settle(outcome)
        except Reject:
            # A job could not be sent again.
            raise
        except Exception as fault:
            raise self._give_back(fault) from fault

    def _deliveries(self, jobs: Sequence[Job]) -> Iterator[Delivery]:
        deliver = self._deliver
        # All jobs have one event. Its failure is not cached, and is one of each job.
        body_of = functools.lru_cache(maxsize=1)(deliver.body)
        background = deliver._own_background()
        enqueue, longest = deliver._enqueue, deliver._longest()
        for job in jobs:
            try:
                if background is not None and (turn_in := background.turn_in(job.consumer)):
                    deliver._wait_for_turn(job, turn_in, enqueue, longest)
                    continue
                endpoint, body = deliver.endpoint(job.consumer), body_of(job.event)
                more = deliver.options(job)
                delivery = Delivery.deferred(endpoint, body, id=job.event, tag=job, **more)
            except WebhookMtlsError as error:
                deliver._settle_failure(job, error, enqueue, longest)
            except Exception as fault:
                deliver._put_off(job, fault)
            else:
                yield delivery


class SweepTask(Task):
    """Sends messages of the jobs in the index that are due. Let Celery beat run it.

    Several may run at once. The name of the task is that of the deliver task and `.sweep`.

    Args:
        deliver: the registered deliver task.
        limit: how many jobs are taken at once.
    """

    ignore_result: bool = True

    def __init__(self, deliver: DeliverTask, *, limit: int = 500) -> None:
        self.name: str = f"{deliver.name}.sweep"
        self._deliver = deliver
        self._limit = limit

    def run(self) -> int:
        """Enqueues all jobs that are due, and returns how many."""
        return self._deliver._sweep(self._deliver._enqueue, self._limit)
