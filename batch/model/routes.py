"""The same rows by each way into the predictor: JSON events, a CSV file's text, a Parquet file's columns."""

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from batch.model.samples import Event
from batch.sources import FileRows, Reading
from shared.files import Source
from shared.predict import Outcome, Predictor
from shared.schema import InputType, Schema

Places: TypeAlias = npt.NDArray[np.int64]

_ARROW_TYPES: Final[dict[InputType, pa.DataType]] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "category": pa.string(),
}


class Rows(ABC):
    """Rows in a form that the predictor takes."""

    @abstractmethod
    def take(self, places: Places) -> "Rows":
        """The rows at some places, in that order; a place may stand there more than once."""

    @abstractmethod
    def score(self, predictor: Predictor, start: int, stop: int) -> Outcome:
        """Scores the rows from `start` up to, not including, `stop`, as one batch."""


@dataclass(frozen=True, slots=True)
class EventRows(Rows):
    """Rows as the bytes of events."""

    values: Sequence[bytes]

    def take(self, places: Places) -> "EventRows":
        """The events at those places."""
        return EventRows([self.values[place] for place in places.tolist()])

    def score(self, predictor: Predictor, start: int, stop: int) -> Outcome:
        """Scores them as the stream does."""
        return predictor.score_json(self.values[start:stop])


@dataclass(frozen=True, slots=True)
class TableRows(Rows):
    """Rows as columns, of a file's own types or of text."""

    batch: pa.RecordBatch
    text: bool

    def take(self, places: Places) -> "TableRows":
        """The rows at those places."""
        return TableRows(self.batch.take(pa.array(places)), self.text)

    def score(self, predictor: Predictor, start: int, stop: int) -> Outcome:
        """Scores them as the batch path does."""
        return predictor.score_table(self.batch.slice(start, stop - start), text=self.text)


@dataclass(frozen=True, slots=True)
class Route:
    """One way into the predictor.

    Attributes:
        name: `json`, `csv` or `parquet`.
        places: Which of the sample's rows can go this way, ascending.
        rows: Those rows.
    """

    name: str
    places: Places
    rows: Rows


def routes_of(predictor: Predictor, events: Sequence[Event]) -> list[Route]:
    """The routes of a sample's rows; files are really written and read.

    Args:
        predictor: With the model whose inputs the rows have.
        events: The rows, each with the key.
    """
    schema = predictor.model.schema
    everything = np.arange(len(events))
    # A blank cell is a missing field, so that a blank text cannot be told in a CSV file.
    clear = np.array([not any(map(_is_blank, event.values())) for event in events], np.bool_)
    telling = np.flatnonzero(clear)
    routes = [Route("json", everything, EventRows([json.dumps(event).encode() for event in events]))]
    with TemporaryDirectory() as folder:
        if len(telling):
            path = Path(folder, "rows.csv")
            _write_csv(path, schema, [events[place] for place in telling.tolist()])
            routes.append(_read(predictor, path, "csv", telling))
        path = Path(folder, "rows.parquet")
        _write_parquet(path, schema, events)
        routes.append(_read(predictor, path, "parquet", everything))
    return routes


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and (not value or value.isspace())


def _names(schema: Schema) -> list[str]:
    return [schema.key, *(feature.name for feature in schema.features)]


def _write_csv(path: Path, schema: Schema, events: Sequence[Event]) -> None:
    names = _names(schema)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(event.get(name)) for name in names] for event in events)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write_parquet(path: Path, schema: Schema, events: Sequence[Event]) -> None:
    kinds = {feature.name: _ARROW_TYPES[feature.type] for feature in schema.features}
    kinds[schema.key] = _ARROW_TYPES[schema.key_type or "integer"]
    columns = {name: pa.array([event.get(name) for event in events], kinds[name]) for name in _names(schema)}
    pq.write_table(pa.table(columns), path)


def _read(predictor: Predictor, path: Path, name: str, places: Places) -> Route:
    """The rows of a file, of which the format may refuse some."""
    chunks = list(FileRows(Source(path, path.name), Reading()).chunks(predictor))
    table = pa.Table.from_batches([chunk.batch for chunk in chunks]).unify_dictionaries().combine_chunks()
    (batch,) = table.to_batches()
    read = np.concatenate([chunk.rows for chunk in chunks])
    return Route(name, places[read], TableRows(batch, chunks[0].text))


#: How a sample's rows are put in order.
ORDERS: Final[dict[str, Callable[[int], Places]]] = {
    "as is": np.arange,
    "shuffled": lambda count: np.random.default_rng(count).permutation(count),
    "reversed": lambda count: np.arange(count)[::-1],
}
