"""A file that is read by splits, wherever they are cut, gives what it gives when it is read in one go."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.files import read_file, split_file
from shared.formats import content, csv_rows, ndjson
from shared.formats.base import RAW
from shared.schema import Rejection
from tests.support.splits import check_splits, collected, originals

HEADER = b"x,y\n"
#: What CSV text is made of, in any order: quotes where none belong, all line ends, no UTF-8, ragged rows.
CSV_PIECES = [
    b"a",
    b"\xc3\xa9",
    b"\xc3",
    b"\xff",
    b"\xef\xbb\xbf",
    b" ",
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r\n",
    b"\r",
]
LINE_PIECES = [b"a", b"\xff", b"\xef\xbb\xbf", b" ", b"\t", b"\n", b"\r\n", b"\r", b"x" * 30]


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    """Splits and blocks of a few bytes, so that a small file has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "SPLIT_BYTES", 12)
        patch.setattr(csv_rows, "_BLOCK_BYTES", 7)
        patch.setattr(csv_rows, "LONGEST_ROW", 60)
        patch.setattr(ndjson, "_BLOCK_BYTES", 7)
        patch.setattr(ndjson, "MAX_EVENT_BYTES", 25)
        yield


def check_originals(path: Path, chosen: Sequence[int]) -> None:
    """Rows as they stand in the file: the cells of those that are rows, the bytes of those that are not.

    Args:
        path: The file.
        chosen: Which of its rows, counted from the first again where there are too few.
    """
    rows, rejections, error = collected(read_file(path))
    if error:
        return
    good = dict(rows)
    bad = {rejection.row: rejection for rejection in rejections}
    total = len(good) + len(bad)
    for split in [None, *split_file(path, 3)]:
        last = total if split is None or split.rows is None else split.first + split.rows
        numbers = sorted({number % total for number in chosen} if total else ())
        numbers = [number for number in numbers if split is None or split.first <= number < last]
        found = originals(path, numbers, split)
        assert len(found) == len(numbers)
        for number, original in zip(numbers, found, strict=True):
            raw = original.pop(RAW, None)
            if not original:
                assert raw == good.get(number, raw)
            elif number in good:
                assert raw is None
                assert tuple(original.values()) == good[number]
            else:
                assert set(original.values()) == {None}
                check_refused_alike(path, raw, bad[number])


def check_refused_alike(path: Path, raw: bytes, rejection: Rejection) -> None:
    """The bytes of a row that was refused are refused for the same reason under the same header."""
    alone = path.with_name("alone.csv")
    alone.write_bytes(HEADER + raw + b"\n")
    (found,) = collected(read_file(alone))[1]
    assert (found.reason, found.field, found.detail) == (rejection.reason, rejection.field, rejection.detail)


def text(pieces: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(pieces), max_size=60).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(body=text(CSV_PIECES), chosen=st.lists(st.integers(0, 60), max_size=8))
def test_a_csv_file_reads_alike_by_splits(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, chosen: list[int]
) -> None:
    path = tmp_path_factory.mktemp("splits") / "a.csv"
    path.write_bytes(HEADER + body)
    check_splits(path)
    check_originals(path, chosen)


@settings(deadline=None, max_examples=300)
@given(body=text(LINE_PIECES), chosen=st.lists(st.integers(0, 60), max_size=8))
def test_a_file_of_lines_reads_alike_by_splits(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, chosen: list[int]
) -> None:
    path = tmp_path_factory.mktemp("splits") / "a.ndjson"
    path.write_bytes(body)
    check_splits(path)
    check_originals(path, chosen)


@settings(deadline=None, max_examples=50)
@given(
    lengths=st.lists(st.integers(0, 7), max_size=8),
    most=st.integers(1, 9),
    chosen=st.lists(st.integers(0, 60), max_size=8),
)
@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
def test_a_file_of_columns_reads_alike_by_splits(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, lengths: list[int], most: int, chosen: list[int]
) -> None:
    path = tmp_path_factory.mktemp("splits") / f"a.{suffix}"
    total = sum(lengths)
    table = pa.table({"id": np.arange(total), "text": [f"{number}" for number in range(total)]})
    cuts = np.cumsum([0, *lengths]).tolist()
    with WRITERS[suffix](path, table.schema) as writer:
        for begin, length in zip(cuts, lengths, strict=False):
            writer.write_table(table.slice(begin, length))
    count = check_splits(path, most)
    check_originals(path, chosen)
    assert count == 1 or suffix != "arrows"
    for split in split_file(path, most):
        assert split.rows is None or split.rows <= most or split.rows in lengths


WRITERS: dict[str, Callable[..., Any]] = {
    "parquet": pq.ParquetWriter,
    "arrow": pa.ipc.new_file,
    "arrows": pa.ipc.new_stream,
}


def test_a_large_regular_file_has_splits_of_about_a_size(tmp_path: Path) -> None:
    for name, line in (("a.csv", b'"a\nb",2\r\n'), ("a.ndjson", b'{"a": 1}\n')):
        (tmp_path / name).write_bytes(HEADER + line * 40)
        splits = split_file(tmp_path / name, 3)
        assert len(splits) == round((4 + 40 * len(line)) / 12)
        assert {split.size for split in splits} <= {
            len(line),
            2 * len(line),
            4 + len(line),
            4 + 2 * len(line),
        }
        check_splits(tmp_path / name)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_compressed_file_reads_as_what_it_holds(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    body = HEADER + b'1,"\n2"\n3\n\xff,5\n' * 5
    suffix = "gz" if pack is gzip.compress else "zst"
    for name in ("a.csv", "a.ndjson", "a.jsonl"):
        (tmp_path / name).write_bytes(body)
        packed = tmp_path / f"{name}.{suffix}"
        packed.write_bytes(pack(body[:30]) + pack(b"") + pack(body[30:]))
        assert collected(read_file(packed)) == collected(read_file(tmp_path / name))
        assert check_splits(packed) == 1
        check_originals(packed, range(20))
