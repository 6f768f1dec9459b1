"""An honest stream is proved whatever its events are; how the work is divided changes nothing in a proof."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.proof.models import Models
from batch.proof.result import Proof
from batch.proof.tally import Facts, proof_of
from producer.message import Message
from shared.predict import Predictor
from tests.laws.strategies import event_bytes, schemas
from tests.laws.test_snapshots_score_alike import predictor_for
from tests.support.models import threshold_model
from tests.support.proofs import TOPICS, Recorded, judged, recorded

KEYS = st.sampled_from([None, b"", b"a", b"b"])


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> list[Predictor]:
    """Three models, of which two have the same id."""
    folder = tmp_path_factory.mktemp("models")
    made = [
        threshold_model(folder / str(place), version=version, threshold=threshold)
        for place, (version, threshold) in enumerate([("1", 0.6), ("2", -1.0), ("2", 1.5)])
    ]
    return [Predictor.load(directory) for directory in made]


def proof(parts: list[Recorded], models: Models, size: int, sample: float = 1.0) -> Proof:
    tallies = [judged(part, models, size, sample=sample) for part in parts]
    # How quickly this went is no part of what was found.
    return proof_of(tallies, models, Facts(TOPICS, sample=sample)).model_copy(update={"batch_rate": None})


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_an_honest_stream_is_proved_whatever_its_events_are(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    values = data.draw(st.lists(event_bytes(schema), min_size=1, max_size=8))
    scorer = predictor_for(schema)
    messages = [Message(data.draw(KEYS), value) for value in values]
    made = recorded(messages, [scorer], batch=data.draw(st.integers(1, 8)))
    assert proof([made], Models([scorer.model]), data.draw(st.integers(1, 9))).holds


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_window_size_and_order_of_partitions_change_nothing(
    data: st.DataObject, scorers: list[Predictor]
) -> None:
    parts = [faulty(data, scorers, partition) for partition in range(data.draw(st.integers(1, 3)))]
    models, sample = Models(scorer.model for scorer in scorers), data.draw(st.sampled_from([1.0, 1.0, 0.5]))
    whole = proof(parts, models, 65_536, sample)
    cut = proof(data.draw(st.permutations(parts)), models, data.draw(st.integers(1, 12)), sample)
    assert cut == whole
    assert sum(sum(row.values()) for row in whole.matrix.values()) == whole.events
    assert sum(whole.counts.values()) == sum(len(part.offsets) for part in parts)


def faulty(data: st.DataObject, scorers: list[Predictor], partition: int) -> Recorded:
    """A partition in which some things went wrong."""
    events = st.builds(
        b'{"customer_id":%d,"feature":%d}'.__mod__, st.tuples(st.integers(0, 9), st.integers(0, 2))
    )
    values = data.draw(st.lists(events | st.just(b"junk") | st.none(), min_size=1, max_size=15))
    messages = [Message(data.draw(KEYS), value) for value in values]
    made = recorded(
        messages,
        data.draw(st.lists(st.sampled_from(scorers), min_size=1, max_size=3)),
        partition=partition,
        batch=data.draw(st.integers(1, 6)),
    )
    for _ in range(data.draw(st.integers(0, 4))):
        if made.answers:
            plant(data, made)
    return made


def plant(data: st.DataObject, made: Recorded) -> None:
    row: dict[str, Any] = data.draw(st.sampled_from(made.answers))
    match data.draw(st.integers(0, 6)):
        case 0:
            made.answers.remove(row)
        case 1:
            made.answers.append(row | {"at_offset": max(one["at_offset"] for one in made.answers) + 1})
        case 2:
            other: dict[str, Any] = data.draw(st.sampled_from(made.answers))
            row["at_offset"], other["at_offset"] = other["at_offset"], row["at_offset"]
        case 3:
            row["value"] = data.draw(st.binary(max_size=5) | st.none())
        case 4:
            row["model"] = "other@1"
        case 5:
            row["reason"] = "too_large" if row["reason"] else None
        case _:
            row["offset"] = data.draw(st.integers(0, made.end))
