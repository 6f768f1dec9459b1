"""Each fault, planted in what an honest stream recorded, is found as its class, and nothing else is."""

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.proof.answers import LETTER
from batch.proof.classes import CLASSES, CODES, Found
from batch.proof.judge import PartitionJudge
from batch.proof.models import Models
from batch.proof.result import Proof
from producer.message import Message
from shared.frame import Frame
from shared.models.base import Contributions
from shared.models.threshold import ThresholdScorer
from shared.predict import Predictor
from shared.predictions import PredictionEncoder
from tests.support.models import linear_model, threshold_model
from tests.support.proofs import SENT, TOPICS, AnswerRow, Recorded, churn_messages, judged, proved, recorded


def edited(row: AnswerRow, **changes: Any) -> None:
    """Changes fields of a prediction."""
    row["value"] = msgspec.json.encode(msgspec.json.decode(row["value"]) | changes)


def wrong(proof: Proof) -> dict[Found, int]:
    """The events that are not well, by class."""
    well = (Found.IDENTICAL, Found.REJECTED_ALIKE, Found.NOT_SAMPLED)
    return {found: count for found, count in proof.counts.items() if count and found not in well}


def only(proof: Proof, found: Found, count: int = 1) -> None:
    """Checks that so many events have a class, and that nothing else is wrong."""
    assert wrong(proof) == {found: count}
    assert proof.events == 200
    assert not proof.holds


def test_an_honest_stream_is_identical_and_conserved(honest: Recorded, models: Models) -> None:
    proof = proved(honest, models=models)
    assert proof.holds
    assert proof.counts[Found.IDENTICAL] + proof.counts[Found.REJECTED_ALIKE] == proof.events == 200
    assert proof.counts[Found.REJECTED_ALIKE] == len(honest.letters()) > 5
    assert not proof.examples
    assert (proof.ledger[0].predictions, proof.ledger[0].letters) == (
        len(honest.predictions()),
        len(honest.letters()),
    )
    assert proof.matrix["true"]["true"] > 0 < proof.matrix["false"]["false"]
    assert proof.matrix["rejected"]["rejected"] == len(honest.letters())
    assert sum(sum(row.values()) for row in proof.matrix.values()) == 200


@settings(max_examples=64, deadline=None)
@given(bit=st.integers(0, 63), pick=st.integers(0, 170))
def test_any_flipped_bit_of_a_score_is_found(
    recording: Recorded, models: Models, bit: int, pick: int
) -> None:
    made = recording.copy()
    row = made.predictions()[pick % len(made.predictions())]
    (bits,) = struct.unpack("<Q", struct.pack("<d", msgspec.json.decode(row["value"])["score"]))
    (flipped,) = struct.unpack("<d", struct.pack("<Q", bits ^ (1 << bit)))
    # As Python writes numbers: NaN and infinities, too.
    row["value"] = json.dumps(msgspec.json.decode(row["value"]) | {"score": flipped}).encode()
    proof = proved(made, models=models)
    only(proof, Found.OTHER_BITS)
    (example,) = proof.examples
    assert example.field == "score"
    assert example.position == f"customers/0/{row['offset']}"
    assert example.stream[0].bits == struct.pack(">d", flipped).hex()
    assert example.batch is not None
    assert example.batch.bits == f"{bits:016x}"


def test_a_dropped_prediction_is_missing_and_the_batch_path_says_what_it_was(
    honest: Recorded, models: Models
) -> None:
    dropped = honest.predictions()[7]
    honest.answers.remove(dropped)
    proof = proved(honest, models=models)
    only(proof, Found.MISSING)
    assert not proof.conserved
    (example,) = proof.examples
    assert example.stream == []
    assert example.batch is not None
    assert example.batch.score == msgspec.json.decode(dropped["value"])["score"]
    assert sum(proof.matrix["none"].values()) == 1 != proof.matrix["none"]["not scored"]


def test_a_dropped_dead_letter_is_missing(honest: Recorded, models: Models) -> None:
    honest.answers.remove(honest.letters()[0])
    proof = proved(honest, models=models)
    only(proof, Found.MISSING)
    assert proof.matrix["none"]["rejected"] == 1


