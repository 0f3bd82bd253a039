"""What is tried at every server, and what must come of it."""

from dataclasses import dataclass
from typing import Any

ANOTHER_PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

# How each server tells a client that its certificate was refused. Node says nothing: it closes.
REFUSAL = {"nginx": "http", "openssl": "alert", "python": "alert", "node": None}


@dataclass(frozen=True)
class Case:
    """One delivery, the same for every server and language."""

    name: str
    server_asks: bool = True
    unknown_ca: bool = False
    wrong_pin: bool = False

    def fault(self, server: str, answer: dict[str, Any]) -> str | None:
        """What is wrong with an answer of a client, or None."""
        if self.unknown_ca:
            return refusal_fault(REFUSAL[server], answer)
        if not self.server_asks:
            return error_fault(answer, "client_auth_not_requested", ["nothing"])
        if self.wrong_pin:
            return error_fault(answer, "pin_mismatch", ["nothing"])
        return receipt_fault(answer)


ALL = [
    Case("accepted"),
    Case("our CA is unknown", unknown_ca=True),
    Case("wrong pin", wrong_pin=True),
    Case("it never asks", server_asks=False),
]


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


def refusal_fault(via: str | None, answer: dict[str, Any]) -> str | None:
    """Our certificate was refused, in the way in which that server does it."""
    if via is None:
        fault = error_fault(answer, "connection_lost", ["maybe", "all"])
        if fault is None and not answer["error"]["context"].get("hint"):
            return "the context has no hint"
        return fault
    fault = error_fault(
        answer, "client_certificate_rejected", ["all"] if via == "http" else ["nothing"]
    )
    if fault is None and answer["error"]["context"].get("via") != via:
        return f"via is {answer['error']['context'].get('via')}, not {via}"
    return fault
