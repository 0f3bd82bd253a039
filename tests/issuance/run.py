"""Runs the cases. The last line is `issuance: N passed, …`.

`--clients` and `--token-clients` are JSON objects with a command for each language, `--bin` is a
directory of programs (repeated), `--work` a directory for the tests. `--renewals` makes a longer
run.
"""

import argparse
import json
import sys
import unittest
from pathlib import Path

import tools


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=json.loads, required=True)
    parser.add_argument("--token-clients", type=json.loads, required=True)
    parser.add_argument("--bin", type=Path, action="append", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--renewals", type=int, default=tools.RENEWALS)
    given = parser.parse_args()
    tools.CLIENTS, tools.BIN = given.clients, [it.resolve() for it in given.bin]
    tools.TOKEN_CLIENTS = given.token_clients
    tools.WORK = given.work.resolve()
    tools.RENEWALS = given.renewals
    tools.LIMIT += tools.PERIOD * tools.RENEWALS
    here = Path(__file__).parent
    suite = unittest.defaultTestLoader.discover(str(here), top_level_dir=str(here))
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stderr).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.skipped)
    languages = ", ".join(tools.CLIENTS)
    print(f"issuance: {result.testsRun - failed} passed, {failed} failed, each from {languages}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
