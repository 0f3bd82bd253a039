"""What the clients in Python have in common: their arguments, and the line that they print."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

IN_FLIGHT = 32

# A fleet has so many consumers, each with a port of its own.
FLEET = 504


class Arguments:
    """`<mode> <n> <url> <directory with tls.crt, tls.key and ca.pem> <pin>`."""

    def __init__(self) -> None:
        self.mode, count, self.url, material, self.pin = sys.argv[-5:]
        self.n = int(count)
        self.material = Path(material)

    def file(self, name: str) -> str:
        """A path in the directory."""
        return str(self.material / name)

    def urls(self) -> list[str]:
        """Where to deliver to, in turn: one URL, or those of the fleet."""
        if self.mode not in ("fleet", "again", "idle"):
            return [self.url]
        start, rest = self.url.rsplit(":", 1)
        port, path = rest.split("/", 1)
        return [f"{start}:{int(port) + at}/{path}" for at in range(FLEET)]

    def before(self) -> int:
        """How many deliveries go before those that are measured."""
        if self.mode == "again":
            return FLEET
        return 4 if self.mode.startswith(("cold", "fleet", "idle")) else 4 * IN_FLIGHT


def measured(client: str, arguments: Arguments, deliver: Callable[[int], int]) -> None:
    """Delivers some, then `n`, and prints what these cost; `deliver` returns how many failed."""
    deliver(arguments.before())
    before, held = resource.getrusage(resource.RUSAGE_SELF), resident()
    started = time.perf_counter()
    errors = deliver(arguments.n)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    line = {
        "client": client,
        "mode": arguments.mode,
        "n": arguments.n,
        "user_s": after.ru_utime - before.ru_utime,
        "sys_s": after.ru_stime - before.ru_stime,
        "wall_s": wall,
        "rss_kib": resident() - held,
        "errors": errors,
    }
    print(json.dumps(line))


def resident() -> int:
    """Resident memory of the process, in KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4
