"""Golden rows: a varied choice of a sample's rows with the exact scores that the model must give them."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from batch.model.samples import Event, with_ids
from shared.errors import ModelError
from shared.models.directory import GoldenRow
from shared.predict import Predictor
from shared.schema import Input, Schema

#: How many golden rows a certified model has at least, where the sample has as many.
WANTED: Final = 20
_QUANTILES: Final = 8


def choose_golden(
    schema: Schema,
    events: Sequence[Event],
    scores: npt.NDArray[np.float64],
    held: Sequence[Event] = (),
    most: int = WANTED,
) -> list[GoldenRow]:
    """Golden rows from rows of a sample: as many categories, bounds and missing values as they can show.

    The customers' ids are made up: a model's declaration is no place for real ones.

    Args:
        schema: The declared inputs.
        events: The rows, without ids.
        scores: What each of them scores alone.
        held: Rows that are golden already, without ids; they are not chosen again.
        most: How many golden rows there are to be, those included; fewer when there are fewer rows.
    """
    known = {json.dumps(event, sort_keys=True) for event in held}
    new = []
    for place, event in enumerate(events):
        text = json.dumps(event, sort_keys=True)
        if text not in known:
            known.add(text)
            new.append(place)
    wanted = max(0, most - len(held))
    picked = _varied(schema, [events[place] for place in new], scores[new], wanted)
    chosen = [new[place] for place in picked]
    rows = with_ids(schema, [events[place] for place in chosen])
    return [GoldenRow(event=row, score=float(scores[place])) for row, place in zip(rows, chosen, strict=True)]


def _varied(schema: Schema, events: Sequence[Event], scores: npt.NDArray[np.float64], most: int) -> list[int]:
    """The places of rows that show together as much as so few can, ascending; the same at every call."""
    if not events:
        return []
    bins = np.digitize(scores, np.quantile(scores, np.linspace(0, 1, _QUANTILES + 1)[1:-1]))
    shown = [
        {("score", int(place)), *_shown(schema, event)} for event, place in zip(events, bins, strict=True)
    ]
    chosen: list[int] = []
    seen: set[Any] = set()
    left = set(range(len(events)))
    while left and len(chosen) < most:
        best = max(left, key=lambda place: (len(shown[place] - seen), -place))
        if shown[best] <= seen:
            # All that there is has been shown once; it is shown again by other rows.
            seen = set()
        seen |= shown[best]
        chosen.append(best)
        left.remove(best)
    return sorted(chosen)


def _shown(schema: Schema, event: Event) -> Iterator[tuple[str, Any]]:
    for feature in schema.features:
        yield feature.name, _seen(feature, event.get(feature.name))


def _seen(feature: Input, value: Any) -> Any:
    """What of an input a value shows."""
    if value is None or not feature.numeric:
        return value
    if value in (feature.minimum, feature.maximum):
        return "bound"
    return "zero" if not value else "negative" if value < 0 else "positive"


def held_golden(predictor: Predictor, *, renew: bool) -> list[GoldenRow]:
    """The model's own golden rows, each scored alone.

    Args:
        predictor: With the model.
        renew: Whether another score than the one that stands there takes its place.

    Raises:
        ModelError: A row is rejected, or its score is another one and is not to be renewed.
    """
    rows = []
    for number, golden in enumerate(predictor.model.declaration.golden):
        outcome = predictor.score_one(golden.event)
        for rejection in outcome.rejections:
            raise ModelError(
                f"{predictor.model.id}: golden row {number} is rejected: {rejection.detail}",
                hint="Correct the row, or the inputs.",
            )
        score = float(outcome.scores[0])
        if score != golden.score and not renew:
            raise ModelError(
                f"{predictor.model.id}: golden row {number} scores {score!r}, not {golden.score!r}",
                hint="The model, its library or this machine's arithmetic is not what the row was made with. "
                "When the new scores are the right ones, give --renew-golden.",
            )
        rows.append(GoldenRow(event=golden.event, score=score))
    return rows