def test_a_second_prediction_is_a_duplicate_and_puts_no_other_out_of_order(
    honest: Recorded, models: Models
) -> None:
    honest.rekey(b"same")
    row = honest.predictions()[3]
    honest.answers.append(row | {"at_offset": 10_000})
    proof = proved(honest, models=models)
    only(proof, Found.DUPLICATED)
    assert not proof.conserved
    assert proof.examples[0].detail == "2 predictions and 0 dead letters are of this event"
    assert [answer.position for answer in proof.examples[0].stream] == [
        f"predictions/0/{row['at_offset']}",
        "predictions/0/10000",
    ]
    assert sum(proof.matrix["several"].values()) == 1


def test_a_prediction_beside_a_dead_letter_is_a_duplicate(honest: Recorded, models: Models) -> None:
    letter = honest.letters()[0]
    offset, value = letter["offset"], honest.values[honest.offsets.index(letter["offset"])]
    honest.answers.append(
        honest.predictions()[0] | {"offset": offset, "at_offset": 10_000, "value": value or b""}
    )
    only(proved(honest, models=models), Found.DUPLICATED)


def test_an_answer_for_an_offset_without_event_breaks_the_books(honest: Recorded, models: Models) -> None:
    # Where a transaction's mark stands.
    honest.answers.append(honest.predictions()[0] | {"offset": 30, "at_offset": 10_000})
    assert 30 not in honest.offsets
    proof = proved(honest, models=models)
    assert not wrong(proof)
    assert proof.identical
    assert not proof.conserved
    assert proof.ledger[0].of_no_event == 1


def test_a_changed_threshold_is_found_whether_or_not_it_turns_the_decision(
    honest: Recorded, models: Models
) -> None:
    first, second = honest.predictions()[:2]
    edited(first, threshold=0.25)
    score = msgspec.json.decode(second["value"])["score"]
    edited(second, threshold=score - 0.001 if score < 0.5 else score, churn=score < 0.5)
    proof = proved(honest, models=models)
    assert wrong(proof) == {Found.OTHER_BITS: 1, Found.OTHER_DECISION: 1}
    assert {example.field for example in proof.examples} == {"threshold"}


def test_a_score_that_went_through_float32_is_told_as_that(honest: Recorded, models: Models) -> None:
    for row in honest.predictions():
        edited(row, score=float(np.float32(msgspec.json.decode(row["value"])["score"])))
    proof = proved(honest, models=models)
    assert set(wrong(proof)) == {Found.OTHER_BITS}
    assert proof.examples[0].detail == "the stream's score is the batch path's rounded to float32"
    assert len(proof.examples) == 3


def test_equal_fields_written_otherwise_are_identical(honest: Recorded, models: Models) -> None:
    for row in honest.predictions():
        fields = msgspec.json.decode(row["value"])
        row["value"] = json.dumps(dict(reversed(fields.items())), indent=1).encode()
    assert proved(honest, models=models).holds


@pytest.mark.parametrize(
    "value",
    [b"", b"null", b"[1]", b'"text"', b"\xff", b'{"score":0,5}', b"[" * 100_000, b'{"score":1e999}'],
)
def test_a_value_that_is_no_prediction_is_another_decision_or_input(
    honest: Recorded, models: Models, value: bytes
) -> None:
    honest.predictions()[5]["value"] = value
    proof = proved(honest, models=models)
    assert wrong(proof) in ({Found.OTHER_DECISION: 1}, {Found.OTHER_INPUT: 1})
    assert sum(proof.matrix["unreadable"].values()) == 1


def test_no_depth_of_a_value_stops_a_proof(models: Models, churn: Predictor) -> None:
    made = recorded(churn_messages(120, bad=0), [churn])
    for depth, row in zip(range(880, 1000), made.predictions(), strict=True):
        row["value"] = row["value"][:-1] + b',"extra":' + b"[" * depth + b"]" * depth + b"}"
    found = wrong(proved(made, models=models))
    # What the decoders do not take is no object.
    assert set(found) <= {Found.OTHER_BITS, Found.OTHER_DECISION}
    assert sum(found.values()) == 120


