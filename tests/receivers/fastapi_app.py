"""FastAPI on uvicorn: `fastapi_app.py DIALECT FOLDER`."""

import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

import webhook_mtls as wm
from webhook_mtls.asgi import PeerMiddleware
from webhook_mtls.fastapi import Peer
from webhook_mtls.uvicorn import H11Protocol


def main() -> None:
    """Serves on a free port, which it prints."""
    dialect, folder = sys.argv[1], Path(sys.argv[2])
    app: Any = FastAPI()

    @app.get("/")
    async def who(peer: Peer) -> dict[str, Any]:
        return {"cn": peer.cn, "evidence": peer.evidence, "hop": peer.hop}

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"cn": None}

    trust = wm.Trust.from_files(
        folder / "root.pem", intermediates=folder / "issuing.pem", crls=folder / "crls.pem"
    )
    rule = wm.TenantRule.san_uri("spiffe://corp.example/tenant/{tenant}")
    app.add_middleware(
        PeerMiddleware,
        verifier=wm.Verifier(role="client", trust=trust, tenant=rule),
        dialect=dialect,
        hop=wm.Hop.address("edge", "127.0.0.1"),
        exclude=["/health"],
    )
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, http=H11Protocol, lifespan="off", log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
