"""Tests what happens when certificates grow old. Needs pytest and webhook-mtls[testing]."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Lab, set_clock


@pytest.fixture
def advance() -> Iterator[Callable[[timedelta], None]]:
    """Moves the clock of the library; the test's own clock stays."""
    yield lambda by: set_clock(datetime.now(UTC) + by)
    set_clock(None)


def test_certificates_grow_old(advance: Callable[[timedelta], None]) -> None:
    with Lab() as lab, lab.dispatcher() as dispatcher:
        acme = lab.consumer("acme")  # certificates of a lab are valid for a day
        endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))
        dispatcher.deliver(endpoint, b"{}")

        advance(timedelta(hours=22))
        warnings = [event for event in dispatcher.reload() if event.name == "expiry"]
        assert {"identity", "consumer"} <= {event.fields["what"] for event in warnings}
        assert dispatcher.expiries()[0].fraction_left < 0.1

        advance(timedelta(days=2))
        with pytest.raises(wm.DeliveryError) as raised:
            dispatcher.deliver(endpoint, b"{}")
        assert raised.value.kind == "client_certificate_unusable"  # ours has expired
        assert raised.value.blame == "ours"
