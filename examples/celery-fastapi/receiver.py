"""A consumer of the shop, which ends TLS itself and sees who has sent each webhook.

uvicorn receiver:app --http webhook_mtls.uvicorn:H11Protocol --ssl-cert-reqs 2 …
"""

from fastapi import FastAPI, Request

import webhook_mtls as wm
from webhook_mtls.asgi import PeerMiddleware
from webhook_mtls.fastapi import Peer

verifier = wm.Verifier(
    role="client",
    trust=wm.Trust.from_files("ca.pem", intermediates="intermediate.pem"),
    tenant=wm.TenantRule.san_uri("spiffe://lab.test/tenant/{tenant}"),
)
app = FastAPI()
app.add_middleware(PeerMiddleware, verifier=verifier)


@app.post("/in")
async def receive(request: Request, peer: Peer) -> dict[str, str | None]:
    """Takes a webhook. A request without a verified peer never arrives here."""
    key = request.headers["webhook-id"]  # the same in each attempt: a payload may arrive twice
    body = (await request.body()).decode()
    print(f"{key} from {peer.tenant}, {peer.evidence}: {body}", flush=True)
    return {"id": key, "tenant": peer.tenant}
