"""The cases for every server, and the expected results of each. README.md shows the table."""

from dataclasses import dataclass
from typing import Any

from pki import Pki
from server import Setting

ANOTHER_PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

REQUIRES = Setting("require")
OPTIONAL = Setting("optional")
NEVER = Setting("never")
LATE = Setting("require", late=True)
LOCATION = Setting("location")
# Apache would request a certificate by renegotiation after it has read the path. A request on this
# connection fails with a fatal alert.
OLDER_LOCATION = Setting("location", older=True)
# Only Node closes after a complete handshake of TLS 1.2.
OLDER = Setting("require", older=True)

SETTINGS = [REQUIRES, OPTIONAL, NEVER, LATE, LOCATION, OLDER_LOCATION, OLDER]


@dataclass(frozen=True)
class Case:
    """One delivery, the same for every server and language.

    `shows` is the client's identity, by its name in `Pki`.
    """

    name: str
    setting: Setting
    shows: str = "ours"
    wrong_pin: bool = False

    def material(self, pki: Pki) -> str:
        """The directory with the client's identity."""
        return str(getattr(pki, self.shows))

    @property
    def environment(self) -> dict[str, str]:
        """Returns additional environment variables of the client."""
        return {"WMTLS_MIN_TLS": "1.2"} if self.setting.older else {}


ALL = [
    Case("accepted", REQUIRES),
    Case("wrong pin", REQUIRES, wrong_pin=True),
    Case("unknown CA", REQUIRES, shows="stranger"),
    Case("revoked", REQUIRES, shows="revoked"),
    Case("key may not sign", REQUIRES, shows="no_signing"),
    Case("for servers", REQUIRES, shows="for_servers"),
    Case("expired", LATE),
    Case("optional", OPTIONAL),
    Case("optional, unknown CA", OPTIONAL, shows="stranger"),
    Case("not asked", NEVER),
    Case("asked for a path", LOCATION),
    Case("for a path, TLS 1.2", OLDER_LOCATION),
    Case("accepted, TLS 1.2", OLDER),
    Case("unknown CA, TLS 1.2", OLDER, shows="stranger"),
]

# The result at any server, unless the server's own table has another.
ANYWHERE = {
    "accepted": "receipt",
    "optional": "receipt",
    "accepted, TLS 1.2": "receipt",
    "wrong pin": "pin_mismatch",
    "not asked": "client_auth_not_requested",
    "for servers": "identity_unusable",
    "key may not sign": "identity_unusable",
}

# OpenSSL's results, in every server that uses it: one alert per reason.
OPENSSL = {
    "unknown CA": "unknown_ca, nothing",
    "revoked": "certificate_revoked, nothing",
    "expired": "certificate_expired, nothing",
    "optional, unknown CA": "unknown_ca, nothing",
}

# Node sends no alert: the connection ends before, during or after the write of the request.
ENDED = "closed with a hint"

# It names the CAs that it accepts. If ours is not among them, the client waits for the close.
NODE = {
    "unknown CA": "close, nothing",
    "unknown CA, TLS 1.2": "close, nothing",
    "revoked": ENDED,
    "expired": ENDED,
    # `rejectUnauthorized: false` accepts any certificate and leaves the verdict to the program.
    "optional, unknown CA": "receipt",
}

NODES = ("node", "node-22", "node-24")

# The server's ServerHello came before any of these failures.
AFTER_HELLO = ("pin_mismatch", "client_auth_not_requested", "client_certificate_rejected")

