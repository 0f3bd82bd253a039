"""Rebuilds values that were pickled. Kept apart, so that a pickle names a stable function."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def rebuild(cls: type, constructor: str | None, keywords: dict[str, Any]) -> Any:
    """Makes a value with the constructor and the arguments that made the original."""
    return getattr(cls, constructor)(**keywords) if constructor else cls(**keywords)
