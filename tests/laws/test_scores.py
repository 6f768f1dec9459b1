"""Laws 1, 2 and 4: a score is a function of the event and the model alone, and nothing is lost.

The models are kept and the events drawn: what varies is what must not matter, which is how the events are
cut into batches, their order, their neighbours and the path that they come by.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from shared.ledger import Ledger
from shared.predict import Outcome, Predictor
from shared.predictions import PredictionEncoder
from tests.laws.strategies import ODDITIES
from tests.support.models import linear_model, threshold_model

KINDS = ("threshold", "linear")
#: What one row comes to: its id, its score and decision to the bit, or its reason and field.
Fate = tuple[object, ...]

NUMBER = st.floats(-1e6, 1e6) | st.integers(-1000, 1000) | st.sampled_from([5e-324, -0.0, 1e300, 0.1 + 0.2])
GOOD: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "threshold": st.fixed_dictionaries({"customer_id": st.integers(0, 99), "feature": NUMBER}),
    "linear": st.fixed_dictionaries(
        {
            "customer_id": st.text("abc", max_size=3),
            "tenure": st.integers(0, 1200),
            "partner": st.booleans(),
            "contract": st.sampled_from(["monthly", "yearly", "é"]),
        },
        optional={"charges": NUMBER, "event_id": st.text("abc", max_size=3)},
    ),
}
BAD = st.sampled_from([*ODDITIES, None, b'{"customer_id":1,"feature":"x","tenure":-1}'])


@pytest.fixture(scope="module")
def predictors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Predictor]:
    folder = tmp_path_factory.mktemp("models")
    models = {"threshold": threshold_model(folder / "t"), "linear": linear_model(folder / "l")}
    return {kind: Predictor.load(directory) for kind, directory in models.items()}


def fates(outcome: Outcome) -> list[Fate]:
    """What became of each row, in order; fails unless each became exactly one thing."""
    found: dict[int, Fate] = {}
    customers = outcome.customer_ids
    ids = customers.to_pylist() if isinstance(customers, pa.Array) else customers
    for row, customer, score, decision in zip(
        outcome.rows.tolist(), ids, outcome.scores.tolist(), outcome.decisions.tolist(), strict=True
    ):
        found[row] = (customer, score.hex(), decision)
    for rejection in outcome.rejections:
        assert rejection.row not in found
        found[rejection.row] = (rejection.reason, rejection.field)
    assert outcome.total == len(outcome.rows) + len(outcome.rejections)
    assert sorted(found) == list(range(outcome.total))
    return [found[row] for row in range(outcome.total)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, list[bytes | None]]:
    """A kind of model and events for it, some of them bad."""
    kind = draw(st.sampled_from(KINDS))
    good = GOOD[kind].map(lambda event: json.dumps(event).encode())
    return kind, draw(st.lists(good | good | BAD, max_size=24))


@given(streams(), st.data())
@settings(max_examples=150, deadline=None)
def test_batches_order_and_neighbours_change_no_bit(
    predictors: dict[str, Predictor], drawn: tuple[str, list[bytes | None]], data: st.DataObject
) -> None:
    kind, values = drawn
    predictor = predictors[kind]
    alone = [fate for value in values for fate in fates(predictor.score_json([value]))]
    event(f"{kind}: some scored, some rejected: {len({len(fate) for fate in alone}) == 2}")
    assert fates(predictor.score_json(values)) == alone
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=5)))
    pieces = [values[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(values)], strict=True)]
    assert [fate for piece in pieces for fate in fates(predictor.score_json(piece))] == alone
    order = data.draw(st.permutations(range(len(values))))
    shuffled = fates(predictor.score_json([values[place] for place in order]))
    assert shuffled == [alone[place] for place in order]


def as_table(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    names = {name: None for row in rows for name in row}
    return pa.record_batch({name: pa.array([row.get(name) for row in rows]) for name in names})


@given(st.sampled_from(KINDS), st.data())
@settings(max_examples=150, deadline=None)
def test_columns_and_json_give_the_same_bits(
    predictors: dict[str, Predictor], kind: str, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(GOOD[kind], min_size=1, max_size=12))
    for row in rows:
        if data.draw(st.integers(0, 5)) == 0:
            row.pop(data.draw(st.sampled_from(sorted(row))))
    # Each number as a float64: a column has one type.
    rows = [
        {
            name: float(value) if type(value) is int and name != "customer_id" else value
            for name, value in row.items()
        }
        for row in rows
    ]
    predictor = predictors[kind]
    stream = fates(predictor.score_json([json.dumps(row).encode() for row in rows]))
    table = as_table(rows)
    assert fates(predictor.score_table(table)) == stream
    padded = pa.concat_batches([table, table, table])
    middle = padded.slice(len(rows), len(rows))
    assert fates(predictor.score_table(middle)) == stream
    backwards = table.take(pa.array(range(len(rows) - 1, -1, -1)))
    assert fates(predictor.score_table(backwards)) == stream[::-1]


@given(streams())
@settings(max_examples=100, deadline=None)
def test_a_prediction_is_a_function_of_event_position_and_model(
    predictors: dict[str, Predictor], drawn: tuple[str, list[bytes | None]]
) -> None:
    kind, values = drawn
    predictor = predictors[kind]
    encoder = PredictionEncoder(predictor.model)
    outcome = predictor.score_json(values)
    together = encoder.encode(outcome, "t/0/", outcome.rows.tolist())
    again = []
    for row in outcome.rows.tolist():
        fresh = PredictionEncoder(predictor.model)
        again += fresh.encode(predictor.score_json([values[row]]), "t/0/", [row])
    assert together == again


@given(streams(), st.data(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_parts_of_an_outcome_are_those_of_the_pieces_scored_alone(
    predictors: dict[str, Predictor],
    drawn: tuple[str, list[bytes | None]],
    data: st.DataObject,
    explained: bool,
) -> None:
    kind, values = drawn
    model = predictors[kind].model
    predictor, encoder = Predictor(model, explain=2 if explained else None), PredictionEncoder(model)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    pieces = [values[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(values)], strict=True)]
    parts = predictor.score_json(values).parts([len(piece) for piece in pieces])
    for piece, part in zip(pieces, parts, strict=True):
        alone = predictor.score_json(piece)
        assert (fates(part), part.rejections) == (fates(alone), alone.rejections)
        numbers = part.rows.tolist()
        assert encoder.encode(part, "t/0/", numbers) == encoder.encode(alone, "t/0/", numbers)


@given(st.lists(streams(), max_size=5))
@settings(max_examples=60, deadline=None)
def test_the_ledger_balances_at_every_batch(
    predictors: dict[str, Predictor], batches: list[tuple[str, list[bytes | None]]]
) -> None:
    ledger = Ledger()
    for kind, values in batches:
        ledger.add(f"{kind}/0", len(values), predictors[kind].score_json(values))
        assert ledger.read == ledger.scored + ledger.rejected
    assert ledger.read == sum(len(values) for _, values in batches)


def test_the_models_are_loaded_from_where_the_law_says(tmp_path: Path) -> None:
    """Two loads of one directory score alike: nothing of the score lives in the process."""
    directory = linear_model(tmp_path / "m")
    value = b'{"customer_id":1,"tenure":7,"partner":true,"contract":"yearly"}'
    first, second = (Predictor.load(directory).score_one(value) for _ in range(2))
    assert fates(first) == fates(second)
