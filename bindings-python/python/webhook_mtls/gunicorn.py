"""A worker for gunicorn that fills the TLS extension of ASGI, which gunicorn leaves empty.

    gunicorn -k webhook_mtls.gunicorn.AsgiWorker --cert-reqs 2 --certfile … --ca-certs … module:app

It is the worker `asgi` of gunicorn 25 or later, and also tells `PeerMiddleware` the address of the
transport itself. HTTP/2 and WebSockets have the same. WSGI needs no worker of its own: the
middleware of `webhook_mtls.wsgi` finds the socket.
"""

from __future__ import annotations

from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

from ._transport import Carrying


class _Protocol(Carrying, ASGIProtocol):  # type: ignore[misc]
    """The protocol of gunicorn, whose application gets the facts of the transport."""


class AsgiWorker(gasgi.ASGIWorker):  # type: ignore[misc]
    """The worker `asgi` of gunicorn. It has the settings of that worker."""

    def init_process(self) -> None:
        """Starts the worker."""
        # gunicorn has no setting for the protocol. All of this process is this worker.
        gasgi.ASGIProtocol = _Protocol  # pyright: ignore[reportAttributeAccessIssue]
        super().init_process()
