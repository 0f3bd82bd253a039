"""Delivers from processes of multiprocessing: spawn, forkserver and fork. Prints `well`."""

import multiprocessing
import os
import pickle
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import webhook_mtls as wm
from webhook_mtls.testing import Lab

EGRESS = wm.Egress(allow=["127.0.0.0/8"])


def deliver(
    url: str, identity: wm.Identity, trust: wm.Trust, pins: wm.Pins, body: bytes
) -> tuple[int, wm.Receipt]:
    """Runs in a worker process, which makes its own dispatcher from pickled values."""
    with wm.Dispatcher(identity=identity, trust=trust, egress=EGRESS) as dispatcher:
        endpoint = dispatcher.endpoint("acme", url, pins=pins)
        return os.getpid(), dispatcher.deliver(endpoint, body)


def main() -> None:
    with Lab() as lab, tempfile.TemporaryDirectory() as directory:
        lab.write_files(directory)
        acme = lab.consumer("acme")
        place = Path(directory)
        identity = wm.Identity.from_files(place / "tls.crt", place / "tls.key")
        trust = wm.Trust.from_files(place / "ca.pem")
        pins = wm.Pins([acme.pin])
        # Threads and a connection exist before any process starts.
        dispatcher = lab.dispatcher()
        endpoint = dispatcher.endpoint("acme", acme.url, pins=pins)
        assert dispatcher.deliver(endpoint, b"parent").status == 200
        try:
            pickle.dumps(dispatcher)
        except TypeError as error:
            assert "make it in the process that uses it" in str(error)
        else:
            raise AssertionError("a dispatcher was pickled")
        for method in ("spawn", "forkserver", "fork"):
            context = multiprocessing.get_context(method)
            if method == "forkserver":
                context.set_forkserver_preload(["webhook_mtls"])
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                given = (acme.url, identity, trust, pins)
                waiting = [pool.submit(deliver, *given, b"%d" % number) for number in range(4)]
                done = [each.result(timeout=100) for each in waiting]
                assert os.getpid() not in {worker for worker, _ in done}
                assert [receipt.status for _, receipt in done] == [200] * 4, method
                acme.respond(410)
                failed = pool.submit(deliver, *given, b"gone").exception(timeout=100)
                assert isinstance(failed, wm.DeliveryError), failed
                assert (failed.kind, failed.sent, failed.consumer) == ("http_status", "all", "acme")
                assert failed.response is not None
                assert failed.response.status == 410
        assert dispatcher.deliver(endpoint, b"parent").reused
        assert len(acme.received) == 3 * 5 + 2
        dispatcher.close()
    print("well")


if __name__ == "__main__":
    main()
