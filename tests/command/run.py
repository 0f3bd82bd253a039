"""Runs the command beside other tools. The last line is `command: N passed, …`.

Arguments: the program, Node, the directory of its pages, and a directory for the tests. Without
pages, only the tests run that a package could break: its process, its terminal and its sockets.
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
    parser.add_argument("--pages", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    given = parser.parse_args()
    tools.COMMAND, tools.NODE = given.command.absolute(), given.node
    tools.WORK = given.work.resolve()
    names = {"test_listen", "test_process", "test_terminal"}
    if given.pages is not None:
        tools.PAGES = given.pages.resolve()
        names = {file.stem for file in Path(__file__).parent.glob("test_*.py")}
    suite = unittest.defaultTestLoader.loadTestsFromNames(sorted(names))
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
