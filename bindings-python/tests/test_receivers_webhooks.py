"""Middleware of ASGI and WSGI that verifies the peer and the webhook of a request in one step. The
official package of Standard Webhooks signs.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from flask import Flask
from flask import request as flask_request
from standardwebhooks.webhooks import Webhook
from test_receivers import LOOPBACK, Scene, served
from werkzeug.test import Client

import webhook_mtls as wm
from webhook_mtls import asgi, wsgi

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"event":"order.created"}'
MOST = 32 * 1024 * 1024
PASSED = (200, {"tenant": "acme", "id": "evt_1", "duplicate": False, "body": BODY.decode()})


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.verifier = wm.Verifier(
        role="client", trust=scene.trust, tenant=wm.TenantRule.subject_cn()
    )
    return scene


def signed(scene: Scene, body: bytes = BODY) -> list[tuple[str, str]]:
    now = datetime.now(UTC)
    return [
        ("Client-Cert", scene.header()),
        ("webhook-id", "evt_1"),
        ("webhook-timestamp", str(int(now.timestamp()))),
        ("webhook-signature", Webhook(SECRET).sign("evt_1", now, body.decode())),
    ]


def options(scene: Scene, **of_verifier: Any) -> dict[str, Any]:
    webhooks = wm.WebhookVerifier(secrets=[SECRET], **of_verifier)
    return {
        "verifier": scene.verifier,
        "dialect": "rfc9440",
        "hop": LOOPBACK,
        "exclude": ["/health"],
        "webhooks": webhooks,
    }


def fast_api(scene: Scene, **of_verifier: Any) -> asgi.PeerMiddleware:
    app = FastAPI()

    @app.post("/")
    async def hook(request: Request) -> Any:
        webhook = request.state.webhook
        shown = {"tenant": webhook.tenant, "id": webhook.id, "duplicate": webhook.duplicate}
        return shown | {"body": (await request.body()).decode()}

    @app.post("/health")
    async def health(request: Request) -> Any:
        return {"body": (await request.body()).decode()}

    return asgi.PeerMiddleware(app, **options(scene, **of_verifier))


def post(port: int, headers: Any, body: Any = BODY, path: str = "/") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    # Two parts are sent in chunks.
    connection.request("POST", path, body, dict(headers))
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def test_asgi_verifies_peer_and_webhook_in_one_step(scene: Scene) -> None:
    app = fast_api(scene)
    with served(app) as port:
        headers = signed(scene)
        assert post(port, headers) == PASSED
        assert post(port, headers, iter([BODY[:5], BODY[5:]])) == PASSED
        assert post(port, headers, BODY + b" ") == (401, {"kind": "signature_invalid"})
        assert post(port, headers[:1]) == (401, {"kind": "signature_invalid"})
        assert post(port, headers[1:]) == (401, {"kind": "evidence_missing"})
        assert post(port, [], path="/health") == (200, {"body": BODY.decode()})
    assert app.refused == {"signature_invalid": 2, "evidence_missing": 1}


def test_asgi_asks_a_store_that_is_asynchronous(scene: Scene) -> None:
    known: set[str] = set()

    async def seen(tenant: str, id: str, keep_until: datetime) -> bool:
        await asyncio.sleep(0)
        was_known = id in known
        known.add(id)
        return was_known

    with served(fast_api(scene, seen=seen)) as port:
        headers = signed(scene)
        assert post(port, headers)[1]["duplicate"] is False
        assert post(port, headers)[1]["duplicate"] is True


def test_a_webhook_of_another_tenant_gets_403(scene: Scene) -> None:
    webhooks = wm.WebhookVerifier(secrets={"globex": [SECRET]})
    app = asgi.PeerMiddleware(fast_api(scene).app, **options(scene) | {"webhooks": webhooks})
    with served(app) as port:
        assert post(port, signed(scene)) == (403, {"kind": "tenant_refused"})


def asked(app: Any, scope: dict[str, Any], messages: list[dict[str, Any]]) -> list[Any]:
    """Returns what an application of ASGI sends."""
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def test_asgi_reads_no_more_than_the_limit_and_hears_a_disconnect(scene: Scene) -> None:
    app = fast_api(scene)
    headers = [(name.lower().encode(), value.encode()) for name, value in signed(scene)]
    scope = {
        "type": "http",
        "path": "/",
        "headers": headers,
        "client": ("127.0.0.1", 4711),
    }
    part = {"type": "http.request", "body": bytes(MOST // 4), "more_body": True}
    messages = [part] * 6
    start, _ = asked(app, dict(scope), messages)
    assert (start["status"], app.refused) == (413, {"body_too_large": 1})
    assert len(messages) == 1, "it reads on beyond the limit"
    assert asked(app, dict(scope), [part, {"type": "http.disconnect"}]) == []


def test_wsgi_verifies_peer_and_webhook_in_one_step(scene: Scene) -> None:
    app = Flask("receiver")

    @app.post("/")
    def hook() -> Any:
        webhook = flask_request.environ[wsgi.WEBHOOK]
        shown = {"tenant": webhook.tenant, "id": webhook.id, "duplicate": webhook.duplicate}
        return shown | {"body": flask_request.get_data(as_text=True)}

    middleware = wsgi.PeerMiddleware(app.wsgi_app, drops_underscores=True, **options(scene))
    client = Client(middleware)

    def posted(headers: Any, **given: Any) -> tuple[int, Any]:
        response = client.post(
            "/", headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"}, **given
        )
        return response.status_code, response.get_json()

    headers = signed(scene)
    assert posted(headers, data=BODY) == PASSED
    assert posted(headers, data=BODY + b" ") == (401, {"kind": "signature_invalid"})
    assert posted(headers) == (401, {"kind": "signature_invalid"})
    assert posted(headers[1:], data=BODY) == (401, {"kind": "evidence_missing"})
    assert posted(headers, data=bytes(MOST + 1)) == (413, {"kind": "body_too_large"})
    assert middleware.refused == {
        "signature_invalid": 2,
        "evidence_missing": 1,
        "body_too_large": 1,
    }