# The result of a refusal at each server: an alert by its name or a page by its status, and `sent`.
# `receipt` is listed where a server accepts a certificate that it should refuse.
TRUTH: dict[str, dict[str, str]] = {
    # The handshake succeeds with any certificate; the server answers the request with a page.
    # It names its CAs. If ours is not among them, the payload waits, and the page comes first.
    "nginx": dict.fromkeys(OPENSSL, "page 400, all")
    | dict.fromkeys(["unknown CA", "optional, unknown CA"], "page 400, maybe"),
    "apache": OPENSSL,
    "haproxy": OPENSSL,
    "stunnel": OPENSSL,
    "openssl": OPENSSL,
    "python": OPENSSL,
    # After an accepted handshake it answers only GET with a page, and a POST without HTTP.
    "gnutls": {
        "accepted": "http_invalid, all",
        "optional": "http_invalid, all",
        "unknown CA": "access_denied, nothing",
        "revoked": "access_denied, nothing",
        "expired": "access_denied, nothing",
        "optional, unknown CA": "access_denied, nothing",
    },
    "node": NODE,
    "node-22": NODE,
    "node-24": NODE,
    # It has one alert for most reasons.
    "go": {
        "unknown CA": "unknown_ca, nothing",
        "revoked": "bad_certificate, nothing",
        "optional, unknown CA": "unknown_ca, nothing",
    },
}


def truth(server: str, case: Case) -> str | None:
    """Returns the expected result of a case at this server; None if the setting does not apply."""
    if case.setting.asks == "location":
        return "client_auth_not_requested" if server == "apache" else None
    if case.setting == OLDER and server not in NODES:
        return None
    # Go does not read the clock through the C library, where it is changed.
    if case.setting.late and server == "go":
        return None
    return TRUTH[server].get(case.name) or ANYWHERE[case.name]


def fault(expected: str, answer: dict[str, Any]) -> str | None:
    """Returns what is wrong with a client's result, or None."""
    seen = outcome(answer)
    return None if seen == expected else f"expected {expected}, got {seen}"


def outcome(answer: dict[str, Any]) -> str:
    """Describes a client's result in the terms of `TRUTH`, and checks its parts."""
    if receipt := answer.get("receipt"):
        sound = receipt["tls"]["client_auth_requested"] and receipt["pin"] == "current"
        return "receipt" if sound and receipt["status"] in (200, 204) else "an unsound receipt"
    error = answer["error"]
    kind, sent, context = error["kind"], error["sent"], error["context"]
    if kind in AFTER_HELLO and not has_choices(error["tls"]):
        return f"{kind} without the choices of the ServerHello"
    if kind == "client_certificate_rejected":
        via = context["via"]
        by_page = f"page {context.get('status')}"
        how = {"alert": context.get("alert"), "close": via}.get(via, by_page)
        # After an alert the payload went nowhere. A server that answers with a page has read it.
        return f"{how}, {sent}"
    # How much left before the end is a race, and not part of the result.
    if kind == "connection_lost" and "alert" in context:
        return f"closed by {context['alert']}"
    if kind == "connection_lost":
        hinted = context.get("hint") == "client_certificate_may_be_refused"
        return ENDED if hinted else "closed without a hint"
    return str(kind) if sent == "nothing" else f"{kind}, {sent}"


def has_choices(tls: dict[str, Any] | None) -> bool:
    """Returns whether the facts of a handshake have the choices of the server."""
    choices = ("version", "cipher_suite", "key_exchange")
    return tls is not None and all(isinstance(tls[choice], str) for choice in choices)


def receipt_fault(answer: dict[str, Any]) -> str | None:
    """Expects a receipt with status 200 from a server that requested our certificate."""
    receipt = answer.get("receipt")
    if receipt is None:
        return "expected a receipt"
    seen = (receipt["status"], receipt["pin"], receipt["tls"]["client_auth_requested"])
    return None if seen == (200, "current", True) else f"status, pin and requested are {seen}"


def error_fault(answer: dict[str, Any], kind: str, sent: list[str]) -> str | None:
    """Expects an error of one kind, with one of these values of `sent`."""
    error = answer.get("error")
    if error is None or error["kind"] != kind:
        return f"{kind} was expected"
    return None if error["sent"] in sent else f"sent is {error['sent']}, not in {sent}"
