"""Events reach each consumer although workers, the broker and consumers are killed.

Our certificate and the pin of a consumer change meanwhile.

Nothing is lost, and the same run twice ends with the same sets of delivered, parked and dead.

`cargo xtask fleet EVENTS CONSUMERS [QUEUE ...]` makes it larger, by FLEET_EVENTS, FLEET_CONSUMERS
and FLEET_RUNS.
"""

import os
from collections import Counter
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
RUNS = int(os.environ.get("FLEET_RUNS", "2"))

QUEUES = {"celery": CeleryFleet, "dramatiq": DramatiqFleet, "bullmq": BullFleet}


def deliver_all(queue: type[Fleet], directory: Path) -> Result:
    with logs_if_it_fails(directory), ExitStack() as stack:
        return queue(stack, directory, EVENTS, CONSUMERS).run()


def of(consumers: set[str]) -> set[KEYS]:
    return {(consumer, f"evt_{number}") for consumer in consumers for number in range(EVENTS)}


def check(queue: str, result: Result) -> None:
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
    assert len(result.tenants) == 1 + result.rotated, "a certificate of ours was not used"
    # A payload is repeated only after a failure that had sent something, or a kill.
    unexplained = result.unexplained()
    starts = Counter((note[1], note[2]) for note in result.notes if note[0] == "started")
    for key, count in unexplained.items():
        assert starts[key] > count, f"{key} arrived twice from one attempt"
    repeated = unexplained.total()
    assert repeated < 0.02 * EVENTS * CONSUMERS, f"{repeated} duplicates: {unexplained}"
    print(
        f"fleet: {queue}: {len(result.delivered)} delivered, {len(result.parked)} parked, "
        f"{len(result.dead)} dead, 0 lost, {repeated} duplicates, {result.took:.0f} s"
    )


@pytest.mark.parametrize("queue", QUEUES)
def test_nothing_is_lost_and_the_same_run_ends_in_the_same_sets(queue: str, tmp_path: Path) -> None:
    results = [deliver_all(QUEUES[queue], tmp_path / str(number)) for number in range(RUNS)]
    for result in results:
        check(queue, result)
        assert result.delivered == results[0].delivered
        assert result.parked == results[0].parked
        assert result.dead == results[0].dead
