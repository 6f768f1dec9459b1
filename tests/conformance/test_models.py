"""One suite that every model kind runs through, unasked: a new kind needs one factory here."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from consumer.scoring import StreamScorer
from consumer.second_opinion import Answered, SecondOpinion
from shared.frame import Frame
from shared.models.base import NotExplainableError
from shared.models.directory import KINDS, Model, read_model
from shared.models.onnx_graph import OnnxScorer
from shared.predict import Outcome, Predictor
from shared.schema import Input, Reason
from tests.support import graphs, trained
from tests.support.memory import MemoryKafka, lesson_columns
from tests.support.models import INPUTS, linear_model, threshold_model

#: One row, few rows, on both sides of a SIMD width, and many.
SIZES = (1, 2, 7, 50, 51, 4096)
ROWS = 4096


def logistic(directory: Path) -> Path:
    return linear_model(directory)


def identity(directory: Path) -> Path:
    return linear_model(directory, link="identity")


def all_optional(directory: Path) -> Path:
    defaults: list[Any] = [12, 20.5, True, "yearly"]
    inputs = [{**declared, "default": value} for declared, value in zip(INPUTS, defaults, strict=True)]
    return linear_model(directory, inputs=inputs)


def json_booster(directory: Path) -> Path:
    training = trained.made_up()
    booster = trained.train_xgboost(training, objective="reg:squarederror")
    return trained.xgboost_model(directory, training, booster=booster, form="json")


def split_by_category(directory: Path) -> Path:
    training = trained.made_up()
    booster = trained.train_lightgbm(training, categorical=["contract"])
    return trained.lightgbm_model(directory, training, booster=booster)


def regression(directory: Path) -> Path:
    training = trained.made_up()
    booster = trained.train_lightgbm(training, objective="regression")
    return trained.lightgbm_model(directory, training, booster=booster)


def margins(directory: Path) -> Path:
    training = trained.made_up()
    graph = graphs.margins(trained.train_xgboost(training), 7, flat=True)
    return trained.onnx_model(directory, training, graph=graph)


def tensors_by_name(directory: Path) -> Path:
    inputs = [dict(item) for item in trained.INPUTS[:4]]
    del inputs[3]["missing"]
    training = trained.made_up(inputs)
    graph = graphs.by_name(trained.train_xgboost(training), inputs[3]["values"])
    return trained.onnx_model(directory, training, graph=graph)


def network_row_by_row(directory: Path) -> Path:
    inputs = [{**item, "missing": "reject"} for item in trained.INPUTS]
    training = trained.made_up(inputs)
    return trained.onnx_model(directory, training, graph=graphs.network(7), execution={"rows": "one"})


#: For each kind, ways to make a model directory of it.
FACTORIES: dict[str, list[Callable[[Path], Path]]] = {
    "threshold": [threshold_model],
    "linear": [logistic, identity, all_optional],
    "xgboost": [trained.xgboost_model, json_booster],
    "lightgbm": [trained.lightgbm_model, split_by_category, regression],
    "onnx": [trained.onnx_model, margins, tensors_by_name, network_row_by_row],
}
CASES = [(kind, factory) for kind, factories in FACTORIES.items() for factory in factories]


def test_every_kind_has_a_factory() -> None:
    assert set(FACTORIES) == set(KINDS)
    assert all(FACTORIES.values())


@dataclass(frozen=True)
class Case:
    """A model with rows that it accepts."""

    model: Model
    predictor: Predictor
    rows: list[dict[str, Any]]

    @property
    def values(self) -> list[bytes]:
        return [json.dumps(row).encode() for row in self.rows]

    @property
    def frame(self) -> Frame:
        return self.predictor.parse_json(self.values).frame

    @property
    def table(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(self.rows)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1].__name__}")
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind, factory = request.param
    directory = factory(tmp_path_factory.mktemp(kind))
    model = read_model(directory)
    assert model.declaration.kind == kind
    random = np.random.default_rng(1)
    rows = [
        {model.schema.key: row}
        | {feature.name: allowed_value(feature, random) for feature in model.schema.features}
        for row in range(ROWS)
    ]
    return Case(model, Predictor.load(directory), rows)


def allowed_value(feature: Input, random: np.random.Generator) -> Any:
    if feature.missing == "nan" and random.random() < 0.1:
        return None
    low = -1000 if feature.lowest is None else max(feature.lowest, -1000)
    high = 1000 if feature.highest is None else min(feature.highest, 1000)
    match feature.type:
        case "number":
            return float(random.uniform(low, high))
        case "integer":
            return int(random.integers(int(low), int(high) + 1))
        case "boolean":
            return bool(random.integers(2))
        case "category":
            return (feature.values or ())[int(random.integers(len(feature.values or ())))]
        case _:
            return f"text {random.integers(10)}"


def bits(outcome: Outcome) -> bytes:
    assert not outcome.rejections
    return outcome.scores.tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_a_score_has_the_same_bits_at_every_batch_size(case: Case, size: int) -> None:
    whole = bits(case.predictor.score_json(case.values))
    few = case.values[: size * 20]
    pieces = [case.predictor.score_json(few[start : start + size]) for start in range(0, len(few), size)]
    assert b"".join(map(bits, pieces)) == whole[: 8 * len(few)]


def test_json_and_columns_give_the_same_bits(case: Case) -> None:
    stream, batch = case.predictor.score_json(case.values), case.predictor.score_table(case.table)
    assert bits(stream) == bits(batch)
    assert stream.decisions.tolist() == batch.decisions.tolist()
    assert batch.decisions.tolist() == (batch.scores > case.model.threshold).tolist()


def test_the_sentinel_finds_nothing_to_disagree_with(case: Case) -> None:
    """Whatever it draws of a batch: some events of a large one, explained where the model can explain."""
    bad = [b"junk", None, b"{}", json.dumps(dict.fromkeys(case.rows[0], "x")).encode()]
    values = [*case.values[:300], *bad, *case.values[300:500]]
    predictors = [case.predictor]
    with suppress(NotExplainableError):
        predictors.append(Predictor(case.model, explain=2))
    for predictor in predictors:
        scorer = StreamScorer(predictor, "predictions", "dead-letters", MemoryKafka([]), keep_given=True)
        [scored] = scorer.score([lesson_columns(0, 0, *values)], 5)
        assert scored.given is not None
        for rows in (np.array([0]), np.arange(0, 500, 7), np.arange(290, 320)):
            drawn = Answered.of(scored, scored.given, rows, "predictions", "dead-letters")
            assert SecondOpinion.on(drawn).disagreements([drawn]) == []


def test_the_order_of_rows_and_of_columns_does_not_matter(case: Case) -> None:
    expected = case.predictor.score_table(case.table).scores
    order = np.random.default_rng(2).permutation(ROWS)
    shuffled = case.table.take(pa.array(order)).select(sorted(case.table.schema.names, reverse=True))
    assert case.predictor.score_table(shuffled).scores.tobytes() == expected[order].tobytes()


@pytest.mark.parametrize(
    "layout",
    [
        lambda column: column[::-1][::-1],
        lambda column: np.repeat(column, 3)[::3],
        lambda column: column.copy(),
    ],
    ids=["reversed", "strided", "contiguous"],
)
def test_the_memory_layout_of_columns_does_not_matter(case: Case, layout: Callable[[Any], Any]) -> None:
    frame, score = case.frame, case.predictor.score_frame
    expected = score(frame).tobytes()
    arranged = Frame(ROWS, {name: layout(column) for name, column in frame.columns.items()})
    assert score(arranged).tobytes() == expected
    backwards = Frame(ROWS, {name: column[::-1] for name, column in frame.columns.items()})
    assert score(backwards)[::-1].tobytes() == expected
    assert score(frame.slice(1, 100)).tobytes() == expected[8:800]
    assert case.predictor.score_table(case.table.slice(5, 100)).scores.tobytes() == expected[40:840]


def test_scores_are_float64_one_a_row_and_the_frame_stays_as_it_was(case: Case) -> None:
    frame, score = case.frame, case.predictor.score_frame
    before = {name: column.copy() for name, column in frame.columns.items()}
    first, second = score(frame), score(frame)
    assert first.dtype == np.float64
    assert first.shape == (ROWS,)
    assert first.tobytes() == second.tobytes()
    assert all(frame.columns[name].tobytes() == column.tobytes() for name, column in before.items())


def test_a_single_event_is_a_batch_of_one(case: Case) -> None:
    expected = case.predictor.score_json(case.values[:20]).scores.tolist()
    assert [case.predictor.score_one(row).scores.tolist()[0] for row in case.rows[:20]] == expected


def test_an_empty_frame_has_no_scores(case: Case) -> None:
    assert len(case.model.scorer.score(case.frame.slice(0, 0))) == 0
    assert len(case.predictor.score_json([]).scores) == 0
    assert len(case.predictor.score_table(case.table.slice(0, 0)).scores) == 0


def test_contributions_add_up_to_the_raw_score_with_the_same_bits_at_every_batch_size(case: Case) -> None:
    scorer, frame = case.model.scorer, case.frame.slice(0, 60)
    if isinstance(scorer, OnnxScorer):
        with pytest.raises(NotExplainableError):
            scorer.explain(frame)
        return
    found, raw = scorer.explain(frame), scorer.raw(frame)
    assert found.values.shape == (60, len(case.model.schema.features))
    sizes = np.abs(found.base) + np.abs(found.values).sum(axis=1)
    assert (np.abs(found.totals() - raw) <= scorer.tolerance * sizes).all()
    assert scorer.link(raw).tobytes() == scorer.score(frame).tobytes()
    for row in range(60):
        alone = scorer.explain(frame.slice(row, row + 1))
        assert alone.values.tobytes() == found.values[row].tobytes()
        assert alone.base.tobytes() == found.base[row : row + 1].tobytes()


def test_every_category_has_its_own_place(case: Case) -> None:
    for feature in case.model.schema.features:
        if feature.type != "category":
            continue
        outcome = case.predictor.score_json(
            [json.dumps({**case.rows[0], feature.name: value}).encode() for value in feature.values or ()]
        )
        assert len(set(outcome.scores.tolist())) == len(feature.values or ())


WRONG_VALUES: dict[str, list[tuple[Any, Reason]]] = {
    "number": [("1", Reason.WRONG_TYPE), (True, Reason.WRONG_TYPE), (float("nan"), Reason.NOT_FINITE)],
    "integer": [(1.5, Reason.WRONG_TYPE), (2**60, Reason.OUT_OF_RANGE), (float("inf"), Reason.NOT_FINITE)],
    "boolean": [(1, Reason.WRONG_TYPE), ("true", Reason.WRONG_TYPE)],
    "category": [("no such value", Reason.UNKNOWN_CATEGORY), (0, Reason.WRONG_TYPE)],
    "string": [(1, Reason.WRONG_TYPE)],
}


def test_a_bad_value_is_rejected_by_both_paths_and_its_neighbours_keep_their_bits(case: Case) -> None:
    first, last = case.rows[:2]
    expected = case.predictor.score_json(case.values[:2]).scores.tobytes()
    for feature in case.model.schema.features:
        for value, reason in WRONG_VALUES[feature.type]:
            bad = {**case.rows[2], feature.name: value}
            stream = case.predictor.score_json([json.dumps(row).encode() for row in (first, bad, last)])
            # A column has one type: alone the bad row is refused as it is among the others.
            batch = case.predictor.score_table(pa.RecordBatch.from_pylist([bad]))
            assert stream.scores.tobytes() == expected
            for (rejection,) in (stream.rejections, batch.rejections):
                assert (rejection.reason, rejection.field) == (reason, feature.name)
            assert stream.rejections[0].detail == batch.rejections[0].detail


@pytest.mark.parametrize("how", ["left out", "null"])
def test_a_missing_value_is_its_default_or_a_rejection(case: Case, how: str) -> None:
    for feature in case.model.schema.features:
        row = {**case.rows[0], feature.name: None}
        if how == "left out":
            del row[feature.name]
        for outcome in (
            case.predictor.score_one(row),
            case.predictor.score_table(pa.RecordBatch.from_pylist([row])),
        ):
            if feature.required:
                (rejection,) = outcome.rejections
                assert (rejection.reason, rejection.field) == (Reason.MISSING_FIELD, feature.name)
            elif feature.default is not None:
                spelled_out = case.predictor.score_one({**row, feature.name: feature.default})
                assert bits(outcome) == bits(spelled_out)
            else:
                assert bits(outcome) == bits(case.predictor.score_one(row))


def test_the_golden_rows_hold_by_both_paths(case: Case) -> None:
    case.predictor.check_golden_rows()
    for golden in case.model.declaration.golden:
        outcome = case.predictor.score_table(pa.RecordBatch.from_pylist([golden.event]))
        assert outcome.scores.tolist() == [golden.score]
