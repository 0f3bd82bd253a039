"""Values are compared, hashed, copied, pickled and shown as other Python values."""

import contextlib
import copy
import pickle
import weakref
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Lab

PIN = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
NEXT = "cert-sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

Make = Callable[[], Any]

VALUES: dict[str, tuple[Make, Make]] = {
    "pins": (lambda: wm.Pins([PIN], [NEXT]), lambda: wm.Pins([PIN])),
    "tenant, uri": (
        lambda: wm.TenantRule.san_uri("spiffe://corp/t/{tenant}"),
        lambda: wm.TenantRule.san_uri("spiffe://corp/u/{tenant}"),
    ),
    "tenant, dns": (
        lambda: wm.TenantRule.san_dns_suffix("tenants.corp"),
        wm.TenantRule.subject_cn,
    ),
    "authorization, uris": (
        lambda: wm.Authorization.san_uris(["spiffe://corp/a", "spiffe://corp/b"]),
        wm.Authorization.ca_members,
    ),
    "authorization, domain": (
        lambda: wm.Authorization.trust_domain("corp"),
        lambda: wm.Authorization.trust_domain("other"),
    ),
    "egress": (
        lambda: wm.Egress(
            "private", allow=["127.0.0.0/8"], deny=["10.0.0.1"], nat64=["64:ff9b:1::/48"]
        ),
        wm.Egress,
    ),
    "retry policy": (
        lambda: wm.RetryPolicy(attempts=3, first=0.25, ceiling=60),
        wm.RetryPolicy,
    ),
}


def copies(value: Any) -> list[Any]:
    return [
        copy.copy(value),
        copy.deepcopy(value),
        *(pickle.loads(pickle.dumps(value, protocol)) for protocol in range(2, 6)),
    ]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_equals_its_copies_and_no_other(name: str) -> None:
    make, make_other = VALUES[name]
    value, other = make(), make_other()
    assert value == make()
    assert hash(value) == hash(make())
    assert value != other
    assert len({value, make(), other}) == 2
    for same in copies(value):
        assert same == value
        assert hash(same) == hash(value)
        assert repr(same) == repr(value)
    assert weakref.ref(value)() is value


@pytest.mark.parametrize("name", VALUES)
def test_the_repr_of_a_value_makes_it(name: str) -> None:
    value = VALUES[name][0]()
    if "URIs" in repr(value):
        # The URIs are not shown, because one could contain userinfo.
        assert repr(value) == "Authorization.san_uris(2 URIs)"
        return
    assert eval(f"wm.{value!r}", {"wm": wm}) == value


def test_material_from_files_is_pickled_as_its_paths(lab: Lab, tmp_path: Path) -> None:
    chain, key = lab.identity_pem
    (tmp_path / "tls.crt").write_bytes(chain)
    (tmp_path / "tls.key").write_bytes(key)
    (tmp_path / "pins").write_text(PIN)
    identity = wm.Identity.from_files(tmp_path / "tls.crt", tmp_path / "tls.key")
    pins = wm.Pins.from_file(tmp_path / "pins")
    for value in (identity, pins):
        assert all(same == value and hash(same) == hash(value) for same in copies(value))
    pickled = pickle.dumps(identity)
    assert b"tls.key" in pickled
    assert key.splitlines()[1] not in pickled


def test_a_trust_is_pickled_whole(lab: Lab, tmp_path: Path) -> None:
    authority = lab.authority
    crl = authority.crl()
    (tmp_path / "ca.pem").write_bytes(lab.trust_pem)
    (tmp_path / "crls.pem").write_bytes(crl)
    trusts = [
        wm.Trust.from_pem(lab.trust_pem),
        wm.Trust.from_pem(lab.trust_pem, crls=[crl], distrusted=[PIN]),
        wm.Trust.from_pem(authority.root_pem, intermediates=authority.intermediate_pem),
        wm.Trust.dangerous_public(lab.trust_pem),
        wm.Trust.from_files(tmp_path / "ca.pem", crls=tmp_path / "crls.pem", distrusted=[PIN]),
        wm.Trust.exact(authority.root_pem),
        wm.Trust.exact_from_file(tmp_path / "ca.pem"),
    ]
    for trust in trusts:
        for same in copies(trust):
            assert (same == trust, hash(same)) == (True, hash(trust))
            assert repr(same) == repr(trust)
    assert len(set(trusts)) == 5


