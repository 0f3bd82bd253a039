"""Our Python client: `flight` is 32 asyncio tasks, `threads` is 32 threads; `many` and the fleet
use `deliver_many` with an iterator.

The same program exists in Rust, C and Node.
"""

import asyncio
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

import webhook_mtls as wm
from measure import IN_FLIGHT, Arguments, measured

BODY = b"x" * 1024


def main() -> int:
    """Delivers in the requested mode."""
    arguments = Arguments()
    with wm.Dispatcher(
        identity=wm.Identity.from_files(arguments.file("tls.crt"), arguments.file("tls.key")),
        trust=wm.Trust.from_files(arguments.file("ca.pem")),
        egress=wm.Egress("public", allow=["127.0.0.0/8"]),
        max_connections=600,
    ) as dispatcher:
        pins = wm.Pins([arguments.pin])
        endpoints = [
            dispatcher.endpoint(f"bench-{at}", url, pins=pins, concurrency=IN_FLIGHT)
            for at, url in enumerate(arguments.urls())
        ]
        endpoint = endpoints[0]
        in_turn = itertools.cycle(endpoints)

        def one_by_one(n: int) -> int:
            for _ in range(n):
                dispatcher.deliver(endpoint, BODY)
            return 0

        def many(n: int) -> int:
            deliveries = (wm.Delivery(next(in_turn), BODY) for _ in range(n))
            outcomes = dispatcher.deliver_many(deliveries, concurrency=IN_FLIGHT)
            return sum(outcome.error is not None for outcome in outcomes)

        def flight(n: int) -> int:
            async def share() -> None:
                for _ in range(n // IN_FLIGHT):
                    await sender.deliver(endpoint, BODY)

            async def main() -> None:
                await asyncio.gather(*(share() for _ in range(IN_FLIGHT)))

            loop.run_until_complete(main())
            return 0

        def threads(n: int) -> int:
            with ThreadPoolExecutor(IN_FLIGHT) as pool:
                return sum(pool.map(one_by_one, [n // IN_FLIGHT] * IN_FLIGHT))

        modes = {
            "warm": one_by_one,
            "threads": threads,
            "flight": flight,
            "many": many,
            "fleet": many,
            "again": many,
            "idle": many,
            "cold": one_by_one,
            "cold_unremembered": one_by_one,
        }
        wm.remember_signatures(arguments.mode != "cold_unremembered")
        loop = asyncio.new_event_loop()
        sender = dispatcher.as_async()
        measured("python", arguments, modes[arguments.mode])
        loop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
