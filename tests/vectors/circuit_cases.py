"""Circuit cases: steps with one endpoint, and the state of its circuit after each."""

ALWAYS = 1000
# Beyond a pause of 30 s with its jitter of a tenth. Some runners set the clock in whole seconds.
PAUSE = 35_000
OPENED, CLOSED = "circuit_opened", "circuit_closed"


def case(name, *steps, events=(), **options):
    return {"name": name, "options": options, "steps": list(steps), "events": list(events)}


def misbehave(how, times=ALWAYS):
    return {"misbehave": {"how": how, "times": times}}


def deliver(outcome, **expected):
    """Delivers. `ok`, or the kind of the failure, with a subset of the error."""
    if outcome == "ok":
        return {"deliver": {"ok": True}}
    return {"deliver": {"error": {"kind": outcome, **expected}}}


def probe(outcome):
    step = deliver(outcome)
    return {"probe": step["deliver"]}


def circuit(state):
    return {"circuit": state}


def refused(kind, **more):
    expected = {"stage": "admit", "blame": "theirs", "scope": "endpoint", "sent": "nothing"}
    context = {"last_kind": kind} if kind else {}
    return deliver("circuit_open", retry="later", context=context, **expected, **more)


RESET = {"reset_circuit": True}
RELOAD = {"reload": True}
NEW_GENERATION = {"pins": "both"}


# It does not count, and the next delivery makes a handshake again.
LOSE_THE_CONNECTION = [misbehave("reset_after_body", 1), deliver("connection_lost")]


def advance(millis):
    return {"advance_ms": millis}


def hint(millis):
    return {"open_circuit": {"duration_ms": millis, "ok": True}}


def respond(status, times):
    return {"respond": {"status": status, "times": times}}


def cases():
    return [*counting(), *pauses(), *half_open(), *repaired(), *hints()]


def counting():
    """Which failures open a circuit."""
    for kind, how in [
        ("client_auth_not_requested", "never_ask"),
        ("certificate_expired", "expired"),
        ("name_mismatch", "wrong_name"),
        ("issuer_unknown", "other_ca"),
        ("client_certificate_rejected", "reject_certificate"),
        ("client_certificate_rejected", "reject_by_close"),
    ]:
        yield case(
            f"five_in_a_row_{how}",
            misbehave(how),
            *[deliver(kind)] * 4,
            circuit("closed"),
            deliver(kind),
            circuit("open"),
            refused(kind),
            events=[OPENED],
        )
    yield case(
        "a_wrong_pin_counts",
        {"pins": "wrong"},
        *[deliver("pin_mismatch")] * 2,
        refused("pin_mismatch"),
        circuit_failures=2,
        events=[OPENED],
    )
    yield case(
        "a_success_in_between_starts_again",
        misbehave("expired", 4),
        *[deliver("certificate_expired")] * 4,
        deliver("ok"),
        *LOSE_THE_CONNECTION,
        misbehave("expired", 4),
        *[deliver("certificate_expired")] * 4,
        circuit("closed"),
        deliver("ok"),
    )
    yield case(
        "a_status_does_not_count",
        respond(503, 3),
        *[deliver("http_status")] * 3,
        circuit("closed"),
        deliver("ok"),
        circuit_failures=1,
    )
    yield case(
        "a_connection_lost_after_the_request_does_not_count",
        misbehave("reset_after_body", 2),
        *[deliver("connection_lost")] * 2,
        circuit("closed"),
        circuit_failures=1,
    )
    yield case(
        "a_failed_probe_counts",
        misbehave("expired"),
        probe("certificate_expired"),
        probe("certificate_expired"),
        circuit("open"),
        circuit_failures=2,
        events=[OPENED],
    )
    yield case(
        "none_opens",
        misbehave("expired"),
        *[deliver("certificate_expired")] * 8,
        circuit("closed"),
        circuit_failures=0,
    )


