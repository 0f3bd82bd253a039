"""Tokens and received webhooks. PyJWT and the official package of Standard Webhooks are oracles."""

import asyncio
import json
import pickle
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from standardwebhooks.webhooks import Webhook

import webhook_mtls as wm
from webhook_mtls.testing import Issued, Lab, Received

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"event":"order.created","name":"Zoë"}'.encode()
ISSUER, AUDIENCE = "https://sender.example", "https://hooks.acme.example"

KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
}


def private_pem(key: Any, form: str = "PKCS8") -> bytes:
    formats = {
        "PKCS8": serialization.PrivateFormat.PKCS8,
        "traditional": serialization.PrivateFormat.TraditionalOpenSSL,
    }
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, formats[form], serialization.NoEncryption()
    )
    return pem


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def peer_of(lab: Lab, issued: Issued) -> wm.PeerIdentity:
    rule = wm.TenantRule.san_uri("spiffe://lab.test/tenant/{tenant}")
    return wm.Verifier(role="client", trust=lab.trust, tenant=rule).verify(issued.cert_pem)


def sent(lab: Lab, issued: Issued, signing: Any) -> Received:
    """Delivers one webhook and returns what the consumer received."""
    acme = lab.consumer("acme")
    identity = wm.Identity.from_pem(issued.cert_pem, issued.key_pem)
    with lab.dispatcher() as dispatcher:
        endpoint = dispatcher.endpoint(
            "acme", acme.url, pins=None, identity=identity, signing=signing
        )
        dispatcher.deliver(endpoint, BODY, id="evt_1")
    (received,) = acme.received
    return received


# Ed25519 has no traditional form.
@pytest.mark.parametrize(
    ("algorithm", "form"),
    [
        *((algorithm, "PKCS8") for algorithm in KEYS),
        ("ES256", "traditional"),
        ("RS256", "traditional"),
    ],
)
def test_pyjwt_accepts_our_tokens(lab: Lab, algorithm: str, form: str) -> None:
    issued = lab.authority.issue("sender")
    token = wm.JwtBearer.from_pem(
        private_pem(KEYS[algorithm], form),
        issuer=ISSUER,
        audience=AUDIENCE,
        subject="sender",
        key_id="key-1",
        lifetime=timedelta(minutes=2),
        claims={"tier": 7, "name": "Zoë"},
        content_digest=True,
    )
    assert token.algorithm == algorithm
    received = sent(lab, issued, token)
    scheme, _, text = received.headers["authorization"].partition(" ")
    assert scheme == "Bearer"
    assert jwt.get_unverified_header(text) == {"alg": algorithm, "kid": "key-1", "typ": "JWT"}
    key = jwt.PyJWK(token.public_jwk)
    claims = jwt.decode(text, key, [algorithm], audience=AUDIENCE, issuer=ISSUER)
    assert claims["exp"] - claims["iat"] == 120
    assert (claims["tier"], claims["name"], claims["sub"]) == (7, "Zoë", "sender")
    assert claims["cnf"] == {"x5t#S256": peer_of(lab, issued).x5t_s256}
    assert claims["webhook_id"] == "evt_1"
    assert claims["content_digest"].startswith("sha-256=:")


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_we_accept_the_tokens_of_pyjwt(lab: Lab, algorithm: str, form: str) -> None:
    key = KEYS[algorithm]
    peer = peer_of(lab, lab.authority.issue("sender"))
    public = public_pem(key)
    headers = {"kid": "theirs"}
    if form == "jwk":
        jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
        keys = wm.JwtKeys(json.dumps({"keys": [jwk | {"kid": "theirs"}]}).encode())
    else:
        keys = wm.JwtKeys(public, key_id="theirs")
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": [AUDIENCE, "another"],
        "iat": now,
        "exp": now + 60,
        "tenant": "sender",
        "cnf": {"x5t#S256": peer.x5t_s256},
    }
    verifier = wm.WebhookVerifier(
        keys=keys, audience=AUDIENCE, issuer=ISSUER, tenant_claim="tenant"
    )

    def verify(**changed: Any) -> wm.VerifiedWebhook:
        text = jwt.encode(claims | changed, key, algorithm, headers=headers)
        return verifier.verify_webhook(peer, [("Authorization", f"Bearer {text}")], BODY)

    webhook = verify()
    assert (webhook.algorithm, webhook.key_id, webhook.tenant) == (algorithm, "theirs", "sender")
    assert webhook.claims["aud"] == [AUDIENCE, "another"]
    assert webhook.timestamp == datetime.fromtimestamp(now, UTC)
    for changed, kind in (
        ({"exp": now - 60}, "token_invalid"),
        ({"cnf": {}}, "token_invalid"),
        ({"tenant": "globex"}, "tenant_refused"),
    ):
        with pytest.raises(wm.PeerRefused) as raised:
            verify(**changed)
        assert raised.value.kind == kind
    unsigned = jwt.encode(claims, "", "none", headers=headers)
    with pytest.raises(wm.PeerRefused) as raised:
        verifier.verify_webhook(peer, {"authorization": f"Bearer {unsigned}"}, BODY)
    assert raised.value.context["cause"] == "token_unsigned"
    assert unsigned not in str(raised.value.to_dict())


