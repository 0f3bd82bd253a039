"""Identities whose key stays elsewhere: a function of the application signs handshakes."""

import asyncio
import os
import pickle
import runpy
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import webhook_mtls as wm
from barrier import in_child, status_of
from webhook_mtls.testing import Lab

Sign = Callable[[str, bytes, bytes | None, float], Any]

EXAMPLES = Path(__file__).parents[2] / "examples"

# Longer than any step here takes.
LONG = 30.0

# A deadline of handshakes for a signer that does not answer. All steps of a handshake share it: it
# is far longer than those before the signer take, so that the signer uses it up.
DEADLINE = 3.0


class Owner:
    """The owner of a key."""

    def __init__(self, key: bytes) -> None:
        loaded = load_pem_private_key(key, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        self.key = loaded
        self.calls = 0

    def __call__(self, scheme: str, message: bytes, digest: bytes | None, deadline: float) -> bytes:
        assert scheme == "ecdsa_secp256r1_sha256"
        assert digest is not None
        assert len(digest) == 32
        assert 0 < deadline <= LONG
        self.calls += 1
        return self.key.sign(digest, ec.ECDSA(utils.Prehashed(SHA256())))


@pytest.fixture
def owner(lab: Lab) -> Owner:
    return Owner(lab.identity_pem[1])


class Scene:
    """A consumer, and dispatchers whose identity has a signer."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.acme = lab.consumer("acme")
        self.made: list[wm.Dispatcher] = []

    def of(
        self, sign: Sign, *, handshake_timeout: float = LONG, **options: Any
    ) -> tuple[wm.Dispatcher, wm.Endpoint]:
        identity = wm.Identity.from_signer(self.lab.identity_pem[0], sign, **options)
        dispatcher = self.lab.dispatcher(
            identity=identity, handshake_timeout=handshake_timeout, timeout=2 * LONG
        )
        self.made.append(dispatcher)
        return dispatcher, dispatcher.endpoint("acme", self.acme.url, pins=None)


@pytest.fixture
def signing(lab: Lab) -> Iterator[Scene]:
    scene = Scene(lab)
    yield scene
    for dispatcher in scene.made:
        dispatcher.close()


def count(dispatcher: wm.Dispatcher, outcome: str) -> int:
    samples = dispatcher.metrics()["webhook_mtls_signatures_total"]["samples"]
    return sum(one["value"] for one in samples if one["labels"]["outcome"] == outcome)


def test_a_function_signs(signing: Scene, owner: Owner) -> None:
    dispatcher, endpoint = signing.of(owner)
    receipt = dispatcher.deliver(endpoint, b"{}")
    assert receipt.tls.signature is not None
    assert receipt.tls.signature > 0
    assert receipt.to_dict()["tls"]["signature_ms"] == pytest.approx(
        1000 * receipt.tls.signature, abs=0.001
    )
    assert pickle.loads(pickle.dumps(receipt)).tls == receipt.tls
    assert dispatcher.deliver(endpoint, b"{}").reused
    assert (owner.calls, count(dispatcher, "made")) == (1, 1)


def test_the_raw_form_of_ecdsa_and_any_bytes_are_taken(signing: Scene, owner: Owner) -> None:
    def sign(scheme: str, message: bytes, digest: bytes | None, deadline: float) -> memoryview:
        r, s = utils.decode_dss_signature(owner(scheme, message, digest, deadline))
        return memoryview(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    dispatcher, endpoint = signing.of(sign, schemes=["ecdsa_secp256r1_sha256"], concurrency=1)
    for _ in range(5):
        dispatcher.probe(endpoint)


class PinRefusedError(Exception):
    """What a token raises."""


def test_what_a_signer_raises_is_the_cause_and_is_not_shown(signing: Scene) -> None:
    def sign(*_: Any) -> bytes:
        raise PinRefusedError("the pin 123456 was refused")

    dispatcher, endpoint = signing.of(sign)
    with pytest.raises(wm.DeliveryError) as raised:
        dispatcher.deliver(endpoint, b"{}")
    error = raised.value
    assert (error.kind, error.sent, error.retry) == ("signer_failed", "nothing", "later")
    assert (error.blame, error.scope, error.stage) == ("ours", "identity", "handshake")
    assert isinstance(error.__cause__, PinRefusedError)
    assert error.context["signer_error"].endswith("PinRefusedError")
    assert "123456" not in f"{error} {error!r} {error.to_dict()} {error.public()}"
    asynchronous = dispatcher.as_async()
    with pytest.raises(wm.DeliveryError) as raised:
        asyncio.run(asynchronous.deliver(endpoint, b"{}"))
    assert isinstance(raised.value.__cause__, PinRefusedError)
    [outcome] = dispatcher.deliver_many([wm.Delivery(endpoint, b"{}")])
    assert outcome.error is not None
    assert isinstance(outcome.error.__cause__, PinRefusedError)
    assert count(dispatcher, "failed") == 3


@pytest.mark.parametrize("answer", [b"", bytes(64), b"0" * 70, "text", None, 7])
def test_a_wrong_answer_does_not_leave(signing: Scene, answer: Any) -> None:
    dispatcher, endpoint = signing.of(lambda *_: answer)
    with pytest.raises(wm.DeliveryError) as raised:
        dispatcher.deliver(endpoint, b"{}")
    assert raised.value.kind == "signer_failed"
    if isinstance(answer, bytes):
        assert raised.value.context["cause"] == "signature_wrong"
    else:
        assert isinstance(raised.value.__cause__, TypeError)
    assert signing.acme.received == []


@pytest.mark.slow
def test_a_signer_that_does_not_answer_ends_at_the_deadline(signing: Scene, owner: Owner) -> None:
    asked, answers = threading.Event(), threading.Event()

    def sign(*arguments: Any) -> bytes:
        asked.set()
        assert answers.wait(LONG)
        return owner(*arguments)

    dispatcher, endpoint = signing.of(sign, handshake_timeout=DEADLINE, concurrency=1)
    other = dispatcher.endpoint("other", signing.acme.url, pins=None)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(dispatcher.deliver, endpoint, b"{}")
        assert asked.wait(LONG)
        second = threads.submit(dispatcher.deliver, other, b"{}")
    for delivery, cause in ((first, None), (second, "signer_busy")):
        error = delivery.exception()
        assert isinstance(error, wm.DeliveryError)
        assert (error.kind, error.sent) == ("signer_timeout", "nothing")
        assert error.context.get("cause") == cause
    answers.set()
    # The place is free once the late answer has come.
    until = time.monotonic() + LONG
    while owner.calls == 0 and time.monotonic() < until:
        time.sleep(0.001)
    assert dispatcher.deliver(endpoint, b"{}").status == 200
    dispatcher.close()


def test_coroutines_run_on_a_loop_of_the_library(signing: Scene, owner: Owner) -> None:
    async def sign(*arguments: Any) -> bytes:
        await asyncio.sleep(0.01)
        return owner(*arguments)

    dispatcher, endpoint = signing.of(sign)
    assert dispatcher.deliver(endpoint, b"{}").tls.signature > 0.01  # type: ignore[operator]

    async def fails(*_: Any) -> bytes:
        raise PinRefusedError("123456")

    dispatcher, endpoint = signing.of(fails)
    with pytest.raises(wm.DeliveryError) as raised:
        dispatcher.deliver(endpoint, b"{}")
    assert isinstance(raised.value.__cause__, PinRefusedError)


@pytest.mark.slow
@pytest.mark.runtime
def test_a_coroutine_that_does_not_end_is_canceled_at_the_deadline(signing: Scene) -> None:
    canceled = threading.Event()

    async def sign(*_: Any) -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            canceled.set()
            raise
        return b""

    dispatcher, endpoint = signing.of(sign, handshake_timeout=DEADLINE, concurrency=1)
    with pytest.raises(wm.DeliveryError) as raised:
        dispatcher.deliver(endpoint, b"{}")
    assert raised.value.kind == "signer_timeout"
    assert canceled.wait(LONG)


def test_coroutines_run_on_the_given_loop_which_goes_on(signing: Scene, owner: Owner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        fast = asyncio.Event()

        async def sign(*arguments: Any) -> bytes:
            assert asyncio.get_running_loop() is loop
            # It ends only once another delivery of the loop has.
            await fast.wait()
            return owner(*arguments)

        dispatcher, endpoint = signing.of(sign, loop=loop)
        asynchronous = dispatcher.as_async()
        others = [
            dispatcher.endpoint(f"fast-{number}", signing.acme.url, pins=None, identity=identity)
            for number in range(8)
        ]
        slow = asyncio.ensure_future(asynchronous.deliver(endpoint, b"{}"))
        for other in others:
            assert (await asynchronous.deliver(other, b"{}")).status == 200
        assert not slow.done()
        fast.set()
        assert (await slow).status == 200

    identity = signing.lab.identity
    asyncio.run(main())


@pytest.mark.slow
def test_a_slow_signer_delays_no_other_endpoint(signing: Scene, owner: Owner) -> None:
    busy, go_on = threading.Semaphore(0), threading.Event()

    def sign(*arguments: Any) -> bytes:
        busy.release()
        assert go_on.wait(LONG)
        return owner(*arguments)

    dispatcher, _ = signing.of(sign)
    slow = [dispatcher.endpoint(f"slow-{at}", signing.acme.url, pins=None) for at in range(8)]
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(dispatcher.deliver, one, b"{}") for one in slow]
        for _ in waiting:
            assert busy.acquire(timeout=LONG)
        for at in range(8):
            fast = dispatcher.endpoint(
                f"fast-{at}", signing.acme.url, pins=None, identity=signing.lab.identity
            )
            assert dispatcher.deliver(fast, b"{}").status == 200
        go_on.set()
        for one in waiting:
            assert one.result().status == 200


def test_a_file_rotates(signing: Scene, owner: Owner, tmp_path: Path) -> None:
    chain = tmp_path / "tls.crt"
    chain.write_bytes(signing.lab.identity_pem[0])
    signers = [owner]
    identity = wm.Identity.from_signer_file(chain, lambda *arguments: signers[-1](*arguments))
    with signing.lab.dispatcher(identity=identity, reload=None) as dispatcher:
        endpoint = dispatcher.endpoint("acme", signing.acme.url, pins=None)
        dispatcher.deliver(endpoint, b"{}")
        issued = signing.lab.authority.issue("second")
        chain.write_bytes(issued.cert_pem)
        signers.append(Owner(issued.key_pem))
        assert "rotated" in [event.name for event in dispatcher.reload()]
        assert not dispatcher.deliver(endpoint, b"{}").reused
    assert [one.tenant for one in signing.acme.received] == ["dispatcher", "second"]


def test_arguments_are_checked(signing: Scene, owner: Owner, tmp_path: Path) -> None:
    cert = signing.lab.identity_pem[0]
    make: Any = wm.Identity.from_signer

    def refused(**given: Any) -> str:
        arguments = {"cert": cert, "sign": owner, **given}
        with pytest.raises(wm.ConfigError) as raised:
            make(**arguments)
        assert raised.value.kind == "option_invalid"
        option: str = raised.value.context["option"]
        return option

    assert refused(sign=b"key") == "sign"
    for concurrency in (0, 65, -1, True, "8"):
        assert refused(concurrency=concurrency) == "concurrency"
    for schemes in (["rsa"], ["ed25519"], "ed25519", [7]):
        assert refused(schemes=schemes) == "schemes"
    assert refused(loop=7) == "loop"
    with pytest.raises(wm.ConfigError) as raised:
        wm.Identity.from_signer_file(tmp_path / "absent.pem", owner)
    assert raised.value.kind == "pem_invalid"
    identity = make(cert, owner)
    assert identity != make(cert, owner)
    assert "key" not in repr(identity)


class StubKms:
    """A service that is slow, or fails."""

    def __init__(self, owner: Owner, fault: Exception | None = None) -> None:
        self.owner, self.fault = owner, fault

    async def sign(self, **request: Any) -> dict[str, bytes]:
        assert (request["KeyId"], request["MessageType"]) == ("alias/webhooks", "DIGEST")
        assert request["SigningAlgorithm"] == "ECDSA_SHA_256"
        await asyncio.sleep(0.2)
        if self.fault is not None:
            raise self.fault
        algorithm = ec.ECDSA(utils.Prehashed(SHA256()))
        return {"Signature": self.owner.key.sign(request["Message"], algorithm)}


@pytest.mark.slow
def test_the_recipe_of_a_kms(signing: Scene, owner: Owner, tmp_path: Path) -> None:
    recipe = runpy.run_path(str(EXAMPLES / "kms_signer.py"))
    chain = tmp_path / "tls.crt"
    chain.write_bytes(signing.lab.identity_pem[0])

    def deliver(kms: StubKms) -> wm.Receipt:
        identity = recipe["identity"](chain, kms, "alias/webhooks")
        with signing.lab.dispatcher(identity=identity) as dispatcher:
            endpoint = dispatcher.endpoint("acme", signing.acme.url, pins=None)
            return dispatcher.deliver(endpoint, b"{}")

    signature = deliver(StubKms(owner)).tls.signature
    assert signature is not None
    assert signature >= 0.2
    with pytest.raises(wm.DeliveryError) as raised:
        deliver(StubKms(owner, fault=PinRefusedError("ThrottlingException for 123456")))
    assert raised.value.kind == "signer_failed"
    assert isinstance(raised.value.__cause__, PinRefusedError)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_signs_while_its_parents_signer_is_busy(signing: Scene, owner: Owner) -> None:
    parent = os.getpid()
    busy, go_on = threading.Event(), threading.Event()

    async def sign(*arguments: Any) -> bytes:
        if os.getpid() == parent:
            busy.set()
            await asyncio.to_thread(go_on.wait, LONG)
        return owner(*arguments)

    dispatcher, endpoint = signing.of(sign, concurrency=1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(dispatcher.deliver, endpoint, b"{}")
        assert busy.wait(LONG)
        status = status_of(in_child(lambda: dispatcher.deliver(endpoint, b"{}")))
        go_on.set()
        assert waiting.result().status == 200
    assert status == 0


@pytest.mark.slow
def test_handshakes_of_many_threads(signing: Scene, owner: Owner) -> None:
    dispatcher, endpoint = signing.of(owner)

    def probe(_: int) -> None:
        dispatcher.probe(endpoint)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(probe, range(1000)))
    assert count(dispatcher, "made") == 1000
