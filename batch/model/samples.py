"""The rows that a model is certified with: from a file, or made of its declared inputs."""

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from batch.sources import FileRows, Reading
from shared.errors import InputError
from shared.files import Source
from shared.frame import Parsed
from shared.predict import Predictor
from shared.schema import Input, Schema
from shared.tables import TableParser

Event = dict[str, Any]

GENERATED: Final = "generated"
#: Far from anything usual, yet finite; a float32 holds the first pair and not the second.
_EXTREMES: Final = (1e30, -1e30, 1e300, -1e300)
_SMALL: Final = (0.0, 1.0, -1.0, 0.5, 1e-30)
_TEXTS: Final = ("a", "A text with spaces", "é — 客", "0", "x" * 200)
#: Which share of a generated row's values lies at an edge of what is allowed, or is missing.
_EDGY: Final = 0.15


@dataclass(slots=True)
class Sample:
    """Valid rows as events, without their customers' ids: these play no part in a score.

    Attributes:
        source: The file's name, or GENERATED.
        events: The rows; a value that is missing and may be is None or left out.
        left_out: How many rows were not valid, by reason code.
    """

    source: str
    events: list[Event]
    left_out: Counter[str] = field(default_factory=Counter)

    def digest(self) -> str:
        """The sha256 of the rows, one JSON object a line, as 64 hex digits."""
        digest = hashlib.sha256()
        for event in self.events:
            digest.update(json.dumps(event, sort_keys=True).encode() + b"\n")
        return digest.hexdigest()


def read_sample(predictor: Predictor, path: Path, most: int, reading: Reading) -> Sample:
    """The first rows of a file that are valid for a model.

    Args:
        predictor: With the model whose inputs the rows must fit.
        path: A file of a known format.
        most: How many rows to read, the invalid ones included.
        reading: How files of columns are read.

    Raises:
        InputError: The file cannot be read, or none of its rows is valid.
    """
    schema = predictor.model.schema
    table = TableParser(schema)
    sample = Sample(path.name, [])
    first = ""
    left = most
    for chunk in FileRows(Source(path, path.name), reading).chunks(predictor):
        if chunk.batch is not None:
            parsed = table.parse(chunk.batch.slice(0, left), text=chunk.text)
        else:
            parsed = predictor.parse_json((chunk.values or [])[:left])
        sample.events += events_of(schema, parsed)
        rejections = [*chunk.rejections, *parsed.rejections]
        sample.left_out.update(str(rejection.reason) for rejection in rejections)
        first = first or next((f"for example: {rejection.detail}" for rejection in rejections), "")
        left -= parsed.total + len(chunk.rejections)
        if left <= 0:
            break
    if not sample.events:
        why = first or "it holds none"
        raise InputError(f"{path}: no row is valid for {predictor.model.id}; {why}", hint="Give other rows.")
    return sample


def events_of(schema: Schema, parsed: Parsed) -> list[Event]:
    """The valid rows of a batch as events: defaults spelled out, missing values left out."""
    columns = [_values(feature, parsed.frame.columns[feature.name]) for feature in schema.features]
    names = [feature.name for feature in schema.features]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*columns, strict=True)
    ]


def _values(feature: Input, column: Any) -> list[Any]:
    match feature.type:
        case "category":
            names = feature.values or ()
            return [names[code] if code >= 0 else None for code in column.tolist()]
        case "string":
            return list(column)
        case "boolean":
            return [None if math.isnan(value) else bool(value) for value in column.tolist()]
        case "integer":
            return [None if math.isnan(value) else int(value) for value in column.tolist()]
        case _:
            return [None if math.isnan(value) else value for value in column.tolist()]


def generate_sample(schema: Schema, most: int) -> Sample:
    """Rows made of the declared inputs: the same ones on every machine and at every call.

    Each edge of each input comes first, one at a time: every category, the bounds, extremes, a missing value.
    Rows of drawn values follow, some of them at edges too.

    Args:
        schema: The declared inputs.
        most: How many rows to make.
    """
    draw = random.Random("tandem certify")  # noqa: S311 - nothing here is a secret
    edges = {feature.name: _edges(feature) for feature in schema.features}
    middle = {feature.name: _drawn(feature, draw) for feature in schema.features}
    by_edge = [{**middle, name: value} for name, values in edges.items() for value in values]

    def drawn() -> Iterator[Event]:
        while True:
            yield {
                feature.name: draw.choice(edges[feature.name])
                if draw.random() < _EDGY
                else _drawn(feature, draw)
                for feature in schema.features
            }

    by_edge = by_edge[: max(1, most // 2)]
    return Sample(GENERATED, [*by_edge, *islice(drawn(), most - len(by_edge))])


def _edges(feature: Input) -> list[Any]:
    missing = [] if feature.required else [None]
    match feature.type:
        case "category":
            return [*(feature.values or ()), *missing]
        case "boolean":
            return [True, False, *missing]
        case "string":
            return [*_TEXTS, *missing]
        case _:
            return [*_numeric_edges(feature), *missing]


def _numeric_edges(feature: Input) -> list[float]:
    low, high = feature.lowest, feature.highest
    bounds = [bound for bound in (low, high) if bound is not None]
    beside = [bound + step for bound in bounds for step in (1.0, -1.0)]
    beside += [float(np.nextafter(bound, other)) for bound in bounds for other in (-np.inf, np.inf)]
    allowed = [
        number
        for number in (*bounds, *beside, *_SMALL, *_EXTREMES)
        if (low is None or number >= low) and (high is None or number <= high)
    ]
    if feature.type == "integer":
        return [int(number) for number in dict.fromkeys(allowed) if float(number).is_integer()]
    return list(dict.fromkeys(allowed))


def _drawn(feature: Input, draw: random.Random) -> Any:
    match feature.type:
        case "category":
            return draw.choice(feature.values or ())
        case "boolean":
            return draw.random() < 0.5
        case "string":
            return draw.choice(_TEXTS)
        case _:
            number = _number(feature.minimum, feature.maximum, draw)
            if feature.type == "number":
                return number
            # An integer has both bounds, declared or not.
            low, high = math.ceil(feature.lowest or 0), math.floor(feature.highest or 0)
            return max(low, min(high, round(number)))


def _number(low: float | None, high: float | None, draw: random.Random) -> float:
    """A number between bounds; where there is none, of any magnitude that a model is likely to split at."""
    if low is not None and high is not None:
        number = low + (high - low) * draw.random()
    elif low is not None:
        number = low + 10 ** draw.uniform(-2, 5)
    elif high is not None:
        number = high - 10 ** draw.uniform(-2, 5)
    else:
        number = 10 ** draw.uniform(-2, 5) * draw.choice((1, 1, -1))
    # As few digits as a person would write; the edges have more.
    rounded = round(number, 4)
    return rounded if (low is None or rounded >= low) and (high is None or rounded <= high) else number


def with_ids(schema: Schema, events: Sequence[Event]) -> list[Event]:
    """The rows with made-up ids of customers: their numbers, from 1."""
    if schema.key_type == "string":
        return [{schema.key: f"row-{number}", **event} for number, event in enumerate(events, 1)]
    return [{schema.key: number, **event} for number, event in enumerate(events, 1)]