def test_the_official_package_and_we_accept_each_other(lab: Lab) -> None:
    issued = lab.authority.issue("sender")
    peer = peer_of(lab, issued)
    verifier = wm.WebhookVerifier(secrets=[SECRET])
    received = sent(lab, issued, wm.StandardWebhooks([SECRET]))
    assert Webhook(SECRET).verify(received.body, dict(received.headers)) == json.loads(BODY)
    webhook = verifier.verify_webhook(peer, received.headers, received.body)
    assert (webhook.scheme, webhook.secret, webhook.id) == ("v1", 1, "evt_1")
    now = datetime.now(UTC)
    theirs = Webhook(SECRET).sign("msg_1", now, BODY.decode())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": theirs,
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    for given in (headers, list(headers.items()), raw):
        assert verifier.verify_webhook(peer, given, BODY).id == "msg_1"
    with pytest.raises(wm.PeerRefused) as raised:
        verifier.verify_webhook(peer, headers, BODY + b" ")
    assert raised.value.kind == "signature_invalid"


def signed(lab: Lab) -> tuple[wm.PeerIdentity, Received]:
    issued = lab.authority.issue("sender")
    return peer_of(lab, issued), sent(lab, issued, wm.StandardWebhooks([SECRET]))


def test_a_store_marks_duplicates_and_its_exception_passes(lab: Lab) -> None:
    peer, received = signed(lab)
    ids: dict[tuple[str, str], datetime] = {}

    def seen(tenant: str, id: str, keep_until: datetime) -> bool:
        known = (tenant, id) in ids
        ids[tenant, id] = keep_until
        return known

    verifier = wm.WebhookVerifier(secrets=[SECRET], seen=seen)
    with pytest.raises(wm.PeerRefused):
        verifier.verify_webhook(peer, received.headers, b"[]")
    assert ids == {}
    first = verifier.verify_webhook(peer, received.headers, received.body)
    again = verifier.verify_webhook(peer, received.headers, received.body)
    assert (first.duplicate, again.duplicate) == (False, True)
    (keep_until,) = ids.values()
    assert keep_until - datetime.now(UTC) > timedelta(hours=71)

    def broken(*_: object) -> bool:
        raise OSError("the store is away")

    stores: list[tuple[Callable[..., Any], type[Exception]]] = [
        (broken, OSError),
        (lambda *_: 1, wm.ConfigError),
    ]
    for store, error in stores:
        verifier = wm.WebhookVerifier(secrets=[SECRET], seen=store)
        with pytest.raises(error):
            verifier.verify_webhook(peer, received.headers, received.body)
    with pytest.raises(wm.ConfigError):
        wm.WebhookVerifier(secrets=[SECRET], seen=7)  # type: ignore[arg-type]


def test_a_store_may_be_asynchronous(lab: Lab) -> None:
    peer, received = signed(lab)

    async def seen(*_: object) -> bool:
        await asyncio.sleep(0)
        return True

    async def run(store: Callable[..., Any] | None) -> wm.VerifiedWebhook:
        verifier = wm.WebhookVerifier(secrets=[SECRET], seen=store)
        return await verifier.verify_webhook_async(peer, received.headers, received.body)

    assert asyncio.run(run(seen)).duplicate
    assert asyncio.run(run(lambda *_: True)).duplicate
    assert not asyncio.run(run(None)).duplicate
    verifier = wm.WebhookVerifier(secrets=[SECRET])
    with pytest.raises(wm.PeerRefused):
        asyncio.run(verifier.verify_webhook_async(peer, {}, received.body))


def test_keys_of_a_file_are_reloaded(lab: Lab, tmp_path: Path) -> None:
    issued = lab.authority.issue("sender")
    peer = peer_of(lab, issued)
    public = tmp_path / "keys.pem"
    public.write_bytes(public_pem(KEYS["EdDSA"]))
    verifier = wm.WebhookVerifier(keys=wm.JwtKeys.from_file(public))
    private = tmp_path / "token.key"
    private.write_bytes(private_pem(KEYS["ES256"]))
    received = sent(lab, issued, wm.JwtBearer.from_file(private))
    with pytest.raises(wm.PeerRefused) as raised:
        verifier.verify_webhook(peer, received.headers, received.body)
    assert raised.value.context["cause"] == "token_key_unknown"
    events: list[wm.Event] = []
    verifier.on_event(events.append)
    public.write_bytes(public_pem(KEYS["ES256"]))
    (event,) = verifier.reload()
    assert event.name == "rotated"
    webhook = verifier.verify_webhook(peer, received.headers, received.body)
    assert webhook.algorithm == "ES256"


