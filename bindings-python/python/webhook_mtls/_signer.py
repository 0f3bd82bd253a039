"""Calls of a signer: a function of the application that signs handshakes.

The library calls it on threads of its own. An awaitable that it returns runs on the event loop that
the identity was given, or on one that this module keeps for the process.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

# How long a canceled awaitable may take to end, beyond the deadline, on a loop that has stopped.
_GRACE = 1.0

_lock = threading.Lock()
_own: asyncio.AbstractEventLoop | None = None


def call(
    sign: Callable[[str, bytes, bytes | None, float], Any],
    loop: asyncio.AbstractEventLoop | None,
    scheme: str,
    message: bytes,
    digest: bytes | None,
    deadline: float,
) -> bytes:
    """Returns the signature that `sign` makes. Waits for an awaitable."""
    answer = sign(scheme, message, digest, deadline)
    if inspect.isawaitable(answer):
        answer = _wait(answer, loop or _own_loop(), deadline)
    return bytes(memoryview(answer))


def _wait(answer: Awaitable[Any], loop: asyncio.AbstractEventLoop, deadline: float) -> Any:
    waiting = _until(answer, deadline)
    try:
        future = asyncio.run_coroutine_threadsafe(waiting, loop)
    except RuntimeError:
        # The loop is closed. Nothing awaits the two.
        waiting.close()
        if inspect.iscoroutine(answer):
            answer.close()
        raise
    # The place of this call stays taken until the awaitable has ended.
    done, _ = concurrent.futures.wait([future], deadline + _GRACE)
    while not done and loop.is_running():
        done, _ = concurrent.futures.wait([future], _GRACE)
    if not done:
        future.cancel()
    return future.result()


async def _until(answer: Awaitable[Any], deadline: float) -> Any:
    async with asyncio.timeout(deadline):
        return await answer


def _own_loop() -> asyncio.AbstractEventLoop:
    """Returns the loop of this process, which a thread of its own runs."""
    global _own
    with _lock:
        if _own is None:
            _own = asyncio.new_event_loop()
            threading.Thread(
                target=_own.run_forever, name="webhook-mtls-signer", daemon=True
            ).start()
        return _own


def _in_child() -> None:
    # A forked child has no thread of its parent.
    global _lock, _own
    _lock, _own = threading.Lock(), None


os.register_at_fork(after_in_child=_in_child)