@pytest.mark.parametrize(
    ("changes", "found", "field"),
    [
        ({"score": True}, Found.OTHER_BITS, "score"),
        ({"score": 10**400}, Found.OTHER_BITS, "score"),
        ({"score": "0.5"}, Found.OTHER_BITS, "score"),
        ({"churn": 1}, Found.OTHER_DECISION, "churn"),
        ({"prediction_id": "customers/0/9999"}, Found.OTHER_BITS, "prediction_id"),
        ({"extra": 1}, Found.OTHER_BITS, "extra"),
        ({"contributions": []}, Found.OTHER_BITS, "contributions"),
        ({"customer_id": "0000-OTHER"}, Found.OTHER_INPUT, "customer_id"),
        ({"event_id": "s1-999"}, Found.OTHER_INPUT, "event_id"),
        ({"event_id": None}, Found.OTHER_INPUT, "event_id"),
    ],
)
def test_any_other_field_is_told(
    honest: Recorded, models: Models, changes: dict[str, Any], found: Found, field: str
) -> None:
    row = honest.predictions()[5]
    row["value"] = json.dumps(msgspec.json.decode(row["value"]) | changes).encode()
    proof = proved(honest, models=models)
    only(proof, found)
    assert proof.examples[0].field == field


def test_an_event_that_the_stream_rejected_and_the_batch_path_scores(
    honest: Recorded, models: Models
) -> None:
    row = honest.predictions()[9]
    event = honest.values[honest.offsets.index(row["offset"])]
    row |= {
        "kind": LETTER,
        "reason": "wrong_type",
        "value": event,
        "model_sha256": None,
        "at_offset": 9_000,
    }
    proof = proved(honest, models=models)
    only(proof, Found.REJECTED_ON_ONE)
    assert proof.examples[0].detail == "the stream rejected it as wrong_type, the batch path scored it"


def test_an_event_that_the_stream_scored_and_the_batch_path_rejects(
    honest: Recorded, models: Models, churn: Predictor
) -> None:
    sound, row = honest.predictions()[9], honest.letters()[0]
    row |= {"kind": 0, "value": sound["value"], "model_sha256": churn.model.short_sha256, "reason": None}
    row["at_offset"] = 9_000
    honest.values[honest.offsets.index(row["offset"])] = b"{}"
    only(proved(honest, models=models), Found.REJECTED_ON_ONE)
    honest.values[honest.offsets.index(row["offset"])] = b'{"customerID":"0000-OTHER"}'
    only(proved(honest, models=models), Found.OTHER_INPUT)


def test_a_rejection_for_another_reason(honest: Recorded, models: Models) -> None:
    letter = next(row for row in honest.letters() if row["reason"] != "out_of_range")
    letter["reason"] = "out_of_range"
    only(proved(honest, models=models), Found.REJECTED_OTHERWISE)


def test_a_dead_letter_of_other_bytes(honest: Recorded, models: Models) -> None:
    letter = next(row for row in honest.letters() if row["value"])
    letter["value"] += b" "
    only(proved(honest, models=models), Found.OTHER_INPUT)


