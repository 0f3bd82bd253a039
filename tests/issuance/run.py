"""Runs the cases of a suite, `issuance` or `spire`. The last line is `SUITE: N passed, …`.

`--clients`, `--token-clients` and `--workloads` are JSON objects with a command for each language,
`--bin` is a directory of programs (repeated), `--work` a directory for the tests. `--renewals`
makes a longer run.
"""

import argparse
import json
import sys
import unittest
from pathlib import Path

import tools

SUITES = {
    "issuance": ["test_consumer_ca", "test_pkcs11", "test_spiffe.Python", "test_step_ca"],
    "spire": ["test_spiffe.Rust", "test_spire"],
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--clients", type=json.loads, required=True)
    parser.add_argument("--token-clients", type=json.loads, default={})
    parser.add_argument("--workloads", type=json.loads, required=True)
    parser.add_argument("--bin", type=Path, action="append", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--renewals", type=int, default=tools.RENEWALS)
    given = parser.parse_args()
    tools.CLIENTS, tools.BIN = given.clients, [it.resolve() for it in given.bin]
    tools.TOKEN_CLIENTS, tools.WORKLOADS = given.token_clients, given.workloads
    tools.WORK = given.work.resolve()
    tools.RENEWALS = given.renewals
    tools.LIMIT += tools.PERIOD * tools.RENEWALS
    named = {case.split(".")[0] for cases in SUITES.values() for case in cases}
    assert named == {file.stem for file in Path(__file__).parent.glob("test_*.py")}
    suite = unittest.defaultTestLoader.loadTestsFromNames(SUITES[given.suite])
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stderr).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.skipped)
    languages = ", ".join(tools.CLIENTS)
    passed = result.testsRun - failed
    print(f"{given.suite}: {passed} passed, {failed} failed, each from {languages}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