def test_facts_are_equal_by_their_content(lab: Lab) -> None:
    consumer = lab.consumer("acme")
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("acme", consumer.url, pins=wm.Pins([consumer.pin]))
        receipt = dispatcher.deliver(endpoint, b"{}")
        probe, probed_again = dispatcher.probe(endpoint), dispatcher.probe(endpoint)
        status = endpoint.status()
        expiries = dispatcher.expiries()
        consumer.respond(410)
        with pytest.raises(wm.DeliveryError) as raised:
            dispatcher.deliver(endpoint, b"{}")
        policy = wm.RetryPolicy(seed=7)
        gone = raised.value
        equal: list[tuple[Any, Any]] = [
            (probe, probe),
            (status, endpoint.status()),
            (expiries[0], expiries[0]),
            (receipt.response, pickle.loads(pickle.dumps(receipt.response))),
            (gone.response, pickle.loads(pickle.dumps(gone)).response),
            (policy.decide(gone, attempt=1), policy.decide(gone, attempt=1)),
        ]
        for one, same in equal:
            assert one == same
            assert hash(one) == hash(same)
        assert probe != probed_again
        assert receipt.response != gone.response
        assert receipt.response != 7
        assert len({receipt.response, gone.response, receipt.response}) == 2
    signing = wm.StandardWebhooks(["whsec_" + "A" * 32])
    assert hash(signing) == hash(wm.StandardWebhooks(["whsec_" + "A" * 32]))
    assert signing != wm.StandardWebhooks(["whsec_" + "B" * 32])
    assert copy.deepcopy(signing) is signing


def test_every_noun_has_a_repr(lab: Lab) -> None:
    consumer = lab.consumer("acme")
    issued = lab.authority.issue("acme")
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("acme", consumer.url, pins=None)
        many = dispatcher.deliver_many([wm.Delivery(endpoint, b"{}")])
        outcomes = list(many)
        verifier = wm.Verifier(role="server", trust=lab.trust)
        nouns: list[Any] = [
            *(dispatcher, dispatcher.as_async(), endpoint, endpoint.status(), verifier, many),
            *(many.progress, outcomes[0], outcomes[0].delivery, dispatcher.probe(endpoint)),
            *(outcomes[0].receipt, lab, consumer, lab.authority, issued, consumer.received[0]),
            *(dispatcher.expiries()[0], wm.StandardWebhooks(["whsec_" + "A" * 32])),
        ]
        for noun in nouns:
            assert type(noun).__name__ in repr(noun), repr(noun)
            assert " object at 0x" not in repr(noun)
        assert repr(dispatcher) == "<Dispatcher open, endpoints=1>"
        assert repr(verifier) == "<Verifier of servers>"
        assert "Receipt(" in repr(outcomes[0])
    assert repr(dispatcher) == "<Dispatcher closed, endpoints=0>"


def test_what_belongs_to_a_process_says_so_when_it_is_pickled(lab: Lab) -> None:
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("acme", "https://127.0.0.1:1/", pins=None)
        verifier = wm.Verifier(role="server", trust=lab.trust)
        signing = wm.StandardWebhooks(["whsec_" + "A" * 32])
        nouns: list[tuple[Any, str]] = [
            (dispatcher, "make it in the process that uses it"),
            (endpoint, "pass the consumer id"),
            (verifier, "make it in the process that uses it"),
            (signing, "make it again in the other process"),
        ]
        for noun, remedy in nouns:
            with pytest.raises(TypeError, match=remedy):
                pickle.dumps(noun)


def test_an_identity_in_memory_is_not_pickled(lab: Lab) -> None:
    identity = wm.Identity.from_pem(*lab.identity_pem)
    assert copy.deepcopy(identity) is identity
    with pytest.raises(TypeError, match="from_files"):
        pickle.dumps(identity)


def test_a_receipt_is_pickled_whole(lab: Lab) -> None:
    consumer = lab.consumer("acme")
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint("acme", consumer.url, pins=wm.Pins([consumer.pin]))
        receipt = dispatcher.deliver(endpoint, b"{}", id="evt_1")
    for same in copies(receipt):
        assert same.to_dict() == receipt.to_dict()
        assert (same == receipt, hash(same)) == (True, hash(receipt))
        for name in public(receipt):
            if name not in ("elapsed", "peer", "tls", "response"):
                assert getattr(same, name) == getattr(receipt, name), name
        for name in public(receipt.peer):
            assert getattr(same.peer, name) == getattr(receipt.peer, name), name
        for name in public(receipt.tls):
            assert getattr(same.tls, name) == getattr(receipt.tls, name), name
        # The JSON form has whole microseconds.
        assert same.elapsed == pytest.approx(receipt.elapsed, abs=1e-6)
        assert same.peer == receipt.peer
        assert same.response.status == receipt.response.status == receipt.status
    assert pickle.loads(pickle.dumps(receipt.peer)) == receipt.peer
    assert weakref.ref(receipt)() is receipt


def public(value: Any) -> list[str]:
    """The names of the attributes that are no methods."""
    names = [name for name in dir(value) if not name.startswith("_")]
    return [name for name in names if not callable(getattr(value, name))]


@pytest.mark.parametrize("fields", [None, [], "text", {"peer": object()}])
def test_a_forged_pickle_is_refused(fields: Any) -> None:
    forged: Any = (wm.Receipt, wm.PeerIdentity)
    for made in forged:
        with pytest.raises(TypeError):
            made._rebuilt(fields=fields)


def test_the_version_is_that_of_the_distribution() -> None:
    # A build for development has no distribution.
    with contextlib.suppress(PackageNotFoundError):
        assert wm.__version__ == version("webhook-mtls")
    assert wm.__version__.count(".") == 2
