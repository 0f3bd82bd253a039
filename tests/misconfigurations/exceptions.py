"""The cases that are not good enough yet, one a line in `exceptions.txt`.

A line is a case, or `probe: ` and a case. An entry whose case names cause and cure is stale, and
fails.
"""

from pathlib import Path

FILE = Path(__file__).with_name("exceptions.txt")


def read() -> set[str]:
    """Returns the listed cases."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    return {line for line in lines if line and not line.startswith("#")}
