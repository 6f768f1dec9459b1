"""The certificate: the same for the same data, and another for any other."""

from collections.abc import Callable

import msgspec
import pytest

from batch.proof.classes import Found
from batch.proof.models import Models
from batch.proof.tally import Facts, proof_of
from shared.models.shipped import shipped_model
from shared.predict import Predictor
from tests.support.proofs import TOPICS, AnswerRow, Recorded, judged, proved


def test_it_is_32_hex_digits_and_the_same_again(honest: Recorded, models: Models) -> None:
    first = proved(honest, models=models).certificate
    assert len(first) == 32
    assert int(first, 16)
    assert proved(honest.copy(), models=models, size=50).certificate == first


def test_another_run_of_the_stream_has_the_same(honest: Recorded, models: Models) -> None:
    first = proved(honest, models=models).certificate
    for row in honest.answers:
        row["at_offset"] = 3 * row["at_offset"] + 17
        row["timestamp"] += 86_400_000
    assert proved(honest, models=models).certificate == first


def test_models_that_scored_nothing_do_not_count(honest: Recorded, models: Models) -> None:
    more = Models([*models, Predictor.load(shipped_model("threshold")).model])
    assert proved(honest, models=more).certificate == proved(honest, models=models).certificate


def _of_answer(change: Callable[[Recorded, AnswerRow], object]) -> Callable[[Recorded], object]:
    return lambda made: change(made, made.predictions()[50])


def _bit(made: Recorded, row: AnswerRow) -> None:  # noqa: ARG001 - a change of an answer
    score = msgspec.json.decode(row["value"])["score"]
    row["value"] = msgspec.json.encode(
        msgspec.json.decode(row["value"]) | {"score": score + 1e-16 + score / 2**52}
    )


def _swap(made: Recorded, at: int = 50) -> None:
    first, second = made.predictions()[at : at + 2]
    made.rekey(b"same", first["offset"], second["offset"])
    first["at_offset"], second["at_offset"] = second["at_offset"], first["at_offset"]


FAULTS: dict[str, Callable[[Recorded], object]] = {
    "bit": _of_answer(_bit),
    "dropped": _of_answer(lambda made, row: made.answers.remove(row)),
    "duplicated": _of_answer(lambda made, row: made.answers.append(row | {"at_offset": 9_999})),
    "model": _of_answer(lambda _, row: row.update(model="churn@3")),
    "digest": _of_answer(lambda _, row: row.update(model_sha256="0" * 12)),
    "reason": lambda made: made.letters()[0].update(reason="too_large"),
    "letter": lambda made: made.letters()[0].update(value=b"other"),
    "stub": lambda made: made.letters()[0].update(value=None, bytes=1, sha256="0" * 64),
    "event": lambda made: made.values.__setitem__(3, b"{}"),
    "key": lambda made: made.keys.__setitem__(3, None),
    "no key and an empty one": lambda made: made.keys.__setitem__(3, b""),
    "answer's key": _of_answer(lambda _, row: row.update(key=b"other")),
    "answer's other key": _of_answer(lambda _, row: row.update(key=b"another")),
    "partition": _of_answer(lambda _, row: row.update(at_partition=1)),
    "order": _swap,
    "offset": lambda made: made.offsets.__setitem__(-1, made.offsets[-1] + 1),
}


def test_any_fault_changes_it(recording: Recorded, models: Models) -> None:
    found = {"": proved(recording, models=models).certificate}
    for name, plant in FAULTS.items():
        made = recording.copy()
        plant(made)
        found[name] = proved(made, models=models).certificate
    assert len(set(found.values())) == len(found)


def test_the_same_number_of_other_events_out_of_order_changes_it(recording: Recorded, models: Models) -> None:
    found = set()
    for at in (50, 52):
        made = recording.copy()
        made.rekey(b"same")
        _swap(made, at)
        proof = proved(made, models=models)
        assert proof.counts[Found.OUT_OF_ORDER] == 1
        found.add(proof.certificate)
    assert len(found) == 2


@pytest.mark.parametrize(
    "facts",
    [
        Facts({**TOPICS, "events": "others"}),
        Facts(TOPICS, sample=0.5),
        Facts(TOPICS, rows={"digest": "of a table"}),
    ],
)
def test_what_was_proved_is_part_of_it(honest: Recorded, models: Models, facts: Facts) -> None:
    tally = judged(honest, models)
    assert (
        proof_of([tally], models, facts).certificate != proof_of([tally], models, Facts(TOPICS)).certificate
    )


def test_what_only_this_run_knows_is_not(honest: Recorded, models: Models) -> None:
    tally = judged(honest, models)
    other = Facts(TOPICS, examples=0, pending=5, notes=["slow"])
    slower = tally.model_copy(update={"seconds": 99.0})
    assert (
        proof_of([slower], models, other).certificate == proof_of([tally], models, Facts(TOPICS)).certificate
    )
