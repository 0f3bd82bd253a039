"""Refuses a call that would stop every green thread of eventlet."""

from __future__ import annotations

from eventlet import hubs, patcher


def check() -> None:
    """Fails in a green thread of a patched process.

    Raises:
        RuntimeError: with what to use instead.
    """
    # The native threads of eventlet.tpool have no hub.
    if patcher.is_monkey_patched("socket") and hasattr(hubs._threadlocal, "hub"):
        raise RuntimeError(
            "eventlet is not supported: a delivery would stop every green thread until it ends. "
            "Use gevent or threads (for Celery: -P gevent or -P threads), or call the dispatcher "
            "through eventlet.tpool.execute."
        )
