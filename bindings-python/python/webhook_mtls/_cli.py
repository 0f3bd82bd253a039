"""The command `webhook-mtls`."""

import signal
import sys

from ._native import _command


def main() -> int:
    """Runs the command with the arguments of this process, and returns its exit code."""
    # Python's own handler only notes the signal, and the command runs no Python that would see it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _command(["webhook-mtls", *sys.argv[1:]])
