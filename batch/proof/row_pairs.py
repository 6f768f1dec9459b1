"""Events that were laid beside the rows of the same ids, as columns."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.proof.buckets import ID
from batch.proof.classes import CODES, Found
from batch.proof.input_parity import Inputs
from batch.proof.judged import REJECTED
from shared.models.directory import Model

Codes = npt.NDArray[np.int8]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Events that are laid by: what the stream said of each (`said`, see STREAM_SAID), where that stands (`at`),
#: by which model (`name@version digest`), and the class that the event has on the topic alone.
EVENTS: Final = pa.schema(
    [
        pa.field(ID, pa.string()),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("code", pa.int8(), nullable=False),
        pa.field("said", pa.int8(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("reason", pa.string()),
        pa.field("model", pa.string()),
        pa.field("at", pa.string()),
        pa.field("value", pa.binary()),
    ]
)
#: Classes on the topic in which there is nothing to lay beside a row.
_NOT_COMPARED: Final = [
    CODES[found] for found in (Found.MISSING, Found.DUPLICATED, Found.UNKNOWN_MODEL, Found.NOT_SAMPLED)
]
#: Stands for no class that comes from the rows, behind all others.
NO_CLASS: Final = len(CODES)


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Some events of a partition.

    Attributes:
        partition: The partition.
        columns: As EVENTS says.
        inputs: What they hold.
        same_id: Of each, how many events have its id, itself included; 0 where it has none.
        rows: Of each, how many rows have its id.
    """

    partition: int
    columns: pa.RecordBatch
    inputs: Inputs
    same_id: Integers
    rows: Integers

    @property
    def offsets(self) -> Integers:
        """Of each."""
        offsets: Integers = self.columns.column("offset").to_numpy()
        return offsets

    @property
    def topic_codes(self) -> Codes:
        """The class that each has on the topic alone, by CODES."""
        return self._small("code")

    @property
    def said(self) -> Codes:
        """What the stream said of each."""
        return self._small("said")

    @property
    def unidentified(self) -> Mask:
        """Those that the stream rejected, and of which no id can be read: they may have no row."""
        found: Mask = (self.same_id == 0) & (self.said == REJECTED)
        return found

    @property
    def paired(self) -> Integers:
        """Those that have one row of their own, and one answer to lay beside it."""
        alone = (self.same_id == 1) & (self.rows == 1)
        return np.flatnonzero(alone & ~np.isin(self.topic_codes, _NOT_COMPARED))

    def codes_of_ids(self) -> Codes:
        """The class of those that have no row, or not the only one of their id; NO_CLASS for others."""
        found = np.full(len(self.rows), NO_CLASS, np.int8)
        found[(self.rows == 0) & ~self.unidentified] = CODES[Found.NO_ROW]
        found[(self.same_id > 1) | (self.rows > 1)] = CODES[Found.DUPLICATED]
        found[self.topic_codes == CODES[Found.NOT_SAMPLED]] = NO_CLASS
        return found

    def _small(self, name: str) -> Codes:
        found: Codes = self.columns.column(name).to_numpy()
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Events with the only row of their id.

    Attributes:
        events: Which of the events they are.
        rows: The row of each, as `rows_schema` of batch/proof/row_sides.py says.
        inputs: What the rows hold.
        first: The place of the first field that differs in the parity's, or SAME.
        said: What the batch path said of each row, see BATCH_SAID.
        scores: Its score; NaN where it has none.
        reasons: Why it rejected a row; null where it did not.
        models: What scored them.
        scored_by: Which of these scored each.
        codes: The class of each.
    """

    events: Integers
    rows: pa.Table
    inputs: Inputs
    first: Integers
    said: Codes
    scores: npt.NDArray[np.float64]
    reasons: pa.StringArray
    models: list[Model]
    scored_by: Integers
    codes: Codes

    def place_of(self, event: int) -> int | None:
        """Where an event is among these; None where it is not.

        Args:
            event: One of the events.
        """
        place = int(np.searchsorted(self.events, event))
        return place if place < len(self.events) and self.events[place] == event else None
