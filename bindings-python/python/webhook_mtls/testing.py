"""The testing kit: a private CA and receivers on loopback, to test the use of a dispatcher.

It contains no mocks: certificates, sockets and handshakes are real. Do not import this module in
production code. It is installed by `pip install "webhook-mtls[testing]"`, and not without the
extra.
"""

from ._native import __version__

_HOW = f'pip install "webhook-mtls[testing]=={__version__}"'

try:
    from webhook_mtls_testing import (
        Authority,
        Consumer,
        Issued,
        Lab,
        Nginx,
        Received,
        error,
        set_clock,
        signatures_checked,
    )
    from webhook_mtls_testing import __version__ as _kit
except ModuleNotFoundError as _missing:
    if _missing.name != "webhook_mtls_testing":
        raise
    raise ModuleNotFoundError(
        f"the testing kit of webhook-mtls is not installed: {_HOW}", name=_missing.name
    ) from None

if _kit != __version__:
    raise ImportError(
        f"webhook-mtls is {__version__}, but webhook-mtls-testing is {_kit}; the versions must be "
        f"equal: {_HOW}"
    )

__all__ = [
    "Authority",
    "Consumer",
    "Issued",
    "Lab",
    "Nginx",
    "Received",
    "error",
    "set_clock",
    "signatures_checked",
]
