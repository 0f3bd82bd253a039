"""Delivers through each queue for some minutes, and fails if a process grows by more than 8 %.

    soak.py MINUTES

A growth of 1 MiB is allowed in any case. The script kills no process. It replaces our certificate
every five minutes, and lets one consumer answer 429 once a minute.

`cargo xtask soak MINUTES fleet` runs it. FLEET_BULLMQ has the command of the program of BullMQ, as
JSON.
"""

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from fleet import (
    LONG,
    BullFleet,
    CeleryFleet,
    DramatiqFleet,
    Fleet,
    eventually,
    logs_if_it_fails,
)

CONSUMERS = 12
# Events of each queue in one turn, and the seconds that a turn takes.
EVENTS, TURN = 30, 10.0
# What a process may grow, from the second quarter of the time to its end: a leak of 200 bytes in
# each delivery is more than that after an hour. Celery formats the traceback of a retry, and Python
# keeps the lines of each source file that has been in one, so its children grow for a while.
SHARE, KIB = 0.08, 1024.0


class Soak:
    """The fleet of one queue."""

    def __init__(self, stack: ExitStack, directory: Path, queue: type[Fleet]) -> None:
        self.name = queue.__name__.removesuffix("Fleet").lower()
        self.fleet = queue(stack, directory, 0, CONSUMERS)
        for consumer in self.fleet.kit.values():
            consumer.behave()
        self.produced = 0
        # Of each process, when it was looked at and its memory in KiB.
        self.memory: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)

    def turn(self, number: int) -> None:
        """Enqueues some events, and looks at the memory of each process."""
        if number % 6 == 3:
            self.fleet.kit["busy"].respond(429, retry_after=2, times=5)
        if number % 30 == 29:
            self.fleet.renew(f"rotated-{number}")
        self.fleet.call("produce", str(self.produced), str(self.produced + EVENTS))
        self.produced += EVENTS
        for pid, name in self.processes():
            self.memory[pid, name].append((time.monotonic(), anonymous(pid)))

    def processes(self) -> Iterator[tuple[int, str]]:
        """Yields the workers with all their children, the broker, and the consumers' server."""
        fleet = self.fleet
        roots = [each.process.pid for each in (*fleet.workers, fleet.redis, fleet.nginx.server)]
        while roots:
            pid = roots.pop()
            place = Path(f"/proc/{pid}")
            try:
                name = (place / "comm").read_text().strip()
                roots += map(int, (place / f"task/{pid}/children").read_text().split())
            except OSError:
                continue
            yield pid, name

    def settle(self) -> None:
        """Waits until all is delivered, once to each."""
        expected = self.produced * CONSUMERS
        eventually("all are delivered", lambda: len(self.fleet.delivered()) == expected, 5 * LONG)
        died = [each for each in self.fleet.workers if each.process.poll() is not None]
        assert not died, "a worker has ended"
        received = self.fleet.received()
        notes = self.fleet.notes()
        refused = sum(note[0] == "failed" and note[3] != "nothing" for note in notes)
        repeated = received.total() - refused - expected
        assert repeated == 0, f"{repeated} duplicates"

    def growth(self, started: float, ended: float) -> list[tuple[str, float, float]]:
        """Returns name, memory and growth in KiB of each process that lived long enough."""
        took = ended - started
        found = []
        for (_, name), samples in self.memory.items():
            parts = [(int(4 * (at - started) / took), kib) for at, kib in samples]
            early = [kib for quarter, kib in parts if quarter == 1]
            late = [kib for quarter, kib in parts if quarter >= 3]
            if early and late:
                found.append((name, median(late), median(late) - median(early)))
        return found


def anonymous(pid: int) -> float:
    """Returns the memory of a process in KiB, without that of files."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = (line.split() for line in status.splitlines())
    return next((float(words[1]) for words in lines if words[0] == "RssAnon:"), 0.0)


def main() -> None:
    seconds = 60 * float(sys.argv[1])
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        queues = (CeleryFleet, DramatiqFleet, BullFleet)
        soaks = [Soak(stack, Path(place) / queue.__name__, queue) for queue in queues]
        started = time.monotonic()
        number = 0
        while time.monotonic() - started < seconds:
            with logs_if_it_fails(Path(place)):
                for soak in soaks:
                    soak.turn(number)
            number += 1
            time.sleep(max(0.0, started + number * TURN - time.monotonic()))
        ended = time.monotonic()
        grown = []
        for soak in soaks:
            with logs_if_it_fails(Path(place)):
                soak.settle()
            found = soak.growth(started, ended)
            for name, kib, more in sorted(found):
                print(
                    f"{soak.name}: {name} has {kib:.0f} KiB, {more:+.0f} since the second quarter"
                )
            grown += [each for each in found if each[2] > max(KIB, SHARE * each[1])]
            most = max((more for _, _, more in found), default=0.0)
            print(
                f"fleet: {soak.name}: {soak.produced * CONSUMERS} delivered once each, "
                f"{len(found)} processes, of which one has grown by {most:.0f} KiB at most"
            )
        assert not grown, f"these processes grow: {grown}"


if __name__ == "__main__":
    main()