def pauses():
    """For how long."""
    yield case(
        "thirty_seconds_less_a_tenth",
        misbehave("expired"),
        deliver("certificate_expired"),
        advance(26_000),
        refused("certificate_expired"),
        advance(9_000),
        circuit("half_open"),
        circuit_failures=1,
        events=[OPENED],
    )
    yield case(
        "it_doubles_up_to_the_ceiling",
        misbehave("expired"),
        deliver("certificate_expired"),
        advance(13_000),
        deliver("certificate_expired"),
        advance(17_000),
        refused("certificate_expired"),
        advance(7_000),
        deliver("certificate_expired"),
        advance(21_000),
        refused("certificate_expired"),
        advance(9_000),
        deliver("certificate_expired"),
        advance(21_000),
        refused("certificate_expired"),
        advance(9_000),
        deliver("certificate_expired"),
        circuit_failures=1,
        circuit_open=10_000,
        circuit_ceiling=25_000,
        events=[OPENED] * 5,
    )
    yield case(
        "a_success_forgets_the_doubling",
        misbehave("expired", 2),
        deliver("certificate_expired"),
        advance(PAUSE),
        deliver("certificate_expired"),
        advance(2 * PAUSE),
        deliver("ok"),
        *LOSE_THE_CONNECTION,
        misbehave("expired", 1),
        deliver("certificate_expired"),
        advance(PAUSE),
        deliver("ok"),
        circuit_failures=1,
        events=[OPENED, OPENED, CLOSED, OPENED, CLOSED],
    )
    yield case(
        "a_clock_set_back_opens_nothing",
        advance(3_600_000),
        misbehave("expired", 1),
        deliver("certificate_expired"),
        refused("certificate_expired"),
        advance(-3_600_000),
        circuit("half_open"),
        deliver("ok"),
        circuit_failures=1,
        events=[OPENED, CLOSED],
    )


def half_open():
    """What closes a circuit."""
    for how, kind in [
        ("never_ask", "client_auth_not_requested"),
        ("expired", "certificate_expired"),
        ("reject_certificate", "client_certificate_rejected"),
        ("reject_by_close", "client_certificate_rejected"),
    ]:
        yield case(
            f"a_delivery_closes_it_after_{how}",
            misbehave(how, 1),
            deliver(kind),
            advance(PAUSE),
            circuit("half_open"),
            deliver("ok"),
            circuit("closed"),
            deliver("ok"),
            circuit_failures=1,
            events=[OPENED, CLOSED],
        )
    yield case(
        "a_status_closes_it",
        misbehave("expired", 1),
        deliver("certificate_expired"),
        advance(PAUSE),
        respond(503, 1),
        deliver("http_status"),
        circuit("closed"),
        circuit_failures=1,
        events=[OPENED, CLOSED],
    )
    yield case(
        "a_probe_closes_an_open_one",
        misbehave("expired", 2),
        deliver("certificate_expired"),
        probe("certificate_expired"),
        circuit("open"),
        probe("ok"),
        circuit("closed"),
        deliver("ok"),
        circuit_failures=1,
        events=[OPENED, CLOSED],
    )
    yield case(
        "a_probe_shows_no_refusal_by_close",
        misbehave("reject_by_close", 1),
        deliver("client_certificate_rejected"),
        probe("ok"),
        circuit("open"),
        advance(PAUSE),
        deliver("ok"),
        circuit_failures=1,
        events=[OPENED, CLOSED],
    )


def repaired():
    """A repair admits a trial at once."""
    for name, step in [("reset", RESET), ("reload", RELOAD), ("new_generation", NEW_GENERATION)]:
        yield case(
            f"{name}_of_an_open_circuit",
            misbehave("expired", 1),
            deliver("certificate_expired"),
            refused("certificate_expired"),
            step,
            circuit("half_open"),
            deliver("ok"),
            circuit("closed"),
            circuit_failures=1,
            events=[OPENED, CLOSED],
        )
        yield case(
            f"{name}_of_an_open_circuit_whose_consumer_still_fails",
            misbehave("expired"),
            deliver("certificate_expired"),
            step,
            deliver("certificate_expired"),
            refused("certificate_expired"),
            circuit_failures=1,
            events=[OPENED, OPENED],
        )
        yield case(
            f"{name}_forgets_failures",
            misbehave("expired", 2),
            deliver("certificate_expired"),
            step,
            deliver("certificate_expired"),
            circuit("closed"),
            circuit_failures=2,
        )


def hints():
    """Hints of other processes."""
    yield case(
        "a_hint_opens_without_an_event",
        hint(60_000),
        circuit("open"),
        refused(None),
        advance(62_000),
        circuit("half_open"),
        deliver("ok"),
        circuit("closed"),
        events=[CLOSED],
    )
    yield case(
        "the_longer_hint_holds",
        hint(60_000),
        hint(5_000),
        advance(30_000),
        circuit("open"),
        hint(60_000),
        advance(55_000),
        circuit("open"),
    )
    yield case(
        "a_hint_opens_a_circuit_that_never_opens_by_itself",
        hint(60_000),
        refused(None),
        RESET,
        deliver("ok"),
        circuit_failures=0,
        events=[CLOSED],
    )
    fault = {"kind": "option_invalid", "stage": "config", "context": {"option": "duration"}}
    for name, millis in [("zero", 0), ("more_than_a_day", 86_400_001)]:
        yield case(
            f"a_hint_of_{name}",
            {"open_circuit": {"duration_ms": millis, "error": fault}},
            circuit("closed"),
        )
