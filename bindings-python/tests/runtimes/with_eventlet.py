"""Delivers under eventlet, which is refused. Prints `well`."""

import eventlet

eventlet.monkey_patch()

from eventlet import tpool

import webhook_mtls as wm
from webhook_mtls.testing import Lab


def main() -> None:
    with Lab() as lab:
        acme = lab.consumer("acme")
        dispatcher = lab.dispatcher()
        endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))
        try:
            eventlet.spawn(dispatcher.deliver, endpoint, b"{}").wait()
        except RuntimeError as error:
            assert "eventlet.tpool.execute" in str(error), error
        else:
            raise AssertionError("a green thread delivered")
        assert acme.received == []
        assert tpool.execute(dispatcher.deliver, endpoint, b"{}").status == 200
    print("well")


main()
