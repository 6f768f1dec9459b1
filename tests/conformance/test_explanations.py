"""Explanations keep the laws of scores: the same bits at every batch size, in any order and by both paths."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from producer.generate import churn_customers
from shared.explanations import Explanations
from shared.models.base import NotExplainableError
from shared.models.directory import KINDS, read_model
from shared.predict import Outcome, Predictor
from shared.predictions import PredictionEncoder
from tests.conformance.test_models import CASES, allowed_value

ROWS = 600
WANTED = 3
#: The kinds that cannot say what an input contributed.
SILENT = {"onnx"}


@dataclass(frozen=True)
class Case:
    """A model with rows that it accepts, explained and not."""

    plain: Predictor
    explained: Predictor
    rows: list[dict[str, Any]]

    @property
    def values(self) -> list[bytes]:
        return [json.dumps(row).encode() for row in self.rows]

    @property
    def table(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(self.rows)


@pytest.fixture(
    scope="module",
    params=[case for case in CASES if case[0] not in SILENT],
    ids=lambda case: f"{case[0]}-{case[1].__name__}",
)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind, factory = request.param
    directory = factory(tmp_path_factory.mktemp(kind))
    schema = read_model(directory).schema
    random = np.random.default_rng(1)
    rows = [
        {schema.key: row} | {feature.name: allowed_value(feature, random) for feature in schema.features}
        for row in range(ROWS)
    ]
    for row in rows[::5]:
        row.update({feature.name: None for feature in schema.features if feature.missing == "nan"})
    return Case(Predictor.load(directory), Predictor.load(directory, explain=WANTED), rows)


def explanations(outcome: Outcome) -> Explanations:
    assert not outcome.rejections
    assert outcome.explanations is not None
    return outcome.explanations


def bits(outcome: Outcome) -> list[bytes]:
    """Everything of each row's explanation, one item a row."""
    found = explanations(outcome)
    return [
        b"".join(part[row].tobytes() for part in (found.base, found.inputs, found.contributions))
        for row in range(len(found.base))
    ]


def test_scores_have_the_same_bits_with_explanations_and_without(case: Case) -> None:
    plain, explained = (predictor.score_json(case.values) for predictor in (case.plain, case.explained))
    assert plain.scores.tobytes() == explained.scores.tobytes()
    assert plain.explanations is None


@pytest.mark.parametrize("size", [1, 2, 7, 50, 51])
def test_an_explanation_has_the_same_bits_at_every_batch_size(case: Case, size: int) -> None:
    whole = bits(case.explained.score_json(case.values))
    few = case.values[: 12 * size][:ROWS]
    pieces = [case.explained.score_json(few[start : start + size]) for start in range(0, len(few), size)]
    assert [row for piece in pieces for row in bits(piece)] == whole[: len(few)]


def test_json_and_columns_explain_alike_in_any_order(case: Case) -> None:
    stream = bits(case.explained.score_json(case.values))
    assert bits(case.explained.score_table(case.table)) == stream
    order = np.random.default_rng(2).permutation(ROWS)
    shuffled = case.table.take(pa.array(order)).select(sorted(case.table.schema.names, reverse=True))
    assert bits(case.explained.score_table(shuffled)) == [stream[row] for row in order.tolist()]


def test_the_base_and_all_contributions_add_up_to_the_raw_score(case: Case) -> None:
    every = Predictor(case.plain.model, explain=len(case.plain.model.schema.features))
    found = explanations(every.score_json(case.values))
    frame, scorer = every.parse_json(case.values).frame, every.model.scorer
    total = found.base.copy()
    # In the order in which the inputs are declared.
    for place in range(found.inputs.shape[1]):
        total += found.contributions[found.inputs == place]
    raw = scorer.raw(frame)
    if every.model.declaration.kind in ("threshold", "linear"):
        assert total.tolist() == raw.tolist()
    sizes = np.abs(found.base) + np.abs(found.contributions).sum(axis=1)
    assert (np.abs(total - raw) <= scorer.tolerance * sizes).all()


def test_the_largest_contributions_come_first_and_are_those_of_all(case: Case) -> None:
    count = len(case.plain.model.schema.features)
    few = explanations(case.explained.score_json(case.values))
    every = explanations(Predictor(case.plain.model, explain=count + 5).score_json(case.values))
    assert every.inputs.shape == (ROWS, count)
    assert few.inputs.tolist() == every.inputs[:, :WANTED].tolist()
    sizes = np.abs(every.contributions)
    assert (sizes[:, :-1] >= sizes[:, 1:]).all()
    ties = sizes[:, :-1] == sizes[:, 1:]
    assert (every.inputs[:, :-1] < every.inputs[:, 1:])[ties].all()


def test_both_paths_write_the_same_bytes(case: Case) -> None:
    encoder = PredictionEncoder(case.plain.model)
    stream, batch = case.explained.score_json(case.values), case.explained.score_table(case.table)
    written = encoder.encode(stream, "t/0/", range(ROWS))
    assert written == encoder.encode(batch, "t/0/", range(ROWS))
    assert len(json.loads(written[0])["contributions"]) == min(WANTED, len(case.plain.model.schema.features))


@pytest.mark.parametrize("case_", CASES, ids=lambda case: f"{case[0]}-{case[1].__name__}")
def test_a_kind_that_cannot_explain_is_refused_before_anything_is_scored(
    case_: tuple[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kind, factory = case_
    if kind in SILENT:
        with pytest.raises(NotExplainableError, match=f"of kind {kind} cannot say"):
            Predictor.load(factory(tmp_path_factory.mktemp(kind)), explain=1)


def test_every_kind_explains_or_is_known_not_to() -> None:
    assert set(KINDS) >= SILENT


@pytest.mark.parametrize("name", ["churn", "churn-linear"])
def test_a_shipped_model_names_what_the_made_up_customers_churn_for(name: str) -> None:
    customers = churn_customers(11)
    values = [json.dumps(next(customers).event).encode() for _ in range(500)]
    predictor = Predictor.load(Path("models") / name, explain=2)
    named = explanations(predictor.score_json(values)).inputs[:, 0].tolist()
    first = {predictor.model.schema.features[place].name for place in named}
    # The largest in producer/generate.py.
    assert {"tenure", "Contract"} <= first
    assert "gender" not in first
