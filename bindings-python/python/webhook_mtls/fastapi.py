"""A dependency of FastAPI: the peer that `webhook_mtls.asgi.PeerMiddleware` has verified.

app.add_middleware(PeerMiddleware, verifier=verifier, dialect="rfc9440", hop=hop)

@app.post("/hooks")
async def hook(peer: Peer) -> None: ...
"""

from typing import Annotated

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

from ._native import PeerIdentity


def peer(connection: HTTPConnection) -> PeerIdentity:
    """Returns the verified peer of the request.

    Args:
        connection: the request or the WebSocket.

    Raises:
        HTTPException: 401 if the middleware has verified none: it is not installed, or the path is
            excluded.
    """
    found = getattr(connection.state, "peer", None)
    if not isinstance(found, PeerIdentity):
        raise HTTPException(status_code=401, detail={"kind": "evidence_missing"})
    return found


Peer = Annotated[PeerIdentity, Depends(peer)]
"""The type of a parameter that is the verified peer."""