@pytest.mark.parametrize("changed", [False, True])
def test_a_dead_letter_without_bytes_is_known_by_its_digest(
    honest: Recorded, models: Models, changed: bool
) -> None:
    for letter in honest.letters():
        whole = letter["value"] or b""
        letter |= {"value": None, "bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
    if changed:
        honest.letters()[2]["sha256"] = "0" * 64
        only(proved(honest, models=models), Found.OTHER_INPUT)
    else:
        assert proved(honest, models=models).holds


def test_a_tombstone_is_rejected_alike(churn: Predictor, models: Models) -> None:
    made = recorded([Message(b"k", None)], [churn])
    assert proved(made, models=models).counts[Found.REJECTED_ALIKE] == 1
    made.answers[0]["value"] = b""
    assert wrong(proved(made, models=models)) == {Found.OTHER_INPUT: 1}


def test_a_model_swapped_half_way_is_proved_when_it_is_at_hand(
    tmp_path: Path, churn: Predictor, models: Models
) -> None:
    messages = churn_messages(100, bad=0)
    second = Predictor.load(_churn_like(tmp_path / "second", churn))
    made = recorded(messages, [churn, second], batch=10)
    both = proved(made, models=Models([churn.model, second.model]))
    assert both.holds
    assert [(one.id, one.predictions, one.known) for one in both.models] == [
        ("churn@2", 50, True),
        ("second@1", 50, True),
    ]
    alone = proved(made, models=models)
    assert wrong(alone) == {Found.UNKNOWN_MODEL: 50}
    assert [one.known for one in alone.models] == [True, False]
    assert sum(alone.matrix[said]["not scored"] for said in ("true", "false")) == 50


def _churn_like(directory: Path, churn: Predictor) -> Path:
    """Another model for the same events."""
    inputs = [item.model_dump(exclude_defaults=True) for item in churn.model.schema.inputs]
    return linear_model(
        directory,
        name="second",
        version="1",
        key="customerID",
        inputs=[one for one in inputs if one["name"] in {"customerID", "tenure"}],
        weights={"tenure": 0.1},
        golden=[{"customerID": "a", "tenure": 3}],
    )


def test_the_same_id_with_another_digest_is_another_model(honest: Recorded, models: Models) -> None:
    row = honest.predictions()[4]
    row["model_sha256"] = "0" * 12
    only(proved(honest, models=models), Found.UNKNOWN_MODEL)


def test_a_dead_letter_of_an_unknown_model(honest: Recorded, models: Models) -> None:
    honest.letters()[0]["model"] = "other@1"
    only(proved(honest, models=models), Found.UNKNOWN_MODEL)


def test_a_dead_letter_may_be_of_any_model_of_its_id(tmp_path: Path) -> None:
    wide = Predictor.load(threshold_model(tmp_path / "wide"))
    inputs = [
        {"name": "customer_id", "type": "integer"},
        {"name": "feature", "type": "number", "maximum": 1},
    ]
    narrow = Predictor.load(threshold_model(tmp_path / "narrow", inputs=inputs))
    made = recorded([Message(b"1", b'{"customer_id":1,"feature":2}')], [narrow])
    assert [row["kind"] for row in made.answers] == [LETTER]
    models = Models([wide.model, narrow.model])
    assert proved(made, models=models).holds
    made.answers[0]["reason"] = "wrong_type"
    assert wrong(proved(made, models=models)) == {Found.REJECTED_ON_ONE: 1}


def test_explained_predictions_are_compared_with_their_contributions(linear: Predictor) -> None:
    events = [{"customer_id": n, "tenure": n, "partner": n % 2 == 0, "contract": "yearly"} for n in range(40)]
    messages = [Message(b"k", json.dumps(event).encode()) for event in events]
    messages[5] = Message(b"k", b"{}")
    explaining = Predictor(linear.model, explain=2)
    made = recorded(messages, [linear, explaining], batch=10)
    assert b"contributions" in made.answers[-1]["value"]
    models = Models([linear.model])
    assert proved(made, models=models).holds
    row = made.answers[-1]
    contributions = msgspec.json.decode(row["value"])["contributions"]
    contributions[1]["contribution"] += 1e-9
    edited(row, contributions=contributions)
    proof = proved(made, models=models)
    assert wrong(proof) == {Found.OTHER_BITS: 1}
    assert proof.examples[0].field == "contributions"


class Misfit(ThresholdScorer):
    """A threshold whose contributions do not add up above 1: a stream that explains rejects these events."""

    def explain(self, frame: Frame) -> Contributions:
        (values,) = frame.columns.values()
        return Contributions(np.where(values > 1, values + 1, values)[:, None], np.zeros(frame.count))


@pytest.mark.parametrize("size", [65_536, 1])
def test_what_an_explaining_stream_cannot_explain_is_rejected_alike(tmp_path: Path, size: int) -> None:
    model = Predictor.load(threshold_model(tmp_path / "threshold")).model
    (feature,) = model.schema.features
    model = replace(model, scorer=Misfit(feature.name))
    messages = [Message(b"k", b'{"customer_id":1,"feature":%d}' % feature) for feature in (2, 0, 5, 1)]
    explaining = recorded(messages, [Predictor(model, explain=1)])
    assert [row["reason"] for row in explaining.answers] == ["model_error", None, "model_error", None]
    assert proved(explaining, models=Models([model]), size=size).holds
    assert proved(recorded(messages, [Predictor(model)]), models=Models([model]), size=size).holds


def test_a_zero_of_the_other_sign_is_another_score(tmp_path: Path) -> None:
    predictor = Predictor.load(threshold_model(tmp_path / "threshold"))
    made = recorded([Message(b"k", b'{"customer_id":1,"feature":0}')], [predictor])
    made.answers[0]["value"] = made.answers[0]["value"].replace(b'"score":0.0', b'"score":-0.0')
    proof = proved(made, models=Models([predictor.model]))
    assert wrong(proof) == {Found.OTHER_BITS: 1}


def swap(made: Recorded, first: int, second: int) -> None:
    """Lets two predictions change places."""
    a, b = made.answer(first), made.answer(second)
    a["at_offset"], b["at_offset"] = b["at_offset"], a["at_offset"]


@pytest.mark.parametrize("size", [65_536, 100, 7])
def test_a_swapped_pair_of_a_key_is_one_event_out_of_order_across_windows_too(
    honest: Recorded, models: Models, size: int
) -> None:
    early, late = honest.predictions()[10]["offset"], honest.predictions()[150]["offset"]
    honest.rekey(b"same", early, late)
    assert proved(honest, models=models, size=size).holds
    swap(honest, early, late)
    proof = proved(honest, models=models, size=size)
    only(proof, Found.OUT_OF_ORDER)
    assert proof.identical is False
    assert not proof.conserved
    assert proof.examples[0].position == f"customers/0/{late}"


def test_events_of_different_keys_or_without_one_have_no_order(honest: Recorded, models: Models) -> None:
    one, other = honest.predictions()[10]["offset"], honest.predictions()[150]["offset"]
    swap(honest, one, other)
    assert proved(honest, models=models).holds
    honest.rekey(None)
    assert proved(honest, models=models).holds


def test_a_replayed_dead_letter_is_late_on_purpose(honest: Recorded, models: Models) -> None:
    honest.rekey(b"same")
    assert proved(honest, models=models).holds
    early = honest.predictions()[10]
    early["at_offset"] = 100_000
    later = sum(row["offset"] > early["offset"] for row in honest.predictions())
    only(proved(honest, models=models), Found.OUT_OF_ORDER, later)
    # At the same position of an earlier topic.
    early["replayed"] = [SENT - 1]
    only(proved(honest, models=models), Found.OUT_OF_ORDER, later)
    early["replayed"] = [SENT - 1, SENT + early["offset"]]
    assert proved(honest, models=models).holds


def test_an_answer_under_another_key_is_misplaced(honest: Recorded, models: Models) -> None:
    row = honest.predictions()[20]
    row["key"] = b"wrong"
    proof = proved(honest, models=models)
    only(proof, Found.MISPLACED)
    assert not proof.conserved
    assert proof.examples[0].detail.startswith(
        "the answer stands under the key 'wrong', the event under the key "
    )
    row["key"] = None
    only(proved(honest, models=models, sample=1e-9), Found.MISPLACED)
    honest.letters()[1]["key"] = b"wrong"
    only(proved(honest, models=models), Found.MISPLACED, 2)
    edited(row, score=0.5)
    assert wrong(proved(honest, models=models)) == {Found.MISPLACED: 1, Found.OTHER_BITS: 1}


def test_an_answer_on_another_partition_is_misplaced(honest: Recorded, models: Models) -> None:
    honest.rekey(None)
    for row in honest.answers:
        row["at_partition"] = 1
    proof = proved(honest, models=models)
    only(proof, Found.MISPLACED, 200)
    assert proof.examples[0].detail == "the answer stands on partition 1, the event on 0"


@pytest.mark.parametrize(
    ("length", "stub", "well"), [(4097, True, True), (4096, True, False), (4097, False, False)]
)
def test_only_a_letter_without_bytes_may_lack_a_long_key(
    honest: Recorded, models: Models, length: int, stub: bool, well: bool
) -> None:
    letter = honest.letters()[0]
    honest.rekey(b"k" * length, letter["offset"])
    whole = letter["value"] or b""
    letter |= {"value": None, "bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest(), "stub": stub}
    letter["key"] = None
    assert proved(honest, models=models).holds is well
    letter["key"] = b"k"
    only(proved(honest, models=models), Found.MISPLACED)


def test_a_sample_depends_on_positions_alone_and_all_events_are_still_counted(
    honest: Recorded, models: Models
) -> None:
    proof = proved(honest, models=models, sample=0.3)
    assert proof.holds
    assert 100 < proof.counts[Found.NOT_SAMPLED] < 180
    assert sum(row["not scored"] for row in proof.matrix.values()) == proof.counts[Found.NOT_SAMPLED]
    whole = proved(honest, models=models)
    for said in ("true", "false", "rejected"):
        assert sum(proof.matrix[said].values()) == sum(whole.matrix[said].values())
    for row in honest.predictions():
        edited(row, score=0.123)
    assert 0 < wrong(proved(honest, models=models, sample=0.3))[Found.OTHER_BITS] < 100


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lambda made, row: made.answers.remove(row), Found.MISSING),
        (lambda made, row: made.answers.append(row | {"at_offset": 10_000}), Found.DUPLICATED),
        (lambda _, row: row.update(model="other@1"), Found.UNKNOWN_MODEL),
    ],
)
def test_what_is_not_sampled_is_still_to_be_answered_once_by_a_known_model(
    honest: Recorded,
    models: Models,
    plant: Callable[[Recorded, AnswerRow], None],
    found: Found,
) -> None:
    plant(honest, honest.predictions()[20])
    only(proved(honest, models=models, sample=1e-9), found)


