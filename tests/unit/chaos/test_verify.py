"""The verifier sees each fault that it is there for, in made-up contents of topics."""

import json
from dataclasses import replace

import pytest

from tests.chaos.harness.events import GOOD, KIND, REASONS, SEQUENCE, value_of
from tests.chaos.harness.verify import ALLOWED_AT_LEAST_ONCE, Contents, Fault, Record, verify

TOPIC = "in"
THRESHOLDS = {"threshold@1": 0.6, "threshold@2": 0.3}


def event(partition: int, offset: int, kind: str = GOOD) -> Record:
    sent: dict[str, int | float | str] = {
        "customer_id": partition,
        "event_id": f"{partition}:{offset}",
        "feature": (offset % 10) / 10,
    }
    headers = {KIND: kind.encode(), SEQUENCE: str(offset).encode()}
    return Record(partition, offset, str(partition).encode(), value_of(kind, sent), headers)


def prediction(of: Record, offset: int, by: str = "threshold@1", **changes: object) -> Record:
    sent = json.loads(of.value or b"")
    value = {
        "prediction_id": f"{TOPIC}/{of.partition}/{of.offset}",
        "customer_id": sent["customer_id"],
        "event_id": sent["event_id"],
        "score": sent["feature"],
        "churn": sent["feature"] > THRESHOLDS[by],
        "threshold": THRESHOLDS[by],
        "model": by,
        "model_sha256": f"sha of {by}",
    }
    return Record(of.partition, offset, of.key, json.dumps(value | changes).encode())


def letter(of: Record, offset: int, reason: str) -> Record:
    told = {"topic": TOPIC, "partition": of.partition, "offset": of.offset, "reason": reason}
    headers = {f"tandem.{name}": str(value).encode() for name, value in told.items()}
    return Record(of.partition, offset, of.key, of.value, {**of.headers, **headers})


@pytest.fixture
def contents() -> Contents:
    """Two partitions of five good events and one of each poison, all answered as they must be.

    Offsets of answers have holes, as a transaction's end leaves them.
    """
    good = [event(partition, offset) for partition in (0, 1) for offset in range(5)]
    bad = [event(1, 5 + place, kind) for place, kind in enumerate(REASONS)]
    predictions = [prediction(of, 2 * of.offset) for of in good]
    letters = [letter(of, 3 * of.offset, REASONS[of.headers[KIND].decode()]) for of in bad]
    return Contents(TOPIC, [*good, *bad], predictions, letters, THRESHOLDS)


def test_nothing_is_found_where_nothing_is_wrong(contents: Contents) -> None:
    findings = verify(contents)
    assert findings.found == []
    assert (findings.stored, findings.scored, findings.rejected) == (10 + len(REASONS), 10, len(REASONS))
    assert findings.models == {"threshold@1": 10}


def test_a_position_answered_twice_is_a_duplicate(contents: Contents) -> None:
    again = replace(contents.predictions[4], offset=100)
    counts = verify(replace(contents, predictions=[*contents.predictions, again])).counts
    assert counts == {Fault.DUPLICATE: 1, Fault.PARTITION_ORDER: 1, Fault.KEY_ORDER: 1}


def test_a_position_scored_and_rejected_is_a_duplicate(contents: Contents) -> None:
    letters = [letter(contents.events[0], 0, "not_json"), *contents.letters]
    assert verify(replace(contents, letters=letters)).counts[Fault.DUPLICATE] == 1


def test_an_unanswered_position_before_others_is_lost_and_a_gap(contents: Contents) -> None:
    predictions = [one for one in contents.predictions if one.place not in {(0, 2), (0, 4)}]
    assert verify(replace(contents, predictions=predictions)).counts == {Fault.LOST: 2, Fault.GAP: 1}


def test_unanswered_positions_at_the_end_are_lost_but_no_gap(contents: Contents) -> None:
    predictions = [one for one in contents.predictions if one.place not in {(0, 6), (0, 8)}]
    assert verify(replace(contents, predictions=predictions)).counts == {Fault.LOST: 2}


