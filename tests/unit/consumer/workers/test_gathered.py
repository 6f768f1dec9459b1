"""What a supervisor gathers of its workers: counters that only rise, and workers that say nothing yet."""

import re

from consumer.latest.events import LatestEvents, LatestPrediction
from consumer.operations.measures import FAMILIES
from consumer.operations.telemetry import Telemetry, WorkerSnapshot
from consumer.workers.gathered import Gathered
from shared.metrics import exposition, merge
from tests.support.pages import sample_state
from tests.support.promlint import problems


def snapshot(worker: int, undone: int, pid: int = 1) -> WorkerSnapshot:
    telemetry = Telemetry(worker)
    telemetry.assigned({worker})
    telemetry.positions({worker: undone})
    telemetry.undone(undone)
    return {**telemetry.snapshot(), "pid": pid, "started": float(pid)}


def page(gathered: Gathered) -> str:
    merged = merge(FAMILIES, [worker["metrics"] for worker in gathered()])
    return exposition(FAMILIES, merged)[0].decode()


def undone(gathered: Gathered) -> float:
    found = re.search(r"^tandem_events_undone_total (\S+)$", page(gathered), re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_a_worker_that_has_not_spoken_is_not_ready_and_does_not_seem_silent() -> None:
    (zero, one) = Gathered([0, 1])()
    assert (zero["worker"], one["worker"], one["unready"]) == (0, 1, ["it has not started yet"])
    assert 'tandem_ready{worker="1"} 0.0' in page(Gathered([0, 1]))


def test_the_last_word_of_each_worker_counts() -> None:
    gathered = Gathered([1, 0])
    gathered.put(snapshot(1, 5))
    gathered.put(snapshot(0, 2))
    gathered.put(snapshot(0, 3))
    assert [worker["worker"] for worker in gathered()] == [0, 1]
    assert undone(gathered) == 8
    assert problems(page(gathered)) == []


def test_counters_never_fall_when_a_worker_is_started_again() -> None:
    gathered = Gathered([0, 1])
    gathered.put(snapshot(0, 100, pid=1))
    gathered.put(snapshot(1, 10, pid=2))
    gathered.ended(0, "its process ended with exit code 5")
    assert gathered()[0]["unready"] == ["its process ended with exit code 5"]
    assert undone(gathered) == 110
    # Its gauges are gone with it.
    assert 'tandem_partition_position{partition="0"}' not in page(gathered)
    gathered.put(snapshot(0, 1, pid=3))
    assert undone(gathered) == 111
    gathered.put(snapshot(0, 2, pid=3))
    assert undone(gathered) == 112
    # An end that nobody told of shows in the process's identity.
    gathered.put(snapshot(0, 4, pid=4))
    assert undone(gathered) == 116
    assert gathered()[0]["pid"] == 4
    assert problems(page(gathered)) == []


def test_the_latest_events_of_a_process_that_has_ended_are_shown_until_newer_ones_come() -> None:
    def said(pid: int, *committed: int) -> WorkerSnapshot:
        latest = sample_state().latest
        assert latest is not None
        one, letters = latest["predictions"][0], latest["letters"]
        predictions: list[LatestPrediction] = [{**one, "committed": at} for at in committed]
        return {**snapshot(0, 1, pid), "latest": LatestEvents(predictions=predictions, letters=letters)}

    def shown(gathered: Gathered) -> list[int]:
        latest = gathered()[0]["latest"]
        assert latest is not None
        assert len(latest["letters"]) == len({letter["reason"] for letter in latest["letters"]})
        return [prediction["committed"] for prediction in latest["predictions"]]

    gathered = Gathered([0])
    assert gathered()[0]["latest"] is None
    gathered.put(said(1, 3, 2, 1))
    gathered.ended(0, "its process ended with exit code 5")
    assert shown(gathered) == [3, 2, 1]
    # It has not come to scoring yet.
    gathered.put(snapshot(0, 0, pid=2))
    assert shown(gathered) == [3, 2, 1]
