"""The certificate: an id of what was proved, which any other proof of the same data gives again.

Each partition has a digest over its events and answers, by offset, and of an event by kind and place: the
offset, key, bytes and class of each event; the offset, kind, key, model, value and reason of each answer, and
what a dead letter without bytes says of them. Each of these columns has a sha256 of its own, fed with the
lengths of the texts (-1 for none) and with the texts themselves as they come, so that how the work was
divided leaves no trace; the digest is the sha256 of all of them.

Where an answer stands and when it was written is not in it: a stream that is run again over the same events
writes the same values elsewhere, and is proved by the same digest. The classes are: whatever a proof finds
changes it, the order of answers and the sample included.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.proof.judged import Judged
from batch.proof.result import PartitionLedger

#: Of the form of a certificate: another form gives other ids.
FORM: Final = "tandem proof 1"
_HEX: Final = 32
# Stands for no integer, and for the length of no text.
_NONE: Final = -1
_OF_EVENTS: Final = ("offset", "key", "value")
_CLASS: Final = "class"
_OF_ANSWERS: Final = ("offset", "kind", "key", "model", "model_sha256", "value", "reason", "bytes", "sha256")


class PartitionDigest:
    """The digest of a partition, window by window."""

    def __init__(self) -> None:
        self._events = {name: _ColumnDigest() for name in (*_OF_EVENTS, _CLASS)}
        self._answers = {name: _ColumnDigest() for name in _OF_ANSWERS}

    def add(self, judged: Judged) -> None:
        """Takes in the next window."""
        window = judged.matched.window
        for name in _OF_EVENTS:
            self._events[name].add(window.events.column(name))
        self._events[_CLASS].add_integers(judged.codes.astype(np.int64))
        for name in _OF_ANSWERS:
            self._answers[name].add(window.answers.column(name))

    def hexdigest(self) -> str:
        """64 hex digits."""
        sides = {"events": self._events, "answers": self._answers}
        return _sha256(
            {
                side: {name: column.hexdigests() for name, column in columns.items()}
                for side, columns in sides.items()
            }
        )


class _ColumnDigest:
    """The digests of a column: of its integers or lengths, and of its texts."""

    def __init__(self) -> None:
        self._integers, self._texts = hashlib.sha256(), hashlib.sha256()

    def add(self, column: pa.ChunkedArray) -> None:
        for chunk in column.chunks:
            if pa.types.is_integer(chunk.type):
                self.add_integers(pc.fill_null(chunk.cast(pa.int64()), _NONE).to_numpy())
            else:
                self._add_texts(chunk.cast(pa.large_binary()))

    def _add_texts(self, texts: pa.LargeBinaryArray) -> None:
        held = texts.drop_null() if texts.null_count else texts
        if not len(held):
            self.add_integers(np.full(len(texts), _NONE))
            return
        # The texts one after the other, as they lie in memory.
        _, offsets, content = held.buffers()
        bounds = np.frombuffer(offsets, np.int64)[held.offset : held.offset + len(held) + 1]
        lengths = np.full(len(texts), _NONE)
        lengths[pc.is_valid(texts).to_numpy(zero_copy_only=False)] = np.diff(bounds)
        self.add_integers(lengths)
        self._texts.update(memoryview(content)[int(bounds[0]) : int(bounds[-1])])

    def add_integers(self, integers: npt.NDArray[np.int64]) -> None:
        self._integers.update(integers.astype("<i8").tobytes())

    def hexdigests(self) -> list[str]:
        return [self._integers.hexdigest(), self._texts.hexdigest()]


def certificate(facts: Mapping[str, Any], ledger: Iterable[PartitionLedger]) -> str:
    """The id of a proof.

    Args:
        facts: What was proved, as JSON has it: no clock, path or setting of this run.
        ledger: The books, with the digest of each partition; what a partition was found to hold is in them.

    Returns:
        32 hex digits.
    """
    partitions = [book.model_dump(mode="json") for book in sorted(ledger, key=lambda book: book.partition)]
    return _sha256({"form": FORM, **facts, "partitions": partitions})[:_HEX]


def _sha256(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
