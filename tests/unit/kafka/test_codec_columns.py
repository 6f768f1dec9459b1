"""The quick way through a record batch gives what the plain way gives, whatever the numbers' lengths."""

import random

import pytest

from shared.kafka import decode
from shared.kafka.decode import RawBatch
from shared.kafka.encode import varint

_ROWS = 300


def _batch(deltas: list[int], times: list[int], sizes: list[int]) -> bytes:
    """Records with these offset deltas, timestamp deltas and value sizes."""
    records = []
    for delta, time, size in zip(deltas, times, sizes, strict=True):
        body = b"".join(
            [b"\0", varint(time), varint(delta), varint(3), b"key", varint(size), b"v" * size, b"\0"]
        )
        records.append(varint(len(body)) + body)
    return b"".join(records)


def _same_both_ways(body: bytes, rows: int) -> decode.Decoded:
    batch = RawBatch(body, rows, 1000, 5)
    quick = decode._decode_by_column([batch])
    assert quick is not None
    assert quick == decode._decode_by_row(batch)
    # Beside another, in whichever place.
    other = RawBatch(_batch([0, 7], [1, 2], [3, 300]), 2, 10, 6)
    for batches in ([other, batch], [batch, other], [batch, other, batch]):
        together = decode._decode_by_column(batches)
        assert together is not None
        alone = decode.Decoded([], [], [], [], {})
        for each in batches:
            alone.extend(decode._decode_by_row(each))
        assert together == alone
    return quick


@pytest.mark.parametrize("gap", [0, 1, 63, 64, 65, 150, _ROWS - 1])
# A gap of 64 leaves the first of two bytes as it was.
@pytest.mark.parametrize("missing", [1, 64])
def test_offsets_with_a_gap_are_read_as_they_are(gap: int, missing: int) -> None:
    deltas = [row + missing * (row >= gap) for row in range(_ROWS)]
    _same_both_ways(_batch(deltas, [0] * _ROWS, [200] * _ROWS), _ROWS)


@pytest.mark.parametrize("rows", [50, 64, 65, 66, 8192, 8193])
def test_offsets_without_a_gap_count_up(rows: int) -> None:
    body = _batch(list(range(rows)), [0] * rows, [1] * rows)
    decoded = _same_both_ways(body, rows)
    assert decoded.offsets == list(range(1000, 1000 + rows))


@pytest.mark.parametrize("sizes", [(1,), (100,), (10_000,), (1, 100), (100, 10_000), (1, 100, 10_000)])
@pytest.mark.parametrize("times", [(0,), (-3, 0, 3), (100, 200), (-9_000, 1, 90_000)])
def test_numbers_of_any_length_side_by_side(sizes: tuple[int, ...], times: tuple[int, ...]) -> None:
    rng = random.Random(5)  # noqa: S311 - the same rows in every run
    rows = list(range(_ROWS))
    body = _batch(rows, rng.choices(times, k=_ROWS), rng.choices(sizes, k=_ROWS))
    _same_both_ways(body, _ROWS)
