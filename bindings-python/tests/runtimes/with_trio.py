"""Delivers under trio, in a worker thread, as `AsyncDispatcher` advises. Prints `well`."""

import trio

import webhook_mtls as wm
from webhook_mtls.testing import Lab


async def main() -> None:
    with Lab() as lab:
        acme = lab.consumer("acme")
        dispatcher = lab.dispatcher()
        endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))
        for call in (
            lambda: dispatcher.as_async().deliver(endpoint, b"{}"),
            lambda: dispatcher.as_async().probe(endpoint),
        ):
            try:
                await call()
            except RuntimeError as error:
                assert "trio.to_thread.run_sync(dispatcher.deliver" in str(error), error
            else:
                raise AssertionError("asyncio's dispatcher ran under trio")
        receipt = await trio.to_thread.run_sync(dispatcher.deliver, endpoint, b"{}")
        assert receipt.status == 200
        dispatcher.close()
    print("well")


trio.run(main)
