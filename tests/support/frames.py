"""Frames of made-up rows, as a validator would give them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from shared.frame import MISSING_CODE, Column, Frame
from shared.schema import Input, Schema

#: One input of each type, and of each that may be missing one that is.
EVERY_TYPE = Schema(
    inputs=(
        Input(name="charges", type="number"),
        Input(name="total", type="number", missing="nan"),
        Input(name="tenure", type="integer"),
        Input(name="partner", type="boolean", missing="nan"),
        Input(name="contract", type="category", values=("monthly", "yearly", "é"), missing="nan"),
        Input(name="town", type="category", values=tuple(f"town {n}" for n in range(40)), missing="nan"),
        Input(name="note", type="string"),
    )
)

Scores = npt.NDArray[np.float64]


def made_up(rows: int, seed: int = 1, schema: Schema = EVERY_TYPE) -> tuple[Frame, Scores]:
    """Valid rows and a score for each."""
    random = np.random.default_rng(seed)
    columns = {feature.name: _column(feature, rows, random) for feature in schema.features}
    return Frame(rows, columns), random.random(rows)


def _column(feature: Input, rows: int, random: np.random.Generator) -> Column:
    column: Column
    match feature.type:
        case "number":
            column = random.gamma(2.0, 40.0, rows)
        case "integer":
            column = random.integers(0, 73, rows).astype(np.float64)
        case "boolean":
            column = (random.random(rows) < 0.3).astype(np.float64)
        case "category":
            column = random.integers(0, len(feature.values or ()), rows).astype(np.int32)
        case _:
            column = np.array([f"note {n}" for n in random.integers(0, 9, rows)] + [None], object)[:-1]
    if feature.missing == "nan":
        column[random.random(rows) < 0.1] = MISSING_CODE if feature.type == "category" else np.nan
    return column


def cut(frame: Frame, scores: Scores, cuts: Sequence[int]) -> list[tuple[Frame, Scores]]:
    """Rows in consecutive batches that end at the cuts."""
    places = [0, *sorted(min(place, frame.count) for place in cuts), frame.count]
    return [(frame.slice(start, stop), scores[start:stop]) for start, stop in pairwise(places)]
