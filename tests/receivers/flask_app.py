"""Flask on gunicorn: `flask_app.py DIALECT FOLDER`."""

import sys
from pathlib import Path
from typing import Any

from flask import Flask, request
from gunicorn.app.base import BaseApplication

import webhook_mtls as wm
from webhook_mtls import wsgi


def application(dialect: Any, folder: Path) -> Flask:
    """Returns the application."""
    app = Flask("receiver")

    @app.get("/")
    def who() -> dict[str, Any]:
        peer = request.environ[wsgi.PEER]
        return {"cn": peer.cn, "evidence": peer.evidence, "hop": peer.hop}

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"cn": None}

    trust = wm.Trust.from_files(
        folder / "root.pem", intermediates=folder / "issuing.pem", crls=folder / "crls.pem"
    )
    rule = wm.TenantRule.san_uri("spiffe://corp.example/tenant/{tenant}")
    app.wsgi_app = wsgi.PeerMiddleware(  # type: ignore[method-assign]
        app.wsgi_app,
        verifier=wm.Verifier(role="client", trust=trust, tenant=rule),
        dialect=dialect,
        hop=wm.Hop.address("edge", "127.0.0.1"),
        exclude=["/health"],
    )
    return app


class Gunicorn(BaseApplication):  # type: ignore[misc]
    """gunicorn with one worker on a free port, which it prints."""

    def load_config(self) -> None:
        """Sets the options."""
        self.cfg.set("bind", "127.0.0.1:0")
        self.cfg.set("workers", 1)
        self.cfg.set("loglevel", "warning")
        self.cfg.set("limit_request_field_size", 32768)
        self.cfg.set("when_ready", ready)

    def load(self) -> Flask:
        """Returns the application."""
        return application(sys.argv[1], Path(sys.argv[2]))


def ready(server: Any) -> None:
    """Prints the port."""
    print(server.LISTENERS[0].sock.getsockname()[1], flush=True)


if __name__ == "__main__":
    Gunicorn().run()
