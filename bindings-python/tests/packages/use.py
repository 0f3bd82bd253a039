"""Uses the installed packages as a program would: deliver, verify, and the testing kit.

python use.py production        # without the kit
python use.py kit
"""

import sys
from collections.abc import Callable
from typing import TypeVar

import webhook_mtls as wm

Failure = TypeVar("Failure", bound=Exception)


def failure(kind: type[Failure], call: Callable[[], object]) -> Failure:
    """Returns the exception that a call raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def use_production() -> int:
    """Checks an installation without the testing kit; returns the number of checks."""

    def import_kit() -> object:
        import webhook_mtls.testing

        return webhook_mtls.testing

    absent = failure(ModuleNotFoundError, import_kit)
    assert f'pip install "webhook-mtls[testing]=={wm.__version__}"' in str(absent), absent
    unknown = failure(wm.ConfigError, lambda: wm.Dispatcher(colour=1))  # type: ignore[call-arg]
    assert unknown.kind == "option_invalid", unknown
    assert unknown.remedy, unknown
    assert wm.RetryPolicy(attempts=3) == wm.RetryPolicy(attempts=3)
    return 3


def use_kit() -> int:
    """Delivers to a real consumer of the kit and verifies both peers; returns the checks."""
    import asyncio

    from webhook_mtls.testing import Lab

    with Lab() as lab:
        acme, dispatcher = lab.consumer("acme"), lab.dispatcher()
        endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))
        receipt = dispatcher.deliver(endpoint, b'{"event":"ping"}', id="evt_1")
        assert receipt.status == 200, receipt
        assert [(one.id, one.body) for one in acme.received] == [("evt_1", b'{"event":"ping"}')]

        async def deliver() -> int:
            return (await dispatcher.as_async().deliver(endpoint, b"{}")).status

        assert asyncio.run(deliver()) == 200

        peer = wm.verify_peer(
            lab.identity_pem[0],
            role="client",
            trust=lab.trust,
            authorization=wm.Authorization.ca_members(),
        )
        assert peer.spki_pin == wm.pin_of(lab.identity_pem[0]), peer

        acme.renew(new_key=True)
        changed = failure(wm.DeliveryError, lambda: dispatcher.deliver(endpoint, b"{}"))
        assert (changed.kind, changed.sent) == ("pin_mismatch", "nothing"), changed
    return 4


if __name__ == "__main__":
    passed = {"production": use_production, "kit": use_kit}[sys.argv[1]]()
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"{passed} passed, 0 failed: CPython {version}, webhook-mtls {wm.__version__}")
