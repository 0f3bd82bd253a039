"""Events reach each consumer although workers, the broker and consumers are killed.

Our certificate and the pin of a consumer change meanwhile.

Nothing is lost, and the same run twice ends with the same sets of delivered, parked and dead.

FLEET_EVENTS and FLEET_CONSUMERS make it larger: 5000 and 200 take hours.
"""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from fleet import (
    KEYS,
    BullFleet,
    CeleryFleet,
    DramatiqFleet,
    Fleet,
    Result,
    logs_if_it_fails,
)

EVENTS = int(os.environ.get("FLEET_EVENTS", "80"))
CONSUMERS = int(os.environ.get("FLEET_CONSUMERS", "20"))


def deliver_all(queue: type[Fleet], directory: Path) -> Result:
    with logs_if_it_fails(directory), ExitStack() as stack:
        return queue(stack, directory, EVENTS, CONSUMERS).run()


def of(consumers: set[str]) -> set[KEYS]:
    return {(consumer, f"evt_{number}") for consumer in consumers for number in range(EVENTS)}


def check(result: Result) -> None:
    """Compares what the senders say with what the receivers have recorded."""
    settled = result.delivered | result.parked | set(result.dead)
    assert result.confirmed - settled == set(), "lost"
    assert len(result.confirmed) == EVENTS * CONSUMERS
    without = {key for key in result.delivered if not result.received[key]}
    assert without == set(), "marked as delivered, and never received"
    assert result.parked == of({"unasked"})
    assert set(result.dead) == of({"gone"})
    assert set(result.dead.values()) == {"all"}
    others = {consumer for consumer, _ in result.confirmed} - {"unasked", "gone"}
    assert result.delivered == of(others)
    kinds = {note[4] for note in result.notes if note[0] == "failed"}
    assert {"http_status", "client_auth_not_requested", "pin_mismatch"} <= kinds
    assert len(result.tenants) == 2, "our certificate has not changed once"
    # A payload is repeated only after a failure that had sent something, or a kill.
    unexplained = result.unexplained()
    starts = [(note[1], note[2]) for note in result.notes if note[0] == "started"]
    for key, count in unexplained.items():
        assert starts.count(key) > count, f"{key} arrived twice from one attempt"
    repeated = unexplained.total()
    assert repeated < 0.02 * EVENTS * CONSUMERS, f"{repeated} duplicates: {unexplained}"
    print(
        f"fleet: {len(result.delivered)} delivered, {len(result.parked)} parked, "
        f"{len(result.dead)} dead, 0 lost, {repeated} duplicates, {result.took:.0f} s"
    )


@pytest.mark.parametrize("queue", [CeleryFleet, DramatiqFleet, BullFleet])
def test_nothing_is_lost_and_the_same_run_ends_in_the_same_sets(
    queue: type[Fleet], tmp_path: Path
) -> None:
    first, second = (deliver_all(queue, tmp_path / name) for name in ("first", "second"))
    for result in (first, second):
        check(result)
    assert first.delivered == second.delivered
    assert first.parked == second.parked
    assert first.dead == second.dead
