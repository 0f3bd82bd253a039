"""What the clients in Python have in common: their arguments, and the line that they print."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

IN_FLIGHT = 32


class Arguments:
    """`<mode> <n> <url> <directory with tls.crt, tls.key and ca.pem> <pin>`."""

    def __init__(self) -> None:
        self.mode, count, self.url, material, self.pin = sys.argv[1:]
        self.n = int(count)
        self.material = Path(material)

    def file(self, name: str) -> str:
        """A path in the directory."""
        return str(self.material / name)


def measured(client: str, arguments: Arguments, deliver: Callable[[int], int]) -> None:
    """Delivers some, then `n`, and prints what these cost; `deliver` returns how many failed."""
    deliver(4 if arguments.mode.startswith("cold") else 4 * IN_FLIGHT)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    errors = deliver(arguments.n)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    line = {
        "client": client,
        "mode": arguments.mode,
        "n": arguments.n,
        "user_s": after.ru_utime - before.ru_utime,
        "sys_s": after.ru_stime - before.ru_stime,
        "wall_s": wall,
        "errors": errors,
    }
    print(json.dumps(line))
