"""manifest.json: what a folder of results holds. It is written last, and readers take only what it lists.

All that depends on the clock stands under `run`; everything else is the same for the same input, model and
settings, to the byte.
"""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from batch.folder import Folder, LocalFolder
from shared.errors import InputError
from shared.ledger import Account, Ledger
from shared.logs import LogSettings
from shared.models.directory import Model, first_problem
from shared.schema import Schema
from shared.settings import CommandSettings, shown
from shared.version import tandem_version

MANIFEST_FILE: Final = "manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartFile(_Part):
    """A file of results.

    Attributes:
        file: Its name in the folder.
        rows: How many rows it holds.
        size: Its length in bytes.
        sha256: The digest of its bytes.
        partition: In a snapshot, the one partition that its rows come from.
    """

    file: str
    rows: int
    size: int
    sha256: str
    partition: int | None = None


class InputFile(_Part):
    """A file that was scored.

    Attributes:
        name: What its rows are known by: a prediction id is this and the row number.
        format: How it was read.
        rows: How many rows were read, those rejected included.
        size: Its length in bytes.
        sha256: The digest of its bytes.
    """

    name: str
    format: str
    rows: int
    size: int
    sha256: str


class ModelUsed(_Part):
    """The model that scored, or by whose inputs a snapshot was parsed.

    Attributes:
        id: `name@version`.
        kind: The kind of model.
        sha256: The digest of everything that a prediction depends on.
        threshold: A score strictly above it makes the decision true.
        decision: The column that holds the decision.
        inputs: What it declares of an event.
    """

    id: str
    kind: str
    sha256: str
    threshold: float
    decision: str
    inputs: Schema

    @classmethod
    def of(cls, model: Model) -> "ModelUsed":
        """The entry for a loaded model."""
        return cls(
            id=model.id,
            kind=model.declaration.kind,
            sha256=model.sha256,
            threshold=model.threshold,
            decision=model.decision_name,
            inputs=model.schema,
        )


class Counts(_Part):
    """The ledger of one file or partition, or of all: `read` is `scored` and all of `rejected`.

    Attributes:
        read: Rows read.
        scored: Rows with a prediction.
        rejected: Rows without one, by reason.
        left_out: Rows besides these that were not selected.
    """

    read: int
    scored: int
    rejected: dict[str, int]
    left_out: int = 0

    @classmethod
    def of(cls, account: Account, left_out: int = 0) -> "Counts":
        """The entry for an account."""
        rejected = {str(reason): count for reason, count in sorted(account.rejected.items())}
        return cls(read=account.read, scored=account.scored, rejected=rejected, left_out=left_out)

    @classmethod
    def total(cls, ledger: Ledger, left_out: int = 0) -> "Counts":
        """The entry for a whole ledger."""
        return cls.of(Account(ledger.read, ledger.scored, ledger.reasons), left_out)

    @classmethod
    def sum_of(cls, counts: Sequence["Counts"]) -> "Counts":
        """The counts of several files or parts together."""
        rejected: Counter[str] = Counter()
        for one in counts:
            rejected.update(one.rejected)
        return cls(
            read=sum(one.read for one in counts),
            scored=sum(one.scored for one in counts),
            rejected=dict(sorted(rejected.items())),
            left_out=sum(one.left_out for one in counts),
        )


class Column(_Part):
    """A column of the parts.

    Attributes:
        name: Its name.
        type: Its Arrow type.
        nullable: Whether a row may have no value there.
    """

    name: str
    type: str
    nullable: bool

    @classmethod
    def all_of(cls, schema: pa.Schema) -> list["Column"]:
        """The entries for a schema."""
        return [cls(name=field.name, type=str(field.type), nullable=field.nullable) for field in schema]


class Run(_Part):
    """What depends on the clock.

    Attributes:
        started: When the run began, RFC 3339 in UTC.
        finished: When all parts were written.
        seconds: How long it took.
        rows_per_second: Rows read, over that time.
    """

    started: str
    finished: str
    seconds: float
    rows_per_second: float

    @classmethod
    def of(cls, started: datetime, seconds: float, rows: int) -> "Run":
        """The entry for a run that ends now."""
        finished = datetime.now(UTC)
        return cls(
            started=started.isoformat(timespec="milliseconds"),
            finished=finished.isoformat(timespec="milliseconds"),
            seconds=round(seconds, 3),
            rows_per_second=round(rows / seconds, 1) if seconds else 0.0,
        )


class _Manifest(_Part):
    """What every manifest has.

    Attributes:
        version: Of this form of the manifest.
        tandem: The version of Tandem that wrote it.
        columns: The columns of the parts.
        parts: The files, in order.
        settings: The settings of the run, as text.
        run: What depends on the clock.
    """

    version: Literal[1] = 1
    tandem: str = Field(default_factory=tandem_version)
    columns: list[Column]
    parts: list[PartFile]
    settings: dict[str, str]
    run: Run

    @field_validator("parts", "rejected", check_fields=False)
    @classmethod
    def _check_names(cls, parts: list[PartFile]) -> list[PartFile]:
        """Sees that no file is listed twice: the rows of one of both would be lost."""
        again = [name for name, times in Counter(part.file for part in parts).items() if times > 1]
        if again:
            raise ValueError(f"the file {again[0]} is listed twice")
        return parts


class Retry(_Part):
    """Rejected rows that were fixed and scored after the run.

    Attributes:
        before: The manifest before it, which is kept beside the new one.
        inputs: The fixed files; their rows have the positions that they had.
        counts: What became of their rows.
        run: What depends on the clock.
    """

    before: str
    inputs: list[InputFile]
    counts: Counts
    run: Run


