"""What is tried at every server, and what is true of each: README.md shows the table."""

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
# Apache would ask by a renegotiation once it has read the path: a request that goes out on this
# connection is lost to a fatal alert.
OLDER_LOCATION = Setting("location", older=True)

SETTINGS = [REQUIRES, OPTIONAL, NEVER, LATE, LOCATION, OLDER_LOCATION]


@dataclass(frozen=True)
class Case:
    """One delivery, the same for every server and language.

    `shows` is the identity that the client has, by its name in `Pki`.
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
        """What the client is told besides."""
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
]

# What comes of a case at any server, unless the server's own row says otherwise.
ANYWHERE = {
    "accepted": "receipt",
    "optional": "receipt",
    "wrong pin": "pin_mismatch",
    "not asked": "client_auth_not_requested",
    "for servers": "identity_unusable",
}

# What OpenSSL says of a certificate, wherever it is below: an alert for each reason.
OPENSSL = {
    "unknown CA": "unknown_ca, nothing",
    "revoked": "certificate_revoked, nothing",
    "key may not sign": "unsupported_certificate, nothing",
    "expired": "certificate_expired, nothing",
    "optional, unknown CA": "unknown_ca, nothing",
}

# Node says nothing: the connection ends, before, while or after the request is written.
ENDED = "closed with a hint"

# What comes of a refusal at each server: an alert by its name or a page by its status, with what
# was sent. `receipt` is the truth where a server takes whom it should not.
TRUTH: dict[str, dict[str, str]] = {
    # The handshake succeeds whatever comes, and the request is answered with a page.
    "nginx": dict.fromkeys(OPENSSL, "page 400, all"),
    "apache": OPENSSL,
    "haproxy": OPENSSL,
    "stunnel": OPENSSL,
    "openssl": OPENSSL,
    "python": OPENSSL,
    # What it took is answered with a page for GET alone, and to a POST with no HTTP at all.
    "gnutls": {
        "accepted": "http_invalid, all",
        "optional": "http_invalid, all",
        "unknown CA": "access_denied, nothing",
        "revoked": "access_denied, nothing",
        "key may not sign": "closed by internal_error",
        "expired": "access_denied, nothing",
        "optional, unknown CA": "access_denied, nothing",
    },
    "node": {
        "unknown CA": ENDED,
        "revoked": ENDED,
        "key may not sign": ENDED,
        "expired": ENDED,
        # `rejectUnauthorized: false` takes anybody, and leaves the verdict to the program.
        "optional, unknown CA": "receipt",
    },
}


def truth(server: str, case: Case) -> str | None:
    """What must come of a case at this server; None where the server has no such setting."""
    if case.setting.asks == "location":
        return "client_auth_not_requested" if server == "apache" else None
    return TRUTH[server].get(case.name) or ANYWHERE[case.name]


def fault(expected: str, answer: dict[str, Any]) -> str | None:
    """What is wrong with an answer of a client, or None."""
    seen = outcome(answer)
    return None if seen == expected else f"{expected} was expected, {seen} came of it"


def outcome(answer: dict[str, Any]) -> str:
    """What a client says, in the words of `TRUTH`, where each part of it is as it must be."""
    if receipt := answer.get("receipt"):
        sound = receipt["tls"]["client_auth_requested"] and receipt["pin"] == "current"
        return "receipt" if sound and receipt["status"] in (200, 204) else "an unsound receipt"
    error = answer["error"]
    kind, sent, context = error["kind"], error["sent"], error["context"]
    if kind == "client_certificate_rejected":
        how = context["alert"] if context.get("via") == "alert" else f"page {context['status']}"
        # On an alert the payload went nowhere; whoever answers with a page has read it.
        return f"{how}, {sent}"
    # How much left before the end is a race that the recorder tells, and no verdict.
    if kind == "connection_lost" and "alert" in context:
        return f"closed by {context['alert']}"
    if kind == "connection_lost":
        return ENDED if context.get("hint") or sent == "nothing" else "closed without a hint"
    return str(kind) if sent == "nothing" else f"{kind}, {sent}"


def receipt_fault(answer: dict[str, Any]) -> str | None:
    """A receipt for a request that was answered with 200 by a server that asked for us."""
    receipt = answer.get("receipt")
    if receipt is None:
        return "a receipt was expected"
    seen = (receipt["status"], receipt["pin"], receipt["tls"]["client_auth_requested"])
    return None if seen == (200, "current", True) else f"status, pin and asked are {seen}"


def error_fault(answer: dict[str, Any], kind: str, sent: list[str]) -> str | None:
    """An error of one kind, with one of these states of the payload."""
    error = answer.get("error")
    if error is None or error["kind"] != kind:
        return f"{kind} was expected"
    return None if error["sent"] in sent else f"sent is {error['sent']}, not in {sent}"
