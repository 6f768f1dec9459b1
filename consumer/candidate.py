"""What a new model must pass before it scores in place of another, while that one goes on scoring."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from consumer.scoring import Serving
from shared.errors import ModelError
from shared.models.directory import Model
from shared.predict import Outcome, Predictor
from shared.schema import InputType, Schema

Floats = npt.NDArray[np.float64]

# Rows of the trial: enough for several places of a SIMD width, few enough to take a moment.
_ROWS: Final = 256
_CELLS: Final[Mapping[InputType, tuple[pa.DataType, Callable[[Any], Any]]]] = {
    "number": (pa.float64(), float),
    "integer": (pa.int64(), int),
    "boolean": (pa.bool_(), bool),
    "string": (pa.string(), str),
    "category": (pa.string(), str),
}


def load_candidate(directory: Path, current: Model, explain: int | None) -> Serving:
    """Reads, checks, tries and warms a model that is to take over from another.

    Args:
        directory: Its directory.
        current: The model that it would take over from.
        explain: How many of the largest contributions to give with each score; None: no explanations.

    Raises:
        ModelError: It must not take over; with what to change.
    """
    predictor = Predictor.load(directory, explain=explain)
    check_fit(predictor.model, current)
    try_out(predictor)
    return Serving(predictor)


def check_fit(candidate: Model, current: Model) -> None:
    """Refuses a model after which predictions would have another form.

    Inputs, threshold, artifact, name, version and kind may change. What readers of the predictions find them
    by may not: the decision's name, and the field of the events that gives the customer's id, with its type.

    Raises:
        ModelError: It does not fit.
    """
    for what, before, after in (
        ("the decision's name", current.decision_name, candidate.decision_name),
        ("the key", current.schema.key, candidate.schema.key),
        ("the key's type", current.schema.key_type, candidate.schema.key_type),
    ):
        if before != after:
            raise ModelError(
                f"{candidate.id}: {what} is {after!r}, but {before!r} in {current.id}, which is in use;"
                " readers of predictions rely on it",
                hint="Start a consumer of its own for it, with an output topic of its own.",
            )


def try_out(predictor: Predictor) -> None:
    """Scores rows one at a time, together, in another order and as columns; also pays for all first calls.

    The rows are the golden ones, and mixtures of them: each value is taken from one golden row or another.

    Raises:
        ModelError: A row got other bits in one of these ways than alone, as an event.
    """
    schema = predictor.model.schema
    events = _events(schema, [row.event for row in predictor.model.declaration.golden])
    values = [
        json.dumps({name: value for name, value in event.items() if value is not None}).encode()
        for event in events
    ]
    alone = np.concatenate([_scores(predictor.score_json([value])) for value in values])
    ways = {
        "beside others": _scores(predictor.score_json(values)),
        "in another order": _scores(predictor.score_json(values[::-1]))[::-1],
        "as columns": _scores(predictor.score_table(_table(schema, events))),
    }
    for way, found in ways.items():
        apart = np.flatnonzero(found.view(np.int64) != alone.view(np.int64))
        if len(apart):
            raise ModelError(
                f"{predictor.model.id}: scored {way}, {len(apart)} of {len(alone)} rows get another score"
                f" than alone, as an event: {float(found[apart[0]])!r}, not {float(alone[apart[0]])!r}",
                hint="See what it can be relied on for: python -m batch model certify.",
            )


def _events(schema: Schema, golden: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The golden rows first, then mixtures; every declared input is there, None where it is missing."""
    count = len(golden)
    ids = [number if schema.key_type != "string" else str(number) for number in range(_ROWS)]
    return [
        {schema.key: ids[row]}
        | {
            feature.name: golden[(row + row // count * place) % count].get(feature.name)
            for place, feature in enumerate(schema.features)
        }
        for row in range(_ROWS)
    ]


def _table(schema: Schema, events: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    kinds = {feature.name: _CELLS[feature.type] for feature in schema.features}
    kinds[schema.key] = _CELLS[schema.key_type or "integer"]
    columns = {
        name: pa.array([None if event[name] is None else cell(event[name]) for event in events], kind)
        for name, (kind, cell) in kinds.items()
    }
    return pa.RecordBatch.from_pydict(columns)


def _scores(outcome: Outcome) -> Floats:
    """One a row; NaN where it is rejected."""
    scores = np.full(outcome.total, np.nan)
    scores[outcome.rows] = outcome.scores
    return scores
