"""Delivers webhooks over mutual TLS, and verifies the peer at the other end of a connection.

    import webhook_mtls as wm

    receipt = wm.deliver(
        "https://hooks.acme.example/in", b'{"event":"ping"}',
        identity=wm.Identity.from_files("tls.crt", "tls.key"),
        trust=wm.Trust.from_files("acme-ca.pem"),
        pins=None,
    )

A delivery returns a `Receipt` only if the consumer answered 2xx; otherwise it raises. For more than
one delivery, create a `Dispatcher` and keep it. Options are keyword arguments. An unknown option
raises `ConfigError`, like every other invalid argument, and nothing is sent.
"""

from ._errors import ConfigError, DeliveryError, PeerRefused, Response, WebhookMtlsError
from ._native import (
    Authorization,
    Decision,
    Delivery,
    Dispatcher,
    Egress,
    Endpoint,
    EndpointStatus,
    Event,
    Expiry,
    Hop,
    Identity,
    JwtBearer,
    JwtKeys,
    Outcome,
    Outcomes,
    PeerIdentity,
    Pins,
    Probe,
    Progress,
    Receipt,
    Report,
    RetryPolicy,
    StandardWebhooks,
    TenantRule,
    TlsFacts,
    Trust,
    VerifiedWebhook,
    Verifier,
    WebhookVerifier,
    __version__,
    deliver,
    merge,
    metrics_content_type,
    pin_of,
    remember_signatures,
    verify_peer,
)

# Type checkers treat this as typing.TYPE_CHECKING. Importing typing takes longer than importing
# this package, and asyncio takes ten times as long. Both are imported only on use.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._asyncio import AsyncDispatcher
    from ._logging import log_deliveries
    from ._many import AsyncOutcomes
    from ._words import Blame, Kind, Retry, Scope, Sent, Stage

__all__ = [
    "AsyncDispatcher",
    "AsyncOutcomes",
    "Authorization",
    "Blame",
    "ConfigError",
    "Decision",
    "Delivery",
    "DeliveryError",
    "Dispatcher",
    "Egress",
    "Endpoint",
    "EndpointStatus",
    "Event",
    "Expiry",
    "Hop",
    "Identity",
    "JwtBearer",
    "JwtKeys",
    "Kind",
    "Outcome",
    "Outcomes",
    "PeerIdentity",
    "PeerRefused",
    "Pins",
    "Probe",
    "Progress",
    "Receipt",
    "Report",
    "Response",
    "Retry",
    "RetryPolicy",
    "Scope",
    "Sent",
    "Stage",
    "StandardWebhooks",
    "TenantRule",
    "TlsFacts",
    "Trust",
    "VerifiedWebhook",
    "Verifier",
    "WebhookMtlsError",
    "WebhookVerifier",
    "__version__",
    "deliver",
    "log_deliveries",
    "merge",
    "metrics_content_type",
    "pin_of",
    "remember_signatures",
    "verify_peer",
]


# Type checkers know the names above. For any other name, they must report an error.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "AsyncDispatcher":
            module = "._asyncio"
        elif name == "log_deliveries":
            module = "._logging"
        elif name == "AsyncOutcomes":
            module = "._many"
        elif name in ("Blame", "Kind", "Retry", "Scope", "Sent", "Stage"):
            module = "._words"
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(module, __name__), name)
        globals()[name] = value
        return value