def test_signing_takes_one_or_both(lab: Lab) -> None:
    issued = lab.authority.issue("sender")
    peer = peer_of(lab, issued)
    token = wm.JwtBearer.from_pem(private_pem(KEYS["ES256"]))
    secrets = wm.StandardWebhooks([SECRET])
    received = sent(lab, issued, [token, secrets])
    keys = wm.JwtKeys(json.dumps(token.public_jwk).encode())
    verifier = wm.WebhookVerifier(keys={"sender": keys}, secrets={"sender": [SECRET]})
    webhook = verifier.verify_webhook(peer, received.headers, received.body)
    assert (webhook.scheme, webhook.algorithm) == ("v1", "ES256")
    bad: list[Any] = [[], [token, token], [secrets, 7], "token", 7]
    with lab.dispatcher() as dispatcher:
        for given in bad:
            with pytest.raises(wm.ConfigError) as raised:
                dispatcher.endpoint("b", "https://127.0.0.1:1/", pins=None, signing=given)
            assert raised.value.context["option"] == "signing"


def test_values_are_copied_compared_and_pickled(lab: Lab, tmp_path: Path) -> None:
    peer, received = signed(lab)
    verifier = wm.WebhookVerifier(secrets=[SECRET])
    webhook = verifier.verify_webhook(peer, received.headers, received.body)
    again = pickle.loads(pickle.dumps(webhook))
    assert (again, hash(again), again.to_dict()) == (webhook, hash(webhook), webhook.to_dict())
    assert "VerifiedWebhook(tenant='sender', id='evt_1'" in repr(webhook)
    # A peer that passed through a queue is still that peer.
    assert verifier.verify_webhook(
        pickle.loads(pickle.dumps(peer)), received.headers, received.body
    )
    path = tmp_path / "keys.pem"
    path.write_bytes(public_pem(KEYS["ES256"]))
    for keys in (wm.JwtKeys(path.read_bytes(), key_id="a"), wm.JwtKeys.from_file(path)):
        assert pickle.loads(pickle.dumps(keys)) == keys
        assert repr(keys) == "JwtKeys(ES256)"
    token = wm.JwtBearer.from_pem(private_pem(KEYS["ES256"]))
    assert repr(token) == "JwtBearer(ES256)"
    for secret in (token, verifier):
        with pytest.raises(TypeError):
            pickle.dumps(secret)


@pytest.mark.parametrize(
    ("headers", "peer"),
    [(7, None), ("a", None), ([("a",)], None), ([("a", 7)], None), ({}, 7)],
)
def test_arguments_of_another_type_are_refused(lab: Lab, headers: Any, peer: Any) -> None:
    right = peer_of(lab, lab.authority.issue("sender"))
    verifier = wm.WebhookVerifier(secrets=[SECRET])
    with pytest.raises(wm.ConfigError) as raised:
        verifier.verify_webhook(right if peer is None else peer, headers, BODY)
    assert raised.value.kind == "option_invalid"


def test_the_programs_of_the_page_run(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "signing.md").read_text()
    sender, receiver = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    lab.write_files(tmp_path)
    issued = lab.authority.issue("sender")
    (tmp_path / "tls.crt").write_bytes(issued.cert_pem)
    (tmp_path / "tls.key").write_bytes(issued.key_pem)
    (tmp_path / "token.key").write_bytes(private_pem(KEYS["ES256"]))
    public = wm.JwtBearer.from_pem(private_pem(KEYS["ES256"])).public_jwk
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public]}))
    monkeypatch.chdir(tmp_path)
    acme = lab.consumer("acme")
    loopback = 'wm.Dispatcher(egress=wm.Egress(allow=["127.0.0.0/8"]), '
    sender = sender.replace("wm.Dispatcher(", loopback)
    sends: dict[str, Any] = {}
    exec(sender.replace("https://hooks.acme.example/in", acme.url), sends)
    sends["dispatcher"].close()
    receives: dict[str, Any] = {}
    exec(receiver, receives)
    (received,) = acme.received
    peer = receives["peers"].verify(issued.cert_pem)
    receive = receives["receive"]
    assert receive(peer, received.headers, received.body) == 204
    assert receive(peer, received.headers, received.body) == 204
    assert capsys.readouterr().out == "sender evt_1\n"
    assert receive(peer, received.headers, b"{}") == 401
