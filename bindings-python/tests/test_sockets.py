"""The peer of a connection of Python's `ssl`: real handshakes, over sockets and in memory."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Lab

TENANT = wm.TenantRule.san_uri("spiffe://lab.test/tenant/{tenant}")


class Pair:
    """Both ends of one connection in memory."""

    def __init__(
        self,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        session: ssl.SSLSession | None = None,
    ) -> None:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(there, back, server_side=True)
        self.client = client.wrap_bio(back, there, server_hostname="localhost", session=session)

    def step(self, end: ssl.SSLObject) -> bool:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def shake_hands(self) -> None:
        while not all([self.step(self.client), self.step(self.server)]):
            pass


@pytest.fixture
def contexts(lab: Lab, tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server that requests a certificate, and of a client that has the lab's."""
    chain, key = lab.identity_pem
    (tmp_path / "own.pem").write_bytes(chain + key)
    (tmp_path / "ca.pem").write_bytes(lab.trust_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (server, client):
        context.load_cert_chain(tmp_path / "own.pem")
        context.load_verify_locations(tmp_path / "ca.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    # Here the server presents a client's certificate; only the verifier decides about trust.
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return server, client


def intermediate(lab: Lab) -> bytes:
    """Returns the chain after the leaf, which `ssl` does not keep with a session."""
    chain, _ = lab.identity_pem
    end = b"-----END CERTIFICATE-----\n"
    return chain.replace(b"\r", b"").split(end, 1)[1]


def knowing(lab: Lab) -> wm.Trust:
    return wm.Trust.from_pem(lab.trust_pem, intermediates=intermediate(lab))


def clients(trust: wm.Trust) -> wm.Verifier:
    return wm.Verifier(role="client", trust=trust, tenant=TENANT)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_has_proved_possession_of_its_key(
    lab: Lab, contexts: tuple[ssl.SSLContext, ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    contexts[1].maximum_version = contexts[1].minimum_version = version
    pair = Pair(*contexts)
    pair.shake_hands()
    peer = clients(knowing(lab)).verify_socket(pair.server)
    assert (peer.tenant, peer.evidence) == ("dispatcher", "socket")
    assert peer.to_dict()["evidence"] == "socket"
    assert peer.spki_pin == wm.pin_of(lab.identity_pem[0])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_chain_comes_from_the_socket(
    lab: Lab, contexts: tuple[ssl.SSLContext, ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    contexts[1].maximum_version = contexts[1].minimum_version = version
    pair = Pair(*contexts)
    pair.shake_hands()
    # The trust does not know the intermediate.
    peer = clients(lab.trust).verify_socket(pair.server)
    assert (peer.tenant, len(peer.path)) == ("dispatcher", 3)
    servers = wm.Verifier(role="server", trust=lab.trust)
    refuses(lambda: servers.verify_socket(pair.client), "purpose_not_allowed")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_has_no_chain_and_the_error_says_so(
    lab: Lab, contexts: tuple[ssl.SSLContext, ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    contexts[1].maximum_version = contexts[1].minimum_version = version
    first = Pair(*contexts)
    first.shake_hands()
    first.server.write(b"ticket")
    assert first.client.read(6) == b"ticket"
    pair = Pair(*contexts, session=first.client.session)
    pair.shake_hands()
    assert pair.server.session_reused
    verifier = clients(lab.trust)
    with pytest.raises(wm.PeerRefused) as raised:
        verifier.verify_socket(pair.server)
    assert (raised.value.kind, raised.value.context["cause"]) == (
        "issuer_unknown",
        "chain_withheld",
    )
    assert "nor presented" not in raised.value.message
    assert "session tickets" in raised.value.remedy
    assert clients(knowing(lab)).verify_socket(pair.server).tenant == "dispatcher"
    # Without tickets and a session cache, the chain is there again.
    contexts[0].num_tickets = 0
    contexts[0].options |= ssl.OP_NO_TICKET
    last = Pair(*contexts, session=first.client.session)
    last.shake_hands()
    if not last.server.session_reused:
        assert verifier.verify_socket(last.server).tenant == "dispatcher"


def test_before_the_end_of_the_handshake_there_is_no_evidence(
    lab: Lab, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    pair, verifier = Pair(*contexts), clients(knowing(lab))
    refuses(lambda: verifier.verify_socket(pair.server), "evidence_missing")
    assert not pair.step(pair.client)
    assert not pair.step(pair.server)
    # The client is done, and its certificate is in transit: the server has not seen it yet.
    assert pair.step(pair.client)
    refuses(lambda: verifier.verify_socket(pair.server), "evidence_missing")
    assert pair.step(pair.server)
    assert verifier.verify_socket(pair.server).evidence == "socket"


def test_a_client_without_a_certificate_is_refused(
    lab: Lab, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, _ = contexts
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    for mode in (ssl.CERT_NONE, ssl.CERT_OPTIONAL):
        server.verify_mode = mode
        pair = Pair(server, bare)
        pair.shake_hands()
        refuses(partial(clients(knowing(lab)).verify_socket, pair.server), "evidence_missing")


def test_a_certificate_that_ssl_accepts_is_still_verified(
    lab: Lab, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    pair = Pair(*contexts)
    pair.shake_hands()
    with Lab() as other:
        refuses(lambda: clients(other.trust).verify_socket(pair.server), "issuer_unknown")
    elsewhere = wm.Verifier(
        role="client", trust=knowing(lab), tenant=wm.TenantRule.san_uri("spiffe://corp/{tenant}")
    )
    refuses(lambda: elsewhere.verify_socket(pair.server), "tenant_refused")


def test_the_role_is_that_of_the_peer(
    lab: Lab, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    pair = Pair(*contexts)
    pair.shake_hands()
    servers = wm.Verifier(role="server", trust=knowing(lab))
    for verifier, end in ((servers, pair.server), (clients(knowing(lab)), pair.client)):
        with pytest.raises(wm.ConfigError) as raised:
            verifier.verify_socket(end)
        assert raised.value.context["option"] == "socket"
    # The lab's own certificate is for a client, so it is invalid for a server.
    refuses(lambda: servers.verify_socket(pair.client), "purpose_not_allowed")


@contextmanager
def connected(lab: Lab, tmp_path: Path, **wrap: Any) -> Iterator[ssl.SSLSocket]:
    """A socket of `ssl` to a consumer of the lab."""
    chain, key = lab.identity_pem
    (tmp_path / "own.pem").write_bytes(chain + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(tmp_path / "own.pem")
    context.load_verify_locations(cadata=lab.trust_pem.decode())
    port = int(lab.consumer("acme").url.split(":")[2].split("/")[0])
    plain = socket.create_connection(("127.0.0.1", port))
    with context.wrap_socket(plain, server_hostname="localhost", **wrap) as secure:
        yield secure


def test_a_server_is_verified_with_the_requested_name(lab: Lab, tmp_path: Path) -> None:
    verifier = wm.Verifier(role="server", trust=knowing(lab))
    with connected(lab, tmp_path) as secure:
        peer = verifier.verify_socket(secure)
        assert (peer.evidence, "localhost" in peer.san_dns) == ("socket", True)
        assert verifier.verify_socket(secure, server_name="127.0.0.1").evidence == "socket"
        refuses(lambda: verifier.verify_socket(secure, server_name="other.test"), "name_mismatch")
    # A closed socket no longer has a peer.
    refuses(lambda: verifier.verify_socket(secure), "evidence_missing")


def test_a_socket_without_a_handshake_has_no_evidence(lab: Lab, tmp_path: Path) -> None:
    verifier = wm.Verifier(role="server", trust=knowing(lab))
    with connected(lab, tmp_path, do_handshake_on_connect=False) as secure:
        refuses(lambda: verifier.verify_socket(secure), "evidence_missing")
        secure.do_handshake()
        assert verifier.verify_socket(secure).evidence == "socket"
    unconnected = ssl.create_default_context().wrap_socket(
        socket.socket(), server_hostname="localhost"
    )
    with unconnected:
        refuses(lambda: verifier.verify_socket(unconnected), "evidence_missing")


def test_a_server_of_ssl_verifies_its_clients(
    lab: Lab, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    verifier, seen = clients(knowing(lab)), []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            with contexts[0].wrap_socket(plain, server_side=True) as secure:
                seen.append(verifier.verify_socket(secure))
                secure.sendall(b"known")

        thread = threading.Thread(target=serve)
        thread.start()
        plain = socket.create_connection(listener.getsockname())
        with contexts[1].wrap_socket(plain) as secure:
            assert secure.recv(5) == b"known"
        thread.join()
    assert [(peer.tenant, peer.evidence) for peer in seen] == [("dispatcher", "socket")]


@pytest.mark.parametrize("thing", [None, b"der", socket.socket, object()])
def test_only_a_tls_socket_is_accepted(lab: Lab, thing: Any) -> None:
    with pytest.raises(wm.ConfigError) as raised:
        clients(knowing(lab)).verify_socket(thing)
    assert raised.value.context["option"] == "socket"
    with socket.socket() as plain, pytest.raises(wm.ConfigError):
        clients(knowing(lab)).verify_socket(plain)  # type: ignore[arg-type]


def refuses(act: Callable[[], Any], kind: str) -> None:
    with pytest.raises(wm.PeerRefused) as raised:
        act()
    assert (raised.value.kind, raised.value.stage) == (kind, "verify")
