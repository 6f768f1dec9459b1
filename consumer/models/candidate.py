"""What a new model must pass before it scores in place of another, while that one goes on scoring."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from consumer.models.recent import Recent
from consumer.scoring import Serving
from shared.errors import ModelError
from shared.models.directory import Model
from shared.predict import Outcome, Predictor
from shared.schema import InputType, Schema

Floats = npt.NDArray[np.float64]

# Rows of the trial: enough for several places of a SIMD width, few enough to take a moment.
_ROWS: Final = 256
# Of fewer events the share that is rejected says nothing.
_FEWEST_EVENTS: Final = 10
_CELLS: Final[Mapping[InputType, tuple[pa.DataType, Callable[[Any], Any]]]] = {
    "number": (pa.float64(), float),
    "integer": (pa.int64(), int),
    "boolean": (pa.bool_(), bool),
    "string": (pa.string(), str),
    "category": (pa.string(), str),
}


@dataclass(frozen=True, slots=True)
class LiveTrial:
    """What a new model is tried on besides its own golden rows.

    Attributes:
        recent: The last events.
        reject_limit: The share of them above which it may not reject them: the consumer would stop.
    """

    recent: Recent
    reject_limit: float


def load_candidate(
    directory: Path, current: Predictor, explain: int | None, live: LiveTrial | None
) -> Serving:
    """Reads, checks, tries and warms a model that is to take over from another.

    Args:
        directory: Its directory.
        current: The model that it would take over from.
        explain: How many of the largest contributions to give with each score; None: no explanations.
        live: What to try it on besides; None: nothing.

    Raises:
        ModelError: It must not take over; with what to change.
    """
    predictor = Predictor.load(directory, explain=explain)
    check_fit(predictor.model, current.model)
    try_out(predictor)
    if live is not None:
        try_on_events(predictor, current, live.recent.values(), live.reject_limit)
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


def try_on_events(
    predictor: Predictor, current: Predictor, values: Sequence[bytes], reject_limit: float
) -> None:
    """Refuses a model that rejects most of what comes, as one does whose inputs the events do not have.

    Args:
        predictor: The new model.
        current: The model that it would take over from: what that rejects as well is not the new one's fault.
        values: The last events; with very few of them nothing is said.
        reject_limit: The share of them above which it may not reject them.

    Raises:
        ModelError: It rejects more, and the other model does not.
    """
    most = reject_limit * len(values)
    rejections = predictor.score_json(values).rejections
    if len(values) < _FEWEST_EVENTS or len(rejections) <= most:
        return
    if len(current.score_json(values).rejections) <= most:
        raise ModelError(
            f"{predictor.model.id} rejects {len(rejections)} of the last {len(values)} events, more than"
            f" --reject-limit {reject_limit:g} permits; for example: {rejections[-1].detail}",
            hint="See that the events have the inputs that it declares, or give these a default.",
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
