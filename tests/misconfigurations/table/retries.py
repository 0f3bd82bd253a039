"""What the retry policy makes of a fault, so that a repair finds the payload still there."""

from collections.abc import Callable

from lab import Case, Lab
from said import Said, ours

import webhook_mtls as wm
from webhook_mtls.testing import error


def policy(**options: int) -> Callable[[Lab], object]:
    """Returns the call that creates a policy."""
    return lambda _: wm.RetryPolicy(**options)


def decide(kind: str, attempt: int = 1, **fields: str) -> Callable[[Lab], object]:
    """Returns the call that asks the default policy."""
    return lambda _: wm.RetryPolicy().decide(error(kind, **fields), attempt=attempt)


OPTION = ours("option_invalid", "process")
PARK = Said("park").naming("repair", "False")
RETRY = Said("retry")


def a_day(lab: Lab) -> object:
    """Tries again until the policy gives up, and returns the decision of the first day's end."""
    del lab
    asked, lost, waited, attempt = wm.RetryPolicy(), error("connection_lost"), 0.0, 1
    while waited < 24 * 3600:
        decision = asked.decide(lost, attempt=attempt)
        if decision.action != "retry":
            return decision
        waited, attempt = waited + decision.delay, attempt + 1
    return decision


CASES = [
    Case(
        "attempt zero",
        "attempts are counted from 0",
        decide("connection_lost", 0),
        OPTION.naming("attempt").curing("1"),
    ),
    Case(
        "no attempts",
        "the policy has no attempt",
        policy(attempts=0),
        OPTION.naming("attempts", "0").curing("1"),
    ),
    Case("a day", "the consumer is down for a day", a_day, RETRY),
    Case(
        "TLS mismatch parks",
        "the consumer has no TLS 1.3",
        decide("tls_failed", retry="after_repair"),
        PARK,
    ),
    Case(
        "closed retries",
        "the dispatcher was closed by a deployment",
        decide("handle_closed"),
        RETRY.naming("False"),
    ),
    Case(
        "overload does not count",
        "our own limit was reached",
        decide("overloaded", 99),
        RETRY.naming("False"),
    ),
]
