"""The due index and the statuses of all processes, in PostgreSQL."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import psycopg
from psycopg.rows import scalar_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

import webhook_mtls as wm
from webhook_mtls.queues import DeadLetter, Job

TABLES = """
CREATE TABLE IF NOT EXISTS jobs (key text PRIMARY KEY, job jsonb NOT NULL, consumer text NOT NULL,
    step int NOT NULL, due timestamptz NOT NULL, parked bool NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due);
CREATE INDEX IF NOT EXISTS jobs_parked ON jobs (consumer) WHERE parked;
CREATE TABLE IF NOT EXISTS dead (key text PRIMARY KEY, letter jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS statuses (process text PRIMARY KEY, status json NOT NULL);
"""


class Postgres:
    """The connections of this process to one database."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._owner = 0

    def rows(self, statement: Any, *values: Any) -> list[Any]:
        """Runs a statement in a transaction of its own; returns the first column of its rows."""
        with self._pool().connection() as connection:
            cursor = connection.cursor(row_factory=scalar_row).execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def _pool(self) -> ConnectionPool[psycopg.Connection]:
        # A forked child must not use the connections of its parent.
        if self._owner != os.getpid():
            self._opened = ConnectionPool(self._conninfo, min_size=1, max_size=8, open=True)
            self._owner = os.getpid()
        return self._opened


class PostgresIndex:
    """A `webhook_mtls.queues.DueIndex`. All instances on one database share the jobs."""

    def __init__(self, database: Postgres) -> None:
        self._rows = database.rows

    def put(self, jobs: Iterable[Job], seconds: float, *, parked: bool = False) -> None:
        """Keeps jobs, and makes them due after a time. Replaces earlier steps of them."""
        by_key = {job.key: job for job in jobs}
        self._rows(
            """
            INSERT INTO jobs SELECT key, job, job->>'consumer', (job->>'step')::int,
                    now() + make_interval(secs => %s), %s
                FROM unnest(%s::text[], %s::jsonb[]) AS given (key, job) ORDER BY key
            ON CONFLICT (key) DO UPDATE SET job = excluded.job, step = excluded.step,
                due = excluded.due, parked = excluded.parked
                WHERE jobs.step <= excluded.step
            """,
            seconds,
            parked,
            list(by_key),
            [json.dumps(asdict(job)) for job in by_key.values()],
        )

    def begin(self, jobs: Iterable[Job], seconds: float) -> set[str]:
        """Returns the keys of the jobs whose step is current, and makes these due after a time."""
        asked = list(jobs)
        found = self._rows(
            """
            UPDATE jobs SET due = now() + make_interval(secs => %s), parked = false
                FROM unnest(%s::text[], %s::int[]) AS given (key, step)
                WHERE jobs.key = given.key AND jobs.step = given.step RETURNING jobs.key
            """,
            seconds,
            [job.key for job in asked],
            [job.step for job in asked],
        )
        return set(found)

    def claim(self, limit: int, seconds: float) -> Sequence[Job]:
        """Takes jobs that are due, and makes them due again after a time."""
        found = self._rows(
            """
            UPDATE jobs SET due = now() + make_interval(secs => %s) WHERE key IN (
                SELECT key FROM jobs WHERE due <= now() ORDER BY due LIMIT %s
                    FOR UPDATE SKIP LOCKED)
                RETURNING job
            """,
            seconds,
            limit,
        )
        return [Job(**fields) for fields in found]

    def release(self, consumer: str) -> int:
        """Makes all parked jobs of a consumer due now, and returns how many."""
        statement = "UPDATE jobs SET due = now(), parked = false"
        statement += " WHERE consumer = %s AND parked RETURNING key"
        return len(self._rows(statement, consumer))

    def settle(self, job: Job) -> None:
        """Drops a job that was delivered."""
        self._rows("DELETE FROM jobs WHERE key = %s", job.key)

    def bury(self, letter: DeadLetter) -> None:
        """Drops a job that was given up, and keeps its letter."""
        self._rows(
            """
            WITH dropped AS (DELETE FROM jobs WHERE key = %s)
            INSERT INTO dead VALUES (%s, %s)
                ON CONFLICT (key) DO UPDATE SET letter = excluded.letter
            """,
            letter.job.key,
            letter.job.key,
            Jsonb(asdict(letter)),
        )

    def dead(self) -> Iterator[DeadLetter]:
        """Returns the dead letters."""
        for fields in self._rows("SELECT letter FROM dead"):
            yield DeadLetter(**{**fields, "job": Job(**fields["job"])})


def publish(dispatcher: wm.Dispatcher, process: str, shared: Postgres) -> None:
    """Stores what this process knows. Call it every minute, and after a rotation."""
    shared.rows(
        "INSERT INTO statuses VALUES (%s, %s)"
        " ON CONFLICT (process) DO UPDATE SET status = excluded.status",
        process,
        json.dumps(dispatcher.process_status(process)),
    )


def withdraw(process: str, shared: Postgres) -> None:
    """Removes what a process knew that has ended."""
    shared.rows("DELETE FROM statuses WHERE process = %s", process)


def fleet(shared: Postgres) -> dict[str, Any]:
    """Returns what all processes know."""
    return wm.merge(shared.rows("SELECT status::text FROM statuses"))


def retire(dispatcher: wm.Dispatcher, previous: wm.Identity, shared: Postgres) -> None:
    """Retires an identity in this process, if no process of the fleet needs it."""
    dispatcher.retire(previous, fleet=fleet(shared))