def test_the_worst_of_several_faults_is_told(honest: Recorded, models: Models) -> None:
    row = honest.predictions()[20]
    edited(row, score=0.5)
    only(proved(honest, models=models), Found.OTHER_BITS)
    row["model"] = "other@1"
    only(proved(honest, models=models), Found.UNKNOWN_MODEL)
    honest.answers.append(row | {"at_offset": 10_000})
    only(proved(honest, models=models), Found.DUPLICATED)


def test_no_more_examples_of_a_class_than_asked_for(honest: Recorded, models: Models) -> None:
    for row in honest.predictions()[:10]:
        edited(row, score=0.123)
    proof = proved(honest, models=models, size=20)
    offsets = [row["offset"] for row in honest.predictions()[:3]]
    assert [example.position for example in proof.examples] == [f"customers/0/{n}" for n in offsets]


def test_the_judged_window_has_the_batch_paths_answers_by_event(
    honest: Recorded, models: Models, churn: Predictor
) -> None:
    (window,) = honest.windows()
    found = PartitionJudge(models, TOPICS).judge(window)
    outcome = churn.score_json(honest.values)
    assert found.scores[outcome.rows].tobytes() == outcome.scores.tobytes()
    assert sorted(found.reasons) == [rejection.row for rejection in outcome.rejections]
    assert sorted(row for scored in found.scored for row in scored.rows.tolist()) == list(range(200))
    assert set(found.codes.tolist()) == {CODES[Found.IDENTICAL], CODES[Found.REJECTED_ALIKE]}
    assert set(found.models(np.arange(200))) == {"churn@2"}


def test_nothing_to_judge(models: Models) -> None:
    proof = proved(Recorded(), models=models)
    assert proof.events == 0
    assert not proof.identical
    assert set(proof.counts) == set(CLASSES)


def test_a_prediction_as_the_stream_writes_it_is_expected(linear: Predictor) -> None:
    event = b'{"customer_id":7,"tenure":1,"partner":true,"contract":"yearly"}'
    made = recorded([Message(b"7", event)], [linear], partition=3, start=41)
    expected = PredictionEncoder(linear.model).encode(linear.score_json([event]), "customers/3/", [41])
    assert [row["value"] for row in made.answers] == expected
    assert judged(made, Models([linear.model])).ledger.closes
