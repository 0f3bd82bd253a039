"""Ours from Python: `flight` is 32 tasks of asyncio, `threads` is 32 threads, `many` is
`deliver_many` with an iterator.

The same program exists in Rust, C and Node.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from measure import IN_FLIGHT, Arguments, measured

import webhook_mtls as wm

BODY = b"x" * 1024


def main() -> int:
    """Delivers in the mode that was asked for."""
    arguments = Arguments()
    with wm.Dispatcher(
        identity=wm.Identity.from_files(arguments.file("tls.crt"), arguments.file("tls.key")),
        trust=wm.Trust.from_files(arguments.file("ca.pem")),
        egress=wm.Egress("public", allow=["127.0.0.0/8"]),
    ) as dispatcher:
        endpoint = dispatcher.endpoint(
            "bench", arguments.url, pins=wm.Pins([arguments.pin]), concurrency=IN_FLIGHT
        )

        def one_by_one(n: int) -> int:
            for _ in range(n):
                dispatcher.deliver(endpoint, BODY)
            return 0

        def many(n: int) -> int:
            deliveries = (wm.Delivery(endpoint, BODY) for _ in range(n))
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
            "flight": flight,
            "threads": threads,
            "many": many,
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
