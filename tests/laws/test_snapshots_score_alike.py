"""Events' parsed inputs, scored by columns, give what their bytes give: in snapshots, and to the sentinel."""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.export import record_batch
from batch.manifest import PartFile
from batch.snapshots import SnapshotRows, snapshot_schema
from consumer.scoring import StreamScorer
from consumer.second_opinion import Answered, SecondOpinion
from shared.files import Chunk
from shared.frame import Frame
from shared.kafka.columns import RecordColumns
from shared.models.base import Contributions, Floats, Scorer
from shared.models.directory import Declaration, GoldenRow, Model
from shared.predict import Outcome, Predictor
from shared.predictions import as_list
from shared.schema import Schema
from tests.laws.strategies import event_bytes, schemas
from tests.support.memory import MemoryKafka, lesson_columns


class EveryBit(Scorer):
    """A score in which every value of every column counts, texts included."""

    kind: ClassVar[str] = "every-bit"
    needs_artifact: ClassVar[bool] = False

    @classmethod
    def load(cls, schema: Schema, artifact: bytes) -> Self:
        raise NotImplementedError

    def raw(self, frame: Frame) -> Floats:
        return self.explain(frame).totals()

    def explain(self, frame: Frame) -> Contributions:
        values = np.zeros((frame.count, len(frame.columns)))
        for place, column in enumerate(frame.columns.values()):
            texts = column.dtype == object
            numbers = [float(sum(text.encode())) for text in column] if texts else column.astype(np.float64)
            values[:, place] = np.array(numbers, np.float64) * (place + 1)
        return Contributions(values, np.zeros(frame.count))


def predictor_for(schema: Schema) -> Predictor:
    declaration = Declaration(
        name="law",
        version="1",
        kind=EveryBit.kind,
        inputs=tuple(item.model_dump() for item in schema.inputs),
        threshold=0.5,
        golden=(GoldenRow(event={}, score=0.0),),
    )
    return Predictor(Model(declaration, schema, EveryBit(), "0" * 64), explain=2)


def explanation(outcome: Outcome) -> tuple[npt.NDArray[Any], ...]:
    found = outcome.explanations
    assert found is not None
    return found.base, found.inputs, found.contributions


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_by_columns_and_by_bytes_agree(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    values = data.draw(st.lists(event_bytes(schema), max_size=6))
    predictor, count = predictor_for(schema), len(values)
    records = RecordColumns("t", 0, list(range(count)), [0] * count, [None] * count, values)
    batch = record_batch(records, snapshot_schema(schema), predictor)
    part = PartFile(file="part", rows=count, size=0, sha256="", partition=0)
    source = SnapshotRows(Path(), "t", part, parsed_for=schema, batch_rows=1)
    by_columns = source.score(predictor, Chunk(np.arange(count), batch)).outcome
    by_bytes = predictor.score_json(values)
    assert by_columns.rows.tolist() == by_bytes.rows.tolist()
    assert by_columns.scores.tobytes() == by_bytes.scores.tobytes()
    for columns, read in zip(explanation(by_columns), explanation(by_bytes), strict=True):
        assert columns.tobytes() == read.tobytes()
    assert by_columns.rejections == by_bytes.rejections
    assert list(as_list(by_columns.customer_ids)) == list(as_list(by_bytes.customer_ids))
    without_ids = [None] * len(by_bytes.rows)
    events = [as_list(side.event_ids or without_ids) for side in (by_columns, by_bytes)]
    assert list(events[0]) == list(events[1])


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_the_sentinel_disagrees_with_no_honest_answer(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    values = data.draw(st.lists(event_bytes(schema), min_size=1, max_size=6))
    rows = data.draw(st.sets(st.integers(0, len(values) - 1), min_size=1))
    scorer = StreamScorer(
        predictor_for(schema), "predictions", "dead-letters", MemoryKafka([]), keep_given=True
    )
    [scored] = scorer.score([lesson_columns(0, 7, *values)], 5)
    assert scored.given is not None
    drawn = Answered.of(scored, scored.given, np.array(sorted(rows)), "predictions", "dead-letters")
    assert SecondOpinion.on(drawn).disagreements([drawn]) == []
