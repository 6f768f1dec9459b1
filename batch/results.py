"""Predictions and rejections as columns for comparing, from files of any format and from JSON values."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from batch.explained import EXPLANATION, explanation_column, explanations_of
from batch.held_rows import POSITION, REASON, lines_of, object_of
from shared.errors import InputError
from shared.files import format_of, read_file
from shared.models.directory import RESERVED_OUTPUTS
from shared.predictions import Contribution
from shared.storage import LocalFile, StoredFile

JoinColumn = Literal["prediction_id", "customer_id", "event_id"]

PREDICTIONS: Final = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("decision", pa.bool_()),
        pa.field("model", pa.string()),
        pa.field("model_sha256", pa.string()),
        pa.field("explanation", EXPLANATION),
    ]
)
REJECTIONS: Final = pa.schema([pa.field("id", pa.string()), pa.field("reason", pa.string())])
_HINT: Final = "Name a topic of predictions, an output folder of a batch run, or one of its files."


class PredictionDecoder:
    """Reads predictions as the stream writes them.

    Args:
        on: The field to join by.
        decision: The field that holds the decision; None: the first prediction shows it.
    """

    def __init__(self, on: JoinColumn, decision: str | None = None) -> None:
        self._on, self._decision = on, decision
        self._decode: Any = None

    def table(self, name: str, values: Sequence[bytes | None]) -> pa.Table:
        """The predictions as columns of PREDICTIONS.

        Args:
            name: Where they come from, for the message.
            values: One JSON object each.

        Raises:
            InputError: A value is no prediction.
        """
        try:
            if self._decode is None and values:
                self._decode = self._decoder_for(values[0])
            rows = [self._decode(value) for value in values]
        except (msgspec.MsgspecError, TypeError, RecursionError) as error:
            raise InputError(f"{name}: not a prediction: {error}", hint=_HINT) from error
        ids, scores, decisions, models, digests = (
            [getattr(row, field) for row in rows]
            for field in ("id", "score", "decision", "model", "model_sha256")
        )
        texts = [value if value is None or isinstance(value, str) else str(value) for value in ids]
        explanations = explanations_of([row.base for row in rows], [row.contributions for row in rows])
        return pa.table([texts, scores, decisions, models, digests, explanations], schema=PREDICTIONS)

    def _decoder_for(self, first: bytes | None) -> Any:
        fields = msgspec.json.decode(first or b"", type=dict[str, Any])
        row = msgspec.defstruct(
            "ReadPrediction",
            [
                ("id", int | str | None, None),
                ("score", float),
                ("decision", bool),
                ("model", str),
                ("model_sha256", str),
                ("base", float | None, None),
                ("contributions", list[Contribution] | None, None),
            ],
            rename={"id": self._on, "decision": self._decision or decision_among(list(fields))},
            kw_only=True,
            gc=False,
        )
        return msgspec.json.Decoder(row).decode


def decision_among(names: Sequence[str]) -> str:
    """The field that holds the decision: the one whose name the model has chosen.

    Where columns of the input went along with the predictions, it is the one after the score.

    Raises:
        TypeError: There is none, or several could be it: these are no predictions.
    """
    own = [name for name in names if name not in RESERVED_OUTPUTS]
    if len(own) > 1 and "score" in names:
        own = [name for name in names[names.index("score") + 1 :][:1] if name in own]
    if len(own) != 1:
        raise TypeError("no field, or more than one, could be the decision")
    return own[0]


def read_predictions(
    file: StoredFile | Path,
    on: JoinColumn,
    decision: str | None = None,
    named: Mapping[str, str | None] = MappingProxyType({}),
) -> Iterator[pa.Table]:
    """A file's predictions as columns of PREDICTIONS.

    Args:
        file: The file.
        on: The column to join by.
        decision: The column that holds the decision; None: the file shows it.
        named: What the names of the file's folders say of columns that it does not hold itself.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    decoder = PredictionDecoder(on, decision)
    for chunk in read_file(file):
        if chunk.rejections:
            raise InputError(
                f"{file}: row {chunk.rejections[0].row}: {chunk.rejections[0].detail}", hint=_HINT
            )
        if chunk.values is not None:
            yield decoder.table(str(file), chunk.values)
            continue
        batch: Any = chunk.batch
        for name, value in named.items():
            batch = batch.append_column(name, pa.repeat(pa.scalar(value, pa.string()), batch.num_rows))
        try:
            names = [on, "score", decision or decision_among(batch.schema.names), "model", "model_sha256"]
            columns = [batch.column(name) for name in names]
            if "contributions" in batch.schema.names:
                explanations = explanation_column(batch.column("base"), batch.column("contributions"))
            else:
                explanations = pa.nulls(batch.num_rows, EXPLANATION)
            yield _table([*columns, explanations], PREDICTIONS)
        except (KeyError, TypeError, msgspec.MsgspecError, pa.ArrowException) as error:
            raise InputError(f"{file}: not a file of predictions: {error}", hint=_HINT) from error


def read_rejections(file: StoredFile | Path, on: JoinColumn) -> Iterator[pa.Table]:
    """A file's rejected rows as columns of REJECTIONS.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    name = POSITION if on == "prediction_id" else on
    stored = LocalFile(file) if isinstance(file, Path) else file
    if format_of(stored).events:
        for lines in lines_of(stored):
            rows = [object_of(stored, line) for line in lines]
            yield pa.table(
                [[row.get(name) for row in rows], [row[REASON] for row in rows]], schema=REJECTIONS
            )
        return
    # What the rows held is passed over.
    for chunk in read_file(stored, columns=[name, REASON]):
        batch: Any = chunk.batch
        try:
            yield _table([batch.column(name), batch.column(REASON)], REJECTIONS)
        except (KeyError, pa.ArrowException) as error:
            raise InputError(f"{file}: not a file of rejected rows: {error}", hint=_HINT) from error


def _table(columns: Sequence[Any], schema: pa.Schema) -> pa.Table:
    """Columns of any type under a schema; an id that is an empty text is none."""
    typed = [column.cast(field.type) for column, field in zip(columns, schema, strict=True)]
    ids = pc.if_else(pc.equal(typed[0], ""), pa.scalar(None, pa.string()), typed[0])
    return pa.table([ids, *typed[1:]], schema=schema)