class Predictions(_Manifest):
    """The manifest of `python -m batch score`; its parts hold predictions.

    Attributes:
        kind: `predictions`.
        model: What scored.
        format: Of the parts: parquet, csv, ndjson or arrow.
        partition_by: The columns whose values name the folders of the parts. They are among `columns`; only
            in lines of JSON are they in the files, too.
        inputs: The files that were read, in order.
        counts: What became of all rows.
        ledger: What became of the rows of each file, or of each partition of a snapshot.
        rejected_columns: The columns that every rejected part begins with; those of the input follow them.
        rejected: The files of rejected rows, in order.
        sketches: How the valid rows' inputs, the scores and the decisions are spread, for
            `python -m batch drift` (see shared/sketches).
        retries: The retries of rejected rows since the run, in order; all else is as after the last of them.
    """

    kind: Literal["predictions"] = "predictions"
    model: ModelUsed
    format: str
    inputs: list[InputFile]
    counts: Counts
    ledger: dict[str, Counts]
    rejected_columns: list[Column]
    rejected: list[PartFile]
    partition_by: list[str] = Field(default_factory=list)
    sketches: dict[str, Any] | None = None
    retries: list[Retry] = Field(default_factory=list)


class PartitionRange(_Part):
    """What a snapshot holds of one partition: every record from `start` up to, not including, `end`.

    Attributes:
        partition: The partition.
        start: The first offset that the partition still had.
        end: The offset after the last committed record when the snapshot was begun.
        rows: How many records that is; fewer than the offsets, some of which hold no record.
    """

    partition: int
    start: int
    end: int
    rows: int


class Snapshot(_Manifest):
    """The manifest of `python -m batch export`; its parts hold records, by partition and offset.

    Attributes:
        kind: `snapshot`.
        topic: The topic.
        partitions: The range of offsets of each partition.
        model: By whose inputs the events were parsed; null when they were not.
        rows: How many records the parts hold.
        sketches: How the parsed inputs are spread, as in Predictions; null when they were not parsed.
    """

    kind: Literal["snapshot"] = "snapshot"
    topic: str
    partitions: list[PartitionRange]
    model: ModelUsed | None = None
    rows: int
    sketches: dict[str, Any] | None = None


Manifest = Predictions | Snapshot
_ANY: Final[TypeAdapter[Manifest]] = TypeAdapter(Annotated[Manifest, Field(discriminator="kind")])


def settings_of(settings: CommandSettings) -> dict[str, str]:
    """The settings of a run as text: all on which its results depend."""
    silent = {"output", "workers", "memory", "resume", "batch_rows", *LogSettings.model_fields}
    silent |= {"as_json", "engine", "spark_master", "output_table", "work_folder", "database_password_file"}
    unset = {name for name in type(settings).model_fields if getattr(settings, name) in (None, [], {})}
    told = {name: value for name, value in shown(settings).items() if name not in silent | unset}
    # As JSON, so that a retry of rejected rows can read them.
    return told | {name: json.dumps(getattr(settings, name)) for name in ("columns", "map") if name in told}


def write_manifest(folder: Folder, manifest: Manifest) -> None:
    """Writes a folder's manifest: from here on its parts count."""
    with folder.new_file(MANIFEST_FILE) as file:
        file.write(manifest.model_dump_json(indent=2, exclude_none=True).encode() + b"\n")


def has_manifest(place: Path | Folder) -> bool:
    """Whether a folder holds the results of a finished run; a manifest.json of others' is none."""
    try:
        with _folder(place).file(MANIFEST_FILE).open() as file:
            found = json.loads(file.read())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "tandem" in found


def read_manifest(place: Path | Folder) -> Manifest:
    """Reads a folder's manifest, and sees that the parts that it lists are there in their length.

    Raises:
        InputError: There is no such folder or no manifest in it, it is damaged, or a part is missing.
    """
    folder = _folder(place)
    stored = folder.file(MANIFEST_FILE)
    try:
        with stored.open() as file:
            manifest = _ANY.validate_json(file.read())
    except FileNotFoundError:
        if isinstance(folder, LocalFolder) and not folder.path.exists():
            raise InputError(f"{folder.address}: there is no such folder", hint="Check the name.") from None
        hint = "The run that wrote it did not finish, or this is no folder of Tandem's."
        raise InputError(f"{folder.address}: no {MANIFEST_FILE} is in it", hint=hint) from None
    except OSError as error:
        raise stored.refusal(error) or InputError(f"{stored}: cannot be read: {error}") from error
    except ValidationError as error:
        hint = "It was changed, or written by another version of Tandem."
        raise InputError(f"{stored}: {first_problem(error)}", hint=hint) from error
    parts = manifest.parts + (manifest.rejected if isinstance(manifest, Predictions) else [])
    for part in parts:
        if folder.size_of(part.file) != part.size:
            raise InputError(
                f"{folder.file(part.file)}: the file is missing or has another length than"
                f" {MANIFEST_FILE} says",
                hint="Copy the whole folder again, or make it anew.",
            )
    return manifest


def read_scored(place: Path | Folder) -> Predictions:
    """Reads the manifest of a folder of predictions, and sees that its parts are there.

    Raises:
        InputError: As read_manifest, or the folder holds a snapshot.
    """
    manifest = read_manifest(place)
    if not isinstance(manifest, Predictions):
        raise InputError(
            f"{_folder(place).address}: it holds a snapshot, not predictions",
            hint="Name a folder that `python -m batch score` has written.",
        )
    return manifest


def _folder(place: Path | Folder) -> Folder:
    return LocalFolder(place) if isinstance(place, Path) else place
