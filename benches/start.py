"""The cost of a start of the command, without that of the runtime that carries it.

    start.py <command> [<runtime>] -- <mode> <n> <url> <directory> <pin>

Alternates `n` starts of the command and `n` of the runtime with an empty program. Prints the CPU
and the elapsed time of all of them. The other arguments are those of every client, and are unused.
"""

import json
import os
import subprocess
import sys
import time


def main() -> int:
    """Measures the command of the arguments."""
    end = sys.argv.index("--")
    command, runtime = sys.argv[1], sys.argv[2:end]
    mode, n = sys.argv[end + 1], int(sys.argv[end + 2])
    starts = [(1, [command, "--version"]), (-1, [*runtime, os.devnull])]
    spent = {"user_s": 0.0, "sys_s": 0.0, "wall_s": 0.0}
    # The first start reads the files from the disk.
    for counted in (False, *[True] * n):
        for sign, words in starts if runtime else starts[:1]:
            for what, amount in used(words).items():
                spent[what] += sign * amount if counted else 0
    print(json.dumps({"client": command, "mode": mode, "n": n, **spent, "errors": 0}))
    return 0


def used(words: list[str]) -> dict[str, float]:
    """Runs a process to its end; returns its CPU and its time."""
    began = time.perf_counter()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{words} ended with {child.returncode}")
    return {"user_s": usage.ru_utime, "sys_s": usage.ru_stime, "wall_s": wall}


if __name__ == "__main__":
    sys.exit(main())
