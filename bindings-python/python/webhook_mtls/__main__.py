"""Runs the command `webhook-mtls` as `python -m webhook_mtls`."""

import sys

from ._cli import main

if __name__ == "__main__":
    sys.exit(main())
