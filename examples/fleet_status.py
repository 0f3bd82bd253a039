"""Shares the statuses of all processes through Redis."""

import json
from typing import Any

import redis

import webhook_mtls as wm

KEY = "webhook-mtls:status"


def publish(dispatcher: wm.Dispatcher, process: str, shared: redis.Redis) -> None:
    """Stores what this process knows. Call it every minute, and after a rotation."""
    shared.hset(KEY, process, json.dumps(dispatcher.process_status(process)))


def withdraw(process: str, shared: redis.Redis) -> None:
    """Removes what a process knew that has ended."""
    shared.hdel(KEY, process)


def fleet(shared: redis.Redis) -> dict[str, Any]:
    """Returns what all processes know."""
    return wm.merge(text.decode() for text in shared.hvals(KEY))


def retire(dispatcher: wm.Dispatcher, previous: wm.Identity, shared: redis.Redis) -> None:
    """Retires an identity in this process, if no process of the fleet needs it."""
    dispatcher.retire(previous, fleet=fleet(shared))
