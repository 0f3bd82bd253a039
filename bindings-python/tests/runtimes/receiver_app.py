"""An ASGI application that tells its peer, to a request and over a WebSocket. For gunicorn and
hypercorn, which end the TLS themselves.
"""

import json
import os
from pathlib import Path
from typing import Any

import webhook_mtls as wm
from webhook_mtls.asgi import PeerMiddleware
from webhook_mtls.hypercorn import TlsExtension

ROOT = Path(os.environ["WMTLS_DIRECTORY"], "root.pem")


async def tell(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})
        return
    peer, tls = scope["state"]["peer"], scope["extensions"]["tls"]
    told = {"subject": peer.subject, "evidence": peer.evidence}
    told |= {"http": scope["http_version"], "leaf": tls["client_cert_chain"][0][:27]}
    text = json.dumps(told)
    if scope["type"] == "websocket":
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})
        return
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


verifier = wm.Verifier(
    role="client", trust=wm.Trust.from_files(ROOT), authorization=wm.Authorization.ca_members()
)
bare = PeerMiddleware(tell, verifier=verifier)
wrapped = TlsExtension(bare)
