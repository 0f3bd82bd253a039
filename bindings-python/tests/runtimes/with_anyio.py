"""Delivers under anyio: as asyncio on asyncio, and in a worker thread on trio. Prints `well`."""

import anyio

import webhook_mtls as wm
from webhook_mtls.testing import Lab


async def on_asyncio(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint) -> None:
    deliverer = dispatcher.as_async()
    statuses: list[int] = []

    async def deliver() -> None:
        statuses.append((await deliverer.deliver(endpoint, b"{}")).status)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(deliver)
    assert statuses == [200] * 3


async def on_trio(dispatcher: wm.Dispatcher, endpoint: wm.Endpoint) -> None:
    try:
        await dispatcher.as_async().deliver(endpoint, b"{}")
    except RuntimeError as error:
        assert "to_thread.run_sync(dispatcher.deliver" in str(error), error
    else:
        raise AssertionError("asyncio's dispatcher ran under trio")
    receipt = await anyio.to_thread.run_sync(dispatcher.deliver, endpoint, b"{}")
    assert receipt.status == 200


def main() -> None:
    with Lab() as lab:
        acme = lab.consumer("acme")
        with lab.dispatcher() as dispatcher:
            endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))
            anyio.run(on_asyncio, dispatcher, endpoint, backend="asyncio")
            anyio.run(on_trio, dispatcher, endpoint, backend="trio")
        assert len(acme.received) == 4
    print("well")


main()