def test_a_lost_dead_letter_is_lost(contents: Contents) -> None:
    assert verify(replace(contents, letters=contents.letters[1:])).counts[Fault.LOST] == 1


def test_answers_behind_their_successors_are_out_of_order(contents: Contents) -> None:
    first, second, *others = contents.predictions
    swapped = [replace(first, offset=second.offset), replace(second, offset=first.offset), *others]
    counts = verify(replace(contents, predictions=swapped)).counts
    assert counts == {Fault.PARTITION_ORDER: 1, Fault.KEY_ORDER: 1}


@pytest.mark.parametrize("wrong", [{"key": b"another"}, {"key": None}, {"partition": 1, "offset": 50}])
def test_an_answer_at_another_key_or_partition_is_found(contents: Contents, wrong: dict[str, object]) -> None:
    moved = replace(contents.predictions[0], **wrong)  # type: ignore[arg-type]
    predictions = [moved, *contents.predictions[1:]]
    assert verify(replace(contents, predictions=predictions)).counts[Fault.KEY] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"score": 0.30000000000000004},
        {"churn": True},
        {"threshold": 0.5},
        {"customer_id": 7},
        {"event_id": "0:4"},
        {"model": "threshold@3"},
        {"model": "threshold@2"},
        {"scored_at": "now"},
    ],
)
def test_a_prediction_that_the_stamped_model_does_not_give_is_wrong(
    contents: Contents, changes: dict[str, object]
) -> None:
    wrong = prediction(contents.events[3], 6, **changes)  # type: ignore[arg-type]
    predictions = [one for one in contents.predictions if one.place != (0, 6)]
    assert verify(replace(contents, predictions=[*predictions, wrong])).counts[Fault.ANSWER] == 1


def test_another_models_prediction_is_right_when_it_says_so(contents: Contents) -> None:
    other = prediction(contents.events[4], 8, "threshold@2")
    predictions = [one for one in contents.predictions if one.place != (0, 8)]
    findings = verify(replace(contents, predictions=[*predictions, other]))
    assert findings.found == []
    assert findings.models == {"threshold@1": 9, "threshold@2": 1}


def test_one_model_version_with_two_digests_is_wrong(contents: Contents) -> None:
    other = prediction(contents.events[4], 8, model_sha256="another")
    predictions = [one for one in contents.predictions if one.place != (0, 8)]
    assert verify(replace(contents, predictions=[*predictions, other])).counts == {Fault.ANSWER: 1}


def test_a_good_event_that_was_rejected_is_wrong(contents: Contents) -> None:
    predictions = contents.predictions[1:]
    letters = [letter(contents.events[0], 0, "not_json"), *contents.letters]
    assert verify(replace(contents, predictions=predictions, letters=letters)).counts == {Fault.ANSWER: 1}


def test_a_dead_letter_with_another_reason_or_other_bytes_is_wrong(contents: Contents) -> None:
    first, second, *others = contents.letters
    spoilt = replace(first, value=b"other"), letter(contents.events[11], second.offset, "not_object")
    findings = verify(replace(contents, letters=[*spoilt, *others]))
    assert findings.counts == {Fault.ANSWER: 2}


@pytest.mark.parametrize("identity", ["in/0/99", "other/0/1", "nonsense", None])
def test_an_answer_to_no_event_is_found(contents: Contents, identity: str | None) -> None:
    stray = prediction(contents.events[0], 90, prediction_id=identity)
    assert verify(replace(contents, predictions=[*contents.predictions, stray])).counts[Fault.UNKNOWN] == 1


def test_at_least_once_allows_repetition_and_nothing_else(contents: Contents) -> None:
    again = replace(contents.predictions[4], offset=100)
    repeated = verify(replace(contents, predictions=[*contents.predictions, again]))
    assert repeated.broken() != []
    assert repeated.broken(ALLOWED_AT_LEAST_ONCE) == []
    lost = verify(replace(contents, predictions=contents.predictions[1:]))
    assert lost.broken(ALLOWED_AT_LEAST_ONCE) != []
