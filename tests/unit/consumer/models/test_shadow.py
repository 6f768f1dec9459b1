"""A challenger beside the champion: what it writes, what is compared, and how its failures end."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from consumer.models import shadow
from consumer.models.shadow import MOST_FAILURES, Shadowed
from consumer.scoring import Scored, Serving, StreamScorer
from shared.kafka.columns import NewRecords, RecordColumns
from shared.models.directory import KINDS
from shared.predict import Predictor
from shared.schema import Reason
from tests.support.memory import MemoryKafka, lesson_columns
from tests.support.models import change_model, threshold_model
from tests.support.unstable import PLANTED

PARENT = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@dataclass
class Told:
    """What a telemetry is told."""

    running: list[bool] = field(default_factory=list)
    failures: int = 0

    def shadow_running(self, running: bool) -> None:
        self.running.append(running)

    def shadow_failed(self) -> None:
        self.failures += 1


@dataclass
class Newest:
    """A challenger that a test replaces."""

    newest: Serving


def champion(kafka: MemoryKafka | None = None) -> StreamScorer:
    return StreamScorer(
        Predictor.load("models/threshold"), "predictions", "dead-letters", kafka or MemoryKafka([])
    )


def challenger(directory: Path, kind: str = "threshold", **changes: object) -> Serving:
    model = threshold_model(directory / kind)
    return Serving(Predictor.load(change_model(model, kind=kind, version="next", **changes)))


def shadowed(
    directory: Path,
    kind: str = "threshold",
    *,
    told: Told | None = None,
    seconds: float = 60,
    **changes: object,
) -> Shadowed:
    given = Newest(challenger(directory, kind, **changes))
    return Shadowed(champion(), given, "shadow", MemoryKafka([]), seconds, told or Told())


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for scorer in PLANTED:
        monkeypatch.setitem(KINDS, scorer.kind, scorer)


def lesson(*features: float, partition: int = 0) -> RecordColumns:
    values = [json.dumps({"customer_id": 9, "feature": feature}).encode() for feature in features]
    return lesson_columns(partition, 40, *values)


def of_champion(scored: Sequence[Scored]) -> list[list[NewRecords]]:
    return [[records for records in one.records if records.topic != "shadow"] for one in scored]


def untouched(scored: Sequence[Scored], events: RecordColumns) -> None:
    """Nothing is there but what the champion alone makes of the events."""
    assert of_shadow(scored) == []
    assert [one.comparison for one in scored] == [None]
    assert of_champion(scored) == of_champion(champion().score([events], now=5))


def of_shadow(scored: Sequence[Scored]) -> list[dict[str, object]]:
    return [
        json.loads(value or b"")
        for one in scored
        for records in one.records
        if records.topic == "shadow"
        for value in records.values
    ]


def test_the_challengers_predictions_have_the_same_ids_keys_and_headers_and_its_own_answers(
    tmp_path: Path,
) -> None:
    events = lesson(0.5, 0.7, partition=3)
    events.headers = {1: [("other", b"o"), PARENT]}
    [scored] = shadowed(tmp_path, threshold=0.4).score([events], now=5)
    predictions, beside = scored.records
    assert (beside.topic, beside.partition, beside.timestamp) == ("shadow", 3, 5)
    assert (beside.keys, beside.headers) == (predictions.keys, predictions.headers)
    assert beside.headers == [(), [PARENT]]
    answers = [json.loads(value or b"") for value in beside.values]
    assert [one["prediction_id"] for one in answers] == ["customers/3/40", "customers/3/41"]
    assert [one["churn"] for one in answers] == [True, True]
    assert {one["model"] for one in answers} == {"threshold@next"}
    assert scored.comparison is not None
    assert (scored.comparison.agreed, scored.comparison.raised, scored.comparison.lowered) == (1, 1, 0)


def test_what_the_challenger_rejects_is_counted_by_reason_and_is_no_dead_letter(tmp_path: Path) -> None:
    inputs = [
        {"name": "customer_id", "type": "integer"},
        {"name": "feature", "type": "number", "maximum": 0.65},
    ]
    events = lesson(0.5, 0.7, 0.1)
    events.values[2] = b"junk"
    scored = shadowed(tmp_path, inputs=inputs).score([events], now=5)
    assert of_champion(scored) == of_champion(champion().score([events], now=5))
    assert len(of_shadow(scored)) == 1
    comparison = scored[0].comparison
    assert comparison is not None
    assert comparison.rejected == {Reason.OUT_OF_RANGE: 1}
    assert (comparison.compared, comparison.neither) == (1, 1)


def test_a_record_that_the_shadows_topic_does_not_take_is_left_out_of_it(tmp_path: Path) -> None:
    events = lesson(0.5, 0.7)
    events.keys[0] = b"k" * 9_000
    small = MemoryKafka([], largest=8_000)
    scored = Shadowed(champion(), challenger(tmp_path), "shadow", small, 60, Told()).score([events], now=5)
    assert [one["prediction_id"] for one in of_shadow(scored)] == ["customers/0/41"]
    assert of_champion(scored) == of_champion(champion().score([events], now=5))


SAME: dict[str, Any] = {}
OTHER: dict[str, Any] = {
    "inputs": [
        {"name": "customer_id", "type": "integer"},
        {"name": "feature", "type": "number", "maximum": 1},
    ]
}


@pytest.mark.parametrize("size", [1, 31, 33, 1_000, 3_000])
@pytest.mark.parametrize("changes", [SAME, OTHER], ids=["the champion's inputs", "inputs of its own"])
def test_in_parts_it_says_the_same_as_at_once(
    tmp_path: Path, size: int, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = lesson(*(number % 10 / 10 for number in range(size)))
    events.values[size // 2] = b"junk"
    events.values[size - 1] = b'{"customer_id": "a", "event_id": 7, "feature": 0.5}'
    events.values[0] = b'{"customer_id": 3, "event_id": 7, "feature": 0.5}'
    predictor = challenger(tmp_path, **changes).predictor
    whole = predictor.score_json(events.values)
    given = shadowed(tmp_path, **changes)
    # With the champion's inputs nothing is read twice.
    monkeypatch.setattr(Predictor, "score_json", None if changes is SAME else Predictor.score_json)
    one = given.score([events], now=5)
    expected = Serving(predictor).predictions("shadow", events, whole, {}, 5)
    assert of_shadow(one) == [json.loads(value or b"") for value in expected.values]
    assert one[0].comparison is not None
    assert (one[0].comparison.neither, one[0].comparison.rejected.total()) == (len(whole.rejections), 0)


def test_partitions_of_a_batch_get_their_own_shadow_predictions_and_comparisons(tmp_path: Path) -> None:
    batch = [lesson(0.5, 0.7), lesson_columns(1, 7, b"junk"), lesson(0.1, partition=2)]
    first, second, third = shadowed(tmp_path, threshold=0.4).score(batch, now=5)
    assert [one["prediction_id"] for one in of_shadow([first])] == ["customers/0/40", "customers/0/41"]
    assert of_shadow([second]) == []
    assert [one["prediction_id"] for one in of_shadow([third])] == ["customers/2/40"]
    found = [one.comparison for one in (first, second, third)]
    assert [one and (one.agreed, one.raised, one.neither) for one in found] == [
        (1, 1, 0),
        (0, 0, 1),
        (1, 0, 0),
    ]
    assert of_champion([first, second, third]) == of_champion(champion().score(batch, now=5))


def test_an_event_that_only_the_challenger_cannot_score_is_rejected_by_it_alone(tmp_path: Path) -> None:
    events = lesson(0.1, 0.5, 0.2)
    events.values[0] = b"junk"
    [scored] = shadowed(tmp_path, "raising").score([events], now=5)
    assert [one["prediction_id"] for one in of_shadow([scored])] == ["customers/0/42"]
    assert scored.comparison is not None
    assert scored.comparison.rejected == {Reason.MODEL_ERROR: 1}


def test_a_challenger_that_raises_changes_nothing_and_is_switched_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told, events = Told(), lesson(0.5, 0.7)
    scorer = shadowed(tmp_path, "raising", told=told)
    with caplog.at_level(logging.WARNING):
        for _ in range(MOST_FAILURES + 2):
            untouched(scorer.score([events], now=5), events)
    assert (told.failures, told.running) == (MOST_FAILURES, [True, False])
    assert len(caplog.messages) == 2
    assert "scores none of 2 events: the model failed: ValueError: a number above 0.3" in caplog.messages[0]
    assert "switched off" in caplog.messages[1]


def test_failures_that_are_not_in_a_row_do_not_switch_it_off(tmp_path: Path) -> None:
    told = Told()
    scorer = shadowed(tmp_path, "raising", told=told)
    for _ in range(MOST_FAILURES + 1):
        scorer.score([lesson(0.5)], now=5)
        assert len(of_shadow(scorer.score([lesson(0.1, 0.5)], now=5))) == 1
    assert (told.failures, told.running) == (MOST_FAILURES + 1, [True])


def test_a_slow_challenger_is_given_up_soon_and_switched_off(tmp_path: Path) -> None:
    told, events = Told(), lesson(*[0.5] * 200)
    scorer = shadowed(tmp_path, "slow", told=told, seconds=0.001)
    for _ in range(MOST_FAILURES + 1):
        untouched(scorer.score([events], now=5), events)
    assert (told.failures, told.running) == (MOST_FAILURES, [True, False])


def test_another_challenger_begins_anew(tmp_path: Path) -> None:
    told, given = Told(), Newest(challenger(tmp_path, "raising"))
    scorer = Shadowed(champion(), given, "shadow", MemoryKafka([]), 60, told)
    for _ in range(MOST_FAILURES):
        scorer.score([lesson(0.5)], now=5)
    given.newest = challenger(tmp_path)
    assert len(of_shadow(scorer.score([lesson(0.5)], now=5))) == 1
    assert told.running == [True, False, True]


def test_an_error_of_the_challengers_edge_ends_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the shadow's topic is gone")

    told, events = Told(), lesson(0.5)
    scorer = shadowed(tmp_path, told=told)
    monkeypatch.setattr(shadow, "fitting_predictions", broken)
    untouched(scorer.score([events], now=5), events)
    assert told.failures == 1
