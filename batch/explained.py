"""Whether two sides explain their scores alike, to the bit: by columns, as everything that is compared."""

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.predictions import CONTRIBUTIONS, Contribution

Mask = npt.NDArray[np.bool_]

#: The column of an explanation; null where a prediction has none.
EXPLANATION: Final = pa.struct([pa.field("base", pa.float64()), pa.field("contributions", CONTRIBUTIONS)])
_TEXTS: Final = msgspec.json.Decoder(list[Contribution])


def explanation_column(base: Any, contributions: Any) -> pa.Array:
    """Explanations as a column of EXPLANATION.

    Args:
        base: The column of a file.
        contributions: Likewise; lists, or the JSON text that a CSV file has for them.

    Raises:
        msgspec.MsgspecError: A text is not the JSON of contributions.
        pa.ArrowException: A column is of another type.
    """
    if not pa.types.is_nested(contributions.type):
        texts = contributions.cast(pa.string()).to_pylist()
        contributions = pa.array(
            [msgspec.to_builtins(_TEXTS.decode(text)) if text else None for text in texts], CONTRIBUTIONS
        )
    fields = [
        _whole(column).cast(field.type)
        for column, field in zip((base, contributions), EXPLANATION, strict=True)
    ]
    return pa.StructArray.from_arrays(fields, fields=list(EXPLANATION), mask=fields[1].is_null())


def explanations_of(bases: list[float | None], contributions: list[list[Contribution] | None]) -> pa.Array:
    """Explanations as a column of EXPLANATION, from JSON values that were read.

    Args:
        bases: One a prediction; None where it has no explanation.
        contributions: Likewise.
    """
    if all(row is None for row in contributions):
        return pa.nulls(len(bases), EXPLANATION)
    pairs = [pair for row in contributions for pair in row or ()]
    flat = pa.StructArray.from_arrays(
        [
            pa.array([pair.input for pair in pairs], pa.string()),
            pa.array([pair.contribution for pair in pairs], pa.float64()),
        ],
        fields=list(CONTRIBUTIONS.value_type),
    )
    ends = np.cumsum([0, *(len(row or ()) for row in contributions)], dtype=np.int32)
    lists = pa.ListArray.from_arrays(pa.array(ends), flat, type=CONTRIBUTIONS)
    none = pa.array([row is None for row in contributions])
    return pa.StructArray.from_arrays(
        [pa.array(bases, pa.float64()), lists], fields=list(EXPLANATION), mask=none
    )


def explained_alike(left: pa.StructArray, right: pa.StructArray) -> Mask:
    """Where the base and all contributions have the same bits, inputs and order.

    Where one side has no explanation there is nothing to tell apart.

    Args:
        left: Explanations as EXPLANATION.
        right: As many.
    """
    alike = np.ones(len(left), np.bool_)
    both = np.flatnonzero(explained_by_both(left, right))
    left, right = left.take(pa.array(both)), right.take(pa.array(both))
    lists = [side.field("contributions") for side in (left, right)]
    lengths = [column.value_lengths().to_numpy(zero_copy_only=False) for column in lists]
    same = _same_bits(left.field("base"), right.field("base")) & (lengths[0] == lengths[1])
    alike[both] = same
    # Of the rows with as many contributions, each contribution stands beside its counterpart.
    rows, pairs = both[same], [column.filter(pa.array(same)).flatten() for column in lists]
    of_row = np.repeat(rows, lengths[0][same])
    names = pc.equal(*(column.field("input") for column in pairs)).to_numpy(zero_copy_only=False)
    amounts = _same_bits(*(column.field("contribution") for column in pairs))
    alike[of_row[~(names & amounts)]] = False
    return alike


def explained_by_both(left: pa.StructArray, right: pa.StructArray) -> Mask:
    """Where both sides have an explanation."""
    both: Mask = pc.and_(left.is_valid(), right.is_valid()).to_numpy(zero_copy_only=False)
    return both


def _same_bits(left: pa.DoubleArray, right: pa.DoubleArray) -> Mask:
    bits = (column.to_numpy(zero_copy_only=False).view(np.int64) for column in (left, right))
    same: Mask = np.equal(*bits)
    return same


def _whole(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
