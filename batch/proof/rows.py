"""`--rows`: the stream's answers beside the rows of a table or of files, which the batch path scores.

The events of each partition are laid by in files by a hash of their id while the proof judges them on the
topic; then the rows are, and the buckets of one number are joined. An event keeps the class that it has on
the topic where something is wrong there, unless its row shows what comes before that in CLASSES.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batch.databases.address import is_database
from batch.inputs import sources_of
from batch.pipeline import ahead
from batch.proof.buckets import BucketWriter, buckets_for, files_of
from batch.proof.classes import CLASSES, CODES, Found
from batch.proof.judged import BATCH_SAID, STREAM_SAID, UNREADABLE
from batch.proof.models import Models
from batch.proof.result import Example, Explaining, FeatureParity, Frozen
from batch.proof.row_examples import RowExamples
from batch.proof.row_sides import IdReader, Sides, rows_schema
from batch.proof.rows_join import Counts, RowsJoin
from batch.proof.rows_laid import EventsLaid, laid_in, name_of
from batch.proof.settings import JoinInput
from batch.sources import Reading, Scorable
from shared.errors import ConfigurationError, InputError
from shared.models.directory import Model
from shared.progress import Meter
from shared.schema import EVENT_ID
from shared.stores.address import shown_address

#: Of the work that is left when all events are laid by, the share that goes into reading the rows.
_READING: Final = 0.5


class RowsResult(Frozen):
    """What the rows of the batch side show.

    Attributes:
        rows: How many there are.
        rows_without_event: Those of them that no event has the id of.
        counts: Events by class, what is wrong on the topic alone included; every class is there.
        matrix: By the stream's answer, by the batch path's of the row, the number of events.
        examples: A few events of each class, where the class comes from the rows.
        explaining: What differing events have in common.
        features: How inputs compare.
        notes: What limits the proof, as sentences.
        digest: sha256 of the rows' files, in hexadecimal; of a table of a lake, of what they are known by.
    """

    rows: int
    rows_without_event: int
    counts: dict[Found, int]
    matrix: dict[str, dict[str, int]]
    examples: list[Example]
    explaining: list[Explaining]
    features: list[FeatureParity]
    notes: list[str]
    digest: str


@dataclass(frozen=True, slots=True)
class BatchSide:
    """The rows that events are laid beside.

    Attributes:
        rows: Files, a folder, a snapshot, or a table of a lake, as `python -m batch score` reads it.
        on: What both are joined by.
        delimiter: What separates the fields of CSV files.
    """

    rows: str
    on: JoinInput = "event_id"
    delimiter: str = ","


class AgainstRows:
    """Lays events by, partition by partition, and then the rows of the batch side beside them.

    Args:
        side: The batch side.
        models: The models at hand.
        topics: By role (events, predictions, dead-letters) the topic.
        folder: Where events and rows are laid by.
        events: How many events the proof covers at most; the same when it is resumed.
        examples: How many events to tell of each class.

    Raises:
        ConfigurationError: The rows are in a database, or the models have no key in common to join by.
    """

    def __init__(
        self,
        side: BatchSide,
        *,
        models: Models,
        topics: Mapping[str, str],
        folder: Path,
        events: int,
        examples: int,
    ) -> None:
        if is_database(side.rows):
            raise ConfigurationError(
                f"--rows {shown_address(side.rows)}: rows of a database cannot be proved as they stand",
                hint="Write the table to a file first, such as Parquet, and name that.",
            )
        keys = sorted({model.schema.key for model in models})
        if side.on != EVENT_ID and len(keys) > 1:
            raise ConfigurationError(
                f"--on {side.on}: the models call it otherwise: {', '.join(keys)}", hint="Join by event_id."
            )
        self._rows, self._field = side.rows, EVENT_ID if side.on == EVENT_ID else keys[0]
        self._models, self._topics, self._folder = models, topics, folder
        self._buckets, self._examples = buckets_for(events), examples
        self._reading = Reading(delimiter=side.delimiter, further=(self._field,))

    def check(self) -> None:
        """Refuses early what cannot be read by any of the models.

        Raises:
            InputError: The rows are not there, are damaged, or lack a column.
        """
        refused = None
        for model in self._models:
            try:
                self._sources(model)
            except InputError as error:
                refused = refused or error
            else:
                return
        if refused is not None:
            raise refused

    def laid(self, partition: int) -> bool:
        """Whether all events of a partition are laid by already.

        Raises:
            InputError: The folder is damaged.
        """
        return laid_in(self._of(partition), self._buckets) is not None

    def lay(self, partition: int) -> EventsLaid:
        """Takes the judged windows of a partition; what was laid by of it before goes.

        Raises:
            InputError: The folder cannot be written.
        """
        ids = IdReader(self._models.first.schema, self._field)
        return EventsLaid(self._of(partition), self._buckets, ids, self._topics)

    def result(self, partitions: Sequence[int], meter: Meter, behind: float) -> RowsResult:
        """Reads the rows and joins them with the events.

        Args:
            partitions: All partitions of the proof; they are laid by.
            meter: Is told of progress.
            behind: The share of all work that is done when this begins.

        Raises:
            TandemError: The rows cannot be read, or the disk is full.
        """
        reading, answered = self._newest(partitions)
        sources = self._sources(reading)
        folder = self._folder / "rows"
        for done in self._lay_rows(reading, sources, folder):
            meter.add(0, "reading rows", behind + (1 - behind) * _READING * done)
        examples = RowExamples(self._topics["events"], self._field, self._examples)
        join = RowsJoin(self._models, reading, self._field, examples)
        events = {partition: files_of(self._of(partition), self._buckets) for partition in partitions}
        for number, file in enumerate(files_of(folder, self._buckets)):
            join.join({partition: files[number] for partition, files in events.items()}, file)
            share = _READING + (1 - _READING) * (number + 1) / self._buckets
            meter.add(0, "events beside rows", behind + (1 - behind) * share)
        counts = join.counts
        return RowsResult(
            rows=counts.rows,
            rows_without_event=counts.without_event,
            counts={found: counts.classes[CODES[found]] for found in CLASSES},
            matrix=_matrix(counts),
            examples=examples.all,
            explaining=join.explainer.explain(),
            features=join.parity.parity(),
            notes=list(self._notes(counts, reading, answered)),
            digest=_digest(sources),
        )

    def _of(self, partition: int) -> Path:
        return self._folder / "events" / str(partition)

    def _sources(self, model: Model) -> list[Scorable]:
        predictor = self._models.predictor(model)
        sources = sources_of([self._rows], predictor, self._reading)
        for source in sources:
            source.check(predictor)
        return sources

    def _newest(self, partitions: Sequence[int]) -> tuple[Model, list[str]]:
        """The model that gave the last answer of all, and the names of all that answered."""
        times: dict[str, int] = {}
        for partition in partitions:
            laid = laid_in(self._of(partition), self._buckets)
            for name, time in ({} if laid is None else laid.answered).items():
                times[name] = max(time, times.get(name, 0))
        newest = max(times, key=lambda name: (times[name], name), default=None)
        by_name = {name_of(model): model for model in self._models}
        return by_name.get(newest or "", self._models.first), sorted(times)

    def _lay_rows(self, model: Model, sources: Sequence[Scorable], folder: Path) -> Iterator[float]:
        """Lays the rows by, and tells now and then which share of them is."""
        sides = Sides(self._models.predictor(model), self._field)
        writer = BucketWriter(folder, rows_schema(model.schema), self._buckets)
        for number, source in enumerate(sources):
            for rows, done in ahead(sides.rows(source)):
                writer.add(rows)
                yield (number + done) / len(sources)
        writer.flush()

    def _notes(self, counts: Counts, reading: Model, answered: Sequence[str]) -> Iterator[str]:
        source = shown_address(self._rows)
        if len(answered) > 1:
            yield (
                f"{len(answered)} models answered; the rows of {source} were read by the inputs of"
                f" {reading.id}, the newest, and each was scored by the model that answered its event."
            )
        if counts.otherwise:
            yield (
                f"{counts.otherwise:,} rows were scored by {reading.id}, since the model that answered their"
                " events declares other inputs."
            )
        if counts.without_event:
            yield (
                f"{counts.without_event:,} of {counts.rows:,} rows of {source} have the {self._field} of no"
                f" event that this proof covers, such as {', '.join(counts.strays)}."
            )
        if counts.unidentified:
            yield (
                f"{counts.unidentified:,} rejected events have no {self._field} that can be read: they were"
                " compared with the batch path's answer to their own bytes."
            )


def _matrix(counts: Counts) -> dict[str, dict[str, int]]:
    return {
        name: {batch: counts.matrix[said, code] for code, batch in BATCH_SAID.items()}
        for said, name in STREAM_SAID.items()
        if said != UNREADABLE or any(stream == UNREADABLE for stream, _ in counts.matrix)
    }


def _digest(sources: Sequence[Scorable]) -> str:
    digests = sorted(source.digest() for source in sources)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
