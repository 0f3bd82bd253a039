"""Common parts of the Python clients: the arguments, and the printed line."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

IN_FLIGHT = 32

# A fleet has this many consumers, each on its own port.
FLEET = 504


class Arguments:
    """`<mode> <n> <url> <directory with tls.crt, tls.key and ca.pem> <pin>`."""

    def __init__(self) -> None:
        self.mode, count, self.url, material, self.pin = sys.argv[-5:]
        self.n = int(count)
        self.material = Path(material)

    def file(self, name: str) -> str:
        """Returns a path in the directory."""
        return str(self.material / name)

    def urls(self) -> list[str]:
        """Returns the URLs that the deliveries use in rotation: one, or those of the fleet."""
        if self.mode not in ("fleet", "again", "idle"):
            return [self.url]
        start, rest = self.url.rsplit(":", 1)
        port, path = rest.split("/", 1)
        return [f"{start}:{int(port) + at}/{path}" for at in range(FLEET)]

    def before(self) -> int:
        """Returns the number of deliveries before the measured ones."""
        if self.mode == "again":
            return FLEET
        return 4 if self.mode.startswith(("cold", "fleet", "idle")) else 4 * IN_FLIGHT


def measured(client: str, arguments: Arguments, deliver: Callable[[int], int]) -> None:
    """Makes some deliveries, then `n`; prints the cost of `n`. `deliver` returns the failures."""
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
    """Returns the resident memory of the process, in KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4
