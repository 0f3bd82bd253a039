"""Log records of a dispatcher for the module `logging`, with the fields of every language."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from ._telemetry import dispatcher_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._asyncio import AsyncDispatcher
    from ._native import Dispatcher, Event
    from ._telemetry import Record

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def log_deliveries(
    dispatcher: Dispatcher | AsyncDispatcher, *, logger: logging.Logger | None = None
) -> None:
    """Logs each delivery of a dispatcher that starts after this call, and each later event.

    A line has the message, and then the fields as `name=value`. It is shorter than 1 KiB. The
    attribute `webhook_mtls` of the log record is a dict of the fields, for a formatter that writes
    JSON. docs/log.md lists the fields and the levels.

    Deliveries are logged by the thread that takes their outcome, events by a thread of their own. A
    second call for the same dispatcher changes the logger.

    Args:
        dispatcher: the dispatcher. All ways to deliver with it are logged.
        logger: by default the logger `webhook_mtls`.

    Raises:
        TypeError: an argument of another type.
    """
    known = dispatcher_of(dispatcher)
    if logger is None:
        logger = logging.getLogger("webhook_mtls")
    if not isinstance(logger, logging.Logger):
        raise TypeError(f"logger must be a logging.Logger, not {type(logger).__name__}")
    hub = known._telemetry()
    log = hub.get(__name__)
    if isinstance(log, _Log):
        log.logger = logger
        return
    log = _Log(logger)
    hub.add(__name__, log)
    known.on_event(log.event)


class _Log:
    """Writes log records to a logger."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def begin(
        self, number: int, consumer: str, server: str, port: int
    ) -> Sequence[tuple[str, str]]:
        return ()

    def end(self, record: Record) -> None:
        self.write(dict(record["log"]))

    def event(self, event: Event) -> None:
        self.write(event._log_record())

    def write(self, fields: dict[str, Any]) -> None:
        level = _LEVELS[fields.pop("level")]
        if self.logger.isEnabledFor(level):
            message = fields.pop("message")
            line = " ".join([message, *(f"{name}={_text(fields[name])}" for name in fields)])
            self.logger.log(level, "%s", line, extra={"webhook_mtls": fields})


def _text(value: Any) -> str:
    """Returns a value as one word, or as JSON."""
    if isinstance(value, str) and value and all("!" <= letter <= "~" for letter in value):
        return value
    return json.dumps(value)
