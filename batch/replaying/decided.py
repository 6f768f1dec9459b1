"""Predictions that were made, by the position of the event: about 17 bytes each in memory."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.folder import folder_at
from batch.manifest import Snapshot, has_manifest, read_manifest
from batch.results import PredictionDecoder, read_predictions
from batch.sides import counted, is_folder, predictions_in, predictions_on
from batch.topic_rows import TOPIC
from shared.errors import InputError
from shared.files import read_file
from shared.kafka.connection import KafkaSettings
from shared.models.directory import MODEL_FILE
from shared.progress import Meter
from shared.storage import stored_file
from shared.stores.address import has_scheme, shown_address

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_HINT = (
    "Name a model's directory; or predictions: topic:NAME, a snapshot of such a topic by"
    " `python -m batch export`, an output folder of `python -m batch score`, or one of its files."
)


@dataclass(frozen=True, slots=True)
class _Column:
    """The predictions of one file or partition, by rising numbers."""

    numbers: Ints
    scores: Floats
    decisions: Mask


class Decided:
    """What was decided, by position.

    Args:
        name: Where the predictions are, for messages.
        tables: The predictions, as columns of PREDICTIONS.

    Attributes:
        name: Where they are.
        models: How many predictions each model has made, by `name@version digest`.
        repeated: Predictions of a position that has one already, which do not count.

    Raises:
        InputError: A prediction has no position with a number, no score or no decision.
    """

    def __init__(self, name: str, tables: Iterable[pa.Table]) -> None:
        self.name = name
        self.models: Counter[str] = Counter()
        self.repeated = 0
        gathered: dict[str, list[_Column]] = {}
        for table in tables:
            self._note_models(table)
            for place, column in self._by_place(table):
                gathered.setdefault(place, []).append(column)
        self._places = {place: self._sorted(columns) for place, columns in gathered.items()}

    @property
    def count(self) -> int:
        """How many positions have a prediction."""
        return sum(len(column.numbers) for column in self._places.values())

    @property
    def example(self) -> str | None:
        """The position of one of them; None when there is none."""
        return next((f"{place}/{found.numbers[0]}" for place, found in self._places.items()), None)

    def of(self, place: str, positions: pa.StringArray) -> tuple[Mask, Floats, Mask]:
        """What was decided of events.

        Args:
            place: The file or partition that they are in.
            positions: Their positions.

        Returns:
            Of each whether there is a prediction, its score and its decision.
        """
        found = self._places.get(place)
        if found is None or not len(positions):
            return (
                np.zeros(len(positions), np.bool_),
                np.zeros(len(positions)),
                np.zeros(len(positions), np.bool_),
            )
        numbers = _whole(pc.utf8_slice_codeunits(positions, len(place) + 1))
        if numbers is None:
            raise InputError(
                f"{place}: its rows are not known by numbers: {positions[0]}",
                hint="Replay these against a model: predictions are joined by whole numbers only.",
            )
        places = np.minimum(np.searchsorted(found.numbers, numbers), len(found.numbers) - 1)
        return found.numbers[places] == numbers, found.scores[places], found.decisions[places]

    def _note_models(self, table: pa.Table) -> None:
        for row in table.group_by(["model", "model_sha256"]).aggregate([([], "count_all")]).to_pylist():
            self.models[f"{row['model']} {row['model_sha256']}"] += row["count_all"]

    def _by_place(self, table: pa.Table) -> Iterator[tuple[str, _Column]]:
        for column, said in (("id", "prediction_id"), ("score", "score"), ("decision", "decision")):
            if missing := table.column(column).null_count:
                raise InputError(
                    f"{self.name}: {missing:,} of {table.num_rows:,} predictions have no {said}", hint=_HINT
                )
        if not table.num_rows:
            return
        places, numbers = self._split(table.column("id").combine_chunks())
        scores, decisions = table.column("score").to_numpy(), table.column("decision").to_numpy()
        encoded = places.dictionary_encode()
        codes = encoded.indices.to_numpy()
        for code, place in enumerate(encoded.dictionary.to_pylist()):
            here = codes == code
            yield place, _Column(numbers[here], scores[here], decisions[here])

    def _split(self, ids: Any) -> tuple[pa.StringArray, Ints]:
        """Positions as places and numbers."""
        parts = pc.split_pattern(ids, "/", max_splits=1, reverse=True)
        both = pc.all(pc.equal(pc.list_value_length(parts), 2)).as_py()
        flat = parts.flatten()
        numbers = _whole(flat[1::2]) if both else None
        if numbers is None:
            raise InputError(
                f"{self.name}: a prediction_id is no position with a number, such as {ids[0]}",
                hint="Replay against the model that made these predictions: name its directory.",
            )
        return flat[0::2], numbers

    def _sorted(self, columns: list[_Column]) -> _Column:
        """All predictions of a place by number; of several of one number the first counts."""
        numbers = np.concatenate([column.numbers for column in columns])
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
        first = np.append(True, numbers[1:] != numbers[:-1])
        self.repeated += len(numbers) - int(np.count_nonzero(first))
        order = order[first]
        scores = np.concatenate([column.scores for column in columns])[order]
        decisions = np.concatenate([column.decisions for column in columns])[order]
        return _Column(numbers[first], scores, decisions)


def _whole(texts: pa.StringArray) -> Ints | None:
    """Texts as whole numbers; None where one of them is none."""
    try:
        numbers: Ints = texts.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return numbers


def is_model(place: str) -> bool:
    """Whether a place is a model's directory, and not predictions."""
    return not place.startswith(TOPIC) and not has_scheme(place) and (Path(place) / MODEL_FILE).exists()


def read_decided(place: str, kafka: KafkaSettings) -> Decided:
    """The predictions at a place.

    Args:
        place: `topic:NAME`, a snapshot of such a topic, an output folder of `batch score`, or a file.
        kafka: Where the brokers are, for a topic.

    Raises:
        TandemError: There are none, or they cannot be read.
    """
    with Meter("predictions") as meter:
        name = shown_address(place)
        return Decided(name, counted(_tables(place, kafka), name, meter))


def _tables(place: str, kafka: KafkaSettings) -> Iterator[pa.Table]:
    if place.startswith(TOPIC):
        return predictions_on(place.removeprefix(TOPIC), "prediction_id", kafka)
    if is_folder(place):
        folder = folder_at(place)
        if not has_manifest(folder):
            raise InputError(f"{place}: it holds neither a model nor predictions", hint=_HINT)
        manifest = read_manifest(folder)
        if isinstance(manifest, Snapshot):
            return _in_snapshot(Path(place), manifest)
        return predictions_in(folder, manifest, "prediction_id")
    if not has_scheme(place) and not Path(place).exists():
        raise InputError(f"{place}: there is no such file or folder", hint=_HINT)
    return read_predictions(stored_file(place), "prediction_id")


def _in_snapshot(folder: Path, manifest: Snapshot) -> Iterator[pa.Table]:
    """The predictions that a snapshot of an output topic holds."""
    decoder = PredictionDecoder("prediction_id")
    for part in manifest.parts:
        for chunk in read_file(folder / part.file, columns=["value"], required=["value"]):
            batch: Any = chunk.batch
            yield decoder.table(f"{folder / part.file}", batch.column("value").to_pylist())
