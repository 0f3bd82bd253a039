"""Runs the command beside other tools. The last line is `command: N passed, …`.

Arguments: the program, Node, the directory of its pages, and a directory for the tests.
"""

import argparse
import sys
import time
import unittest
from pathlib import Path

import tools


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--command", type=Path, required=True)
    parser.add_argument("--node", type=Path, required=True)
    parser.add_argument("--pages", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    given = parser.parse_args()
    tools.COMMAND, tools.NODE = given.command.resolve(), given.node
    tools.PAGES, tools.WORK = given.pages.resolve(), given.work.resolve()
    here = Path(__file__).parent
    suite = unittest.defaultTestLoader.discover(str(here), top_level_dir=str(here))
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stderr).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.skipped)
    print(f"command: {result.testsRun - failed} passed, {failed} failed, starts in {started()}")
    return 1 if failed else 0


def started() -> str:
    """Returns the median time of a start, for a reader. No test depends on it."""
    times = []
    for _ in range(21):
        begin = time.perf_counter()
        tools.run("--version")
        times.append(time.perf_counter() - begin)
    return f"{sorted(times)[10] * 1000:.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
